//! `/v1/events`: events and series of all connected calendars, listed, made, edited, deleted.

mod input;
mod listing;
mod view;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::{Kind, RecordId};
use serde_json::{Map, Value};
use store::RecordView;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, created, etag};
use super::error::{ApiError, Failures};
use super::extract::{Body, Caller, Id, IdempotencyKey, IfMatch, Params};
use super::once;
use crate::state::AppState;

pub(super) use input::changes;
pub use input::{EventPatch, NewEvent};
pub use listing::EventParams;
pub use view::{EventItem, EventOut, OccurrenceOut, content, home};

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, patch, delete))
}

/// An event that is there.
///
/// # Errors
/// When there is none, or the store fails.
pub(super) async fn found(caller: &Caller, id: &RecordId) -> Result<RecordView, ApiError> {
    let view = caller.store().record_view(&caller.organization, id).await?;
    if let Some(view) = view.filter(|view| view.record.kind == Kind::Event) {
        return Ok(view);
    }
    let standing = caller.state().engine().standing(&caller.organization, id).await?;
    if standing == *id {
        Err(ApiError::not_found("event"))
    } else {
        Err(ApiError::merged("event", &standing))
    }
}

/// The answer to whoever read or changed one event.
fn shown(view: &RecordView) -> Result<Response, ApiError> {
    let data = EventOut::of(view)?;
    Ok(([etag(view.record.version)], Data { data }).into_response())
}

/// Events of all calendars. Without `from` and `to`: all, in order of id. With them: those of that time, in order of
/// time; with `expand=true` each occurrence of a series by itself, so that a week can be drawn.
#[utoipa::path(get, path = "/v1/events", tag = "events", security(("api_key" = [])), params(EventParams),
    responses((status = 200, body = List<EventItem>), Failures))]
async fn list(caller: Caller, Params(params): Params<EventParams>) -> Result<List<EventItem>, ApiError> {
    listing::list(&caller, params).await
}

/// Makes an event. It is in the hub at once, and at the provider as soon as its link is `synced`. Nobody is mailed.
#[utoipa::path(post, path = "/v1/events", tag = "events", security(("api_key" = [])), request_body = NewEvent,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key never makes two events")),
    responses((status = 201, body = Data<EventOut>), Failures))]
async fn create(
    caller: Caller,
    key: IdempotencyKey,
    body: Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    let digest = body.digest;
    let make = async {
        let (calendar, fields) = input::new_event(body.value)?;
        let engine = caller.engine();
        let record = engine
            .create(&caller.organization, &calendar, fields, caller.origin())
            .await;
        let record = record.map_err(|error| match error {
            sync::EditError::NotFound(_) => {
                ApiError::invalid_field("calendar_id", "names no calendar of yours")
            }
            error => error.into(),
        })?;
        let view = found(&caller, &record.id).await?;
        let mut response = created(&format!("/v1/events/{}", record.id), EventOut::of(&view)?);
        let (name, value) = etag(record.version);
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
        Ok(response)
    };
    once(&caller, key, "POST /v1/events", &digest, make).await
}

/// One event, or a whole series with what differs in its occurrences.
#[utoipa::path(get, path = "/v1/events/{id}", tag = "events", security(("api_key" = [])),
    params(("id" = String, Path, example = "rec_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<EventOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<RecordId>) -> Result<Response, ApiError> {
    shown(&found(&caller, &id).await?)
}

/// Changes fields of an event or of a whole series (JSON Merge Patch). With `If-Match`, fields that someone else
/// changed since that version are not overwritten: `version_mismatch` then names them.
#[utoipa::path(patch, path = "/v1/events/{id}", tag = "events", security(("api_key" = [])),
    request_body = EventPatch,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The version the edit rests on")),
    responses((status = 200, body = Data<EventOut>), Failures))]
async fn patch(
    caller: Caller,
    Id(id): Id<RecordId>,
    IfMatch(version): IfMatch,
    body: Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    found(&caller, &id).await?;
    let patch = input::changes(body.value)?;
    let engine = caller.engine();
    engine
        .patch(&caller.organization, &id, version, patch, caller.origin())
        .await?;
    shown(&found(&caller, &id).await?)
}

/// Deletes an event or a whole series, here and at its providers. Nobody is mailed.
#[utoipa::path(delete, path = "/v1/events/{id}", tag = "events", security(("api_key" = [])),
    params(("id" = String, Path), ("If-Match" = Option<String>, Header)),
    responses((status = 204), Failures))]
async fn delete(
    caller: Caller,
    Id(id): Id<RecordId>,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, ApiError> {
    found(&caller, &id).await?;
    caller
        .engine()
        .delete(&caller.organization, &id, version, caller.origin())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
