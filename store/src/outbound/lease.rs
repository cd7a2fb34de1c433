//! Who sends to an endpoint: one node at a time, by a lease.

use sync::ports::StoreError;

use super::endpoints::{WebhookEndpoint, read};
use crate::SqliteStore;
use crate::column::{all, failed};
use crate::sql::{self, QueryBuilder};
use crate::write::Write;

/// Gives up what an earlier process held. It is dead.
pub(crate) async fn release_all(write: &mut Write) -> Result<(), StoreError> {
    sql::query("UPDATE webhook_endpoints SET node = NULL, lease_until = NULL WHERE node IS NOT NULL")
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

impl SqliteStore {
    /// Takes or keeps the active endpoints of all organizations that nobody else holds, until `now_ms + lease_ms`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease_webhook_endpoints(
        &self,
        node: &str,
        now_ms: i64,
        lease_ms: i64,
    ) -> Result<Vec<WebhookEndpoint>, StoreError> {
        // Mostly there is none, and nothing is to be written every few seconds.
        let any: Option<i64> =
            sql::query_scalar("SELECT created_at FROM webhook_endpoints WHERE state = 'active' LIMIT 1")
                .fetch_optional(self.read())
                .await
                .map_err(failed)?;
        if any.is_none() {
            return Ok(Vec::new());
        }
        let mut write = self.write().await?;
        // In order of id, as everywhere where several are written at once.
        let mut locked = QueryBuilder::new(
            "SELECT id FROM webhook_endpoints WHERE state = 'active' AND (node IS NULL OR node = ",
        );
        locked
            .push_bind(node)
            .push(" OR lease_until <= ")
            .push_bind(now_ms)
            .push(") ORDER BY organization_id, id")
            .push(self.engine().for_update());
        locked.build().fetch_all(write.conn()).await.map_err(failed)?;
        let rows = sql::query(
            "UPDATE webhook_endpoints SET node = $1, lease_until = $2
             WHERE state = 'active' AND (node IS NULL OR node = $1 OR lease_until <= $3)
             RETURNING *",
        )
        .bind(node)
        .bind(now_ms + lease_ms)
        .bind(now_ms)
        .fetch_all(write.conn())
        .await
        .map_err(failed)?;
        let endpoints = all(&rows, read)?;
        write.commit().await?;
        Ok(endpoints)
    }

    /// Gives up this node's endpoints, so that another takes them at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_webhook_endpoints(&self, node: &str) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query("UPDATE webhook_endpoints SET node = NULL, lease_until = NULL WHERE node = $1")
            .bind(node)
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await
    }
}
