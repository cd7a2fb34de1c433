//! `/v1/connections`: accounts at providers. One is tried at its provider before anything is stored.

mod authorize;
mod schedule;
mod shapes;
mod sync;
mod trial;

use std::collections::BTreeMap;

use ::sync::ports::Store as _;
use ::sync::state::{Connection, Health, JobTask};
use axum::http::StatusCode;
use axum::response::Response;
use model::{CollectionId, ConnectionId};
use serde::Deserialize;
use serde_json::{Map, Value};
use store::{ConnectionPatch, HookOwner};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{Data, List, created};
use super::error::{ApiError, Code, Failures};
use super::extract::{Body, Caller, Id, IdempotencyKey, Params, paging};
use super::jobs::enqueue;
use super::once;
use crate::consent::revoke;
use crate::state::AppState;
use crate::webhooks::refresh_routes_of;

pub use authorize::{AuthorizeIn, ConnectLinkCreated, ConnectLinkOut};
pub use shapes::{
    CollectionOut, CollectionPatchIn, ConnectionCreated, ConnectionDetail, ConnectionIn, ConnectionOut,
    ConnectionPatchIn, ConsentOut,
};

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(sync::start))
        .merge(authorize::router())
}

/// Which piece of the list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// At most so many, from 1 to 200; 50 unless said.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// How to create or change.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WriteParams {
    /// `false` stores without asking the provider whether address and credentials work.
    verify: Option<bool>,
}

/// Your connections.
#[utoipa::path(get, path = "/v1/connections", tag = "connections", security(("api_key" = [])),
    params(ListParams), responses((status = 200, body = List<ConnectionOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<List<ConnectionOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let page = caller.store().connections(&caller.organization, &paging).await?;
    Ok(List::of(page, ConnectionOut::from))
}

/// A new connection. Its provider is asked first: a wrong address, wrong credentials or a server that speaks
/// something else is an error, and nothing is stored. Answers with the connection, its collections and the job that
/// syncs them for the first time.
#[utoipa::path(post, path = "/v1/connections", tag = "connections", security(("api_key" = [])),
    params(WriteParams, ("Idempotency-Key" = Option<String>, Header, description = "Makes a repeat harmless")),
    request_body = ConnectionIn,
    responses((status = 201, body = Data<ConnectionCreated>), Failures))]
async fn create(
    caller: Caller,
    key: IdempotencyKey,
    Params(params): Params<WriteParams>,
    body: Body<ConnectionIn>,
) -> Result<Response, ApiError> {
    let Body {
        value: wanted,
        digest,
    } = body;
    let route = "POST /v1/connections";
    once(&caller, key, route, &digest, async {
        let made = make(&caller, wanted, params.verify.unwrap_or(true)).await?;
        let location = format!("/v1/connections/{}", made.connection.connection.id);
        Ok(created(&location, made))
    })
    .await
}

async fn make(caller: &Caller, wanted: ConnectionIn, verify: bool) -> Result<ConnectionCreated, ApiError> {
    let state = caller.state();
    let trial = trial::open(state, &wanted.provider, &wanted.config, &wanted.credentials)?;
    let found = if verify {
        trial.collections().await?
    } else {
        Vec::new()
    };
    let (now_ms, random) = state.id_parts();
    let created_at = state.clock().now_ms();
    let connection = Connection {
        id: ConnectionId::new(now_ms, random),
        organization: caller.organization.clone(),
        name: wanted.name.unwrap_or_else(|| trial.usual_name()),
        provider: wanted.provider,
        owner: None,
        config: wanted.config,
        health: Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at,
    };
    let store = caller.store();
    store
        .insert_connection(&connection, trial.credentials(), &caller.origin())
        .await?;
    refresh_routes_of(state, &connection).await?;
    trial::store_collections(caller, &connection.id, found).await?;
    let task = JobTask::Sync {
        connection: connection.id.clone(),
        // What was just listed need not be listed again; what was not, must.
        discover: !verify,
        approve_deletes: false,
    };
    let job = enqueue(caller, task).await?;
    tracing::info!(connection = %connection.id, provider = connection.provider, "connection made");
    Ok(ConnectionCreated {
        connection: detail(caller, connection).await?,
        job_id: job.id,
    })
}

/// One connection: its health and its collections.
#[utoipa::path(get, path = "/v1/connections/{id}", tag = "connections", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Data<ConnectionDetail>), Failures))]
async fn read(caller: Caller, Id(id): Id<ConnectionId>) -> Result<Data<ConnectionDetail>, ApiError> {
    let connection = find(&caller, &id).await?;
    Ok(Data {
        data: detail(&caller, connection).await?,
    })
}

/// Changes a connection (JSON Merge Patch). New settings or credentials are tried at the provider first.
/// `paused: true` stops its syncs, `false` starts them again.
#[utoipa::path(patch, path = "/v1/connections/{id}", tag = "connections", security(("api_key" = [])),
    params(WriteParams, ("id" = String, Path)), request_body = ConnectionPatchIn,
    responses((status = 200, body = Data<ConnectionDetail>), Failures))]
async fn change(
    caller: Caller,
    Id(id): Id<ConnectionId>,
    Params(params): Params<WriteParams>,
    body: Body<ConnectionPatchIn>,
) -> Result<Data<ConnectionDetail>, ApiError> {
    let wanted = body.value;
    let connection = find(&caller, &id).await?;
    check_consented(&caller, &connection, &wanted).await?;
    check_collections(&caller, &id, wanted.collections.as_ref()).await?;
    let schedules = schedule::checked(&caller, &wanted)?;
    let config = wanted
        .config
        .map(|patch| merged(connection.config.clone(), patch));
    let renewed = renew(
        &caller,
        &connection,
        config.as_ref(),
        wanted.credentials.as_ref(),
        params,
    )
    .await?;
    let health = match wanted.paused {
        Some(true) => Some((Health::Paused, None)),
        Some(false) if connection.health == Health::Paused => Some(awakened(&caller, &id).await?),
        Some(false) | None if renewed && connection.health != Health::Paused => Some((Health::Active, None)),
        Some(false) | None => None,
    };
    if wanted.paused == Some(true) {
        stop_jobs(&caller, &id).await?;
    }
    let awake = health
        .as_ref()
        .is_some_and(|(health, _)| *health == Health::Active);
    let patch = ConnectionPatch {
        name: wanted.name,
        config,
        health,
    };
    let updated = caller
        .store()
        .update_connection(&caller.organization, &id, &patch, &caller.origin())
        .await?
        .ok_or_else(|| ApiError::not_found("connection"))?;
    refresh_routes_of(caller.state(), &updated).await?;
    schedule::store(&caller, &id, schedules).await?;
    for (collection, patch) in wanted.collections.unwrap_or_default() {
        if let Some(enabled) = patch.enabled {
            caller
                .store()
                .enable_collection(&caller.organization, &collection, enabled)
                .await?;
        }
    }
    if awake {
        let task = JobTask::Sync {
            connection: id,
            discover: true,
            approve_deletes: false,
        };
        enqueue(&caller, task).await?;
    }
    Ok(Data {
        data: detail(&caller, updated).await?,
    })
}

/// Removes a connection with its credentials and links. Records that live nowhere else go with it; nothing is
/// changed at the provider. Tokens that came by consent are given back there, unless another connection lives by the same
/// account's consent.
#[utoipa::path(delete, path = "/v1/connections/{id}", tag = "connections", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 204, description = "It is gone"), Failures))]
async fn remove(caller: Caller, Id(id): Id<ConnectionId>) -> Result<StatusCode, ApiError> {
    let connection = find(&caller, &id).await?;
    let leaving = revoke::leaving(caller.state(), &connection).await?;
    stop_jobs(&caller, &id).await?;
    let gone = caller
        .store()
        .delete_connection(&caller.organization, &id, &caller.origin(), &caller.cause())
        .await?;
    if !gone {
        return Err(ApiError::not_found("connection"));
    }
    caller.state().providers().forget(&id);
    caller.state().intake().forget_routes(&caller.organization);
    caller.state().intake().forget(&HookOwner::Connection(id.clone()));
    tracing::info!(connection = %id, "connection removed");
    if let Some(leaving) = leaving {
        revoke::give_back(caller.state(), leaving).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn find(caller: &Caller, id: &ConnectionId) -> Result<Connection, ApiError> {
    let found = caller.store().connection(&caller.organization, id).await?;
    found.ok_or_else(|| ApiError::not_found("connection"))
}

/// How a connection is that goes on after a pause: what the vendor refused before or meanwhile it still refuses. New
/// credentials have cleared that.
async fn awakened(caller: &Caller, id: &ConnectionId) -> Result<(Health, Option<String>), ApiError> {
    let held = caller.store().held_credentials(&caller.organization, id).await?;
    Ok(match held.and_then(|held| held.refused) {
        Some(reason) => (Health::NeedsReauth, Some(reason)),
        None => (Health::Active, None),
    })
}

/// Calls off waiting jobs and tells a running one at once.
async fn stop_jobs(caller: &Caller, id: &ConnectionId) -> Result<(), ApiError> {
    caller.store().cancel_jobs(&caller.organization, id).await?;
    caller.state().lanes().stop(id.as_str());
    Ok(())
}

/// Tries and stores new settings or credentials; whether there were any.
async fn renew(
    caller: &Caller,
    connection: &Connection,
    config: Option<&Map<String, Value>>,
    credentials: Option<&Map<String, Value>>,
    params: WriteParams,
) -> Result<bool, ApiError> {
    if config.is_none() && credentials.is_none() {
        return Ok(false);
    }
    let verify = params.verify.unwrap_or(true);
    let config = config.unwrap_or(&connection.config);
    let Some(credentials) = credentials else {
        let changed = Connection {
            config: config.clone(),
            ..connection.clone()
        };
        trial::reopen(caller.state(), &changed, verify).await?;
        return Ok(true);
    };
    let trial = trial::open(caller.state(), &connection.provider, config, credentials)?;
    if verify {
        trial.collections().await?;
    }
    caller
        .store()
        .replace_credentials(&connection.organization, &connection.id, trial.credentials())
        .await?;
    Ok(true)
}

/// What came by consent is changed by consent: tokens that somebody else gave, or that are sent elsewhere, are not the
/// account's owner's.
async fn check_consented(
    caller: &Caller,
    connection: &Connection,
    wanted: &ConnectionPatchIn,
) -> Result<(), ApiError> {
    let moves = |config: &Map<String, Value>| {
        ["base_url", "token_url"]
            .iter()
            .any(|name| config.contains_key(*name))
    };
    let elsewhere = wanted.config.as_ref().is_some_and(moves);
    if wanted.credentials.is_none() && !elsewhere {
        return Ok(());
    }
    let grant = caller
        .store()
        .grant(&connection.organization, &connection.id)
        .await?;
    if grant.is_none() {
        return Ok(());
    }
    let message = "this connection's tokens came by consent: its credentials and addresses are not set by hand; for new \
                   ones POST /v1/connections/authorize with its `connection_id`";
    Err(ApiError::new(Code::Conflict, message))
}

async fn check_collections(
    caller: &Caller,
    id: &ConnectionId,
    wanted: Option<&BTreeMap<CollectionId, CollectionPatchIn>>,
) -> Result<(), ApiError> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let known = caller.store().collections(&caller.organization, id).await?;
    match wanted
        .keys()
        .find(|id| !known.iter().any(|known| known.id == **id))
    {
        Some(unknown) => {
            let path = format!("collections.{unknown}");
            Err(ApiError::invalid_field(
                &path,
                "is no collection of this connection",
            ))
        }
        None => Ok(()),
    }
}

async fn detail(caller: &Caller, connection: Connection) -> Result<ConnectionDetail, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let mut collections = Vec::new();
    let schedules = store.schedules(organization, &connection.id).await?;
    for collection in store.collections(organization, &connection.id).await? {
        let counts = store.link_counts(organization, &collection.id).await?;
        let own = schedules.collections.get(&collection.id);
        let shown = schedule::of_collection(&connection, own, collection.enabled);
        collections.push(CollectionOut::of(collection, counts, shown));
    }
    let grant = store.grant(organization, &connection.id).await?;
    let needs_owner = connection.health == Health::NeedsReauth;
    let repairable = grant.as_ref().is_some_and(|grant| grant.account.is_some());
    let repair_url = (needs_owner && repairable)
        .then(|| format!("{}/connect/repair/{}", caller.state().origin(), connection.id));
    let shown = schedule::of_connection(caller, &connection, &schedules);
    Ok(ConnectionDetail {
        schedule: shown.schedule,
        next_sync_at: shown.next_sync_at,
        connection: connection.into(),
        consent: grant.map(ConsentOut::from),
        repair_url,
        collections,
    })
}

/// JSON Merge Patch of one level: null takes a setting away.
fn merged(mut config: Map<String, Value>, patch: Map<String, Value>) -> Map<String, Value> {
    for (name, value) in patch {
        if value.is_null() {
            config.remove(&name);
        } else {
            config.insert(name, value);
        }
    }
    config
}

/// A connection that someone paused does nothing until it is awake again.
pub(in crate::api) fn awake(connection: &Connection) -> Result<(), ApiError> {
    if connection.health == Health::Paused {
        let message = "the connection is paused; send PATCH {\"paused\": false} first";
        return Err(ApiError::new(Code::Conflict, message));
    }
    Ok(())
}
