//! Idempotency keys: a create that is sent twice happens once.

use model::OrganizationId;
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{corrupt, failed, get};
use crate::sql::{self, Row};
use crate::write::Write;

/// How long an answer is kept.
const KEPT_MS: i64 = 24 * 3_600_000;
/// How long a request may take before its claim is taken for abandoned.
const CLAIM_MS: i64 = 5 * 60_000;

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

/// Forgets keys that have served their time.
pub(crate) async fn sweep(write: &mut Write, now: i64) -> Result<(), StoreError> {
    sql::query("DELETE FROM idempotency_keys WHERE created_at <= $1")
        .bind(now - KEPT_MS)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

/// What a stored key says; `None` when it has served its time.
fn standing(row: &Row, request_hash: &str, now: i64) -> Result<Option<IdempotencyClaim>, StoreError> {
    let age = now - get::<i64>(row, "created_at")?;
    let status: Option<i64> = get(row, "status")?;
    if age >= KEPT_MS || (status.is_none() && age >= CLAIM_MS) {
        return Ok(None);
    }
    if get::<&str>(row, "request_hash")? != request_hash {
        return Ok(Some(IdempotencyClaim::Mismatch));
    }
    let Some(status) = status else {
        return Ok(Some(IdempotencyClaim::InProgress));
    };
    Ok(Some(IdempotencyClaim::Replay {
        status: u16::try_from(status).map_err(|_| corrupt("status", "out of range"))?,
        body: get::<Option<String>>(row, "body")?.unwrap_or_default(),
    }))
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
        let now = self.now_ms();
        let mut write = self.write_in(organization).await?;
        let row =
            sql::query("SELECT * FROM idempotency_keys WHERE organization_id = $1 AND idempotency_key = $2")
                .bind(organization.as_str())
                .bind(key)
                .fetch_optional(write.conn())
                .await
                .map_err(failed)?;
        if let Some(claim) = row
            .map(|row| standing(&row, request_hash, now))
            .transpose()?
            .flatten()
        {
            return Ok(claim);
        }
        sql::query(
            "INSERT INTO idempotency_keys (organization_id, idempotency_key, request_hash, created_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (organization_id, idempotency_key) DO UPDATE
             SET request_hash = excluded.request_hash, created_at = excluded.created_at, status = NULL, body = NULL",
        )
        .bind(organization.as_str())
        .bind(key)
        .bind(request_hash)
        .bind(now)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(IdempotencyClaim::Fresh)
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
        let mut write = self.write().await?;
        sql::query(
            "UPDATE idempotency_keys SET status = $1, body = $2
             WHERE organization_id = $3 AND idempotency_key = $4 AND status IS NULL",
        )
        .bind(i64::from(status))
        .bind(body)
        .bind(organization.as_str())
        .bind(key)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await
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
        let mut write = self.write().await?;
        sql::query(
            "DELETE FROM idempotency_keys
             WHERE organization_id = $1 AND idempotency_key = $2 AND status IS NULL",
        )
        .bind(organization.as_str())
        .bind(key)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await
    }
}
