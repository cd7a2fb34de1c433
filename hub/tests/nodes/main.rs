//! Several `concord serve` on one PostgreSQL database, as processes: one is killed, all are restarted
//! one after the other, the database goes and comes back.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod follow;
mod redis;
mod renewal;
mod rolling;

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use simulators::caldav::{AccountConfig, CaldavServer, CalendarConfig};
use tempfile::TempDir;
use testkit::harness::{Postgres, Program, RunningProgram, until};

/// Bound of every wait: longer than a lease, which a dead node's work waits for.
const LIMIT: Duration = Duration::from_secs(90);
const CONNECTIONS: usize = 6;
const EVENTS: usize = 20;

/// A node, and the way to it.
struct Node {
    process: RunningProgram,
    url: String,
    secret: Option<String>,
}

fn program(folder: &TempDir, database: &str) -> Program {
    Program::new(env!("CARGO_BIN_EXE_concord"))
        .folder(folder.path())
        .env("NO_COLOR", "1")
        .env("CONCORD_LISTEN", "127.0.0.1:0")
        .env("CONCORD_DATABASE_URL", database)
        .env("CONCORD_EGRESS_ALLOW", "127.0.0.0/8")
        .env("CONCORD_EGRESS_PORTS", "1-65535")
        .env("CONCORD_MASTER_KEY", "42".repeat(32))
}

async fn start(folder: &TempDir, database: &str) -> Node {
    start_as(program(folder, database).arg("serve")).await
}

async fn start_as(program: Program) -> Node {
    let mut process = program.start().unwrap();
    let listens = |line: &str| line.strip_prefix("Concord listens at ").map(str::to_owned);
    let url = process.wait_for_line(LIMIT, listens).await.unwrap();
    let ready = |line: &str| line.contains("/docs").then_some(());
    process.wait_for_line(LIMIT, ready).await.unwrap();
    let lines = process.output();
    let secret = lines
        .iter()
        .map(|line| line.trim())
        .find(|line| line.starts_with("ck_"));
    Node {
        secret: secret.map(str::to_owned),
        process,
        url,
    }
}

async fn get(http: &reqwest::Client, node: &Node, key: &str, path: &str) -> (StatusCode, Value) {
    let request = http.get(format!("{}{path}", node.url)).bearer_auth(key);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    (status, answer.json().await.unwrap_or_default())
}

/// A simulated server whose account has a calendar of events.
async fn calendars() -> CaldavServer {
    let mut calendar = CalendarConfig::new("work").display_name("Work");
    for number in 0..EVENTS {
        let text = format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Concord//test//EN\r\nBEGIN:VEVENT\r\nUID:{number}@example.com\r\n\
             DTSTAMP:20260101T000000Z\r\nDTSTART:20260302T090000Z\r\nDTEND:20260302T100000Z\r\nSUMMARY:Event {number}\r\n\
             END:VEVENT\r\nEND:VCALENDAR\r\n"
        );
        calendar = calendar.object(format!("{number}.ics"), text);
    }
    let account = AccountConfig::new("ada")
        .password("correct horse")
        .calendar(calendar);
    CaldavServer::start(simulators::caldav::Config::with_account(account))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_leaves_its_work_to_the_other_and_nothing_is_done_twice() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database("concord").unwrap();
    let mut one = start(&folder, &database).await;
    let two = start(&folder, &database).await;
    assert!(two.secret.is_none(), "the first node made the first key");
    let key = one.secret.clone().unwrap();
    let http = reqwest::Client::new();
    let servers: Vec<CaldavServer> = {
        let mut servers = Vec::new();
        for _ in 0..CONNECTIONS {
            servers.push(calendars().await);
        }
        servers
    };
    let mut jobs = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        let to = if number % 2 == 0 { &one } else { &two };
        let body = json!({
            "provider": "caldav",
            "config": {"base_url": server.base_url()},
            "credentials": {"username": "ada", "password": "correct horse"},
        });
        let request = http
            .post(format!("{}/v1/connections", to.url))
            .bearer_auth(&key)
            .json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED);
        let made: Value = answer.json().await.unwrap();
        jobs.push(made["data"]["job_id"].as_str().unwrap().to_owned());
    }
    one.process.kill().unwrap();
    for job in &jobs {
        let path = format!("/v1/jobs/{job}");
        let done = until("the other node to take over", LIMIT, async || {
            let (_, answer) = get(&http, &two, &key, &path).await;
            (answer["data"]["state"] == "done").then_some(answer)
        });
        done.await.unwrap();
    }
    let (_, events) = get(&http, &two, &key, "/v1/events?limit=200").await;
    assert_eq!(events["data"].as_array().unwrap().len(), CONNECTIONS * EVENTS);
    let mut numbers: Vec<i64> = Vec::new();
    loop {
        let after = numbers.last().copied().unwrap_or_default();
        let path = format!("/v1/changes?after={after}&limit=200");
        let (_, changes) = get(&http, &two, &key, &path).await;
        let some = changes["data"].as_array().unwrap();
        if some.is_empty() {
            break;
        }
        numbers.extend(some.iter().map(|change| change["seq"].as_i64().unwrap()));
    }
    assert!(numbers.len() > CONNECTIONS * EVENTS);
    assert_eq!(
        numbers,
        (1..=numbers.len() as i64).collect::<Vec<_>>(),
        "no gap, no double"
    );
    let report = program(&folder, &database)
        .arg("doctor")
        .run(LIMIT)
        .await
        .unwrap();
    assert_eq!(
        report.matches(" node ").count(),
        1,
        "it is no node itself: {report}"
    );
    assert!(
        report.contains(&format!("node {}@", two.process.pid())),
        "{report}"
    );
    assert!(
        !report.contains(&format!("node {}@", one.process.pid())),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_a_node_says_so_at_once_and_recovers_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut postgres = Postgres::start().await.unwrap();
    let database = postgres.database("concord").unwrap();
    let node = start(&folder, &database).await;
    let key = node.secret.clone().unwrap();
    let http = reqwest::Client::new();
    assert_eq!(get(&http, &node, &key, "/v1/jobs").await.0, StatusCode::OK);
    for crash in [false, true] {
        if crash {
            postgres.kill().unwrap();
        } else {
            postgres.stop().await.unwrap();
        }
        for _ in 0..5 {
            let began = Instant::now();
            let (status, answer) = get(&http, &node, &key, "/v1/jobs").await;
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            assert_eq!(answer["error"]["code"], "unavailable", "{answer}");
            // It is a second where nothing else runs; this tells it from one that waits for the server to come back.
            assert!(began.elapsed() < LIMIT / 3, "{:?}", began.elapsed());
        }
        postgres.go_up().await.unwrap();
        until("the node to recover", LIMIT, async || {
            let (status, _) = get(&http, &node, &key, "/v1/jobs").await;
            (status == StatusCode::OK).then_some(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_another_key_does_not_start_and_the_password_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database("concord").unwrap();
    program(&folder, &database)
        .arg("migrate")
        .run(LIMIT)
        .await
        .unwrap();
    let other = program(&folder, &database).env("CONCORD_MASTER_KEY", "43".repeat(32));
    let text = format!("{:#}", other.arg("serve").run(LIMIT).await.unwrap_err());
    assert!(
        text.contains("master key") && text.contains("CONCORD_MASTER_KEY"),
        "{text}"
    );
    let away = program(&folder, "postgres://concord:hunter2@127.0.0.1:1/concord");
    let text = format!("{:#}", away.arg("serve").run(LIMIT).await.unwrap_err());
    assert!(
        text.contains("does not answer") && !text.contains("hunter2"),
        "{text}"
    );
}
