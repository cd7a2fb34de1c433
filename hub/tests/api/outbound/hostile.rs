//! Receivers that mean harm: what they cost is bounded, and nobody else waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hub::outbound::Limits;
use store::Outcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::bed::{Bed, eventually};
use super::receiver::Receiver;
use crate::server::LIMIT;

/// Long enough that one attempt which held up the good receiver would show, on a slow machine too.
const ATTEMPT: Duration = Duration::from_secs(5);

/// How one of them behaves.
#[derive(Clone, Copy, PartialEq)]
enum Evil {
    /// Begins an answer and never ends its headers.
    SlowHeaders,
    /// 200, and a body that drips.
    SlowBody,
    /// Sends us to itself, again and again.
    Redirects,
    /// 500, and a body without end.
    Endless,
    /// Headers without end.
    EndlessHeaders,
    /// Not TLS at all.
    Garbage,
    /// Takes the connection and says nothing.
    Silent,
}

/// What it saw.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    written: AtomicUsize,
}

async fn start(evil: Evil) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let kept = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            seen.connections.fetch_add(1, Ordering::SeqCst);
            let seen = Arc::clone(&seen);
            // Whatever breaks: it ends with the connection.
            tokio::spawn(async move { harm(evil, socket, &seen).await.ok() });
        }
    });
    let scheme = if evil == Evil::Garbage { "https" } else { "http" };
    (format!("{scheme}://{address}/hook"), kept)
}

async fn harm(evil: Evil, mut socket: TcpStream, seen: &Seen) -> std::io::Result<()> {
    let mut request = vec![0; 16 << 10];
    let _ = socket.read(&mut request).await?;
    let (begin, piece, pause): (&[u8], Vec<u8>, u64) = match evil {
        Evil::SlowHeaders => (b"HTTP/1.1 200 OK\r\n", b"x-a: b\r\n".to_vec(), 50),
        Evil::SlowBody => (b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", b".".to_vec(), 50),
        Evil::Redirects => (
            b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /hook\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Vec::new(),
            0,
        ),
        Evil::Endless => (b"HTTP/1.1 500 Oh\r\n\r\n", vec![b'x'; 64 << 10], 0),
        Evil::EndlessHeaders => (b"HTTP/1.1 200 OK\r\n", b"x-a: bbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(1_000), 0),
        Evil::Garbage => (b"", (0..=255_u8).cycle().take(64 << 10).collect(), 0),
        Evil::Silent => (b"", Vec::new(), 0),
    };
    socket.write_all(begin).await?;
    if piece.is_empty() && evil == Evil::Redirects {
        return Ok(());
    }
    let mut end = [0];
    loop {
        if piece.is_empty() {
            // Until the other side has had enough.
            return socket.read(&mut end).await.map(|_| ());
        }
        socket.write_all(&piece).await?;
        seen.written.fetch_add(piece.len(), Ordering::SeqCst);
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_receivers_cost_little_and_hold_nobody_up() {
    let limits = Limits {
        attempt: ATTEMPT,
        answer: Duration::from_millis(100),
        ..Limits::default()
    };
    let bed = Bed::with(limits).await;
    let mut hostile = Vec::new();
    for (evil, outcome) in [
        (Evil::SlowHeaders, Outcome::TimedOut),
        (Evil::SlowBody, Outcome::Delivered),
        (Evil::Redirects, Outcome::Redirected),
        (Evil::Endless, Outcome::Refused),
        (Evil::EndlessHeaders, Outcome::Unreachable),
        (Evil::Garbage, Outcome::Unreachable),
        (Evil::Silent, Outcome::TimedOut),
    ] {
        let (url, seen) = start(evil).await;
        hostile.push((bed.endpoint(&url, false).await, outcome, seen));
    }
    let good = Receiver::start().await;
    bed.endpoint(&good.url, false).await;
    bed.clock_only(1);

    // A hundred changes, one after the other: how long each takes to the good receiver while the others do harm.
    let mut waits = Vec::new();
    for round in 1..=100 {
        let begun = Instant::now();
        bed.change(&["rec_1"]).await;
        testkit::harness::until("it to arrive", LIMIT, async || {
            (good.count() == round).then_some(())
        })
        .await
        .unwrap();
        waits.push(good.received()[round - 1].at - begun);
    }
    // Held up by the others it would wait for the end of one of their attempts, each time.
    waits.sort();
    assert!(waits[50] < ATTEMPT, "the good one waited {waits:?}");

    for (endpoint, outcome, seen) in hostile {
        let mut attempts = Vec::new();
        eventually(&bed, "an attempt to be written down", async || {
            for delivery in bed.deliveries(&endpoint).await {
                attempts = bed
                    .store
                    .delivery_attempts(&bed.organization, &delivery.id)
                    .await
                    .unwrap();
                if !attempts.is_empty() {
                    return true;
                }
            }
            false
        })
        .await;
        assert_eq!(attempts[0].outcome, outcome, "{attempts:?}");
        let longest = i64::try_from(ATTEMPT.as_millis()).unwrap() * 2;
        assert!(attempts[0].took_ms <= longest, "{attempts:?}");
        let detail = attempts[0].detail.clone().unwrap_or_default();
        assert!(
            detail.chars().count() <= 500,
            "{} characters are kept",
            detail.len()
        );
        let connections = seen.connections.load(Ordering::SeqCst);
        assert!(
            connections <= 110,
            "{connections} connections for a hundred changes: nothing is followed"
        );
        // What it could write before it was cut off: the buffers of its connections, and not more.
        let per_connection = seen.written.load(Ordering::SeqCst) / connections.max(1);
        assert!(per_connection < 12 << 20, "{per_connection} bytes");
    }
    bed.stop().await;
}
