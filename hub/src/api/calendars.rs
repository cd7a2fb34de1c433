//! `/v1/calendars`: the collections of events, of all connections.

use connector_sdk::Access;
use model::{CollectionId, ConnectionId, Kind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::LinkCounts;
use sync::ports::Store as _;
use sync::state::{Collection, Connection, JobTask};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, moment};
use super::error::{ApiError, Failures};
use super::extract::{Body, Caller, Id, Params, paging};
use super::holds::HoldOut;
use super::jobs::enqueue;
use crate::state::AppState;

/// A calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct CalendarOut {
    /// Its id.
    pub id: CollectionId,
    /// Its name at the provider.
    #[schema(example = "Work")]
    pub name: String,
    /// Its colour on this account, as `#rrggbb`.
    pub color: Option<String>,
    /// The zone of its whole days and floating times.
    #[schema(example = "Europe/Berlin")]
    pub zone: Option<String>,
    /// What the account may do.
    pub access: AccessOut,
    /// The connection it is on.
    pub connection_id: ConnectionId,
    /// The provider, as `/v1/connectors` lists them.
    #[schema(example = "google")]
    pub provider: String,
    /// Its id at the provider.
    pub remote_id: String,
    /// Whether it is synced.
    pub enabled: bool,
    /// When a sync of its connection last ended well.
    pub synced_at: Option<String>,
    /// Why it waits for a person: what the last sync would have deleted or changed. Answer with `hold/approve` or
    /// `hold/reject`.
    pub hold: Option<HoldOut>,
    /// How many events it has, and how they stand.
    pub counts: CountsOut,
}

/// What an account may do with a calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessOut {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
}

/// How many events a calendar has, and how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct CountsOut {
    /// Events; a series is one.
    pub events: i64,
    /// Of these: something is on its way to the provider.
    pub pending: i64,
    /// Of these: the provider refuses them.
    pub rejected: i64,
    /// Objects besides that could not be understood.
    pub quarantined: i64,
}

impl From<LinkCounts> for CountsOut {
    fn from(counts: LinkCounts) -> Self {
        Self {
            events: counts.synced + counts.pending + counts.rejected,
            pending: counts.pending,
            rejected: counts.rejected,
            quarantined: counts.quarantined,
        }
    }
}

impl CalendarOut {
    fn of(collection: Collection, connection: Option<&Connection>, counts: LinkCounts) -> Self {
        let text = |name: &str| {
            collection
                .remote
                .fields
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Self {
            color: text("color"),
            zone: text("zone"),
            id: collection.id,
            name: collection.remote.name,
            access: match collection.remote.access {
                Access::ReadWrite => AccessOut::ReadWrite,
                Access::ReadOnly => AccessOut::ReadOnly,
            },
            connection_id: collection.connection,
            provider: connection
                .map(|connection| connection.provider.clone())
                .unwrap_or_default(),
            remote_id: collection.remote.id.to_string(),
            enabled: collection.enabled,
            synced_at: connection.and_then(|connection| connection.synced_at).map(moment),
            hold: collection.hold.map(HoldOut::from),
            counts: counts.into(),
        }
    }
}

/// Which calendars.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CalendarParams {
    /// On this connection.
    #[param(value_type = Option<String>)]
    connection_id: Option<ConnectionId>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// What can be changed of a calendar.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": false}))]
pub struct CalendarPatch {
    /// Whether it is synced. What the hub has of it stays.
    enabled: bool,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, patch))
}

async fn shown(caller: &Caller, collection: Collection) -> Result<CalendarOut, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let connection = store.connection(organization, &collection.connection).await?;
    let counts = store.link_counts(organization, &collection.id).await?;
    Ok(CalendarOut::of(collection, connection.as_ref(), counts))
}

/// A collection of events that is the caller's.
///
/// # Errors
/// When there is none, or the store fails.
pub(super) async fn found(caller: &Caller, id: &CollectionId) -> Result<Collection, ApiError> {
    let collection = caller.store().collection(&caller.organization, id).await?;
    collection
        .filter(|collection| collection.remote.kind == Kind::Event)
        .ok_or_else(|| ApiError::not_found("calendar"))
}

/// Calendars of all connections, in order of id.
#[utoipa::path(get, path = "/v1/calendars", tag = "calendars", security(("api_key" = [])), params(CalendarParams),
    responses((status = 200, body = List<CalendarOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<CalendarParams>) -> Result<List<CalendarOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let connection = params.connection_id.as_ref();
    let page = caller
        .store()
        .collections_of_kind(&caller.organization, Kind::Event, connection, &paging)
        .await?;
    let mut items = Vec::with_capacity(page.items.len());
    for collection in page.items {
        items.push(shown(&caller, collection).await?);
    }
    Ok(List::of(
        store::Page {
            items,
            next: page.next,
        },
        |calendar| calendar,
    ))
}

/// One calendar.
#[utoipa::path(get, path = "/v1/calendars/{id}", tag = "calendars", security(("api_key" = [])),
    params(("id" = String, Path, example = "coll_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<CalendarOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<CollectionId>) -> Result<Data<CalendarOut>, ApiError> {
    let collection = found(&caller, &id).await?;
    Ok(Data {
        data: shown(&caller, collection).await?,
    })
}

/// Turns the sync of a calendar on or off. Turned on, it is synced at once.
#[utoipa::path(patch, path = "/v1/calendars/{id}", tag = "calendars", security(("api_key" = [])),
    params(("id" = String, Path)), request_body = CalendarPatch,
    responses((status = 200, body = Data<CalendarOut>), Failures))]
async fn patch(
    caller: Caller,
    Id(id): Id<CollectionId>,
    body: Body<CalendarPatch>,
) -> Result<Data<CalendarOut>, ApiError> {
    let before = found(&caller, &id).await?;
    let enabled = body.value.enabled;
    if !caller
        .store()
        .enable_collection(&caller.organization, &id, enabled)
        .await?
    {
        return Err(ApiError::not_found("calendar"));
    }
    if enabled && !before.enabled {
        let task = JobTask::Sync {
            connection: before.connection,
            discover: false,
            approve_deletes: false,
        };
        enqueue(&caller, task).await?;
    }
    let collection = found(&caller, &id).await?;
    Ok(Data {
        data: shown(&caller, collection).await?,
    })
}
