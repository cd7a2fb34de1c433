//! One job from claim to end: its lease, its progress, its panics, its outcome.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::FutureExt as _;
use serde_json::Value;
use sync::engine::Progress;
use sync::ports::{JobFailure, Jobs as _, StoreError};
use sync::state::ClaimedJob;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::Worker;
use crate::api::error::Code;
use crate::traces::follow::worked;

/// How often progress is shown.
const BEAT: Duration = Duration::from_secs(1);
/// This part of a lease passes at most between two signs of life.
const SIGNS_PER_LEASE: u32 = 3;
const UNKNOWN: u64 = u64::MAX;

/// What a job reported last.
struct Reported {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress for Reported {
    fn report(&self, done: u64, total: Option<u64>) {
        self.done.store(done, Ordering::Relaxed);
        self.total.store(total.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }
}

impl Reported {
    fn now(&self) -> (u64, Option<u64>) {
        let total = self.total.load(Ordering::Relaxed);
        (
            self.done.load(Ordering::Relaxed),
            (total != UNKNOWN).then_some(total),
        )
    }
}

/// How a job ended.
enum Ending {
    /// By itself.
    Ended(Result<Value, JobFailure>),
    /// In a panic.
    Panicked,
}

impl Worker {
    pub(super) async fn run(&self, job: ClaimedJob, stop: &CancellationToken) {
        let lane = job.task.lane();
        let span = tracing::info_span!("job", id = %job.id, task = job.task.name(), on = %lane);
        let cancel = stop.child_token();
        let place = self.lanes.enter(lane, cancel.clone());
        self.run_in_place(&job, &cancel, stop).instrument(span).await;
        drop(place);
    }

    async fn run_in_place(&self, job: &ClaimedJob, cancel: &CancellationToken, stop: &CancellationToken) {
        let begun = tokio::time::Instant::now();
        let followed = self.traces.begin();
        let reported = Reported {
            done: AtomicU64::new(0),
            total: AtomicU64::new(UNKNOWN),
        };
        let ending = {
            let run = AssertUnwindSafe(self.runner.run(job, &reported, cancel)).catch_unwind();
            tokio::select! {
                ending = run => ending.map_or(Ending::Panicked, Ending::Ended),
                () = self.keep(job, &reported, cancel) => return,
            }
        };
        let result = match ending {
            Ending::Panicked => Err(JobFailure {
                code: Code::Internal.name().to_owned(),
                message: "a fault of the program ended this job; what it had committed stands".to_owned(),
                retry_at: None,
            }),
            Ending::Ended(Err(_)) if stop.is_cancelled() => Err(JobFailure {
                code: Code::Interrupted.name().to_owned(),
                message: "the server stopped; the job goes on after its next start".to_owned(),
                retry_at: Some(self.clock.now_ms()),
            }),
            Ending::Ended(Err(failure)) => Err(self.with_jitter(failure)),
            Ending::Ended(Ok(result)) => Ok(result),
        };
        match self
            .store
            .finish(&job.fence, self.clock.now_ms(), result.clone())
            .await
        {
            Ok(()) => {
                worked(&self.traces, job, followed, result.is_err());
                observe(job, &result, begun.elapsed());
            }
            Err(StoreError::Fenced(_)) => tracing::debug!("the job was called off or taken over meanwhile"),
            Err(error) => tracing::error!(%error, "a job's end could not be stored; it will run again"),
        }
    }

    /// Prolongs the lease and shows progress. Returns once the job is no longer ours.
    async fn keep(&self, job: &ClaimedJob, reported: &Reported, cancel: &CancellationToken) {
        let mut shown = (0, None);
        let mut silent = Duration::ZERO;
        let longest = self.lease / SIGNS_PER_LEASE;
        let beat = BEAT.min(longest);
        loop {
            self.clock.sleep(beat).await;
            silent += beat;
            let now = reported.now();
            if now == shown && silent < longest {
                continue;
            }
            let until_ms = self.clock.now_ms() + self.lease_ms();
            match self.store.heartbeat(&job.fence, until_ms, now.0, now.1).await {
                Ok(()) => (shown, silent) = (now, Duration::ZERO),
                Err(StoreError::Fenced(_)) => {
                    tracing::debug!("the job was called off or taken over; it stops");
                    cancel.cancel();
                    return;
                }
                Err(error) => tracing::warn!(%error, "a sign of life could not be stored; tried again"),
            }
        }
    }

    /// Spreads retries, so that connections that failed together do not come back together.
    fn with_jitter(&self, mut failure: JobFailure) -> JobFailure {
        let now_ms = self.clock.now_ms();
        if let Some(at) = failure.retry_at.filter(|at| *at > now_ms) {
            let widest = u128::from((at - now_ms).unsigned_abs() / 5) + 1;
            let jitter_ms = i64::try_from(self.entropy.random() % widest).unwrap_or_default();
            failure.retry_at = Some(at + jitter_ms);
        }
        failure
    }
}

/// One line per job, and its counters.
fn observe(job: &ClaimedJob, result: &Result<Value, JobFailure>, took: Duration) {
    let task = job.task.name();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let outcome = match result {
        Ok(_) => "done",
        Err(failure) if failure.retry_at.is_some() => "retried",
        Err(_) => "failed",
    };
    metrics::counter!("concord_jobs_total", "task" => task, "outcome" => outcome).increment(1);
    metrics::histogram!("concord_job_seconds", "task" => task).record(took.as_secs_f64());
    match result {
        Ok(value) => {
            for (what, count) in counts(value) {
                metrics::counter!("concord_sync_objects_total", "task" => task, "what" => what.clone())
                    .increment(count);
            }
            let summary = summary(value);
            if summary == NOTHING {
                tracing::debug!(took_ms, "{task} done: {summary}");
            } else {
                tracing::info!(took_ms, "{task} done: {summary}");
            }
        }
        Err(failure) if failure.retry_at.is_some() => {
            tracing::warn!(
                took_ms,
                code = failure.code,
                "{task} is tried again: {}",
                failure.message
            );
        }
        Err(failure) => tracing::error!(took_ms, code = failure.code, "{task} failed: {}", failure.message),
    }
}

/// The counts in a result: its members that are numbers above zero.
fn counts(value: &Value) -> impl Iterator<Item = (&String, u64)> {
    let members = value.as_object().into_iter().flatten();
    members.filter_map(|(name, count)| Some((name, count.as_u64().filter(|count| *count > 0)?)))
}

/// What a run is called that changed nothing; said in the log only when someone asks for details.
const NOTHING: &str = "nothing to do";

fn summary(value: &Value) -> String {
    let counted: Vec<String> = counts(value)
        .filter(|(name, _)| *name != "collections")
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if counted.is_empty() {
        return NOTHING.to_owned();
    }
    counted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_reads_as_one_line_of_counts() {
        let result =
            serde_json::json!({"created": 3, "deleted": 0, "note": "x", "updated": 1, "collections": 2});
        assert_eq!(summary(&result), "3 created, 1 updated");
        assert_eq!(summary(&serde_json::json!({})), "nothing to do");
    }
}
