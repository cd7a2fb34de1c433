//! Background work: claims jobs, runs several at a time, keeps their leases, ends them; and a timer that makes the
//! periodic ones.

mod lanes;
mod run;
mod schedule;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::Clock;
use serde_json::Value;
use store::SqliteStore;
use sync::engine::{Engine, Progress};
use sync::ports::{Entropy, JobFailure, Jobs as _};
use sync::state::ClaimedJob;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::traces::Traces;

pub use lanes::Lanes;
pub use schedule::schedule;

/// How long a job stays ours without a sign of life.
pub const LEASE: Duration = Duration::from_secs(30);
/// How long running jobs have to come to a page's end when the server stops.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest time between two looks into the queue: covers clocks that jump and a bell that was missed.
const LONGEST_PAUSE_MS: i64 = 5_000;
/// Shortest: a due job may wait for its lane, and nothing rings when another process frees one.
const SHORTEST_PAUSE_MS: i64 = 250;

/// Carries out a claimed job: the engine, or a test's stand-in.
#[async_trait]
pub trait Runner: Send + Sync {
    /// Runs the job to its end.
    async fn run(
        &self,
        job: &ClaimedJob,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Value, JobFailure>;
}

#[async_trait]
impl Runner for Engine {
    async fn run(
        &self,
        job: &ClaimedJob,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Value, JobFailure> {
        Self::run(self, job, progress, cancel).await
    }
}

/// Works through the queue.
#[derive(Clone)]
pub struct Worker {
    /// The queue.
    pub store: SqliteStore,
    /// Carries jobs out.
    pub runner: Arc<dyn Runner>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for jitter.
    pub entropy: Arc<dyn Entropy>,
    /// What runs in this process.
    pub lanes: Lanes,
    /// Where spans go.
    pub traces: Traces,
    /// This process's name in leases.
    pub node: String,
    /// Jobs at the same time.
    pub parallel: usize,
    /// How long a job stays ours without a sign of life: [`LEASE`], or what a test cannot wait longer for.
    pub lease: Duration,
}

impl Worker {
    /// Works until `stop` is cancelled, then waits a while for what is running.
    pub async fn work(self, stop: CancellationToken) {
        let mut bell = self.store.subscribe_jobs();
        let mut running = JoinSet::new();
        while !stop.is_cancelled() {
            while running.try_join_next().is_some() {}
            let claimed = self.claim(self.parallel.saturating_sub(running.len())).await;
            let found = !claimed.is_empty();
            for job in claimed {
                let (worker, stop) = (self.clone(), stop.clone());
                running.spawn(async move { worker.run(job, &stop).await });
            }
            let free = running.len() < self.parallel;
            if found && free {
                continue;
            }
            // Whoever has both hands full waits for one of them, and asks the store nothing meanwhile.
            tokio::select! {
                () = stop.cancelled() => {}
                Ok(()) = bell.changed(), if free => {}
                Some(_) = running.join_next() => {}
                () = self.pause(), if free => {}
            }
        }
        let drained = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, drained).await.is_err() {
            tracing::warn!(
                jobs = running.len(),
                "some jobs did not stop in time; the next start takes them up again"
            );
            running.shutdown().await;
        }
    }

    async fn claim(&self, free: usize) -> Vec<ClaimedJob> {
        if free == 0 {
            return Vec::new();
        }
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        let claimed = self
            .store
            .claim(&self.node, self.clock.now_ms(), self.lease_ms(), limit)
            .await;
        claimed.unwrap_or_else(|error| {
            tracing::error!(%error, "no work can be claimed");
            Vec::new()
        })
    }

    fn lease_ms(&self) -> i64 {
        i64::try_from(self.lease.as_millis()).unwrap_or(i64::MAX)
    }

    async fn pause(&self) {
        let due = self.store.next_due().await.unwrap_or(None);
        let wait_ms = due.map_or(LONGEST_PAUSE_MS, |due| due - self.clock.now_ms());
        let wait_ms = wait_ms.clamp(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS);
        self.clock
            .sleep(Duration::from_millis(wait_ms.unsigned_abs()))
            .await;
    }
}
