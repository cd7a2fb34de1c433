//! Background work as the API and the worker's timer see it.

use model::{ConnectionId, JobId, OrganizationId};
use serde::Deserialize;
use serde_json::Value;
use sync::ports::StoreError;
use sync::state::{JobTask, NewJob};

use crate::column::{all, count, failed, get, id, json, optional_json, word};
use crate::dialect::NEXT_DUE;
use crate::sql::{self, QueryBuilder, Row, Target};
use crate::{Page, Paging, SqliteStore, audit, consent, freshness, idempotency, outbound, queue};

/// How long an ended job can be looked up.
const KEPT_MS: i64 = 7 * 24 * 3_600_000;
/// The same for one that found nothing to do. A thousand connections that are looked at every minute make ten million of
/// them in a week.
const KEPT_IDLE_MS: i64 = 3_600_000;
/// How many are forgotten in one transaction: writers wait for no more than that.
const SWEEP_ROWS: i64 = 2_000;
/// Jobs that are enqueued in one transaction.
const ENQUEUED_AT_ONCE: usize = 100;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
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

fn read(row: &Row) -> Result<Job, StoreError> {
    let code: Option<String> = get(row, "failure_code")?;
    let message: Option<String> = get(row, "failure_message")?;
    let total: Option<i64> = get(row, "total")?;
    Ok(Job {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        task: json(row, "task")?,
        state: word(row, "state")?,
        run_at: get(row, "run_at")?,
        attempts: count(row, "attempts")?,
        done: count(row, "done")?,
        total: total.and_then(|total| u64::try_from(total).ok()),
        result: optional_json(row, "result")?,
        failure: code.zip(message),
        created_at: get(row, "created_at")?,
        started_at: get(row, "started_at")?,
        finished_at: get(row, "finished_at")?,
    })
}

async fn find(
    target: impl Into<Target<'_>>,
    organization: &OrganizationId,
    id: &str,
) -> Result<Option<Job>, StoreError> {
    let row = sql::query("SELECT * FROM jobs WHERE organization_id = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(id)
        .fetch_optional(target)
        .await
        .map_err(failed)?;
    row.as_ref().map(read).transpose()
}

impl SqliteStore {
    /// A job.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn job(&self, organization: &OrganizationId, id: &JobId) -> Result<Option<Job>, StoreError> {
        find(self.read(), organization, id.as_str()).await
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
        let mut query = QueryBuilder::new("SELECT * FROM jobs WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.name());
        }
        if let Some(connection) = &filter.connection {
            query.push(" AND lane = ").push_bind(connection.as_str());
        }
        if let Some(after) = &paging.after {
            query.push(" AND id < ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |job| job.id.as_str()))
    }

    /// Enqueues work and answers with the job that will do it: an identical one that waits already, or the new one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enqueue(&self, job: NewJob) -> Result<Job, StoreError> {
        let mut write = self.write().await?;
        let id = queue::enqueue(&mut write, &job.organization, &job, self.now_ms()).await?;
        let stored = find(write.conn(), &job.organization, &id).await?;
        write.commit().await?;
        stored.ok_or_else(|| StoreError::Stale(id))
    }

    /// Enqueues work, many jobs in one transaction; each as [`SqliteStore::enqueue`] does. In one order on every node, so
    /// that no two wait for each other.
    ///
    /// # Errors
    /// When the database fails; the transactions before are committed.
    pub async fn enqueue_all(&self, mut jobs: Vec<NewJob>) -> Result<(), StoreError> {
        jobs.sort_by_cached_key(|job| (job.organization.clone(), job.task.lane(), job.task.name()));
        for some in jobs.chunks(ENQUEUED_AT_ONCE) {
            let mut write = self.write().await?;
            for job in some {
                queue::enqueue(&mut write, &job.organization, job, self.now_ms()).await?;
            }
            write.commit().await?;
        }
        Ok(())
    }

    /// When the next job is due or the next lease runs out, epoch milliseconds; `None` when nothing waits.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_due(&self) -> Result<Option<i64>, StoreError> {
        // A job that waits for its lane is not due before the lane is free, which `subscribe_jobs` tells.
        sql::query_scalar(NEXT_DUE)
            .fetch_one(self.read())
            .await
            .map_err(failed)
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
        let mut write = self.write_in(organization).await?;
        let cancelled = queue::cancel(&mut write, organization, connection, self.now_ms()).await?;
        write.commit().await?;
        Ok(cancelled)
    }

    /// Forgets jobs that ended a week ago (an hour ago where they found nothing to do), webhooks that ended three days ago,
    /// lines of the audit after thirteen months, and idempotency keys and consents that have served their time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep(&self, now_ms: i64) -> Result<(), StoreError> {
        self.forget_jobs(1, now_ms - KEPT_IDLE_MS).await?;
        self.forget_jobs(0, now_ms - KEPT_MS).await?;
        let mut write = self.write().await?;
        idempotency::sweep(&mut write, now_ms).await?;
        consent::sweep(&mut write, now_ms).await?;
        outbound::sweep(&mut write, now_ms).await?;
        freshness::sweep(&mut write, now_ms).await?;
        audit::sweep(&mut write, now_ms).await?;
        write.commit().await?;
        self.sweep_inbox(now_ms).await?;
        Ok(())
    }

    /// Forgets jobs that ended before this time.
    async fn forget_jobs(&self, idle: i64, before_ms: i64) -> Result<(), StoreError> {
        loop {
            let mut write = self.write().await?;
            let done = sql::query(
                "DELETE FROM jobs WHERE (organization_id, id) IN (
                    SELECT organization_id, id FROM jobs
                    WHERE idle = $1 AND finished_at IS NOT NULL AND finished_at < $2
                        AND state IN ('succeeded', 'failed', 'cancelled')
                    ORDER BY finished_at LIMIT $3
                 )",
            )
            .bind(idle)
            .bind(before_ms)
            .bind(SWEEP_ROWS)
            .execute(write.conn())
            .await
            .map_err(failed)?;
            write.commit().await?;
            if i64::try_from(done.rows_affected()).unwrap_or(i64::MAX) < SWEEP_ROWS {
                return Ok(());
            }
        }
    }
}
