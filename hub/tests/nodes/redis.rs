//! Two nodes with a Redis server that is lost, hangs and comes back while changes are made on one and followed on the other.

use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use serde_json::json;
use testkit::harness::{Postgres, Redis, until};

use super::follow::{Follower, Urls};
use super::{LIMIT, Node, calendars, get, program, start_as};

/// Changes that are made in each state of the server.
const CHANGES: usize = 15;

/// The value of a gauge of a node.
async fn gauge(http: &reqwest::Client, node: &Node, name: &str) -> Option<f64> {
    let text = http.get(format!("{}/metrics", node.url)).send().await.ok()?;
    let text = text.text().await.ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

async fn shows(http: &reqwest::Client, nodes: &[Node; 2], up: bool) {
    for node in nodes {
        let wanted = if up { 1.0 } else { 0.0 };
        until("the gauge", LIMIT, async || {
            (gauge(http, node, "concord_redis_up").await? == wanted).then_some(())
        })
        .await
        .unwrap();
    }
}

/// A client that makes events at the first node, and the client that must hear of them at the second.
struct Clients {
    http: reqwest::Client,
    key: String,
    calendar: String,
    made: usize,
}

impl Clients {
    async fn change(&mut self, nodes: &[Node; 2], follower: &Follower) {
        for _ in 0..CHANGES {
            self.made += 1;
            let at =
                |time: &str| json!({"kind": "zoned", "wall": format!("2026-03-03T{time}"), "zone": "UTC"});
            let body = json!({
                "calendar_id": self.calendar,
                "title": format!("Made {}", self.made),
                "start": at("14:00:00"),
                "end": at("15:00:00"),
            });
            let request = self.http.post(format!("{}/v1/events", nodes[0].url));
            let answer = request.bearer_auth(&self.key).json(&body).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::CREATED);
        }
        let mut last = 0;
        loop {
            let path = format!("/v1/changes?after={last}&limit=200");
            let (_, page) = get(&self.http, &nodes[0], &self.key, &path).await;
            match page["data"].as_array().unwrap().last() {
                Some(change) => last = change["seq"].as_i64().unwrap(),
                None => break,
            }
        }
        assert!(last >= self.made as i64);
        follower.reaches(last).await;
    }
}

/// What a node said of the server: whether it was help, each time that changed.
fn said(node: &Node) -> Vec<bool> {
    let lines = node.process.output();
    let said = lines.iter().filter_map(|line| {
        let lost = line.contains("Redis is no help");
        (lost || line.contains("Redis answers")).then_some(!lost)
    });
    said.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_miss_nothing_while_their_redis_hangs_dies_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start().await.unwrap();
    let mut redis = Redis::start().await.unwrap();
    let database = postgres.database("concord").unwrap();
    let node = || program(&folder, &database).env("CONCORD_REDIS_URL", redis.url());
    let first = start_as(node().arg("serve")).await;
    let nodes = [first, start_as(node().arg("serve")).await];
    let doctor = node().arg("doctor");
    let (key, http) = (nodes[0].secret.clone().unwrap(), reqwest::Client::new());
    let remote = calendars().await;
    let body = json!({
        "provider": "caldav",
        "config": {"base_url": remote.base_url()},
        "credentials": {"username": "ada", "password": "correct horse"},
    });
    let request = http.post(format!("{}/v1/connections", nodes[0].url));
    let answer = request.bearer_auth(&key).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let calendar = until("the calendar", LIMIT, async || {
        let (_, found) = get(&http, &nodes[1], &key, "/v1/calendars").await;
        found["data"][0]["id"].as_str().map(str::to_owned)
    });
    let mut clients = Clients {
        calendar: calendar.await.unwrap(),
        http: http.clone(),
        key: key.clone(),
        made: 0,
    };
    let urls: Urls = Arc::new(Mutex::new(vec![nodes[1].url.clone()]));
    let follower = Follower::start(&urls, &key);

    shows(&http, &nodes, true).await;
    clients.change(&nodes, &follower).await;
    let report = doctor.run(LIMIT).await.unwrap();
    assert!(
        report.contains("Redis at") && report.contains("2 nodes listen"),
        "{report}"
    );

    redis.hang().unwrap();
    clients.change(&nodes, &follower).await;
    shows(&http, &nodes, false).await;
    redis.kill().unwrap();
    clients.change(&nodes, &follower).await;
    let report = doctor.run(LIMIT).await.unwrap();
    assert!(
        report.contains("cannot be reached") && report.contains("lost-redis.md"),
        "{report}"
    );
    assert!(!report.contains(redis.password()), "{report}");

    redis.go_up().await.unwrap();
    shows(&http, &nodes, true).await;
    clients.change(&nodes, &follower).await;

    assert_eq!(follower.streams(), 1, "no stream was ended by any of it");
    for node in &nodes {
        let said = said(node);
        assert!(said.contains(&false) && said.last() == Some(&true), "{said:?}");
        assert!(
            said.windows(2).all(|two| two[0] != two[1]),
            "one line for each change: {said:?}"
        );
        let output = node.process.output().join("\n");
        assert!(!output.contains(redis.password()), "{output}");
    }
}
