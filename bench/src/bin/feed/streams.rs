//! From the commit to the client of a WebSocket, timed from the moment at which the commit was to begin.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::{Instant, interval};

use crate::clients::{connect, listen};
use crate::place::{Layout, Place, commit, number};
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
    #[command(flatten)]
    layout: Layout,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    ensure!(
        arguments.concerned > 0 && arguments.sockets.is_multiple_of(arguments.concerned),
        "`sockets` must be a multiple of `concerned`"
    );
    let kinds = arguments.sockets / arguments.concerned;
    let (place, count) = (
        Place::start(arguments.layout).await?,
        arguments.rate * arguments.seconds,
    );
    let mut clients = Vec::new();
    for socket in 0..arguments.sockets {
        let kind = socket % kinds;
        let expected = (0..count).filter(|change| change % kinds == kind).count();
        clients.push(tokio::spawn(listen(
            connect(&place, &format!("kind=kind{kind}")).await?,
            expected,
        )));
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
        for (id, at) in client.await?? {
            let change = number(&id).context("a change of ours")?;
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
        "commit to client, {}: {} changes in {:.1} s ({:.0}/s), {} sockets, {} concerned by each, {told} messages: {}",
        arguments.layout,
        count,
        took.as_secs_f64(),
        count as f64 / took.as_secs_f64(),
        arguments.sockets,
        arguments.concerned,
        Spread::of(times)
    );
    place.end().await;
    Ok(())
}
