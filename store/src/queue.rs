//! The queue of background work: enqueue, claim, heartbeat, finish. Leases, fence tokens and lanes live here.

use model::{ConnectionId, InboundId, JobId, OrganizationId};
use serde_json::Value;
use sync::ports::{JobFailure, StoreError};
use sync::state::{ClaimedJob, Fence, JobTask, NewJob, Selection};

use crate::SqliteStore;
use crate::column::{count, document, failed, get, id, json, optional_id, refused};
use crate::dialect::{ANYTHING_TO_CLAIM, Engine};
use crate::sql::{self, Row};
use crate::write::Write;

/// A new job from where `$from` finds its values, or the identical one that waits, at the earlier of the two times.
macro_rules! enqueue {
    ($from:literal) => {
        concat!(
            "INSERT INTO jobs
                (organization_id, id, task, name, lane, state, run_at, attempts, token, done, created_at, head_start_ms,
                 webhook) ",
            $from,
            " ON CONFLICT (organization_id, task) WHERE state = 'queued' DO UPDATE
             SET run_at = CASE WHEN excluded.run_at < jobs.run_at THEN excluded.run_at ELSE jobs.run_at END,
                 webhook = COALESCE(jobs.webhook, excluded.webhook)
             RETURNING id, webhook"
        )
    };
}

const ENQUEUE: &str = enqueue!("VALUES ($1, $2, $3, $4, $5, 'queued', $6, 0, 0, 0, $7, $8, $9)");
/// A job for a connection that is paused would be claimed, do nothing and end: two transactions for each that came in.
const ENQUEUE_UNLESS_PAUSED: &str = enqueue!(
    "SELECT $1, $2, $3, $4, $5, 'queued', $6, 0, 0, 0, $7, $8, $9
     WHERE NOT EXISTS (SELECT 1 FROM connections WHERE organization_id = $1 AND id = $5 AND health = 'paused')"
);

/// Enqueues work, or joins an identical job that waits: for its first run, or for another attempt. The earlier of
/// the two times holds. Answers with the id of the job that will do it.
pub(crate) async fn enqueue(
    write: &mut Write,
    organization: &OrganizationId,
    job: &NewJob,
    now: i64,
) -> Result<String, StoreError> {
    let id = insert(write, ENQUEUE, organization, job, now).await?;
    id.ok_or_else(|| StoreError::Stale(job.id.to_string()))
}

/// The same, where the connection that the job is for is not paused: then nothing is enqueued, and the timer
/// finds what waits once it is resumed.
pub(crate) async fn enqueue_unless_paused(
    write: &mut Write,
    organization: &OrganizationId,
    job: &NewJob,
    now: i64,
) -> Result<(), StoreError> {
    insert(write, ENQUEUE_UNLESS_PAUSED, organization, job, now).await?;
    Ok(())
}

async fn insert(
    write: &mut Write,
    statement: &'static str,
    organization: &OrganizationId,
    job: &NewJob,
    now: i64,
) -> Result<Option<String>, StoreError> {
    let webhook = write.webhook().map(|id| id.as_str().to_owned());
    let row = sql::query(statement)
        .bind(organization.as_str())
        .bind(job.id.as_str())
        .bind(document(&job.task)?)
        .bind(job.task.name())
        .bind(job.task.lane())
        .bind(job.run_at)
        .bind(now)
        .bind(job.task.head_start_ms())
        .bind(webhook)
        .fetch_optional(write.conn())
        .await
        .map_err(refused(job.id.as_str()))?;
    let Some(row) = row else { return Ok(None) };
    write.wake_workers();
    write.pass_on(optional_id(&row, "webhook")?);
    get(&row, "id").map(Some)
}

/// Refuses to go on unless the job is still held, by this claim and in this organization. Answers with the webhook that it
/// goes back to.
pub(crate) async fn check_fence(
    write: &mut Write,
    organization: &OrganizationId,
    fence: &Fence,
) -> Result<Option<InboundId>, StoreError> {
    let held = sql::query(write.engine().fence())
        .bind(organization.as_str())
        .bind(fence.job.as_str())
        .bind(fence.token)
        .fetch_optional(write.conn())
        .await
        .map_err(failed)?;
    let row = held.ok_or_else(|| StoreError::Fenced(fence.job.clone()))?;
    optional_id(&row, "webhook")
}

/// Calls off what waits and runs on a connection. The tokens rise: whoever works on one can commit no more.
pub(crate) async fn cancel(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
    now: i64,
) -> Result<u64, StoreError> {
    let done = sql::query(
        "UPDATE jobs SET state = 'cancelled', token = token + 1, lease_until = NULL, finished_at = $1
         WHERE organization_id = $2 AND lane = $3 AND state IN ('queued', 'running')",
    )
    .bind(now)
    .bind(organization.as_str())
    .bind(connection.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(done.rows_affected())
}

fn claimed(row: &Row) -> Result<ClaimedJob, StoreError> {
    let job: JobId = id(row, "id")?;
    let attempts: u32 = count(row, "attempts")?;
    Ok(ClaimedJob {
        id: job.clone(),
        organization: id(row, "organization_id")?,
        task: json(row, "task")?,
        attempts: attempts.saturating_sub(1),
        fence: Fence {
            job,
            token: get(row, "token")?,
        },
        webhook: optional_id(row, "webhook")?,
    })
}

impl SqliteStore {
    pub(crate) async fn claim_jobs(
        &self,
        node: &str,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        // Most of the time there is nothing: seen without keeping writers waiting.
        let anything = sql::query(ANYTHING_TO_CLAIM)
            .bind(now_ms)
            .fetch_optional(self.read());
        if anything.await.map_err(failed)?.is_none() {
            return Ok(Vec::new());
        }
        let mut write = self.write_lightly().await?;
        let free = sql::query(write.engine().claim())
            .bind(now_ms)
            .bind(i64::from(limit))
            .fetch_all(write.conn())
            .await
            .map_err(failed)?;
        let mut taken = Vec::with_capacity(free.len());
        for row in &free {
            let row = sql::query(
                "UPDATE jobs
                 SET state = 'running', attempts = attempts + 1, token = token + 1, node = $1, lease_until = $2,
                     started_at = $3, done = 0, total = NULL
                 WHERE organization_id = $4 AND id = $5
                    AND ((state = 'queued' AND run_at <= $3) OR (state = 'running' AND lease_until <= $3))
                    AND NOT EXISTS (
                        SELECT 1 FROM jobs o
                        WHERE o.organization_id = jobs.organization_id AND o.lane = jobs.lane
                            AND o.state = 'running' AND o.lease_until > $3
                    )
                 RETURNING *",
            )
            .bind(node)
            .bind(now_ms.saturating_add(lease_ms))
            .bind(now_ms)
            .bind(get::<&str>(row, "organization_id")?)
            .bind(get::<&str>(row, "id")?)
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
            // Gone when another node was at its lane between the two statements.
            if let Some(row) = row {
                taken.push(claimed(&row)?);
            }
        }
        write.commit().await?;
        Ok(taken)
    }

    pub(crate) async fn prolong(
        &self,
        fence: &Fence,
        until_ms: i64,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), StoreError> {
        let mut write = self.write_lightly().await?;
        let held = sql::query(
            "UPDATE jobs SET lease_until = $1, done = $2, total = $3
             WHERE id = $4 AND token = $5 AND state = 'running'",
        )
        .bind(until_ms)
        .bind(stored_count(done))
        .bind(total.map(stored_count))
        .bind(fence.job.as_str())
        .bind(fence.token)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        if held.rows_affected() == 0 {
            return Err(StoreError::Fenced(fence.job.clone()));
        }
        write.commit().await
    }

    pub(crate) async fn end(
        &self,
        fence: &Fence,
        now_ms: i64,
        result: Result<Value, JobFailure>,
    ) -> Result<(), StoreError> {
        let find = sql::query("SELECT * FROM jobs WHERE id = $1")
            .bind(fence.job.as_str())
            .fetch_optional(self.read());
        let row = find
            .await
            .map_err(failed)?
            .ok_or_else(|| StoreError::Fenced(fence.job.clone()))?;
        let organization: OrganizationId = id(&row, "organization_id")?;
        let task: JobTask = json(&row, "task")?;
        if result.is_ok() && !task.is_kept() {
            return self.forget(fence).await;
        }
        let mut write = self.write_in(&organization).await?;
        check_fence(&mut write, &organization, fence).await?;
        match result {
            Ok(value) => succeed(&mut write, fence, now_ms, &value).await?,
            Err(failure) => fail(&mut write, &row, fence, now_ms, &failure).await?,
        }
        match task {
            // A poll of some that have times of their own does not stand for one of the rest.
            JobTask::Sync { connection, .. }
            | JobTask::Poll {
                connection,
                collections: Selection::Except(_),
            } => {
                sql::query("UPDATE connections SET attempted_at = $1 WHERE organization_id = $2 AND id = $3")
                    .bind(now_ms)
                    .bind(organization.as_str())
                    .bind(connection.as_str())
                    .execute(write.conn())
                    .await
                    .map_err(failed)?;
            }
            JobTask::Poll {
                collections: Selection::Only(_),
                ..
            }
            | JobTask::Push { .. }
            | JobTask::Inbox { .. }
            | JobTask::Mirror { .. }
            | JobTask::Unlink { .. } => {}
        }
        // The lane is free.
        write.wake_workers();
        write.commit().await
    }

    /// Ends a job of which nobody asks what it did. One statement, in nobody's turn: it says itself under which fence, and
    /// nothing else is written with it.
    async fn forget(&self, fence: &Fence) -> Result<(), StoreError> {
        let forget = sql::query(self.engine().forget())
            .bind(fence.job.as_str())
            .bind(fence.token);
        let done = match self.engine() {
            Engine::Postgres => forget.execute(self.write_alone()).await.map_err(failed)?,
            Engine::Sqlite => {
                let mut write = self.write_lightly().await?;
                let done = forget.execute(write.conn()).await.map_err(failed)?;
                write.commit().await?;
                done
            }
        };
        if done.rows_affected() == 0 {
            return Err(StoreError::Fenced(fence.job.clone()));
        }
        // The lane is free.
        self.wake_workers();
        Ok(())
    }
}

/// A count as BIGINT. Nothing that is counted here comes near the end.
fn stored_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

async fn succeed(write: &mut Write, fence: &Fence, now: i64, value: &Value) -> Result<(), StoreError> {
    sql::query(
        "UPDATE jobs
         SET state = 'succeeded', result = $1, failure_code = NULL, failure_message = NULL, finished_at = $2,
             lease_until = NULL, idle = $4
         WHERE id = $3",
    )
    .bind(document(value)?)
    .bind(now)
    .bind(fence.job.as_str())
    .bind(i64::from(found_nothing(value)))
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
}

/// Whether a job did nothing but look: it counted nothing but the collections in which it did.
fn found_nothing(value: &Value) -> bool {
    let counts = value.as_object();
    counts.is_some_and(|counts| {
        let mut counts = counts.iter().filter(|(name, _)| *name != "collections");
        counts.all(|(_, count)| count.as_u64() == Some(0))
    })
}

/// Ends a job for good, or puts it back to wait for another attempt. Where an identical job waits by now, that one
/// is the other attempt: it takes over the count, so that the pauses between attempts go on growing.
async fn fail(
    write: &mut Write,
    row: &Row,
    fence: &Fence,
    now: i64,
    failure: &JobFailure,
) -> Result<(), StoreError> {
    let task: &str = get(row, "task")?;
    let organization: &str = get(row, "organization_id")?;
    let mut retry_at = failure.retry_at;
    if retry_at.is_some() {
        let joined = sql::query(
            "UPDATE jobs SET attempts = CASE WHEN attempts < $1 THEN $1 ELSE attempts END
             WHERE organization_id = $2 AND task = $3 AND state = 'queued'",
        )
        .bind(get::<i64>(row, "attempts")?)
        .bind(organization)
        .bind(task)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        if joined.rows_affected() > 0 {
            retry_at = None;
        }
    }
    sql::query(
        "UPDATE jobs
         SET state = $1, run_at = COALESCE($2, run_at), failure_code = $3, failure_message = $4,
             finished_at = CASE WHEN $2 IS NULL THEN $5 ELSE finished_at END, lease_until = NULL
         WHERE id = $6",
    )
    .bind(if retry_at.is_some() { "queued" } else { "failed" })
    .bind(retry_at)
    .bind(&failure.code)
    .bind(&failure.message)
    .bind(now)
    .bind(fence.job.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
}
