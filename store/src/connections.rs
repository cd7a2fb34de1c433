//! Connections: authorised accounts at providers.

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId};
use serde_json::{Map, Value};
use sync::ports::StoreError;
use sync::state::{Connection, Health, Origin};

use crate::{Page, Paging, SqliteStore};

/// What to change of a connection; `None` leaves as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConnectionPatch {
    /// Its name.
    pub name: Option<String>,
    /// Its settings, whole.
    pub config: Option<Map<String, Value>>,
    /// Its health with the reason. The only way out of [`Health::Paused`]: the engine's own reports of health do
    /// not wake a connection that someone paused.
    pub health: Option<(Health, Option<String>)>,
}

impl SqliteStore {
    /// Adds a connection with its credentials, and a feed entry, in one transaction.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn insert_connection(
        &self,
        connection: &Connection,
        credentials: &Credentials,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let _ = (connection, credentials, origin);
        todo!()
    }

    /// The connections of an organization, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connections(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Connection>, StoreError> {
        let _ = (organization, paging);
        todo!()
    }

    /// Changes a connection, with a feed entry; `None` when there is no such connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn update_connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        patch: &ConnectionPatch,
        origin: &Origin,
    ) -> Result<Option<Connection>, StoreError> {
        let _ = (organization, id, patch, origin);
        todo!()
    }

    /// Removes a connection with its credentials, collections, links and jobs. Records that have no other link are
    /// marked deleted, with feed entries. Nothing is written to the provider. `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        origin: &Origin,
    ) -> Result<bool, StoreError> {
        let _ = (organization, id, origin);
        todo!()
    }

    /// Active and degraded connections of all organizations whose last sync ended, well or not, before
    /// `now_ms - interval_ms`, and that have no sync job waiting or running.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_connections(
        &self,
        now_ms: i64,
        interval_ms: i64,
    ) -> Result<Vec<(OrganizationId, ConnectionId)>, StoreError> {
        let _ = (now_ms, interval_ms);
        todo!()
    }
}
