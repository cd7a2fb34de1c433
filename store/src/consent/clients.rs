//! What makes an app an OAuth client: its id at the vendor, its sealed secret, and where the vendor is.

use connector_sdk::oauth::Endpoints;
use model::{OrganizationId, ProviderAppId};
use secrecy::{ExposeSecret as _, SecretString};
use sync::ports::StoreError;
use zeroize::Zeroizing;

use crate::SqliteStore;
use crate::column::{corrupt, document, failed, get, json, refused};
use crate::seal::Sealed;
use crate::sql;
use crate::write::Write;

/// What is sealed in these rows.
pub(crate) const PURPOSE: &str = "client secret";

/// An OAuth client. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct AppClient {
    /// Its id at the vendor.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Where the vendor is, if not where its connector says.
    pub endpoints: Endpoints,
}

impl SqliteStore {
    /// What makes an app a client; `None` when it is none.
    ///
    /// # Errors
    /// `Corrupt` when the secret was sealed with another key, for another row, or changed since.
    pub async fn app_client(
        &self,
        organization: &OrganizationId,
        app: &ProviderAppId,
    ) -> Result<Option<AppClient>, StoreError> {
        let row = self
            .row(
                "SELECT client_id, endpoints, key_id, nonce, sealed FROM app_clients
                 WHERE organization_id = $1 AND app_id = $2",
                organization,
                app.as_str(),
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let sealed = Sealed {
            key_id: get(&row, "key_id")?,
            nonce: get(&row, "nonce")?,
            bytes: get(&row, "sealed")?,
        };
        let plain = self
            .keys()
            .unseal(&[organization.as_str(), app.as_str(), PURPOSE], &sealed)
            .map_err(|error| corrupt("client secret", error))?;
        let secret =
            std::str::from_utf8(&plain).map_err(|_| corrupt("client secret", "not what was sealed"))?;
        Ok(Some(AppClient {
            client_id: get(&row, "client_id")?,
            client_secret: (!secret.is_empty()).then(|| SecretString::from(secret)),
            endpoints: json(&row, "endpoints")?,
        }))
    }

    /// Makes an app a client, or changes which; `false` when there is no such app.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_app_client(
        &self,
        organization: &OrganizationId,
        app: &ProviderAppId,
        client: &AppClient,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let found = sql::query("SELECT id FROM provider_apps WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(app.as_str())
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
        if found.is_none() {
            return Ok(false);
        }
        self.seal_client(&mut write, organization, app, client).await?;
        // What the vendor refused of the app before may go now: it is asked again at once.
        sql::query(
            "UPDATE credentials SET trouble = NULL, renew_after = NULL
             WHERE trouble IS NOT NULL AND (organization_id, connection_id) IN (
                SELECT organization_id, connection_id FROM grants WHERE app_owner = $1 AND app_id = $2
             )",
        )
        .bind(organization.as_str())
        .bind(app.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(true)
    }

    pub(crate) async fn seal_client(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        app: &ProviderAppId,
        client: &AppClient,
    ) -> Result<(), StoreError> {
        let secret = client.client_secret.as_ref().map(|secret| secret.expose_secret());
        let plain = Zeroizing::new(secret.unwrap_or_default().as_bytes().to_vec());
        let key = self.sealing_key(write).await?;
        let sealed = key
            .seal(&[organization.as_str(), app.as_str(), PURPOSE], &plain)
            .map_err(|error| corrupt("client secret", error))?;
        sql::query(
            "INSERT INTO app_clients
                (organization_id, app_id, client_id, endpoints, key_id, nonce, sealed, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
             ON CONFLICT (organization_id, app_id) DO UPDATE
             SET client_id = excluded.client_id, endpoints = excluded.endpoints, key_id = excluded.key_id,
                 nonce = excluded.nonce, sealed = excluded.sealed, updated_at = excluded.updated_at",
        )
        .bind(organization.as_str())
        .bind(app.as_str())
        .bind(&client.client_id)
        .bind(document(&client.endpoints)?)
        .bind(sealed.key_id)
        .bind(sealed.nonce)
        .bind(sealed.bytes)
        .bind(self.now_ms())
        .execute(write.conn())
        .await
        .map_err(refused(app.as_str()))?;
        Ok(())
    }
}
