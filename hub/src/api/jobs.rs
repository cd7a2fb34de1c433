//! `/v1/jobs`: background work and how far it is.

use model::{ConnectionId, JobId, MirrorId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Job, JobFilter, JobState};
use sync::state::{JobTask, NewJob};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, moment};
use super::error::{ApiError, Failures};
use super::extract::{Caller, Id, Params, paging};
use crate::state::AppState;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read))
}

/// How a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStateOut {
    /// It waits, for the first time or for another attempt.
    Queued,
    /// Someone works on it.
    Running,
    /// It ended well.
    Done,
    /// It ended badly, for good.
    Failed,
    /// It was called off: its connection was paused or removed.
    Cancelled,
}

impl From<JobState> for JobStateOut {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Queued => Self::Queued,
            JobState::Running => Self::Running,
            JobState::Succeeded => Self::Done,
            JobState::Failed => Self::Failed,
            JobState::Cancelled => Self::Cancelled,
        }
    }
}

impl From<JobStateOut> for JobState {
    fn from(state: JobStateOut) -> Self {
        match state {
            JobStateOut::Queued => Self::Queued,
            JobStateOut::Running => Self::Running,
            JobStateOut::Done => Self::Succeeded,
            JobStateOut::Failed => Self::Failed,
            JobStateOut::Cancelled => Self::Cancelled,
        }
    }
}

/// A piece of background work.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobOut {
    /// Its id.
    pub id: JobId,
    /// What it does: `sync`, `push`, `inbox`, `mirror`.
    pub task: &'static str,
    /// The connection it works on.
    pub connection_id: Option<ConnectionId>,
    /// The mirror it works on.
    pub mirror_id: Option<MirrorId>,
    /// How it stands.
    pub state: JobStateOut,
    /// How far it is.
    pub progress: ProgressOut,
    /// How often it was begun.
    pub attempts: u32,
    /// What came out, once it is done: counts by name.
    pub result: Option<Value>,
    /// Why the last attempt failed.
    pub error: Option<JobErrorOut>,
    /// When it is (or was) due.
    #[schema(format = DateTime)]
    pub run_at: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last begun.
    #[schema(format = DateTime)]
    pub started_at: Option<String>,
    /// When it ended.
    #[schema(format = DateTime)]
    pub finished_at: Option<String>,
}

/// How far a job is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressOut {
    /// So many are done.
    pub done: u64,
    /// Of so many; null while nobody knows.
    pub total: Option<u64>,
}

/// Why an attempt failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobErrorOut {
    /// A code of the closed list.
    pub code: String,
    /// What happened, what it means, what to do.
    pub message: String,
}

impl From<Job> for JobOut {
    fn from(job: Job) -> Self {
        let task = job.task.name();
        let (connection_id, mirror_id) = match job.task {
            JobTask::Sync { connection, .. }
            | JobTask::Poll { connection, .. }
            | JobTask::Push { connection }
            | JobTask::Inbox { connection } => (Some(connection), None),
            JobTask::Mirror { mirror } => (None, Some(mirror)),
            JobTask::Unlink { .. } => (None, None),
        };
        Self {
            id: job.id,
            task,
            connection_id,
            mirror_id,
            state: job.state.into(),
            progress: ProgressOut {
                done: job.done,
                total: job.total,
            },
            attempts: job.attempts,
            result: job.result,
            error: job.failure.map(|(code, message)| JobErrorOut { code, message }),
            run_at: moment(job.run_at),
            created_at: moment(job.created_at),
            started_at: job.started_at.map(moment),
            finished_at: job.finished_at.map(moment),
        }
    }
}

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// In this state.
    state: Option<JobStateOut>,
    /// On this connection.
    connection_id: Option<String>,
    /// At most so many, from 1 to 200; 50 unless said.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Your jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", security(("api_key" = [])),
    params(ListParams), responses((status = 200, body = List<JobOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<List<JobOut>, ApiError> {
    let connection = match params.connection_id.as_deref().map(str::parse) {
        None => None,
        Some(Ok(id)) => Some(id),
        // Text that is no id names no connection, and there are no jobs on none.
        Some(Err(_)) => return Ok(List::whole(Vec::new())),
    };
    let filter = JobFilter {
        state: params.state.map(Into::into),
        connection,
    };
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let page = caller
        .store()
        .jobs(&caller.organization, &filter, &paging)
        .await?;
    Ok(List::of(page, JobOut::from))
}

/// One job.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Data<JobOut>), Failures))]
async fn read(caller: Caller, Id(id): Id<JobId>) -> Result<Data<JobOut>, ApiError> {
    let found = caller.store().job(&caller.organization, &id).await?;
    let job = found.ok_or_else(|| ApiError::not_found("job"))?;
    Ok(Data { data: job.into() })
}

/// Enqueues work for the caller's organization, due now; joins the same work that waits already.
///
/// # Errors
/// When the database fails.
pub async fn enqueue(caller: &Caller, task: JobTask) -> Result<Job, ApiError> {
    let state = caller.state();
    let (now_ms, random) = state.id_parts();
    let job = NewJob {
        id: JobId::new(now_ms, random),
        organization: caller.organization.clone(),
        task,
        run_at: state.clock().now_ms(),
    };
    Ok(caller.store().enqueue(job).await?)
}
