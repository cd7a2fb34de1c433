//! Background work as the API and the worker's timer see it.

use model::{ConnectionId, JobId, OrganizationId};
use serde_json::Value;
use sync::ports::StoreError;
use sync::state::{JobTask, NewJob};
use tokio::sync::watch;

use crate::{Page, Paging, SqliteStore};

/// A piece of background work.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What it does.
    pub task: JobTask,
    /// How it stands.
    pub state: JobState,
    /// Not before, epoch milliseconds.
    pub run_at: i64,
    /// How often it was begun.
    pub attempts: u32,
    /// What is done.
    pub done: u64,
    /// Of how much, where that is known.
    pub total: Option<u64>,
    /// What came out.
    pub result: Option<Value>,
    /// Why the last attempt failed: a code and a text for a person.
    pub failure: Option<(String, String)>,
    /// Epoch milliseconds.
    pub created_at: i64,
    /// When it was last begun, epoch milliseconds.
    pub started_at: Option<i64>,
    /// When it ended, epoch milliseconds.
    pub finished_at: Option<i64>,
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// It waits, for the first time or for another attempt.
    Queued,
    /// Someone works on it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended badly, for good.
    Failed,
    /// It was called off.
    Cancelled,
}

impl JobState {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Which jobs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// On this connection.
    pub connection: Option<ConnectionId>,
}

impl SqliteStore {
    /// A job.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job(&self, organization: &OrganizationId, id: &JobId) -> Result<Option<Job>, StoreError> {
        let _ = (organization, id);
        todo!()
    }

    /// Jobs, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn jobs(
        &self,
        organization: &OrganizationId,
        filter: &JobFilter,
        paging: &Paging,
    ) -> Result<Page<Job>, StoreError> {
        let _ = (organization, filter, paging);
        todo!()
    }

    /// Enqueues work and answers with the job that will do it: an identical one that waits already, or the new one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue(&self, job: NewJob) -> Result<Job, StoreError> {
        let _ = job;
        todo!()
    }

    /// When the next job is due or the next lease runs out, epoch milliseconds; `None` when nothing waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self) -> Result<Option<i64>, StoreError> {
        todo!()
    }

    /// Calls off a connection's waiting and running jobs; a running one can commit no more. How many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_jobs(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<u64, StoreError> {
        let _ = (organization, connection);
        todo!()
    }

    /// Forgets ended jobs, idempotency keys and the like that are older than they need to be.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self, now_ms: i64) -> Result<(), StoreError> {
        let _ = now_ms;
        todo!()
    }

    /// Changes after each commit that enqueued work, so that a worker wakes at once.
    #[must_use]
    pub fn subscribe_jobs(&self) -> watch::Receiver<u64> {
        todo!()
    }
}
