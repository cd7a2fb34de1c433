//! A rolling restart while clients write: whoever tries again at another node loses nothing, and what was written is told
//! and sent on once. Whoever follows the feed goes on at the other node and misses nothing. With `CONCORD_FULL` set it is ten
//! rounds of 500 events with eight writers; a Redis server comes and goes meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use futures::future::{join, join_all};
use reqwest::StatusCode;
use serde_json::{Value, json};
use testkit::harness::{Postgres, Redis, until};
use tokio::net::TcpListener;

use super::follow::{Follower, Urls};
use super::{EVENTS, LIMIT, Node, calendars, get, program, start_as};

/// Clients that write at the same time.
fn writers() -> usize {
    size(3, 8)
}

/// How often each node is restarted.
fn rounds() -> usize {
    size(2, 10)
}

/// Events that are written at least between two restarts.
fn between() -> usize {
    size(40, 250)
}

/// Clients that follow the feed.
const FOLLOWERS: usize = 3;

/// The small size, or the full one when `CONCORD_FULL` is set.
fn size(small: usize, full: usize) -> usize {
    match std::env::var_os("CONCORD_FULL") {
        Some(_) => full,
        None => small,
    }
}

/// How long what was written may take to be everywhere.
fn all_done() -> Duration {
    LIMIT * size(1, 10) as u32
}

/// What a receiver got: by `seq` the ids of its deliveries.
type Told = Arc<Mutex<BTreeMap<i64, BTreeSet<String>>>>;

/// A receiver of webhooks. It ends with the test.
async fn receiver() -> (String, Told) {
    let told = Told::default();
    let kept = Arc::clone(&told);
    let take = async move |headers: HeaderMap, body: Bytes| {
        let message: Value = serde_json::from_slice(&body).unwrap();
        let seq = message["data"]["seq"].as_i64().unwrap();
        let id = headers["webhook-id"].to_str().unwrap().to_owned();
        kept.lock().unwrap().entry(seq).or_default().insert(id);
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, told)
}

/// A client that tries again, at the other node, until it has an answer.
#[derive(Clone)]
struct Client {
    http: reqwest::Client,
    key: String,
    urls: Urls,
    /// Requests that had no answer, or were told to come again.
    repeated: Arc<AtomicUsize>,
}

impl Client {
    async fn create(&self, calendar: &str, number: usize) -> String {
        let at = |time: &str| json!({"kind": "zoned", "wall": format!("2026-03-03T{time}"), "zone": "UTC"});
        let body = json!({
            "calendar_id": calendar,
            "title": format!("Written {number}"),
            "start": at("14:00:00"),
            "end": at("15:00:00"),
        });
        let turn = AtomicUsize::new(number);
        until("an answer", LIMIT, async || {
            let url = {
                let urls = self.urls.lock().unwrap();
                urls[turn.fetch_add(1, Ordering::SeqCst) % urls.len()].clone()
            };
            let request = self
                .http
                .post(format!("{url}/v1/events"))
                .bearer_auth(&self.key)
                .header("idempotency-key", format!("written-{number}"))
                .json(&body);
            // No answer: it is being restarted, or was in the middle of this.
            let Ok((status, text)) = answer(request).await else {
                self.repeated.fetch_add(1, Ordering::SeqCst);
                return None;
            };
            if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::CONFLICT) {
                self.repeated.fetch_add(1, Ordering::SeqCst);
                return None;
            }
            assert_eq!(status, StatusCode::CREATED, "{text}");
            let made: Value = serde_json::from_str(&text).unwrap();
            Some(made["data"]["id"].as_str().unwrap().to_owned())
        })
        .await
        .unwrap()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<(StatusCode, String)> {
    let answer = request.send().await?;
    Ok((answer.status(), answer.text().await?))
}

/// Waits until more events were written.
async fn some_more(numbers: &AtomicUsize) {
    let wanted = numbers.load(Ordering::SeqCst) + between();
    until("more to be written", all_done(), async || {
        (numbers.load(Ordering::SeqCst) >= wanted).then_some(())
    })
    .await
    .unwrap();
}

/// The feed's entries of created events, by `seq`, and how long the feed is.
async fn created(http: &reqwest::Client, node: &Node, key: &str) -> (BTreeMap<i64, String>, i64) {
    let (mut created, mut last) = (BTreeMap::new(), 0);
    loop {
        let (_, page) = get(http, node, key, &format!("/v1/changes?after={last}&limit=200")).await;
        let page = page["data"].as_array().unwrap().clone();
        if page.is_empty() {
            return (created, last);
        }
        for change in page {
            last += 1;
            assert_eq!(change["seq"], last, "no gap, no double");
            if change["kind"] == "event" && change["action"] == "created" {
                created.insert(last, change["id"].as_str().unwrap().to_owned());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_loses_nothing_of_what_clients_write_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start().await.unwrap();
    let database = postgres.database("concord").unwrap();
    let mut redis = Redis::start().await.unwrap();
    let node = program(&folder, &database)
        .env("CONCORD_REDIS_URL", redis.url())
        .arg("serve");
    let first = start_as(node.clone()).await;
    let key = first.secret.clone().unwrap();
    let mut nodes = [first, start_as(node.clone()).await];
    let urls: Urls = Arc::new(Mutex::new(nodes.iter().map(|node| node.url.clone()).collect()));
    let http = reqwest::Client::new();
    let remote = calendars().await;
    let (hook, told) = receiver().await;
    for (path, body) in [
        (
            "connections",
            json!({
                "provider": "caldav",
                "config": {"base_url": remote.base_url()},
                "credentials": {"username": "ada", "password": "correct horse"},
            }),
        ),
        (
            "webhook-endpoints",
            json!({"url": hook, "kinds": ["event"], "actions": ["created"]}),
        ),
    ] {
        let request = http.post(format!("{}/v1/{path}", nodes[0].url)).bearer_auth(&key);
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::CREATED, "{path}");
    }
    let calendar = until("the calendar to be read", LIMIT, async || {
        let (_, events) = get(&http, &nodes[1], &key, "/v1/events?limit=200").await;
        let all = events["data"].as_array()?.len() == EVENTS;
        let (_, found) = get(&http, &nodes[1], &key, "/v1/calendars").await;
        all.then(|| found["data"][0]["id"].as_str().unwrap().to_owned())
    });
    let calendar = calendar.await.unwrap();

    let client = Client {
        http: http.clone(),
        key: key.clone(),
        urls: Arc::clone(&urls),
        repeated: Arc::default(),
    };
    let followers: Vec<Follower> = (0..FOLLOWERS).map(|_| Follower::start(&urls, &key)).collect();
    let (numbers, enough) = (AtomicUsize::new(0), AtomicBool::new(false));
    let writer = async || {
        let mut written = Vec::new();
        while !enough.load(Ordering::SeqCst) {
            let number = numbers.fetch_add(1, Ordering::SeqCst);
            written.push(client.create(&calendar, number).await);
        }
        written
    };
    let restarts = async {
        for round in 0..rounds() {
            for (place, running) in nodes.iter_mut().enumerate() {
                some_more(&numbers).await;
                let status = running.process.terminate(LIMIT).await.unwrap();
                assert!(status.success(), "{status}");
                *running = start_as(node.clone()).await;
                urls.lock().unwrap()[place].clone_from(&running.url);
            }
            if round % 2 == 0 {
                redis.kill().unwrap();
            } else {
                redis.go_up().await.unwrap();
            }
        }
        some_more(&numbers).await;
        enough.store(true, Ordering::SeqCst);
    };
    let (written, ()) = join(join_all((0..writers()).map(|_| writer())), restarts).await;
    let written: BTreeSet<String> = written.into_iter().flatten().collect();
    assert_eq!(
        written.len(),
        numbers.load(Ordering::SeqCst),
        "each made one event"
    );

    let (created, last) = created(&http, &nodes[0], &key).await;
    for follower in &followers {
        follower.reaches(last).await;
    }
    assert_eq!(
        created.len(),
        EVENTS + written.len(),
        "no more than were asked for"
    );
    assert!(written.iter().all(|id| created.values().any(|one| one == id)));
    until("the receiver to be told", all_done(), async || {
        let told = told.lock().unwrap();
        // What was there before the endpoint is not told.
        let mut ours = created.iter().filter(|(_, id)| written.contains(*id));
        ours.all(|(seq, _)| told.contains_key(seq)).then_some(())
    })
    .await
    .unwrap();
    assert!(
        told.lock().unwrap().values().all(|ids| ids.len() == 1),
        "under one id each"
    );
    until("the provider to have them", all_done(), async || {
        let there = remote.calendar("ada", "work").list().len();
        (there >= EVENTS + written.len()).then_some(())
    })
    .await
    .unwrap();
    assert_eq!(
        remote.calendar("ada", "work").list().len(),
        EVENTS + written.len(),
        "once each"
    );
    println!(
        "{} restarts: {} events written, requests repeated {} times, none failed; {last} changes, each told once and in order \
         to {FOLLOWERS} followers over {} streams",
        2 * rounds(),
        written.len(),
        client.repeated.load(Ordering::SeqCst),
        followers.iter().map(Follower::streams).sum::<usize>(),
    );
}
