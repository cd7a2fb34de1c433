//! `POST /v1/connections/{id}/sync`: a sync now, or a look at what it would do.

use ::sync::PlannedOperation;
use ::sync::state::JobTask;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::ConnectionId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api::envelope::{Data, List};
use crate::api::error::{ApiError, Failures};
use crate::api::extract::{Caller, Id, Params};
use crate::api::jobs::{JobOut, enqueue};

/// How to sync.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SyncParams {
    /// List the collections anew, however recent the last listing is.
    discover: Option<bool>,
    /// Carry out deletes even if they are so many that a sync would stop and ask.
    approve_deletes: Option<bool>,
    /// Only say what a sync would do; nothing is stored and nothing is written to the provider.
    dry_run: Option<bool>,
}

/// Starts a sync; ask the job how far it is. With `dry_run=true` the answer is what it would do.
#[utoipa::path(post, path = "/v1/connections/{id}/sync", tag = "connections", security(("api_key" = [])),
    params(SyncParams, ("id" = String, Path)),
    responses(
        (status = 202, description = "The job that does it", body = Data<JobOut>),
        (status = 200, description = "With `dry_run=true`: what it would do", body = List<PlannedOperation>),
        Failures,
    ))]
pub(super) async fn start(
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Params(params): Params<SyncParams>,
) -> Result<Response, ApiError> {
    let connection = super::find(&caller, &id).await?;
    super::awake(&connection)?;
    if params.dry_run.unwrap_or(false) {
        let cancel = caller.state().stopping().child_token();
        // Dropped with the request: a client that leaves ends the reading at the provider too.
        let guard = cancel.clone().drop_guard();
        let engine = caller.engine();
        let planned = engine.dry_run(&caller.organization, &id, &cancel).await;
        drop(guard);
        let planned = planned.map_err(|error| ApiError::from_provider(&error))?;
        return Ok(List::whole(planned).into_response());
    }
    let task = JobTask::Sync {
        connection: id,
        discover: params.discover.unwrap_or(false),
        approve_deletes: params.approve_deletes.unwrap_or(false),
    };
    let job = enqueue(&caller, task).await?;
    Ok((
        StatusCode::ACCEPTED,
        Data {
            data: JobOut::from(job),
        },
    )
        .into_response())
}
