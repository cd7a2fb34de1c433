//! Nodes as processes, their database, and the way to their API.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use connector_sdk::WebhookSecret;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::harness::{Postgres, Program, RunningProgram, until};
use tokio::sync::watch;

use super::{DATABASE, FOLDER, LEASE_MS, SERVING, size};
use crate::scene::{LIMIT, NOWHERE};

/// How long the lane of a job rests whose node died. A node's own time would make the tests long.
const LEASE: Duration = Duration::from_secs(2);

/// What the nodes keep everything in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    Postgres,
}

/// Where the nodes are, and how many requests are on their way to each.
pub(super) struct Nodes {
    urls: watch::Sender<Vec<Option<String>>>,
    flying: Vec<AtomicUsize>,
    turn: AtomicUsize,
}

/// A request on its way.
pub(super) struct Flight<'a>(&'a AtomicUsize);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Nodes {
    /// Some node that lives, as far as is known.
    pub(super) fn any(&self) -> Option<(String, Flight<'_>)> {
        let urls = self.urls.borrow();
        let living: Vec<usize> = (0..urls.len()).filter(|place| urls[*place].is_some()).collect();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let place = *living.get(turn % living.len().max(1))?;
        self.flying[place].fetch_add(1, Ordering::SeqCst);
        Some((urls[place].clone()?, Flight(&self.flying[place])))
    }

    /// Where those that live are.
    pub(super) fn urls(&self) -> Vec<String> {
        self.urls.borrow().iter().flatten().cloned().collect()
    }

    /// Whether requests are on their way to a node.
    pub(super) fn is_busy(&self, place: usize) -> bool {
        self.flying[place].load(Ordering::SeqCst) > 0
    }

    /// Returns once a node came or went, at the latest after this time.
    pub(super) async fn change(&self, at_most: Duration) {
        let mut urls = self.urls.subscribe();
        let _ = tokio::time::timeout(at_most, urls.changed()).await;
    }

    fn set(&self, place: usize, url: Option<String>) {
        self.urls.send_modify(|urls| urls[place] = url);
    }
}

/// Where a connection's deliveries go, and what they are signed with.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) hook: String,
    pub(super) secret: WebhookSecret,
}

/// Nodes with one database.
pub(super) struct Site {
    pub(super) nodes: Arc<Nodes>,
    pub(super) running: Vec<RunningProgram>,
    pub(super) postgres: Option<Postgres>,
    pub(super) folder: TempDir,
    pub(super) database: String,
    /// Variables of the nodes' own.
    env: BTreeMap<&'static str, OsString>,
    http: reqwest::Client,
}

pub(super) fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

impl Site {
    pub(super) async fn start(engine: Engine, nodes: usize) -> Self {
        Self::start_with(engine, nodes, |_| Vec::new()).await
    }

    /// As [`Self::start`], with variables of the nodes' own; they share a folder.
    pub(super) async fn start_with(
        engine: Engine,
        nodes: usize,
        env: impl FnOnce(&Path) -> Vec<(&'static str, OsString)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (postgres, database) = match engine {
            Engine::Sqlite => (
                None,
                format!("sqlite://{}", folder.path().join("concord.db").display()),
            ),
            Engine::Postgres => {
                let server = Postgres::start().await.unwrap();
                let url = server.database("concord").unwrap();
                (Some(server), url)
            }
        };
        let mut site = Self {
            nodes: Arc::new(Nodes {
                urls: watch::channel(vec![None; nodes]).0,
                flying: (0..nodes).map(|_| AtomicUsize::new(0)).collect(),
                turn: AtomicUsize::new(0),
            }),
            running: Vec::new(),
            postgres,
            database,
            env: env(folder.path()).into_iter().collect(),
            folder,
            http: client(),
        };
        for place in 0..nodes {
            let (running, url) = serve(&site.program()).await;
            site.running.push(running);
            site.nodes.set(place, Some(url));
        }
        site
    }

    /// A node that is not started yet.
    pub(super) fn program(&self) -> Program {
        let program = Program::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child_that_serves", "--ignored", "--nocapture"])
            .env(FOLDER, self.folder.path())
            .env(DATABASE, &self.database)
            .env(LEASE_MS, LEASE.as_millis().to_string())
            .env("RUST_BACKTRACE", "0");
        self.env
            .iter()
            .fold(program, |program, (name, value)| program.env(*name, value))
    }

    /// `kill -9`; how many requests were on their way to the node.
    pub(super) fn kill(&mut self, place: usize) -> usize {
        let flying = self.nodes.flying[place].load(Ordering::SeqCst);
        self.running[place].kill().unwrap();
        self.nodes.set(place, None);
        flying
    }

    /// Starts a node that was killed.
    pub(super) async fn restart(&mut self, place: usize) {
        let (running, url) = serve(&self.program()).await;
        self.running[place] = running;
        self.nodes.set(place, Some(url));
    }

    /// Starts a node that was killed; whether it came to serve.
    pub(super) async fn try_restart(&mut self, place: usize) -> bool {
        self.running[place] = self.program().start().unwrap();
        let url = url(&mut self.running[place]).await.ok();
        let serves = url.is_some();
        self.nodes.set(place, url);
        serves
    }

    /// A variable of nodes that are started from now on.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.env.insert(name, value.into());
    }

    pub(super) fn unset(&mut self, name: &'static str) {
        self.env.remove(name);
    }

    /// Asks the API of some node until it answers.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answered = async || self.ask(&method, path, body.as_ref()).await;
        until("an answer of the API", LIMIT, answered).await.unwrap()
    }

    /// The answer of some node's API, when it has one now.
    async fn ask(&self, method: &Method, path: &str, body: Option<&Value>) -> Option<Value> {
        let key = std::fs::read_to_string(self.folder.path().join("key")).unwrap();
        let (url, _flight) = self.nodes.any()?;
        let mut request = self
            .http
            .request(method.clone(), format!("{url}{path}"))
            .bearer_auth(&key);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        if status == 503 {
            return None;
        }
        assert!(status.is_success(), "{path}: {status} {body}");
        Some(body)
    }

    /// Goes through a whole list, page by page.
    pub(super) async fn each(&self, path: &str, mut visit: impl FnMut(&Value)) {
        let mut cursor = String::new();
        loop {
            let path = format!("{path}limit=200{cursor}");
            let page = self.call(Method::GET, &path, None).await;
            page["data"].as_array().unwrap().iter().for_each(&mut visit);
            match page["page"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return,
            }
        }
    }

    /// A connection that has been read to its end.
    pub(super) async fn connect(&self) -> Line {
        let body = json!({"provider": "memory", "config": {"base_url": NOWHERE}});
        let made = self.call(Method::POST, "/v1/connections", Some(body)).await;
        let job = format!("/v1/jobs/{}", made["data"]["job_id"].as_str().unwrap());
        let done =
            async || (self.call(Method::GET, &job, None).await["data"]["state"] == "done").then_some(());
        until("the first sync", LIMIT, done).await.unwrap();
        let id = made["data"]["id"].as_str().unwrap();
        let path = format!("/v1/connections/{id}/webhook");
        let address = self.call(Method::PUT, &path, Some(json!({}))).await;
        Line {
            hook: format!("/hooks/{id}"),
            secret: WebhookSecret::new(address["data"]["secret"].as_str().unwrap()),
        }
    }

    /// Waits until no delivery waits any more.
    pub(super) async fn idle(&self) {
        let limit = Duration::from_secs(size(120, 1_800) as u64);
        let idle = async || self.is_idle().await.then_some(());
        until("the inbox to be worked off", limit, idle).await.unwrap();
    }

    /// Whether no delivery waits, as far as can be learned now.
    pub(super) async fn is_idle(&self) -> bool {
        self.has_none("/v1/deliveries?state=waiting&limit=1").await
    }

    /// Whether no job waits or runs, as far as can be learned now.
    pub(super) async fn has_no_work(&self) -> bool {
        self.has_none("/v1/jobs?state=queued&limit=1").await
            && self.has_none("/v1/jobs?state=running&limit=1").await
    }

    async fn has_none(&self, path: &str) -> bool {
        let answer = self.ask(&Method::GET, path, None).await;
        answer.is_some_and(|answer| answer["data"] == json!([]))
    }
}

/// Starts a node and waits until it serves.
async fn serve(program: &Program) -> (RunningProgram, String) {
    let mut running = program.start().unwrap();
    let url = url(&mut running).await.unwrap();
    (running, url)
}

/// Where it serves, once it does.
async fn url(running: &mut RunningProgram) -> anyhow::Result<String> {
    let serves = |line: &str| line.strip_prefix(SERVING).map(str::to_owned);
    running.wait_for_line(LIMIT, serves).await
}
