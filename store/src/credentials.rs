//! Credentials of connections: sealed at rest, unsealed only on their way to a connector.

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId};
use sync::ports::StoreError;

use crate::SqliteStore;

impl SqliteStore {
    /// The unsealed credentials of a connection.
    ///
    /// # Errors
    /// `Corrupt` when they were sealed with another key, for another row, or changed since.
    pub async fn credentials(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Option<Credentials>, StoreError> {
        let _ = (organization, connection);
        todo!()
    }

    /// Replaces the credentials of a connection; `false` when there is no such connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace_credentials(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credentials: &Credentials,
    ) -> Result<bool, StoreError> {
        let _ = (organization, connection, credentials);
        todo!()
    }
}
