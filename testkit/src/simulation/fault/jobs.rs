//! Mistakes in the queue of work.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use connector_sdk::Connector;
use model::JobId;
use sync::ports::{JobFailure, Jobs, StoreError};
use sync::state::{ClaimedJob, Fence};

use super::Plant;
use crate::simulation::store_port::Backing;

/// Plants a queue that hands a job out once more while somebody works on it.
pub(super) struct HandedOutTwice;

impl Plant for HandedOutTwice {
    fn backing(&self, honest: Backing) -> Backing {
        Backing {
            jobs: Arc::new(TwiceQueue {
                honest: honest.jobs,
                running: Mutex::default(),
            }),
            ..honest
        }
    }

    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector> {
        honest
    }
}

struct TwiceQueue {
    honest: Arc<dyn Jobs>,
    /// What one worker has by now.
    running: Mutex<BTreeMap<JobId, ClaimedJob>>,
}

impl TwiceQueue {
    fn forget(&self, job: &JobId) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.remove(job);
    }
}

#[async_trait]
impl Jobs for TwiceQueue {
    async fn claim(
        &self,
        node: &str,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        let claimed = self.honest.claim(node, now_ms, lease_ms, limit).await?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.is_empty() {
            return Ok(running.pop_first().map(|(_, job)| job).into_iter().collect());
        }
        running.extend(claimed.iter().map(|job| (job.id.clone(), job.clone())));
        Ok(claimed)
    }

    async fn heartbeat(
        &self,
        fence: &Fence,
        until_ms: i64,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), StoreError> {
        self.honest.heartbeat(fence, until_ms, done, total).await
    }

    async fn finish(
        &self,
        fence: &Fence,
        now_ms: i64,
        result: Result<serde_json::Value, JobFailure>,
    ) -> Result<(), StoreError> {
        self.forget(&fence.job);
        self.honest.finish(fence, now_ms, result).await
    }
}
