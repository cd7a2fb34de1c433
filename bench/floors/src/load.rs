//! Clients: each keeps a connection, signs and sends, and sends the next when the last is answered, or at its time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use connector_memory::delivery;
use connector_sdk::{Clock as _, SystemClock, WebhookSecret};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What is thrown away at the beginning: files and caches grow.
const WARM_UP: Duration = Duration::from_millis(500);
/// About so long is a body.
const BODY_BYTES: usize = 1_024;

/// When the next is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// When the last is answered.
    Closed,
    /// So many each second from all clients together, whether or not the last is answered in time: what waits behind a
    /// slow answer is counted from when it was to be sent.
    PerSecond(u32),
}

/// What came out.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            per_second,
            p50_ms,
            p99_ms,
        } = self;
        write!(f, "{per_second:.0}/s, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms")
    }
}

/// The run with the middle rate.
pub(crate) fn median(mut runs: Vec<Run>) -> Run {
    runs.sort_by(|one, other| one.per_second.total_cmp(&other.per_second));
    runs.swap_remove(runs.len() / 2)
}

/// Sends for so long with so many clients.
pub(crate) async fn run(
    address: &str,
    path: &str,
    secret: &str,
    clients: usize,
    lasting: Duration,
    pace: Pace,
) -> Result<Run> {
    let number = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks: Vec<_> = (0..clients)
        .map(|place| {
            let client = Client {
                schedule: Schedule::of(pace, place, clients),
                address: address.to_owned(),
                path: path.to_owned(),
                secret: WebhookSecret::new(secret),
                number: Arc::clone(&number),
            };
            tokio::spawn(client.send(begun, lasting))
        })
        .collect();
    let mut took: Vec<Duration> = Vec::new();
    for task in tasks {
        took.extend(task.await??);
    }
    ensure!(!took.is_empty(), "nothing was answered");
    took.sort();
    let at = |share: usize| took[(took.len() * share / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    Ok(Run {
        per_second: took.len() as f64 / lasting.as_secs_f64(),
        p50_ms: at(50),
        p99_ms: at(99),
    })
}

/// When one client sends.
#[derive(Clone, Copy)]
struct Schedule {
    /// After the beginning.
    first: Duration,
    /// From one to the next; `None` when each waits for the answer to the last.
    every: Option<Duration>,
}

impl Schedule {
    /// Clients take turns evenly.
    fn of(pace: Pace, place: usize, clients: usize) -> Self {
        match pace {
            Pace::Closed => Self {
                first: Duration::ZERO,
                every: None,
            },
            Pace::PerSecond(rate) => {
                let one = Duration::from_secs(1) / rate.max(1);
                Self {
                    first: one * u32::try_from(place).unwrap_or_default(),
                    every: Some(one * u32::try_from(clients).unwrap_or(1)),
                }
            }
        }
    }
}

struct Client {
    schedule: Schedule,
    address: String,
    path: String,
    secret: WebhookSecret,
    number: Arc<AtomicU64>,
}

impl Client {
    async fn send(self, begun: Instant, lasting: Duration) -> Result<Vec<Duration>> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let mut took = Vec::with_capacity(100_000);
        let mut buffer = vec![0; 4_096];
        let filler = "x".repeat(BODY_BYTES - 120);
        let mut due = begun + self.schedule.first;
        loop {
            let number = self.number.fetch_add(1, Ordering::Relaxed);
            let request = self.request(number, &filler)?;
            let sent = match self.schedule.every {
                None => Instant::now(),
                Some(every) => {
                    tokio::time::sleep_until(due.into()).await;
                    let appointed = due;
                    due += every;
                    appointed
                }
            };
            stream.write_all(&request).await?;
            answered(&mut stream, &mut buffer).await?;
            let elapsed = begun.elapsed();
            if elapsed > WARM_UP + lasting {
                return Ok(took);
            }
            if elapsed > WARM_UP {
                took.push(sent.elapsed());
            }
        }
    }

    fn request(&self, number: u64, filler: &str) -> Result<Vec<u8>> {
        let mut notice = delivery::dirty("work");
        notice["account"] = json!(filler);
        let body = delivery::body(&[notice]);
        let id = format!("msg_{number:012}");
        let headers = delivery::headers(&self.secret, &id, SystemClock.now_ms(), &body)?;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
            self.path,
            body.len()
        )
        .into_bytes();
        for (name, value) in &headers {
            request.extend_from_slice(name.as_str().as_bytes());
            request.extend_from_slice(b": ");
            request.extend_from_slice(value.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&body);
        Ok(request)
    }
}

/// Reads an answer without a body, and refuses any but 200.
async fn answered(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let read = stream
            .read(buffer.get_mut(filled..).context("a long answer")?)
            .await?;
        ensure!(read > 0, "the connection ended");
        filled += read;
        let head = &buffer[..filled];
        if head.ends_with(b"\r\n\r\n") {
            if head.starts_with(b"HTTP/1.1 200") {
                return Ok(());
            }
            bail!("{}", String::from_utf8_lossy(head));
        }
    }
}
