//! `/v1/calendars/{id}/hold` and `/v1/folders/{id}/hold`: what a person says when a sync stopped because it would have changed too much.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::CollectionId;
use serde::Serialize;
use sync::hold::{HeldChange, HeldRecord, Hold, HoldAnswer};
use sync::state::JobTask;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, moment};
use super::error::{ApiError, Failures};
use super::extract::{Caller, Id};
use super::jobs::{JobOut, enqueue};
use super::{calendars, folders};
use crate::state::AppState;

/// Why a calendar waits for a person. Of the sync that asks only those first pages were taken over that lay within the
/// bounds of any sync; an answer is about the rest.
#[derive(Debug, Serialize, ToSchema)]
pub struct HoldOut {
    /// What the sync would have done, in words.
    #[schema(
        example = "`Work` would lose 45 records (45 of its 50 objects) at once; nothing more was taken over."
    )]
    pub reason: String,
    /// What of it is too much: `delete`, `update`.
    pub about: Vec<HeldChange>,
    /// Records that it would have deleted.
    pub deletes: usize,
    /// Records that it would have changed.
    pub updates: usize,
    /// Objects that the hub holds of the calendar.
    pub of: usize,
    /// Some of these records.
    pub sample: Vec<HeldRecord>,
    /// Since when it asks.
    #[schema(format = DateTime)]
    pub since: String,
    /// What someone said, until the next sync acts on it.
    pub answer: Option<HoldAnswer>,
}

impl From<Hold> for HoldOut {
    fn from(hold: Hold) -> Self {
        Self {
            reason: hold.reason,
            about: hold.about,
            deletes: hold.deletes,
            updates: hold.updates,
            of: hold.of,
            sample: hold.sample,
            since: moment(hold.since),
            answer: hold.answer,
        }
    }
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(approve))
        .routes(routes!(reject))
        .routes(routes!(approve_folder))
        .routes(routes!(reject_folder))
}

/// Lets the sync do what it asked about. Answers with the job that does it. The word is for what was shown: a sync
/// that finds far more to do asks again.
#[utoipa::path(post, path = "/v1/calendars/{id}/hold/approve", tag = "calendars", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 202, body = Data<JobOut>), Failures))]
async fn approve(caller: Caller, Id(id): Id<CollectionId>) -> Result<Response, ApiError> {
    calendars::found(&caller, &id).await?;
    answer(&caller, &id, HoldAnswer::Approved).await
}

/// Keeps what the sync would have deleted or changed: deleted objects are made again at the provider from what the
/// hub has, and changes are taken back there. Each is logged in `/v1/conflicts` with the provider's value. Where the
/// account may not write, the links become `rejected`. Answers with the job that does it.
#[utoipa::path(post, path = "/v1/calendars/{id}/hold/reject", tag = "calendars", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 202, body = Data<JobOut>), Failures))]
async fn reject(caller: Caller, Id(id): Id<CollectionId>) -> Result<Response, ApiError> {
    calendars::found(&caller, &id).await?;
    answer(&caller, &id, HoldAnswer::Rejected).await
}

/// Lets the sync of a folder do what it asked about. Answers with the job that does it.
#[utoipa::path(post, path = "/v1/folders/{id}/hold/approve", tag = "folders", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 202, body = Data<JobOut>), Failures))]
async fn approve_folder(caller: Caller, Id(id): Id<CollectionId>) -> Result<Response, ApiError> {
    folders::found(&caller, &id).await?;
    answer(&caller, &id, HoldAnswer::Approved).await
}

/// Keeps what the sync of a folder would have changed: flags are set again at the provider as the hub has them. A mailbox
/// takes no removed message back: its link becomes `rejected`, and the hub keeps the message. Answers with the job that
/// does it.
#[utoipa::path(post, path = "/v1/folders/{id}/hold/reject", tag = "folders", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 202, body = Data<JobOut>), Failures))]
async fn reject_folder(caller: Caller, Id(id): Id<CollectionId>) -> Result<Response, ApiError> {
    folders::found(&caller, &id).await?;
    answer(&caller, &id, HoldAnswer::Rejected).await
}

async fn answer(caller: &Caller, id: &CollectionId, answer: HoldAnswer) -> Result<Response, ApiError> {
    let collection = caller
        .engine()
        .answer_hold(&caller.organization, id, answer, &caller.origin())
        .await?;
    let task = JobTask::Sync {
        connection: collection.connection,
        discover: false,
        approve_deletes: false,
    };
    let data = JobOut::from(enqueue(caller, task).await?);
    Ok((StatusCode::ACCEPTED, Data { data }).into_response())
}
