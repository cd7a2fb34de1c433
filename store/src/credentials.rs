//! Credentials of connections: sealed at rest, unsealed only on their way to a connector.

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId};
use serde_json::{Map, Value};
use sync::ports::StoreError;
use zeroize::Zeroizing;

use crate::SqliteStore;
use crate::column::{corrupt, failed, get, refused};
use crate::seal::Sealed;
use crate::sql::{self, Row, Target};
use crate::write::Write;

/// What is sealed in these rows. Part of the associated data, so that values of different purposes cannot stand in
/// for each other.
pub(crate) const PURPOSE: &str = "credentials";

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
        self.credentials_at(self.read(), organization, connection).await
    }

    /// The same, as they are in this transaction.
    pub(crate) async fn credentials_in(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Option<Credentials>, StoreError> {
        self.credentials_at(write.conn(), organization, connection).await
    }

    async fn credentials_at(
        &self,
        target: impl Into<Target<'_>>,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Option<Credentials>, StoreError> {
        let row = sql::query(
            "SELECT key_id, nonce, sealed FROM credentials
             WHERE organization_id = $1 AND connection_id = $2 AND purpose = $3",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(PURPOSE)
        .fetch_optional(target)
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        self.open_credentials(organization, connection, &row).map(Some)
    }

    pub(crate) fn open_credentials(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        row: &Row,
    ) -> Result<Credentials, StoreError> {
        let sealed = Sealed {
            key_id: get(row, "key_id")?,
            nonce: get(row, "nonce")?,
            bytes: get(row, "sealed")?,
        };
        let plain = self
            .keys()
            .unseal(&[organization.as_str(), connection.as_str(), PURPOSE], &sealed)
            .map_err(|error| corrupt("credentials", error))?;
        // A parser's message may quote its input: it is not passed on.
        let members: Map<String, Value> =
            serde_json::from_slice(&plain).map_err(|_| corrupt("credentials", "not a JSON object"))?;
        Credentials::from_json(&members).map_err(|_| corrupt("credentials", "not an object of texts"))
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
        let mut write = self.write_in(organization).await?;
        let found = sql::query("SELECT id FROM connections WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(connection.as_str())
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
        if found.is_none() {
            return Ok(false);
        }
        self.put_credentials(&mut write, organization, connection, credentials)
            .await?;
        write.commit().await?;
        Ok(true)
    }

    pub(crate) async fn put_credentials(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        connection: &ConnectionId,
        credentials: &Credentials,
    ) -> Result<(), StoreError> {
        let plain = serde_json::to_vec(&credentials.expose())
            .map(Zeroizing::new)
            .map_err(|_| corrupt("credentials", "cannot be written as JSON"))?;
        let key = self.sealing_key(write).await?;
        let sealed = key
            .seal(&[organization.as_str(), connection.as_str(), PURPOSE], &plain)
            .map_err(|error| corrupt("credentials", error))?;
        sql::query(
            "INSERT INTO credentials
                (organization_id, connection_id, purpose, key_id, nonce, sealed, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (organization_id, connection_id, purpose) DO UPDATE
             SET key_id = excluded.key_id, nonce = excluded.nonce, sealed = excluded.sealed,
                 updated_at = excluded.updated_at, generation = credentials.generation + 1,
                 fence = credentials.fence + 1, holder = NULL, lease_until = NULL, refused = NULL,
                 renew_after = NULL, doubtful = 0, trouble = NULL",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(PURPOSE)
        .bind(sealed.key_id)
        .bind(sealed.nonce)
        .bind(sealed.bytes)
        .bind(self.now_ms())
        .execute(write.conn())
        .await
        .map_err(refused(connection.as_str()))?;
        Ok(())
    }
}
