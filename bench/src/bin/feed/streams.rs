//! From the commit to the client of a WebSocket, timed from the moment at which the commit was to begin.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use tokio::time::{Instant, interval};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::place::{Place, commit, number};
use crate::spread::Spread;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Open sockets.
    #[arg(long, default_value_t = 200)]
    sockets: usize,
    /// Sockets that each change concerns.
    #[arg(long, default_value_t = 10)]
    concerned: usize,
    /// Changes per second, each in a commit of its own.
    #[arg(long, default_value_t = 500)]
    rate: usize,
    /// For so many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.concerned > 0 && arguments.sockets.is_multiple_of(arguments.concerned),
        "`sockets` must be a multiple of `concerned`"
    );
    let kinds = arguments.sockets / arguments.concerned;
    let (place, count) = (Place::start().await?, arguments.rate * arguments.seconds);
    let mut clients = Vec::new();
    for socket in 0..arguments.sockets {
        let kind = socket % kinds;
        let expected = (0..count).filter(|change| change % kinds == kind).count();
        clients.push(tokio::spawn(listen(connect(&place, kind).await?, expected)));
    }
    eprintln!(
        "feed: {} sockets are open; {count} changes follow",
        arguments.sockets
    );
    let period = Duration::from_secs(1) / u32::try_from(arguments.rate)?;
    let mut ticks = interval(period);
    let begun = Instant::now();
    let mut commits = Vec::with_capacity(count);
    for change in 0..count {
        ticks.tick().await;
        let (store, organization) = (place.store(), place.organization.clone());
        commits.push(tokio::spawn(async move {
            commit(
                &store,
                &organization,
                [(change, format!("kind{}", change % kinds))],
            )
            .await
        }));
    }
    for each in commits {
        each.await??;
    }
    let (mut times, took) = (Vec::new(), begun.elapsed());
    for client in clients {
        for (change, at) in client.await?? {
            let meant = begun + period * u32::try_from(change)?;
            times.push(at.saturating_duration_since(meant));
        }
    }
    let told = times.len();
    ensure!(
        told == count * arguments.concerned,
        "{told} messages came, and not all that should"
    );
    println!(
        "commit to client: {} changes in {:.1} s ({:.0}/s), {} sockets, {} concerned by each, {told} messages: {}",
        count,
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        arguments.sockets,
        arguments.concerned,
        Spread::of(times)
    );
    place.server.shutdown().await;
    Ok(())
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn connect(place: &Place, kind: usize) -> Result<Socket> {
    let url = format!(
        "ws://{}/v1/changes/stream?kind=kind{kind}",
        place.server.address()
    );
    let mut request = url.into_client_request()?;
    let bearer = format!("Bearer {}", place.key).parse()?;
    request.headers_mut().insert("authorization", bearer);
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

/// Which changes came, and when.
async fn listen(mut socket: Socket, expected: usize) -> Result<Vec<(usize, Instant)>> {
    let mut told = Vec::with_capacity(expected);
    while told.len() < expected {
        if let Message::Text(text) = socket.next().await.context("the socket ended")?? {
            let at = Instant::now();
            let change: serde_json::Value = serde_json::from_str(&text)?;
            let id = change["id"]
                .as_str()
                .and_then(number)
                .context("a change of ours")?;
            told.push((id, at));
        }
    }
    Ok(told)
}
