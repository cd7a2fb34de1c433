//! `/v1/messages`: messages of all connected mailboxes, listed, marked, labelled, removed.

mod view;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use model::{CollectionId, ConnectionId, Kind, RecordId};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{RecordFilter, RecordView};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, etag};
use super::error::{ApiError, Code, Failures};
use super::extract::{Body, Caller, Id, IfMatch, Params, paging};
use super::window::{Place, moment};
use crate::state::AppState;

pub use view::{MessageOut, MessagePatch};

/// Members of a message's JSON that are no fields of it.
const SHOWN_ONLY: &[&str] = &[
    "id",
    "version",
    "folder_id",
    "preview",
    "links",
    "first_seen_at",
    "changed_at",
];

/// Which messages.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MessageParams {
    /// On this connection.
    #[param(value_type = Option<String>)]
    connection_id: Option<ConnectionId>,
    /// In this folder.
    #[param(value_type = Option<String>)]
    folder_id: Option<CollectionId>,
    /// Changed in the hub after this moment (RFC 3339).
    #[param(example = "2026-01-05T00:00:00Z")]
    updated_after: Option<String>,
    /// That contain this text, whatever its case: in subject, addresses and names, labels, or the beginning of the plain
    /// body.
    q: Option<String>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, patch, delete))
}

/// A message that is there.
async fn found(caller: &Caller, id: &RecordId) -> Result<RecordView, ApiError> {
    let view = caller.store().record_view(&caller.organization, id).await?;
    view.filter(|view| view.record.kind == Kind::Message)
        .ok_or_else(|| ApiError::not_found("message"))
}

/// The answer to whoever read or changed one message.
fn shown(view: &RecordView) -> Result<Response, ApiError> {
    let data = MessageOut::of(view)?;
    Ok(([etag(view.record.version)], Data { data }).into_response())
}

/// Messages of all mailboxes, in order of id, each with a preview in place of its body.
#[utoipa::path(get, path = "/v1/messages", tag = "messages", security(("api_key" = [])), params(MessageParams),
    responses((status = 200, body = List<MessageOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<MessageParams>) -> Result<List<MessageOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let updated_after = params.updated_after.as_deref();
    let updated_after = updated_after
        .map(|text| moment("updated_after", text, Place::Address))
        .transpose()?;
    let filter = RecordFilter {
        connection: params.connection_id,
        collection: params.folder_id,
        updated_after: updated_after.map(|at| at.as_millisecond()),
        q: params.q,
        ..RecordFilter::of_kind(Kind::Message)
    };
    let page = caller
        .store()
        .records(&caller.organization, &filter, &paging)
        .await?;
    let items = page.items.iter().map(MessageOut::brief);
    let items = items.collect::<Result<Vec<_>, _>>()?;
    let next = page.next;
    Ok(List::of(store::Page { items, next }, |message| message))
}

/// One message. Its original, with all headers and attachments, stays with the provider and in the hub's store.
#[utoipa::path(get, path = "/v1/messages/{id}", tag = "messages", security(("api_key" = [])),
    params(("id" = String, Path, example = "rec_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<MessageOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<RecordId>) -> Result<Response, ApiError> {
    shown(&found(&caller, &id).await?)
}

/// Changes a message's flags and labels (JSON Merge Patch; each is a set, given whole). What was sent cannot be changed.
/// With `If-Match`, a field that someone else changed since that version is not overwritten: `version_mismatch` then
/// names it.
#[utoipa::path(patch, path = "/v1/messages/{id}", tag = "messages", security(("api_key" = [])),
    request_body = MessagePatch,
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The version the edit rests on")),
    responses((status = 200, body = Data<MessageOut>), Failures))]
async fn patch(
    caller: Caller,
    Id(id): Id<RecordId>,
    IfMatch(version): IfMatch,
    body: Body<Map<String, Value>>,
) -> Result<Response, ApiError> {
    found(&caller, &id).await?;
    if let Some(name) = body.value.keys().find(|name| SHOWN_ONLY.contains(&name.as_str())) {
        let at = serde_json::json!({ "path": name });
        let message = format!("`{name}` is set by the hub and cannot be written");
        return Err(ApiError::new(Code::ReadOnly, message).with_details(at));
    }
    caller
        .engine()
        .patch(&caller.organization, &id, version, body.value, caller.origin())
        .await?;
    shown(&found(&caller, &id).await?)
}

/// Removes a message for good, here and in its mailbox; it does not go to the trash.
#[utoipa::path(delete, path = "/v1/messages/{id}", tag = "messages", security(("api_key" = [])),
    params(("id" = String, Path), ("If-Match" = Option<String>, Header, description = "The version the delete rests on")),
    responses((status = 204, description = "Removed"), Failures))]
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
