//! `/v1/events/{id}/occurrences/{start}`: one occurrence of a series, and edits of it, of it and what follows, or of
//! all.

use axum::extract::{FromRequestParts, Path};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use model::expand::{self, Occurrence};
use model::{Content, EventTime, PartKey, RecordId, series};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::RecordView;
use sync::EditScope;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, etag};
use super::error::{ApiError, Code, Failures};
use super::events::{self, EventOut, EventPatch, OccurrenceOut, content, found};
use super::extract::{Body, Caller, IfMatch, Params};
use super::window::{Place, zone};
use crate::state::AppState;

/// The series and the original start in the path.
#[derive(Debug, Clone)]
struct Named {
    series: RecordId,
    key: PartKey,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let nothing = || ApiError::not_found("occurrence");
        let Path((series, start)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(|_| nothing())?;
        Ok(Self {
            series: series.parse().map_err(|_| nothing())?,
            key: PartKey::occurrence(start),
        })
    }
}

/// How far an edit reaches.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ScopeParams {
    /// `this` occurrence (unless given), this and the `following`, or `all`.
    scope: Option<EditScope>,
}

/// How one occurrence is shown.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ZoneParams {
    /// The zone in which floating times and whole days are read: `UTC` unless given.
    zone: Option<String>,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, patch, delete))
}

/// The occurrence that is to start at the key's wall time, with what its override says; cancelled ones are none.
fn occurrence(view: &RecordView, key: &PartKey, default_zone: &TimeZone) -> Result<Occurrence, ApiError> {
    let nothing = || ApiError::not_found("occurrence");
    let content = content(view);
    let start = series::time_field(&content.fields, "start").ok_or_else(nothing)?;
    let original = EventTime::from_part_key(key, &start).ok_or_else(nothing)?;
    // Only one spelling names it: `2026-01-05T9:00` would otherwise be an occurrence of its own.
    if original.part_key(&start) != *key || !expand::is_series(&content) {
        return Err(nothing());
    }
    if let Some(sparse) = content.overrides.get(key) {
        let fields = series::full(view.record.kind, &content.fields, key, sparse);
        if series::is_cancelled(&fields) {
            return Err(nothing());
        }
        return Ok(at_its_time(key, fields, default_zone));
    }
    let plain = Content::new(content.fields.clone());
    let at = original.instant(default_zone);
    let until = at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(at);
    let found = expand::occurrences(&plain, at, until, default_zone)
        .map_err(|error| ApiError::new(Code::Conflict, error.to_string()))?;
    found
        .into_iter()
        .find(|occurrence| occurrence.key == *key)
        .ok_or_else(nothing)
}

fn at_its_time(key: &PartKey, fields: model::Fields, zone: &TimeZone) -> Occurrence {
    let at = |name: &str| series::time_field(&fields, name).map(|time| time.instant(zone));
    let starts_at = at("start").unwrap_or_default();
    let ends_at = at("end").unwrap_or(starts_at).max(starts_at);
    Occurrence {
        key: key.clone(),
        fields,
        starts_at,
        ends_at,
    }
}

/// One occurrence of a series. `start` is its original start as wall time in the series' zone
/// (`2026-01-05T09:00:00`; `2026-01-05` for a whole day), also when it was moved.
#[utoipa::path(get, path = "/v1/events/{id}/occurrences/{start}", tag = "events", security(("api_key" = [])),
    params(("id" = String, Path), ("start" = String, Path, example = "2026-01-05T09:00:00"), ZoneParams),
    responses((status = 200, body = Data<OccurrenceOut>), Failures))]
async fn get(caller: Caller, place: Named, Params(params): Params<ZoneParams>) -> Result<Response, ApiError> {
    let zone = params
        .zone
        .as_deref()
        .map_or(Ok(TimeZone::UTC), |name| zone(name, Place::Address))?;
    let view = found(&caller, &place.series).await?;
    let data = OccurrenceOut::of(&view, occurrence(&view, &place.key, &zone)?)?;
    Ok(([etag(view.record.version)], Data { data }).into_response())
}

/// Changes one occurrence, it and the following ones, or all. Answers with the series; after `scope=following` with
/// two: the one that now ends before it, and the new one that carries on.
#[utoipa::path(patch, path = "/v1/events/{id}/occurrences/{start}", tag = "events", security(("api_key" = [])),
    request_body = EventPatch,
    params(("id" = String, Path), ("start" = String, Path), ScopeParams, ("If-Match" = Option<String>, Header)),
    responses((status = 200, body = List<EventOut>), Failures))]
async fn patch(
    caller: Caller,
    place: Named,
    Params(params): Params<ScopeParams>,
    IfMatch(version): IfMatch,
    body: Body<Map<String, Value>>,
) -> Result<List<EventOut>, ApiError> {
    occurrence(&found(&caller, &place.series).await?, &place.key, &TimeZone::UTC)?;
    let patch = events::changes(body.value)?;
    let scope = params.scope.unwrap_or(EditScope::This);
    let engine = caller.engine();
    let records = engine
        .patch_occurrence(
            &caller.organization,
            &place.series,
            &place.key,
            scope,
            version,
            patch,
            caller.origin(),
        )
        .await?;
    let mut shown = Vec::with_capacity(records.len());
    for record in records {
        shown.push(EventOut::of(&found(&caller, &record.id).await?)?);
    }
    Ok(List::whole(shown))
}

/// Deletes one occurrence, it and the following ones, or the whole series.
#[utoipa::path(delete, path = "/v1/events/{id}/occurrences/{start}", tag = "events", security(("api_key" = [])),
    params(("id" = String, Path), ("start" = String, Path), ScopeParams, ("If-Match" = Option<String>, Header)),
    responses((status = 204), Failures))]
async fn delete(
    caller: Caller,
    place: Named,
    Params(params): Params<ScopeParams>,
    IfMatch(version): IfMatch,
) -> Result<StatusCode, ApiError> {
    occurrence(&found(&caller, &place.series).await?, &place.key, &TimeZone::UTC)?;
    let scope = params.scope.unwrap_or(EditScope::This);
    let engine = caller.engine();
    engine
        .delete_occurrence(
            &caller.organization,
            &place.series,
            &place.key,
            scope,
            version,
            caller.origin(),
        )
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
