//! The timer: makes a sync job for each connection that has not been looked at for a while, and for what a schedule names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connector_sdk::Clock;
use model::{CollectionId, ConnectionId, JobId, OrganizationId};
use store::SqliteStore;
use sync::ports::{Entropy, StoreError};
use sync::state::{JobTask, NewJob, Selection};
use tokio_util::sync::CancellationToken;

use crate::schedules::Schedule;
use crate::state::id_parts;

const LONGEST_TICK: Duration = Duration::from_secs(5);
const SWEEP_EVERY_MS: i64 = 3_600_000;

/// Makes the periodic jobs until `stop` is cancelled.
pub async fn schedule(
    store: SqliteStore,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    interval: Duration,
    stop: CancellationToken,
) {
    let tick = (interval / 4).clamp(Duration::from_millis(250), LONGEST_TICK);
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    let mut swept_at = 0;
    loop {
        let now_ms = clock.now_ms();
        if let Err(error) = enqueue_due(&store, clock.as_ref(), entropy.as_ref(), interval_ms).await {
            tracing::error!(%error, "the periodic syncs could not be planned; tried again soon");
        }
        if let Err(error) = enqueue_scheduled(&store, clock.as_ref(), entropy.as_ref()).await {
            tracing::error!(%error, "what schedules name could not be planned; tried again soon");
        }
        if let Err(error) = tend_inbox(&store, clock.as_ref(), entropy.as_ref()).await {
            tracing::error!(%error, "webhooks that wait could not be looked after; tried again soon");
        }
        if now_ms - swept_at >= SWEEP_EVERY_MS {
            swept_at = now_ms;
            if let Err(error) = store.sweep(now_ms).await {
                tracing::error!(%error, "old jobs could not be cleared away; tried again later");
            }
        }
        if stop.run_until_cancelled(clock.sleep(tick)).await.is_none() {
            return;
        }
    }
}

async fn enqueue_due(
    store: &SqliteStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    interval_ms: i64,
) -> Result<(), StoreError> {
    let due = store.due_connections(clock.now_ms(), interval_ms).await?;
    let mut apart = if due.is_empty() {
        BTreeMap::new()
    } else {
        store.scheduled_collections().await?
    };
    let jobs = due
        .into_iter()
        .map(|of| {
            let task = rest_of(&of.1, apart.remove(&of));
            job(of.0, task, clock, entropy)
        })
        .collect();
    store.enqueue_all(jobs).await
}

/// A sync of all of a connection's collections but those that have schedules of their own.
fn rest_of(connection: &ConnectionId, apart: Option<Vec<CollectionId>>) -> JobTask {
    let connection = connection.clone();
    match apart {
        Some(apart) => JobTask::Poll {
            connection,
            collections: Selection::Except(apart),
        },
        None => JobTask::Sync {
            connection,
            discover: false,
            approve_deletes: false,
        },
    }
}

/// Makes the jobs of schedules that are due, and says when each is due next: once, however many times were missed.
async fn enqueue_scheduled(
    store: &SqliteStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<(), StoreError> {
    let now_ms = clock.now_ms();
    let found = store.due_schedules(now_ms).await?;
    if found.is_empty() {
        return Ok(());
    }
    let mut apart = store.scheduled_collections().await?;
    let mut of_connections: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for due in found {
        let next_at = next_of(&due.schedule, now_ms, entropy.random());
        if next_at.is_none() {
            tracing::error!(connection = %due.connection, "a stored schedule names no time any more; it rests");
        }
        let key = (
            due.organization.clone(),
            due.connection.clone(),
            due.collection.is_some(),
        );
        of_connections.entry(key).or_default().push((due, next_at));
    }
    for ((organization, connection, of_collections), due) in of_connections {
        let task = if of_collections {
            let named = due.iter().filter_map(|(due, _)| due.collection.clone());
            JobTask::Poll {
                connection,
                collections: Selection::Only(named.collect()),
            }
        } else {
            let rest = apart.remove(&(organization.clone(), connection.clone()));
            rest_of(&connection, rest)
        };
        let job = job(organization, task, clock, entropy);
        store.begin_scheduled(&job, &due).await?;
    }
    Ok(())
}

fn next_of(schedule: &str, now_ms: i64, random: u128) -> Option<i64> {
    let schedule: Schedule = serde_json::from_str(schedule).ok()?;
    schedule.rule().ok()?.next(now_ms, random)
}

/// Wakes what waits in the inbox without a job, drops what was parked for nobody, and shows how much waits.
async fn tend_inbox(store: &SqliteStore, clock: &dyn Clock, entropy: &dyn Entropy) -> Result<(), StoreError> {
    let now_ms = clock.now_ms();
    let dropped = store.drop_parked(now_ms).await?;
    if dropped > 0 {
        metrics::counter!("concord_webhooks_dropped_total").increment(dropped);
        tracing::warn!(
            dropped,
            "webhooks were dropped: no connection owned their routes for ten minutes"
        );
    }
    for (organization, connection) in store.due_inboxes(now_ms).await? {
        let (epoch_ms, random) = id_parts(clock, entropy);
        let job = NewJob {
            id: JobId::new(epoch_ms, random),
            organization,
            task: JobTask::Inbox { connection },
            run_at: now_ms,
        };
        store.enqueue(job).await?;
    }
    let depth = store.inbox_depth().await?;
    metrics::gauge!("concord_inbox_waiting").set(depth.waiting as f64);
    metrics::gauge!("concord_inbox_parked").set(depth.parked as f64);
    let age_ms = depth.oldest.map_or(0, |oldest| (now_ms - oldest).max(0));
    metrics::gauge!("concord_inbox_oldest_seconds").set(age_ms as f64 / 1_000.0);
    Ok(())
}

/// A job that is due now.
fn job(organization: OrganizationId, task: JobTask, clock: &dyn Clock, entropy: &dyn Entropy) -> NewJob {
    let (now_ms, random) = id_parts(clock, entropy);
    NewJob {
        id: JobId::new(now_ms, random),
        organization,
        task,
        run_at: clock.now_ms(),
    }
}
