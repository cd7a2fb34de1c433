//! `/v1/folders`: the collections of messages, of all connections.

use connector_sdk::Access;
use model::folder::{Folder, FolderRole};
use model::{CollectionId, ConnectionId, Kind};
use serde::{Deserialize, Serialize};
use store::LinkCounts;
use sync::ports::Store as _;
use sync::state::{Collection, Connection, JobTask};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::calendars::AccessOut;
use super::envelope::{Data, List, moment};
use super::error::{ApiError, Failures};
use super::extract::{Body, Caller, Id, Params, paging};
use super::holds::HoldOut;
use super::jobs::enqueue;
use crate::state::AppState;

/// A folder of a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub struct FolderOut {
    /// Its id.
    pub id: CollectionId,
    /// Its name: the last part of its path.
    #[schema(example = "Invoices")]
    pub name: String,
    /// Its path from the root of the mailbox, parts parted by `/`.
    #[schema(example = "Work/Invoices")]
    pub path: Option<String>,
    /// What the account uses it for; null for a folder of the owner's own.
    pub role: Option<FolderRole>,
    /// What the account may do.
    pub access: AccessOut,
    /// The connection it is on.
    pub connection_id: ConnectionId,
    /// The provider, as `/v1/connectors` lists them.
    #[schema(example = "imap")]
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
    /// How many messages it has, and how they stand.
    pub counts: FolderCountsOut,
}

/// How many messages a folder has, and how they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct FolderCountsOut {
    /// Messages.
    pub messages: i64,
    /// Of these: something is on its way to the provider.
    pub pending: i64,
    /// Of these: the provider refuses what was to be written.
    pub rejected: i64,
    /// Messages besides that could not be understood.
    pub quarantined: i64,
}

impl From<LinkCounts> for FolderCountsOut {
    fn from(counts: LinkCounts) -> Self {
        Self {
            messages: counts.synced + counts.pending + counts.rejected,
            pending: counts.pending,
            rejected: counts.rejected,
            quarantined: counts.quarantined,
        }
    }
}

impl FolderOut {
    fn of(collection: Collection, connection: Option<&Connection>, counts: LinkCounts) -> Self {
        let folder = Folder::from_fields(&collection.remote.fields).unwrap_or_default();
        Self {
            path: folder.path,
            role: folder.role,
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

/// Which folders.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FolderParams {
    /// On this connection.
    #[param(value_type = Option<String>)]
    connection_id: Option<ConnectionId>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// What can be changed of a folder.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"enabled": false}))]
pub struct FolderPatch {
    /// Whether it is synced. What the hub has of it stays.
    enabled: bool,
}

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, patch))
}

async fn shown(caller: &Caller, collection: Collection) -> Result<FolderOut, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let connection = store.connection(organization, &collection.connection).await?;
    let counts = store.link_counts(organization, &collection.id).await?;
    Ok(FolderOut::of(collection, connection.as_ref(), counts))
}

/// A collection of messages that is the caller's.
///
/// # Errors
/// When there is none, or the store fails.
pub(super) async fn found(caller: &Caller, id: &CollectionId) -> Result<Collection, ApiError> {
    let collection = caller.store().collection(&caller.organization, id).await?;
    collection
        .filter(|collection| collection.remote.kind == Kind::Message)
        .ok_or_else(|| ApiError::not_found("folder"))
}

/// Folders of all connections, in order of id.
#[utoipa::path(get, path = "/v1/folders", tag = "folders", security(("api_key" = [])), params(FolderParams),
    responses((status = 200, body = List<FolderOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<FolderParams>) -> Result<List<FolderOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let connection = params.connection_id.as_ref();
    let page = caller
        .store()
        .collections_of_kind(&caller.organization, Kind::Message, connection, &paging)
        .await?;
    let mut items = Vec::with_capacity(page.items.len());
    for collection in page.items {
        items.push(shown(&caller, collection).await?);
    }
    let next = page.next;
    Ok(List::of(store::Page { items, next }, |folder| folder))
}

/// One folder.
#[utoipa::path(get, path = "/v1/folders/{id}", tag = "folders", security(("api_key" = [])),
    params(("id" = String, Path, example = "coll_01jd3m8y6q0000000000000000")),
    responses((status = 200, body = Data<FolderOut>), Failures))]
async fn get(caller: Caller, Id(id): Id<CollectionId>) -> Result<Data<FolderOut>, ApiError> {
    let collection = found(&caller, &id).await?;
    Ok(Data {
        data: shown(&caller, collection).await?,
    })
}

/// Turns the sync of a folder on or off. Turned on, it is synced at once.
#[utoipa::path(patch, path = "/v1/folders/{id}", tag = "folders", security(("api_key" = [])),
    params(("id" = String, Path)), request_body = FolderPatch,
    responses((status = 200, body = Data<FolderOut>), Failures))]
async fn patch(
    caller: Caller,
    Id(id): Id<CollectionId>,
    body: Body<FolderPatch>,
) -> Result<Data<FolderOut>, ApiError> {
    let before = found(&caller, &id).await?;
    let enabled = body.value.enabled;
    let stored = caller
        .store()
        .enable_collection(&caller.organization, &id, enabled)
        .await?;
    if !stored {
        return Err(ApiError::not_found("folder"));
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
