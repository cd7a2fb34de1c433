//! Clients that hold connections open. Beside each sort of them, others ask for what takes a read or a durable write.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Args;
use reqwest::Method;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::process::Hub;

/// Questions beside each sort.
const ASKED: usize = 200;

#[derive(Args)]
pub(crate) struct Arguments {
    /// How many connections of each sort.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
}

/// What a client does with its connection.
#[derive(Debug, Clone, Copy)]
enum Sort {
    Idle,
    HalfHead,
    SlowBody,
    Oversized,
}

impl Sort {
    const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle: never say anything",
            Self::HalfHead => "half a head, and never the rest",
            Self::SlowBody => "a body of which one byte comes (slow-loris)",
            Self::Oversized => "a body of 100 MB, sent as fast as it goes (200 clients)",
        }
    }
}

/// What was measured beside one sort.
struct Measured {
    held: usize,
    read: Vec<f64>,
    write: Vec<f64>,
    mebibytes: f64,
    processor: f64,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    println!(
        "| {} clients each | still open | GET p50 / p99 | durable POST p50 / p99 | memory | processor, idle |",
        arguments.clients
    );
    println!("|---|---:|---:|---:|---:|---:|");
    {
        let hub = Hub::start().await?;
        show("nobody else", measure(&hub, Vec::new()).await?);
    }
    for sort in [Sort::Idle, Sort::HalfHead, Sort::SlowBody, Sort::Oversized] {
        let hub = Hub::start().await?;
        let held = hold(&hub, sort, arguments.clients).await?;
        show(sort.name(), measure(&hub, held).await?);
    }
    Ok(())
}

async fn hold(hub: &Hub, sort: Sort, clients: usize) -> Result<Vec<TcpStream>> {
    let count = match sort {
        Sort::Idle | Sort::HalfHead | Sort::SlowBody => clients,
        Sort::Oversized => clients.min(200),
    };
    let hook = "POST /hooks/conn_00000000000000000000000000 HTTP/1.1\r\nhost: x\r\n";
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(hub.address).await?;
        let sent = match sort {
            Sort::Idle => Ok(()),
            Sort::HalfHead => stream.write_all(&hook.as_bytes()[..40]).await,
            Sort::SlowBody => {
                let head = format!("{hook}content-length: 1000\r\n\r\nx");
                stream.write_all(head.as_bytes()).await
            }
            Sort::Oversized => {
                let head = format!("{hook}content-length: 100000000\r\n\r\n");
                stream.write_all(head.as_bytes()).await
            }
        };
        // One that is let go at once is let go.
        if sent.is_ok() {
            held.push(stream);
        }
    }
    if let Sort::Oversized = sort {
        for mut stream in held.drain(..) {
            tokio::spawn(async move {
                let piece = vec![b'x'; 64 << 10];
                for _ in 0..1_600 {
                    if stream.write_all(&piece).await.is_err() {
                        return;
                    }
                }
            });
        }
    }
    Ok(held)
}

async fn measure(hub: &Hub, held: Vec<TcpStream>) -> Result<Measured> {
    let (mut read, mut write) = (Vec::with_capacity(ASKED), Vec::with_capacity(ASKED));
    for number in 0..ASKED {
        let begun = Instant::now();
        hub.call(Method::GET, "/v1/connections?limit=1", None).await?;
        read.push(begun.elapsed().as_secs_f64() * 1_000.0);
        let begun = Instant::now();
        let body = json!({"name": format!("key {number}")});
        hub.call(Method::POST, "/v1/api-keys", Some(body)).await?;
        write.push(begun.elapsed().as_secs_f64() * 1_000.0);
    }
    let mebibytes = hub.mebibytes()?;
    let still = still_open(&held).await;
    let processor = hub.processor_over(Duration::from_secs(5)).await?;
    ensure!(
        hub.call(Method::GET, "/v1/jobs", None).await.is_ok(),
        "it does not answer any more"
    );
    drop(held);
    Ok(Measured {
        held: still,
        read,
        write,
        mebibytes,
        processor,
    })
}

/// How many the server has not closed: nothing, not even an end, is there to be read.
async fn still_open(held: &[TcpStream]) -> usize {
    let open = |stream: &&TcpStream| {
        let mut byte = [0];
        matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    };
    held.iter().filter(open).count()
}

fn show(who: &str, mut measured: Measured) {
    println!(
        "| {who} | {} | {:.1} / {:.1} ms | {:.1} / {:.1} ms | {:.0} MiB | {:.1}% |",
        measured.held,
        at(&mut measured.read, 0.5),
        at(&mut measured.read, 0.99),
        at(&mut measured.write, 0.5),
        at(&mut measured.write, 0.99),
        measured.mebibytes,
        measured.processor,
    );
}

fn at(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (values.len() as f64 * share) as usize;
    values
        .get(place.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
