//! `/v1/quarantine`: objects that a provider sent and the hub could not take in, kept with their reason.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{CollectionId, QuarantineId};
use serde::{Deserialize, Serialize};
use store::QuarantineFilter;
use sync::ports::Store as _;
use sync::state::{JobTask, Quarantine};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, moment};
use super::error::{ApiError, Failures};
use super::extract::{Caller, Id, Params, paging};
use super::jobs::{JobOut, enqueue};
use crate::state::AppState;

/// An object in quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantineOut {
    /// Its id here.
    pub id: QuarantineId,
    /// The collection it is in.
    pub collection_id: CollectionId,
    /// Its id at the provider.
    pub remote_id: String,
    /// What is wrong with it.
    #[schema(example = "unknown time zone `Mars/Olympus`: neither an IANA name nor a Windows zone name")]
    pub reason: String,
    /// How long it is.
    pub size_bytes: usize,
    /// The object as the provider sent it, in base64; only when it is asked for by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// When it came.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// How often it was looked at again in vain since it last changed.
    pub tries: u32,
    /// When a sync looks at it again, whether or not it changed: with pauses that grow up to a day.
    #[schema(format = DateTime)]
    pub retry_at: String,
}

impl QuarantineOut {
    fn of(entry: Quarantine, whole: bool) -> Self {
        Self {
            id: entry.id,
            collection_id: entry.collection,
            remote_id: entry.remote.to_string(),
            reason: entry.reason,
            size_bytes: entry.raw.len(),
            raw: whole.then(|| STANDARD.encode(&entry.raw)),
            created_at: moment(entry.created_at),
            tries: entry.tries,
            retry_at: moment(entry.retry_at),
        }
    }
}

/// Which objects.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QuarantineParams {
    /// From this collection.
    #[param(value_type = Option<String>)]
    collection_id: Option<CollectionId>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(retry))
}

/// What is in quarantine, in order of id.
#[utoipa::path(get, path = "/v1/quarantine", tag = "quarantine", security(("api_key" = [])),
    params(QuarantineParams), responses((status = 200, body = List<QuarantineOut>), Failures))]
async fn list(
    caller: Caller,
    Params(params): Params<QuarantineParams>,
) -> Result<List<QuarantineOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let filter = QuarantineFilter {
        collection: params.collection_id,
    };
    let page = caller
        .store()
        .quarantined(&caller.organization, &filter, &paging)
        .await?;
    Ok(List::of(page, |entry| QuarantineOut::of(entry, false)))
}

async fn found(caller: &Caller, id: &QuarantineId) -> Result<Quarantine, ApiError> {
    let entry = caller.store().quarantine(&caller.organization, id).await?;
    entry.ok_or_else(|| ApiError::not_found("object in quarantine"))
}

/// One object, as the provider sent it.
#[utoipa::path(get, path = "/v1/quarantine/{id}", tag = "quarantine", security(("api_key" = [])),
    params(("id" = String, Path, example = "quar_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<QuarantineOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<QuarantineId>) -> Result<Data<QuarantineOut>, ApiError> {
    Ok(Data {
        data: QuarantineOut::of(found(&caller, &id).await?, true),
    })
}

/// Looks at the object now instead of at `retry_at`. Answers with the job that does it; what still cannot be taken in
/// stays here. What waited for it (links that are `rejected` because of it) goes on by itself once it can be read.
#[utoipa::path(post, path = "/v1/quarantine/{id}/retry", tag = "quarantine", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 202, body = Data<JobOut>), Failures))]
async fn retry(caller: Caller, Id(id): Id<QuarantineId>) -> Result<Response, ApiError> {
    let entry = found(&caller, &id).await?;
    let collection = caller
        .store()
        .collection(&caller.organization, &entry.collection)
        .await?;
    let collection = collection.ok_or_else(|| ApiError::not_found("calendar"))?;
    caller.store().retry_quarantine(&caller.organization, &id).await?;
    let task = JobTask::Sync {
        connection: collection.connection,
        discover: false,
        approve_deletes: false,
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
