//! Idempotency keys: a create that is sent twice happens once.

use model::OrganizationId;
use sync::ports::StoreError;

use crate::SqliteStore;

/// What an idempotency key says about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdempotencyClaim {
    /// It is new: carry the request out, then complete or abandon the claim.
    Fresh,
    /// The same request is being carried out.
    InProgress,
    /// The key was used for another request.
    Mismatch,
    /// The request was carried out, with this answer.
    Replay {
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
}

impl SqliteStore {
    /// Claims a key for a request, for 24 hours. A claim that is neither completed nor abandoned within five
    /// minutes, or before the process ends, is free again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_idempotency(
        &self,
        organization: &OrganizationId,
        key: &str,
        request_hash: &str,
    ) -> Result<IdempotencyClaim, StoreError> {
        let _ = (organization, key, request_hash);
        todo!()
    }

    /// Keeps the answer of a claimed request.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn complete_idempotency(
        &self,
        organization: &OrganizationId,
        key: &str,
        status: u16,
        body: &str,
    ) -> Result<(), StoreError> {
        let _ = (organization, key, status, body);
        todo!()
    }

    /// Gives a claim up, so that the request can be tried again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn abandon_idempotency(
        &self,
        organization: &OrganizationId,
        key: &str,
    ) -> Result<(), StoreError> {
        let _ = (organization, key);
        todo!()
    }
}
