//! Concord as its users run it: the released binary, a fresh SQLite database, and the API over HTTP.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::harness::{Program, RunningProgram};
use tokio::time::{MissedTickBehavior, interval};

use crate::report::Footprint;
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(600);
/// The waiting of the harness looks every 10 ms, which is coarse next to a sync that finds nothing.
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);
const PAGE: usize = 200;

pub(crate) struct Concord {
    running: RunningProgram,
    http: reqwest::Client,
    base_url: String,
    key: String,
    connection: Option<String>,
    footprint: Footprint,
    _folder: TempDir,
}

impl Concord {
    /// Starts a server with an empty database and makes a key.
    pub(crate) async fn start(server: &Server) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The port is free for now; nobody else opens ports on this machine in between.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let program = Program::of_workspace("concord")?
            .folder(folder.path())
            .env("CONCORD_LISTEN", address.to_string())
            .env(
                "CONCORD_DATABASE_URL",
                format!("sqlite://{}/concord.db", folder.path().display()),
            )
            // Syncs run when they are asked for and at no other time.
            .env("CONCORD_SYNC_INTERVAL_SECONDS", "86400");
        let binary_bytes = fs::metadata(program.path())?.len();
        let printed = program
            .clone()
            .args(["key", "create", "--name", "bench"])
            .run(LIMIT)
            .await?;
        let key = printed
            .split_whitespace()
            .last()
            .context("`concord key create` printed no key")?
            .to_owned();

        let base_url = format!("http://{address}");
        let started = Instant::now();
        let mut running = program.arg("serve").start()?;
        running
            .wait_for_http(&format!("{base_url}/readyz"), LIMIT)
            .await?;
        let footprint = Footprint {
            ready_seconds: started.elapsed().as_secs_f64(),
            idle_bytes: running.resident_bytes()?,
            after_sync_bytes: 0,
            binary_bytes,
        };
        let http = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
        ensure!(server.count() > 0, "nothing to sync");
        Ok(Self {
            running,
            http,
            base_url,
            key,
            connection: None,
            footprint,
            _folder: folder,
        })
    }

    /// Seconds from asking for the connection to the end of its first sync: discovery, every event parsed, mapped
    /// and durable. The server makes that sync's job together with the connection.
    pub(crate) async fn connect_and_sync(&mut self, server: &Server) -> Result<f64> {
        let account = server.credentials();
        let connection = json!({
            "provider": "caldav",
            "config": { "base_url": server.base_url() },
            "credentials": { "username": account.user, "password": account.password },
        });
        let started = Instant::now();
        let created = self
            .ask(Method::POST, "/v1/connections", Some(connection))
            .await?;
        self.ended(text_of(&created, "job_id")?).await?;
        let seconds = started.elapsed().as_secs_f64();
        self.connection = Some(text_of(&created, "id")?.to_owned());
        self.check(server).await?;
        Ok(seconds)
    }

    /// Seconds for one more sync.
    pub(crate) async fn sync(&mut self, server: &Server) -> Result<f64> {
        let connection = self.connection.as_deref().context("not connected yet")?;
        let path = format!("/v1/connections/{connection}/sync");
        let started = Instant::now();
        let job = self.ask(Method::POST, &path, None).await?;
        self.ended(text_of(&job, "id")?).await?;
        let seconds = started.elapsed().as_secs_f64();
        self.check(server).await?;
        Ok(seconds)
    }

    /// Ends it and hands back what it took.
    pub(crate) async fn stop(mut self) -> Result<Footprint> {
        self.footprint.after_sync_bytes = self.running.resident_bytes()?;
        self.running.terminate(LIMIT).await?;
        Ok(self.footprint)
    }

    /// Waits until that job is done.
    async fn ended(&self, job: &str) -> Result<()> {
        let path = format!("/v1/jobs/{job}");
        let limit = Instant::now() + LIMIT;
        let mut looks = interval(BETWEEN_LOOKS);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < limit {
            looks.tick().await;
            let job = self.ask(Method::GET, &path, None).await?;
            match text_of(&job, "state")? {
                "queued" | "running" => {}
                "done" => return Ok(()),
                _ => bail!("the sync did not succeed: {job}"),
            }
        }
        bail!("the sync has not ended after {LIMIT:?}")
    }

    /// Nothing counts as fast that has not been done: all events are there, and the last edit is.
    async fn check(&self, server: &Server) -> Result<()> {
        let (mut count, mut edited, mut cursor) = (0, false, String::new());
        let mark = server.mark_of_the_last_edit();
        loop {
            let path = format!("/v1/events?limit={PAGE}{cursor}");
            let page = self.ask(Method::GET, &path, None).await?;
            let events = page["data"].as_array().context("no list of events")?;
            count += events.len();
            edited |= mark.as_ref().is_some_and(|mark| page.to_string().contains(mark));
            match page["page"]["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        ensure!(
            count == server.count(),
            "Concord has {count} events of {}",
            server.count()
        );
        ensure!(edited || mark.is_none(), "Concord has not seen the last edits");
        Ok(())
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.base_url))
            .bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{method} {path}: {status} {text}");
        }
        serde_json::from_str(&text).with_context(|| format!("{method} {path} answered: {text}"))
    }
}

fn text_of<'a>(answer: &'a Value, member: &str) -> Result<&'a str> {
    answer["data"][member]
        .as_str()
        .with_context(|| format!("no `{member}` in {answer}"))
}
