//! Under which routes connections are found: derived from their settings by their connectors, and written down whenever
//! a connection is made or changed. At the start all are written anew, since a connector may derive others by now.

use std::collections::BTreeSet;

use model::JobId;
use store::{Paging, SqliteStore};
use sync::ports::StoreError;
use sync::state::{Connection, JobTask, NewJob};

use crate::providers::ProviderPool;
use crate::state::AppState;

/// Connections that are looked at together.
const PAGE: u32 = 200;

/// Writes down the routes of a connection that was made or changed; what was parked for them goes on its way.
///
/// # Errors
/// When the database fails.
pub async fn refresh_one(state: &AppState, connection: &Connection) -> Result<(), StoreError> {
    let found = refresh(state.unscoped_store(), state.providers(), connection).await?;
    state.intake().forget_routes(&connection.organization);
    if found > 0 {
        let (now_ms, random) = state.id_parts();
        let job = NewJob {
            id: JobId::new(now_ms, random),
            organization: connection.organization.clone(),
            task: JobTask::Inbox {
                connection: connection.id.clone(),
            },
            run_at: state.clock().now_ms(),
        };
        state.unscoped_store().enqueue(job).await?;
    }
    Ok(())
}

/// Writes down the routes of all connections.
///
/// # Errors
/// When the database fails.
pub async fn refresh_all(store: &SqliteStore, providers: &ProviderPool) -> Result<(), StoreError> {
    for organization in store.organizations().await? {
        let mut paging = Paging::first(PAGE);
        loop {
            let page = store.connections(&organization.id, &paging).await?;
            for connection in &page.items {
                refresh(store, providers, connection).await?;
            }
            match page.next {
                Some(next) => paging.after = Some(next),
                None => break,
            }
        }
    }
    Ok(())
}

async fn refresh(
    store: &SqliteStore,
    providers: &ProviderPool,
    connection: &Connection,
) -> Result<u64, StoreError> {
    let connector = providers.connector(&connection.provider);
    let Some(facet) = connector.and_then(|connector| connector.webhooks()) else {
        return Ok(0);
    };
    let wanted: BTreeSet<String> = facet
        .routes_of(&connection.config)
        .into_iter()
        .map(|route| route.0)
        .collect();
    let stored = store.routes_of(&connection.organization, &connection.id).await?;
    if stored == wanted {
        return Ok(0);
    }
    let wanted: Vec<String> = wanted.into_iter().collect();
    store
        .put_routes(
            &connection.organization,
            &connection.id,
            &connection.provider,
            &wanted,
        )
        .await?;
    // The connection stands whether or not this goes well; the timer tries it again.
    Ok(store
        .unpark()
        .await
        .inspect_err(|error| {
            tracing::warn!(%error, connection = %connection.id, "what is parked for a connection waits a few seconds longer");
        })
        .unwrap_or_default())
}
