//! `/v1/records/{id}/history`: why each field of a record has the value it has.

use std::collections::BTreeMap;

use conflict::{Rule, Side};
use model::{CollectionId, ConflictId, ConnectionId, IntentId, JobId, LinkId, RecordId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sync::history::{Cause, Decision, HistoryAction, HistoryEntry, Place, Via};
use sync::ports::Store as _;
use sync::state::{FieldClock, Origin};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{List, moment};
use super::error::{ApiError, Code, Failures};
use super::extract::{Caller, Id, Params, paging};
use crate::state::AppState;

/// One thing that happened to a record, or to one of its fields.
#[derive(Debug, Serialize, ToSchema)]
pub struct HistoryOut {
    /// The record's version after it.
    pub version: i64,
    /// What happened. `kept`: an edit or a delete lost and the value stayed. `held`: two edits wait for a person.
    /// `joined` and `left`: an object at a provider is tied to the record from now on, or no more.
    pub action: HistoryAction,
    /// The field; that of an occurrence as `overrides.{original start}.{field}`. Null for the record as a whole.
    #[schema(example = "title")]
    pub field: Option<String>,
    /// The value before. One of more than a kilobyte is cut: `{"$truncated": "its beginning", "size_bytes": 5000}`.
    #[schema(value_type = Option<Object>, example = "Design review")]
    pub before: Option<Value>,
    /// The value after.
    #[schema(value_type = Option<Object>, example = "Design talk")]
    pub after: Option<Value>,
    /// Fields that the same change set besides and that are not listed one by one; 0 but for changes of more than a
    /// hundred.
    pub more: usize,
    /// Who did it.
    pub origin: Origin,
    /// Whose object or account it is about.
    pub place: Option<PlaceOut>,
    /// Through what it came.
    pub cause: CauseOut,
    /// What decided, where two edits could not both stand.
    pub decision: Option<DecisionOut>,
    /// The value that it replaced: which version made it, and who did.
    pub replaced: Option<ReplacedOut>,
    /// The record that this one was taken out of, when a mirror that had joined them was deleted.
    pub taken_from: Option<RecordId>,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
}

/// A link's place.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlaceOut {
    /// The link.
    pub link_id: LinkId,
    /// Its collection.
    pub collection_id: CollectionId,
    /// Its connection.
    pub connection_id: ConnectionId,
    /// Its provider; null once the connection is removed.
    #[schema(example = "google")]
    pub provider: Option<String>,
}

/// Through what a change came.
#[derive(Debug, Serialize, ToSchema)]
pub struct CauseOut {
    /// `request`: a client's. `pull`: a sync read it. `answer`: a provider's answer to a write of ours. `probe`: found
    /// when the provider was asked what had become of a write. `job`: other background work.
    pub via: Option<Via>,
    /// The client's request: the `x-request-id` of its answer.
    pub request_id: Option<String>,
    /// The API key of the request.
    pub api_key_id: Option<String>,
    /// The job; `/v1/jobs/{id}` as long as it is kept.
    pub job_id: Option<JobId>,
    /// The write of ours whose outcome it was.
    pub intent_id: Option<IntentId>,
}

impl From<Cause> for CauseOut {
    fn from(cause: Cause) -> Self {
        Self {
            via: cause.via,
            request_id: cause.request,
            api_key_id: cause.key,
            job_id: cause.job,
            intent_id: cause.intent,
        }
    }
}

/// What decided between two edits.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionOut {
    /// The conflict, as `/v1/conflicts/{id}` shows it.
    pub conflict_id: ConflictId,
    /// The rule.
    pub rule: Rule,
    /// Who was given right; null while a person is asked.
    pub winner: Option<Side>,
    /// The value that does not stand; while a person is asked, the provider's.
    #[schema(value_type = Option<Object>, example = "Design review")]
    pub lost: Option<Value>,
}

impl From<Decision> for DecisionOut {
    fn from(decision: Decision) -> Self {
        Self {
            conflict_id: decision.conflict,
            rule: decision.rule,
            winner: decision.winner,
            lost: decision.lost,
        }
    }
}

/// Where a replaced value had come from.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReplacedOut {
    /// The record version that had made it.
    pub version: i64,
    /// Who had made it.
    pub origin: Origin,
    /// Whose object that was, for a link that is still there.
    pub place: Option<PlaceOut>,
}

/// Which piece of the history.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryParams {
    /// Only what concerns this field, the creation and other events of the whole record included: `title`,
    /// `overrides.{original start}.title`, or `overrides.{original start}` for all of an occurrence.
    #[param(example = "title")]
    field: Option<String>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(history))
}

/// Why each field of a record has its value, newest first: who set it, through what, which rule decided, and what was
/// replaced. Deleted records keep their history. The last 500 entries of a record are kept.
#[utoipa::path(get, path = "/v1/records/{id}/history", tag = "records", security(("api_key" = [])),
    params(("id" = String, Path, example = "rec_01jd3m8y6q0000000000000000"), HistoryParams),
    responses((status = 200, body = List<HistoryOut>), Failures))]
async fn history(
    caller: Caller,
    Id(id): Id<RecordId>,
    Params(params): Params<HistoryParams>,
) -> Result<List<HistoryOut>, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let record = store.record(organization, &id).await?;
    let record = record.ok_or_else(|| ApiError::not_found("record"))?;
    if let Some(field) = &params.field {
        check_field(record.kind, field)?;
    }
    let paging = paging(params.limit, params.cursor.as_deref())?;
    if paging
        .after
        .as_deref()
        .is_some_and(|after| after.parse::<i64>().is_err())
    {
        let message = "`cursor` must be the `page.next` of an earlier answer";
        return Err(ApiError::new(Code::InvalidQuery, message));
    }
    let page = store
        .history(organization, &id, params.field.as_deref(), &paging)
        .await?;
    let places = Places::of(&caller, &id, &page.items).await?;
    Ok(List::of(page, |entry| shown(entry, &places)))
}

/// A mistyped field is an error and not an empty history.
fn check_field(kind: model::Kind, path: &str) -> Result<(), ApiError> {
    let field = match path.strip_prefix("overrides.") {
        Some(rest) => rest.split_once('.').map(|(_, field)| field),
        None => Some(path),
    };
    match field {
        Some(field) if kind.schema().field(field).is_none() => Err(ApiError::new(
            Code::InvalidQuery,
            format!("`{field}` is no field of an {}", kind.name()),
        )),
        Some(_) | None => Ok(()),
    }
}

/// The places that a piece of history speaks of.
struct Places {
    links: BTreeMap<LinkId, Place>,
    providers: BTreeMap<ConnectionId, String>,
}

impl Places {
    async fn of(caller: &Caller, record: &RecordId, entries: &[HistoryEntry]) -> Result<Self, ApiError> {
        let (store, organization) = (caller.store(), &caller.organization);
        let mut links: BTreeMap<LinkId, Place> = BTreeMap::new();
        let named = entries.iter().filter_map(|entry| entry.detail.place.clone());
        let there = store.links_of(organization, record).await?;
        for place in named.chain(there.iter().map(Place::of)) {
            links.insert(place.link.clone(), place);
        }
        let mut providers = BTreeMap::new();
        for place in links.values() {
            if !providers.contains_key(&place.connection)
                && let Some(connection) = store.connection(organization, &place.connection).await?
            {
                providers.insert(connection.id, connection.provider);
            }
        }
        Ok(Self { links, providers })
    }

    fn shown(&self, place: Place) -> PlaceOut {
        PlaceOut {
            provider: self.providers.get(&place.connection).cloned(),
            link_id: place.link,
            collection_id: place.collection,
            connection_id: place.connection,
        }
    }

    fn replaced(&self, clock: FieldClock) -> ReplacedOut {
        let place = match &clock.origin {
            Origin::Link(link) => self.links.get(link).cloned(),
            Origin::Api(_) | Origin::Conflict(_) | Origin::Hub => None,
        };
        ReplacedOut {
            version: clock.version,
            origin: clock.origin,
            place: place.map(|place| self.shown(place)),
        }
    }
}

fn shown(entry: HistoryEntry, places: &Places) -> HistoryOut {
    let detail = entry.detail;
    HistoryOut {
        version: entry.version,
        action: entry.action,
        field: entry.path,
        before: detail.before,
        after: detail.after,
        more: detail.more,
        origin: detail.origin,
        place: detail.place.map(|place| places.shown(place)),
        cause: detail.cause.into(),
        decision: detail.decision.map(DecisionOut::from),
        replaced: detail.replaced.map(|clock| places.replaced(clock)),
        taken_from: detail.taken_from,
        at: moment(entry.at),
    }
}
