//! API keys: who acts in an organization. Only the SHA-256 of a secret is stored.

use model::{ApiKeyId, OrganizationId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{all, document, failed, get, id, json, refused};
use crate::seal::to_hex;
use crate::sql::{self, Row};

/// How exactly the last use of a key is known; a write per request would be too much.
const USE_GRAIN_MS: i64 = 60_000;

/// What a key may do beyond what every key may: read and change its organization's own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPermission {
    /// Call vendors in their own words with the credentials of connections.
    Passthrough,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Where it acts.
    pub organization: OrganizationId,
    /// Its name for people.
    pub name: String,
    /// The first characters of the secret, so that a person can tell keys apart.
    pub prefix: String,
    /// What it may do besides.
    pub permissions: Vec<KeyPermission>,
    /// Epoch milliseconds.
    pub created_at: i64,
    /// When it was last used, to the minute; epoch milliseconds.
    pub last_used_at: Option<i64>,
    /// When it was revoked, epoch milliseconds.
    pub revoked_at: Option<i64>,
}

fn hash(secret: &str) -> String {
    to_hex(&Sha256::digest(secret.as_bytes())).to_string()
}

fn read(row: &Row) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        name: get(row, "name")?,
        prefix: get(row, "prefix")?,
        permissions: json(row, "permissions")?,
        created_at: get(row, "created_at")?,
        last_used_at: get(row, "last_used_at")?,
        revoked_at: get(row, "revoked_at")?,
    })
}

impl SqliteStore {
    /// Stores a key under the hash of its secret. The secret should have 128 random bits or more: it is hashed
    /// without a salt so that it can be looked up.
    ///
    /// # Errors
    /// `Stale` when the id or the secret is taken, or the organization is gone.
    pub async fn create_api_key(&self, key: &ApiKey, secret: &str) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query(
            "INSERT INTO api_keys
                (organization_id, id, name, prefix, permissions, secret_sha256, created_at, last_used_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(key.organization.as_str())
        .bind(key.id.as_str())
        .bind(&key.name)
        .bind(&key.prefix)
        .bind(document(&key.permissions)?)
        .bind(hash(secret))
        .bind(key.created_at)
        .bind(key.last_used_at)
        .bind(key.revoked_at)
        .execute(write.conn())
        .await
        .map_err(refused(key.id.as_str()))?;
        write.commit().await
    }

    /// The key with this secret, unless revoked. Notes its use, at most once a minute.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_api_key(&self, secret: &str) -> Result<Option<ApiKey>, StoreError> {
        // Looked up by its hash: how long the look-up takes tells nothing of the secret.
        let row = sql::query("SELECT * FROM api_keys WHERE secret_sha256 = $1 AND revoked_at IS NULL")
            .bind(hash(secret))
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        let Some(key) = row.as_ref().map(read).transpose()? else {
            return Ok(None);
        };
        let now = self.now_ms();
        if key.last_used_at.is_none_or(|last| now - last >= USE_GRAIN_MS) {
            let mut write = self.write().await?;
            sql::query("UPDATE api_keys SET last_used_at = $1 WHERE organization_id = $2 AND id = $3")
                .bind(now)
                .bind(key.organization.as_str())
                .bind(key.id.as_str())
                .execute(write.conn())
                .await
                .map_err(failed)?;
            write.commit().await?;
        }
        Ok(Some(key))
    }

    /// Whether a key still opens anything.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_key_opens(
        &self,
        organization: &OrganizationId,
        id: &ApiKeyId,
    ) -> Result<bool, StoreError> {
        let open = "SELECT * FROM api_keys WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL";
        Ok(self.row(open, organization, id.as_str()).await?.is_some())
    }

    /// The keys of an organization, revoked ones included, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_keys(&self, organization: &OrganizationId) -> Result<Vec<ApiKey>, StoreError> {
        let rows = sql::query("SELECT * FROM api_keys WHERE organization_id = $1 ORDER BY created_at, id")
            .bind(organization.as_str())
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        all(&rows, read)
    }

    /// Revokes a key; `false` when there is none that is not revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_api_key(
        &self,
        organization: &OrganizationId,
        id: &ApiKeyId,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query(
            "UPDATE api_keys SET revoked_at = $1
             WHERE organization_id = $2 AND id = $3 AND revoked_at IS NULL",
        )
        .bind(self.now_ms())
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
