//! `/v1/changes`: the ordered log of what was committed, to be read piece by piece or followed as it grows.

mod stream;

use model::{ConnectionId, InboundId};
use serde::{Deserialize, Serialize};
use store::{Change, ChangeFilter};
use sync::state::{FeedAction, Origin};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::moment;
use super::error::{ApiError, Code, Failures};
use super::extract::{Caller, MAX_LIMIT, Params};
use crate::state::AppState;

const USUAL_LIMIT: u32 = 100;
/// Kinds, and connections, that one filter may name.
const MAX_FILTERED: usize = 20;

/// Something that was committed.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ChangeOut {
    /// Its place in the order of commits: from 1, without gaps.
    #[schema(example = 42)]
    pub seq: i64,
    /// What happened.
    #[schema(value_type = FeedAction)]
    pub action: &'static str,
    /// To what sort of thing: a kind of record, or `connection`, `collection`.
    #[schema(example = "event")]
    pub kind: String,
    /// To which one.
    #[schema(example = "rec_01jd3m8y6q0000000000000000")]
    pub id: String,
    /// The record's version after it.
    pub version: i64,
    /// The fields that changed; those of an occurrence as `overrides.{original start}.{field}`.
    #[schema(example = json!(["title"]))]
    pub changed: Vec<String>,
    /// Who did it.
    pub origin: Origin,
    /// The connections that it concerns: where the record is linked, or was until now.
    pub connections: Vec<ConnectionId>,
    /// The webhook that brought it about, where one did: see `/v1/deliveries/{id}`. Of several that came together the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_id: Option<InboundId>,
    /// When.
    pub at: String,
}

impl From<Change> for ChangeOut {
    fn from(change: Change) -> Self {
        let Change {
            seq,
            entry,
            connections,
            webhook,
        } = change;
        Self {
            seq,
            action: entry.action.name(),
            kind: entry.kind,
            id: entry.subject,
            version: entry.version,
            changed: entry.changed,
            origin: entry.origin,
            connections,
            webhook_id: webhook,
            at: moment(entry.at),
        }
    }
}

/// A piece of the log.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangeList {
    /// The piece, in order.
    pub data: Vec<ChangeOut>,
    /// Where it ends.
    pub page: ChangePage,
}

/// Where a piece of the log ends.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangePage {
    /// Send it as `after` to go on, also when there is nothing more now.
    pub after: i64,
    /// Whether there is more now.
    pub more: bool,
}

/// Which piece of the log.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChangeParams {
    /// After this `seq`; from the beginning unless given.
    #[param(example = 0)]
    after: Option<i64>,
    /// Of these sorts of things only: `event`, `connection`, `collection`; several with commas between them.
    #[param(example = "event,collection")]
    kind: Option<String>,
    /// Only what concerns these connections; several with commas between them.
    connection_id: Option<String>,
    /// At most so many, 1 to 200; 100 unless given.
    limit: Option<u32>,
}

/// Its routes whose answers end soon.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Its routes whose answers are streams.
pub fn streams() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(stream::stream))
}

fn checked_after(after: i64) -> Result<i64, ApiError> {
    if after < 0 {
        return Err(ApiError::new(
            Code::InvalidQuery,
            "`after` must be 0 or the `seq` of a change",
        ));
    }
    Ok(after)
}

/// What `kind` and `connection_id` of the address ask for.
fn filter(kind: Option<&str>, connection: Option<&str>) -> Result<ChangeFilter, ApiError> {
    let parts = |text: Option<&str>| -> Result<Vec<String>, ApiError> {
        let Some(text) = text else { return Ok(Vec::new()) };
        let parts: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        if parts.len() > MAX_FILTERED || parts.iter().any(String::is_empty) {
            let message = format!("`kind` and `connection_id` take 1 to {MAX_FILTERED} names each");
            return Err(ApiError::new(Code::InvalidQuery, message));
        }
        Ok(parts)
    };
    let connections = parts(connection)?;
    let connections = connections.iter().map(|id| {
        id.parse()
            .map_err(|_| ApiError::new(Code::InvalidQuery, "`connection_id` must be ids of connections"))
    });
    Ok(ChangeFilter {
        kinds: parts(kind)?,
        connections: connections.collect::<Result<_, _>>()?,
    })
}

/// What was committed, in order. Keep the last `seq` and come back with it as `after`: nothing is missed and nothing
/// comes twice.
#[utoipa::path(get, path = "/v1/changes", tag = "changes", security(("api_key" = [])), params(ChangeParams),
    responses((status = 200, body = ChangeList), Failures))]
async fn list(
    caller: Caller,
    Params(params): Params<ChangeParams>,
) -> Result<axum::Json<ChangeList>, ApiError> {
    let after = checked_after(params.after.unwrap_or(0))?;
    let limit = params.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::new(
            Code::InvalidQuery,
            format!("`limit` must be from 1 to {MAX_LIMIT}"),
        ));
    }
    let (store, organization) = (caller.store(), &caller.organization);
    // Read first: what is committed after this is not passed over by the `after` of an empty piece.
    let head = store.latest_seq(organization).await?;
    let filter = filter(params.kind.as_deref(), params.connection_id.as_deref())?;
    let mut found = store
        .changes_after(organization, after, &filter, limit + 1)
        .await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().map_or(after, |change| change.seq);
    let after = if more { last } else { last.max(head) };
    let data = found.into_iter().map(ChangeOut::from).collect();
    Ok(axum::Json(ChangeList {
        data,
        page: ChangePage { after, more },
    }))
}
