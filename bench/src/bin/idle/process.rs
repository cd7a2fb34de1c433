//! The server's process, and what Linux says of it.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use testkit::harness::{Program, RunningProgram};

pub(crate) const LIMIT: Duration = Duration::from_secs(600);
/// Linux counts a process's time in hundredths of a second: `sysconf(_SC_CLK_TCK)` is 100 on every architecture that
/// this runs on (proc(5), `/proc/pid/stat`).
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Hub {
    pub(crate) running: RunningProgram,
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
    key: String,
    _folder: TempDir,
}

impl Hub {
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The port is free for now; nobody else opens ports on this machine in between.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let program = Program::of_workspace("concord")?
            .folder(folder.path())
            .env("CONCORD_LISTEN", address.to_string())
            .env("CONCORD_LOG_LEVEL", "warn");
        let printed = program.clone().args(["key", "create"]).run(LIMIT).await?;
        let key = printed
            .split_whitespace()
            .last()
            .context("`concord key create` printed no key")?
            .to_owned();
        let mut running = program.arg("serve").start()?;
        running
            .wait_for_http(&format!("http://{address}/readyz"), LIMIT)
            .await?;
        Ok(Self {
            running,
            address,
            http: reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?,
            key,
            _folder: folder,
        })
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.http.request(method, url).bearer_auth(&self.key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{path}: {status}: {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// One of the gauges in `/metrics`, summed over its labels.
    pub(crate) async fn metric(&self, name: &str) -> Result<f64> {
        let url = format!("http://{}/metrics", self.address);
        let text = self.http.get(url).send().await?.text().await?;
        let of = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        let values = text.lines().filter(of).filter_map(|line| line.rsplit(' ').next());
        Ok(values.filter_map(|value| value.parse::<f64>().ok()).sum())
    }

    /// What the process has taken of the processors since its start.
    pub(crate) fn processor(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.running.pid()))?;
        // The name of the program stands in brackets and may hold anything; `utime` and `stime` are fields 14 and 15.
        let (_, rest) = stat.rsplit_once(')').context("no name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |at: usize| -> Result<f64> { Ok(fields.get(at).context("a short line")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) / TICKS_PER_SECOND)
    }

    pub(crate) fn mebibytes(&self) -> Result<f64> {
        Ok(self.running.resident_bytes()? as f64 / (1024.0 * 1024.0))
    }

    /// The processor's time per second over a while, in percent of one processor.
    pub(crate) async fn processor_over(&self, a_while: Duration) -> Result<f64> {
        let (before, begun) = (self.processor()?, Instant::now());
        tokio::time::sleep(a_while).await;
        Ok((self.processor()? - before) / begun.elapsed().as_secs_f64() * 100.0)
    }
}
