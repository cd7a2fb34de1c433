//! What is read anew for every scrape of `/metrics`: how much waits, since when, and how connections are.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sync::ports::StoreError;

use crate::state::AppState;

/// What was shown at the last scrape, by metric and labels. A gauge keeps its value until it is set: what is not there
/// any more is set to zero.
static SHOWN: Mutex<BTreeSet<(&'static str, [String; 2])>> = Mutex::new(BTreeSet::new());

const JOBS: &str = "concord_jobs_waiting";
const OVERDUE: &str = "concord_jobs_overdue_seconds";
const CONNECTIONS: &str = "concord_connections";

/// Reads the gauges.
pub(super) async fn refresh(state: &AppState) -> Result<(), StoreError> {
    let store = state.unscoped_store();
    let now_ms = state.clock().now_ms();
    if let Some(redis) = state.redis() {
        metrics::gauge!("concord_redis_up").set(f64::from(u8::from(redis.is_up())));
    }
    let mut values = Vec::new();
    let mut overdue_ms = 0;
    for depth in store.queue_depths().await? {
        if depth.state == "queued" {
            overdue_ms = overdue_ms.max(now_ms - depth.oldest_due_at);
        }
        values.push((JOBS, [depth.task, depth.state], depth.jobs));
    }
    for count in store.connection_counts().await? {
        values.push((CONNECTIONS, [count.provider, count.health], count.connections));
    }
    show(values);
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    {
        metrics::gauge!(OVERDUE).set(overdue_ms as f64 / 1_000.0);
        metrics::gauge!("concord_quarantined_objects").set(store.quarantined_everywhere().await? as f64);
    }
    Ok(())
}

fn show(values: Vec<(&'static str, [String; 2], i64)>) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut gone = std::mem::take(&mut *shown);
    for (metric, labels, value) in values {
        gone.remove(&(metric, labels.clone()));
        set(metric, &labels, value);
        shown.insert((metric, labels));
    }
    for (metric, labels) in gone {
        set(metric, &labels, 0);
    }
}

fn set(metric: &'static str, labels: &[String; 2], value: i64) {
    let [first, second] = labels.clone();
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    let value = value as f64;
    if metric == CONNECTIONS {
        metrics::gauge!(CONNECTIONS, "provider" => first, "health" => second).set(value);
    } else {
        metrics::gauge!(JOBS, "task" => first, "state" => second).set(value);
    }
}
