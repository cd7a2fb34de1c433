//! Deliveries to one endpoint: how many a second with their attempts written down, and how long one takes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use model::WebhookEndpointId;
use serde_json::json;
use store::{DeliveryFilter, DeliveryState, Paging};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::place::{Layout, Place, commit};
use crate::receiver::Receiver;
use crate::spread::Spread;

/// Bound of every wait.
const LIMIT: Duration = Duration::from_secs(120);
const KIND: &str = "event";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Changes that are there at once.
    #[arg(long, default_value_t = 40_000)]
    burst: usize,
    /// Changes per second, each in a commit of its own, for the time that one takes.
    #[arg(long, default_value_t = 100)]
    rate: usize,
    /// For so many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
}

pub(crate) async fn run(arguments: &Arguments) -> Result<()> {
    rate(arguments.burst).await?;
    latency(arguments.rate, arguments.seconds).await
}

/// A burst, from the first commit until the last attempt is written down.
async fn rate(count: usize) -> Result<()> {
    let place = Place::start(Layout::ALONE).await?;
    let receiver = Receiver::start(count).await?;
    let endpoint = endpoint(&place, &receiver).await?;
    let begun = Instant::now();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(100) {
        let changes = some.iter().map(|number| (*number, KIND.to_owned()));
        commit(&place.store(), &place.organization, changes).await?;
    }
    let committed = begun.elapsed();
    until(|| async { Ok(receiver.count() == count) }).await?;
    let received = begun.elapsed();
    let waiting = DeliveryFilter {
        state: Some(DeliveryState::Pending),
        ..DeliveryFilter::default()
    };
    let store = place.store();
    until(|| async {
        let page = store
            .deliveries(&place.organization, &endpoint, &waiting, &Paging::first(1))
            .await?;
        Ok(page.items.is_empty())
    })
    .await?;
    let recorded = begun.elapsed();
    println!(
        "{count} deliveries to one receiver: committed after {:.2} s, received after {:.2} s, attempts written down \
         after {:.2} s: {:.0}/s",
        committed.as_secs_f64(),
        received.as_secs_f64(),
        recorded.as_secs_f64(),
        count as f64 / recorded.as_secs_f64()
    );
    place.end().await;
    Ok(())
}

/// One change after the other, timed from the moment at which its commit was to begin.
async fn latency(rate: usize, seconds: usize) -> Result<()> {
    let (place, count) = (Place::start(Layout::ALONE).await?, rate * seconds);
    let receiver = Receiver::start(count).await?;
    endpoint(&place, &receiver).await?;
    let period = Duration::from_secs(1) / u32::try_from(rate)?;
    let mut ticks = interval(period);
    let begun = Instant::now();
    let mut commits = Vec::with_capacity(count);
    for change in 0..count {
        ticks.tick().await;
        let (store, organization) = (place.store(), place.organization.clone());
        commits.push(tokio::spawn(async move {
            commit(&store, &organization, [(change, KIND.to_owned())]).await
        }));
    }
    for each in commits {
        each.await??;
    }
    until(|| async { Ok(receiver.count() == count) }).await?;
    let mut times = Vec::with_capacity(count);
    for (change, at) in receiver.came() {
        let meant = begun + period * u32::try_from(change)?;
        times.push(at.saturating_duration_since(meant));
    }
    println!(
        "create to receive at {rate}/s, {count} changes: {}",
        Spread::of(times)
    );
    place.end().await;
    Ok(())
}

async fn endpoint(place: &Place, receiver: &Receiver) -> Result<WebhookEndpointId> {
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/webhook-endpoints", place.first().base_url()))
        .bearer_auth(&place.key)
        .json(&json!({"url": receiver.url, "kinds": [KIND]}))
        .send()
        .await?;
    ensure!(
        answer.status() == 201,
        "the endpoint was refused: {}",
        answer.text().await?
    );
    let made: serde_json::Value = answer.json().await?;
    made["data"]["id"]
        .as_str()
        .context("an id")?
        .parse()
        .context("an id of an endpoint")
}

async fn until<F: Future<Output = Result<bool>>>(condition: impl Fn() -> F) -> Result<()> {
    let deadline = Instant::now() + LIMIT;
    let mut looks = interval(Duration::from_millis(5));
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !condition().await? {
        ensure!(Instant::now() < deadline, "waited {LIMIT:?} in vain");
        looks.tick().await;
    }
    Ok(())
}
