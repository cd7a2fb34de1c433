//! Concord as its users run it: the released binary, a fresh SQLite database, and the API over HTTP.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::harness::{Program, RunningProgram, until};

use crate::report::Footprint;
use crate::server::Server;

const LIMIT: Duration = Duration::from_secs(600);
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
            );
        let binary_bytes = fs::metadata(program.path())?.len();
        let printed = program.clone().args(["key", "create"]).run(LIMIT).await?;
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

    /// Seconds from creating the connection to the end of its first sync: discovery, every event parsed, mapped and
    /// durable.
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
        self.connection = Some(id_of(&created)?);
        self.run_sync().await?;
        let seconds = started.elapsed().as_secs_f64();
        self.check(server).await?;
        Ok(seconds)
    }

    /// Seconds for one more sync.
    pub(crate) async fn sync(&mut self, server: &Server) -> Result<f64> {
        let started = Instant::now();
        self.run_sync().await?;
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

    async fn run_sync(&self) -> Result<()> {
        let connection = self.connection.as_deref().context("not connected yet")?;
        let job = self
            .ask(Method::POST, &format!("/v1/connections/{connection}/sync"), None)
            .await?;
        let path = format!("/v1/jobs/{}", id_of(&job)?);
        let job = until("the sync to end", LIMIT, async || {
            let job = self.ask(Method::GET, &path, None).await;
            let ended = job.as_ref().map_or(true, |job| {
                matches!(
                    job["data"]["state"].as_str(),
                    Some("done" | "failed" | "cancelled")
                )
            });
            ended.then_some(job)
        })
        .await??;
        ensure!(job["data"]["state"] == "done", "the sync did not succeed: {job}");
        Ok(())
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

fn id_of(answer: &Value) -> Result<String> {
    answer["data"]["id"]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("no id in {answer}"))
}
