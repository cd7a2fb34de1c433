//! API keys: who acts in an organization. Only the SHA-256 of a secret is stored.

use model::{ApiKeyId, OrganizationId};
use sync::ports::StoreError;

use crate::SqliteStore;

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
    /// Epoch milliseconds.
    pub created_at: i64,
    /// When it was last used, to the minute; epoch milliseconds.
    pub last_used_at: Option<i64>,
    /// When it was revoked, epoch milliseconds.
    pub revoked_at: Option<i64>,
}

impl SqliteStore {
    /// Stores a key under the hash of its secret. The secret should have 128 random bits or more: it is hashed
    /// without a salt so that it can be looked up.
    ///
    /// # Errors
    /// `Stale` when the id or the secret is taken.
    pub async fn create_api_key(&self, key: &ApiKey, secret: &str) -> Result<(), StoreError> {
        let _ = (key, secret);
        todo!()
    }

    /// The key with this secret, unless revoked. Notes its use, at most once a minute.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_api_key(&self, secret: &str) -> Result<Option<(OrganizationId, ApiKeyId)>, StoreError> {
        let _ = secret;
        todo!()
    }

    /// The keys of an organization, revoked ones included, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn api_keys(&self, organization: &OrganizationId) -> Result<Vec<ApiKey>, StoreError> {
        let _ = organization;
        todo!()
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
        let _ = (organization, id);
        todo!()
    }
}
