//! `kill -9` again and again while signed deliveries come in at full speed, doubled and out of order; and a disk that is
//! full for a while. Every delivery that was acknowledged has its effect, once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connector_memory::{MemoryProvider, delivery};
use connector_sdk::{Clock as _, RemoteId, SystemClock, WebhookSecret};
use hub::config::Config;
use hub::server::{Make, Server};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::harness::{Program, RunningProgram, until};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::scene::{LIMIT, NOWHERE, WORK, connectors, event, provider};

/// Where the child that serves finds its database.
const FOLDER: &str = "CHILD_FOLDER";
/// What the system sends to who writes beyond the bound of a file's size, on Linux.
const SIGXFSZ: i32 = 25;
/// What it says once it serves.
const SERVING: &str = "serving at ";
/// Senders at the same time.
const SENDERS: usize = 16;

/// The small size, or the full one when `CONCORD_FULL` is set.
pub(crate) fn size(small: usize, full: usize) -> usize {
    match std::env::var_os("CONCORD_FULL") {
        Some(_) => full,
        None => small,
    }
}

/// Not a test by itself: the process that is killed. Its provider is empty; all that it learns, deliveries tell.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests beside it as a process of its own"]
async fn child_that_serves() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndatabase_url = \"sqlite://{}\"\nsync_interval_seconds = 3600\n",
        folder.join("concord.db").display()
    );
    hub::logs::start(&Config::from_toml("").unwrap());
    let make = Make {
        connectors: connectors(&provider()),
        ..Make::default()
    };
    let server = Server::start_with(&Config::from_toml(&text).unwrap(), make)
        .await
        .unwrap();
    if let Some(key) = server.first_key() {
        std::fs::write(folder.join("key"), key).unwrap();
    }
    // A file beyond its bound is an error of the write then, and not the end of the process.
    let mut beyond = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    println!("\n{SERVING}{}", server.base_url());
    loop {
        beyond.recv().await;
    }
}

/// The process, and where it serves now.
struct Hub {
    folder: tempfile::TempDir,
    running: RunningProgram,
    url: watch::Sender<String>,
    http: reqwest::Client,
}

impl Hub {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (running, url) = serve(folder.path()).await;
        Self {
            folder,
            running,
            url: watch::channel(url).0,
            http: client(),
        }
    }

    async fn kill(&mut self) {
        self.running.kill().unwrap();
        let (running, url) = serve(self.folder.path()).await;
        self.running = running;
        self.url.send_replace(url);
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let key = std::fs::read_to_string(self.folder.path().join("key")).unwrap();
        let url = format!("{}{path}", *self.url.borrow());
        let mut request = self.http.request(method, url).bearer_auth(key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let mut body: Value = answer.json().await.unwrap();
        assert!(status.is_success(), "{path}: {status} {body}");
        let next = body["page"]["next"].take();
        let mut data = body["data"].take();
        if next.is_string() {
            data.as_array_mut().unwrap().push(json!({ "next": next }));
        }
        data
    }

    /// A whole list, page by page.
    async fn all(&self, path: &str) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self
                .call(Method::GET, &format!("{path}limit=200{cursor}"), None)
                .await;
            all.extend(page.as_array().unwrap().iter().cloned());
            match all.last().and_then(|last| last["next"].as_str()) {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
            all.pop();
        }
    }

    /// A connection that has been read to its end; the path of its address and its secret.
    async fn connect(&self) -> (String, WebhookSecret) {
        let body = json!({"provider": "memory", "config": {"base_url": NOWHERE}});
        let made = self.call(Method::POST, "/v1/connections", Some(body)).await;
        let job = format!("/v1/jobs/{}", made["job_id"].as_str().unwrap());
        let done = async || (self.call(Method::GET, &job, None).await["state"] == "done").then_some(());
        until("the first sync", LIMIT, done).await.unwrap();
        let id = made["id"].as_str().unwrap();
        let path = format!("/v1/connections/{id}/webhook");
        let address = self.call(Method::PUT, &path, Some(json!({}))).await;
        let secret = WebhookSecret::new(address["secret"].as_str().unwrap());
        (format!("/hooks/{id}"), secret)
    }

    async fn idle(&self) {
        let limit = Duration::from_secs(size(120, 1_800) as u64);
        let waiting = async || {
            let left = self
                .call(Method::GET, "/v1/deliveries?state=waiting&limit=1", None)
                .await;
            (left == json!([])).then_some(())
        };
        until("the inbox to be worked off", limit, waiting).await.unwrap();
    }
}

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

async fn serve(folder: &Path) -> (RunningProgram, String) {
    let program = Program::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child_that_serves", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .env("RUST_BACKTRACE", "0");
    let mut running = program.start().unwrap();
    let url = running
        .wait_for_line(LIMIT, |line| line.strip_prefix(SERVING).map(str::to_owned))
        .await
        .unwrap();
    (running, url)
}

/// A delivery to send, and what became of it.
struct Parcel {
    id: String,
    body: Bytes,
}

/// Two deliveries for each object, made and changed, in no order.
fn parcels(objects: usize, rng: &mut StdRng) -> Vec<Parcel> {
    let provider: MemoryProvider = provider();
    let mut parcels = Vec::with_capacity(objects * 2);
    for number in 0..objects {
        let id = format!("object-{number}");
        for title in ["first", "second"] {
            provider.put(WORK, &id, event(&id, title));
            parcels.push(Parcel {
                id: format!("{id}-{title}"),
                body: delivery::body(&[provider.observation(WORK, &RemoteId(id.clone()))]),
            });
        }
        provider.delete(WORK, &id);
    }
    parcels.shuffle(rng);
    parcels
}

/// Sends until it is acknowledged, some of them twice.
async fn send_all(
    parcels: Arc<Vec<Parcel>>,
    next: Arc<AtomicUsize>,
    acknowledged: Arc<AtomicUsize>,
    hook: String,
    secret: WebhookSecret,
    mut url: watch::Receiver<String>,
) {
    let http = client();
    loop {
        let at = next.fetch_add(1, Ordering::SeqCst);
        let Some(parcel) = parcels.get(at) else { return };
        let times = if at.is_multiple_of(5) { 2 } else { 1 };
        for _ in 0..times {
            loop {
                let now_ms = SystemClock.now_ms();
                let headers = delivery::headers(&secret, &parcel.id, now_ms, &parcel.body).unwrap();
                let address = format!("{}{hook}", *url.borrow_and_update());
                let sent = http
                    .post(address)
                    .headers(headers)
                    .body(parcel.body.clone())
                    .send()
                    .await;
                match sent {
                    Ok(answer) if answer.status() == 200 => break,
                    Ok(answer) => assert_eq!(answer.status(), 503, "{}", parcel.id),
                    // It is dead; the next one says where it is.
                    Err(_) => {
                        let _ = tokio::time::timeout(Duration::from_secs(1), url.changed()).await;
                    }
                }
            }
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_every_acknowledged_delivery_has_its_effect_once() {
    let (objects, kills) = (size(600, 100_000), size(8, 100));
    let mut rng = StdRng::seed_from_u64(20_260_304);
    let mut hub = Hub::start().await;
    let (hook, secret) = hub.connect().await;
    let parcels = Arc::new(parcels(objects, &mut rng));
    let (next, acknowledged) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            tokio::spawn(send_all(
                Arc::clone(&parcels),
                Arc::clone(&next),
                Arc::clone(&acknowledged),
                hook.clone(),
                secret.clone(),
                hub.url.subscribe(),
            ))
        })
        .collect();
    for round in 1..=kills {
        let wanted = parcels.len() * round / (kills + 1);
        let wanted = wanted.saturating_sub(rng.random_range(0..parcels.len() / (kills + 1) / 2 + 1));
        let enough = async || (acknowledged.load(Ordering::SeqCst) >= wanted).then_some(());
        until("deliveries to be acknowledged", Duration::from_secs(120), enough)
            .await
            .unwrap();
        hub.kill().await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(acknowledged.load(Ordering::SeqCst), parcels.len());
    hub.idle().await;
    check(&hub, objects, parcels.len()).await;
    println!(
        "{} deliveries, {kills} kills: each had its effect once",
        parcels.len()
    );
}

/// Counts on both sides: deliveries here, records and feed there.
async fn check(hub: &Hub, objects: usize, sent: usize) {
    let deliveries = hub.all("/v1/deliveries?").await;
    assert_eq!(deliveries.len(), sent, "one row for each");
    let (mut applied, mut outdated) = (0, 0);
    for delivery in &deliveries {
        assert_eq!(delivery["state"], "done", "{delivery}");
        let count = |name: &str| delivery["outcome"][name].as_u64().unwrap();
        assert_eq!(count("applied") + count("outdated"), 1, "{delivery}");
        applied += count("applied");
        outdated += count("outdated");
    }
    let mut made: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for change in changes(hub).await {
        let subject = change["id"].as_str().unwrap_or_default().to_owned();
        let entry = made.entry(subject).or_default();
        match change["action"].as_str().unwrap() {
            "created" => entry.0 += 1,
            "updated" => entry.1 += 1,
            other => panic!("nobody {other} anything: {change}"),
        }
    }
    assert_eq!(made.len(), objects, "a record for each object");
    assert!(
        made.values()
            .all(|(created, updated)| *created == 1 && *updated <= 1)
    );
    let effects: usize = made.values().map(|(created, updated)| created + updated).sum();
    assert_eq!(
        effects as u64, applied,
        "as many effects as deliveries that say they had one; {outdated} came late"
    );
    let events = hub.all("/v1/events?").await;
    assert_eq!(events.len(), objects);
    assert!(events.iter().all(|event| event["title"] == "second"));
}

/// The feed's entries about events.
async fn changes(hub: &Hub) -> Vec<Value> {
    let mut all = Vec::new();
    let mut after = 0;
    loop {
        let page = hub
            .call(
                Method::GET,
                &format!("/v1/changes?after={after}&kind=event&limit=200"),
                None,
            )
            .await;
        let page: Vec<Value> = page
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["seq"].is_i64())
            .cloned()
            .collect();
        let Some(last) = page.last() else { return all };
        after = last["seq"].as_i64().unwrap();
        all.extend(page);
    }
}

/// Bounds the size of files that a process may write, as a full disk would.
fn limit_files(pid: u32, limit: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--fsize={limit}")])
        .status()
        .unwrap();
    assert!(done.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_nothing_is_acknowledged_and_it_recovers_by_itself() {
    let hub = Hub::start().await;
    let (hook, secret) = hub.connect().await;
    let http = client();
    let send = async |id: &str| {
        let body = delivery::body(&[delivery::dirty("unknown")]);
        let headers = delivery::headers(&secret, id, SystemClock.now_ms(), &body).unwrap();
        let url = format!("{}{hook}", *hub.url.borrow());
        let answer = http.post(url).headers(headers).body(body).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(send("before").await, 200);
    // The log ends here: whatever is appended to it fails.
    let log = std::fs::metadata(hub.folder.path().join("concord.db-wal"))
        .unwrap()
        .len();
    limit_files(hub.running.pid(), &format!("{log}:unlimited"));
    let mut refused = 0;
    let mut acknowledged = vec!["before".to_owned()];
    for number in 0..20 {
        let id = format!("full-{number}");
        match send(&id).await {
            200 => acknowledged.push(id),
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused >= 10, "{refused} of 20 were refused");
    limit_files(hub.running.pid(), "unlimited:unlimited");
    let recovered = async || (send("after").await == 200).then_some(());
    let recovery = until("recovery", Duration::from_secs(10), recovered).await;
    recovery.unwrap_or_else(|error| panic!("{error}: {:#?}", hub.running.output()));
    acknowledged.push("after".to_owned());
    hub.idle().await;
    let stored: Vec<Value> = hub.all("/v1/deliveries?").await;
    for id in acknowledged {
        let own: Vec<_> = stored
            .iter()
            .filter(|one| one["delivery_id"] == id.as_str())
            .collect();
        assert!(own.len() == 1 && own[0]["state"] == "done", "{id}: {own:?}");
    }
}
