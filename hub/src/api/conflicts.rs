//! `/v1/conflicts`: clashes of edits with the value that lost, and the one call that restores it.

use conflict::{Rule, Side};
use model::{ConflictId, LinkId, PartKey, RecordId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::ConflictFilter;
use sync::Resolution;
use sync::ports::Store as _;
use sync::state::Conflict;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, moment};
use super::error::{ApiError, Code, Failures};
use super::events::{EventOut, found};
use super::extract::{Body, Caller, Id, Params, paging};
use crate::state::AppState;

/// A clash of edits.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConflictOut {
    /// Its id.
    pub id: ConflictId,
    /// The record.
    pub record_id: RecordId,
    /// The link at which the two sides met.
    pub link_id: LinkId,
    /// The field; null when one side deleted the record and the other edited it.
    #[schema(example = "title")]
    pub field: Option<String>,
    /// The occurrence, where the field is that of one occurrence.
    pub occurrence: Option<String>,
    /// The value both had before.
    #[schema(value_type = Option<Object>)]
    pub base: Option<Value>,
    /// The hub's value.
    #[schema(value_type = Option<Object>, example = "Design review")]
    pub hub: Option<Value>,
    /// The provider's value.
    #[schema(value_type = Option<Object>, example = "Design talk")]
    pub remote: Option<Value>,
    /// Whose value stands; null while a person is asked.
    pub winner: Option<Side>,
    /// The rule that decided.
    pub rule: Rule,
    /// When someone dealt with it.
    pub resolved_at: Option<String>,
    /// When the edits met.
    pub created_at: String,
}

impl From<Conflict> for ConflictOut {
    fn from(conflict: Conflict) -> Self {
        let path = conflict.path;
        let occurrence = path.as_ref().filter(|path| path.part != PartKey::MASTER);
        Self {
            id: conflict.id,
            record_id: conflict.record,
            link_id: conflict.link,
            occurrence: occurrence.map(|path| path.part.as_str().to_owned()),
            field: path.map(|path| path.field),
            base: conflict.base,
            hub: conflict.hub,
            remote: conflict.remote,
            winner: conflict.winner,
            rule: conflict.rule,
            resolved_at: conflict.resolved_at.map(moment),
            created_at: moment(conflict.created_at),
        }
    }
}

/// Whether someone has dealt with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConflictState {
    /// Nobody has.
    #[default]
    Open,
    /// Either way.
    All,
}

/// Which conflicts.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ConflictParams {
    /// `open` (unless given) or `all`.
    state: Option<ConflictState>,
    /// Of this record.
    #[param(value_type = Option<String>)]
    record_id: Option<RecordId>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Which value shall stand: `take` or `value`.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"take": "hub"}))]
pub struct ResolveIn {
    /// The hub's or the provider's.
    #[serde(default)]
    take: Option<Side>,
    /// Another one, in the field's form; `null` clears the field.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Object>)]
    value: Option<Value>,
}

/// Tells `null` from absent.
fn said<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(resolve))
}

/// Clashes of edits, newest first.
#[utoipa::path(get, path = "/v1/conflicts", tag = "conflicts", security(("api_key" = [])), params(ConflictParams),
    responses((status = 200, body = List<ConflictOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ConflictParams>) -> Result<List<ConflictOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let open = params.state.unwrap_or_default() == ConflictState::Open;
    let filter = ConflictFilter {
        open,
        record: params.record_id,
    };
    let page = caller
        .store()
        .conflicts(&caller.organization, &filter, &paging)
        .await?;
    Ok(List::of(page, ConflictOut::from))
}

/// One clash.
#[utoipa::path(get, path = "/v1/conflicts/{id}", tag = "conflicts", security(("api_key" = [])),
    params(("id" = String, Path, example = "conf_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<ConflictOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<ConflictId>) -> Result<Data<ConflictOut>, ApiError> {
    let conflict = caller.store().conflict(&caller.organization, &id).await?;
    let conflict = conflict.ok_or_else(|| ApiError::not_found("conflict"))?;
    Ok(Data {
        data: conflict.into(),
    })
}

/// Says which value shall stand, also where a rule has decided before: it is set in the hub and sent to every
/// provider. A start and an end that wait are decided together where a side is named. Answers with the record.
#[utoipa::path(post, path = "/v1/conflicts/{id}/resolve", tag = "conflicts", security(("api_key" = [])),
    params(("id" = String, Path)), request_body = ResolveIn,
    responses((status = 200, body = Data<EventOut>), Failures))]
async fn resolve(
    caller: Caller,
    Id(id): Id<ConflictId>,
    body: Body<ResolveIn>,
) -> Result<Data<EventOut>, ApiError> {
    let resolution = match (body.value.take, body.value.value) {
        (Some(Side::Hub), None) => Resolution::Hub,
        (Some(Side::Remote), None) => Resolution::Remote,
        (None, Some(value)) => Resolution::Value(value),
        (None, None) => {
            return Err(ApiError::new(
                Code::MissingField,
                "say `take` (`hub` or `remote`) or `value`",
            ));
        }
        (Some(_), Some(_)) => return Err(ApiError::invalid_field("value", "and `take` exclude each other")),
    };
    let engine = caller.engine();
    let record = engine
        .resolve(&caller.organization, &id, resolution, caller.origin())
        .await?;
    Ok(Data {
        data: EventOut::of(&found(&caller, &record.id).await?)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_value_is_said_and_an_absent_one_is_not() {
        let read = |text: &str| serde_json::from_str::<ResolveIn>(text).unwrap();
        assert_eq!(read(r#"{"value": null}"#).value, Some(Value::Null));
        assert_eq!(read(r#"{"take": "hub"}"#).value, None);
    }
}
