//! What is to be sent to an endpoint now, and when the next thing will be.

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::changes::{self, Change};
use crate::column::{all, count, failed, get, id};
use crate::sql::{self, Row};

/// A delivery that can be sent, with the change that it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct DueDelivery {
    /// Its id.
    pub id: OutboundDeliveryId,
    /// How often it was sent.
    pub attempts: u32,
    /// When it was made, epoch milliseconds.
    pub created_at: i64,
    /// After this it is given up, epoch milliseconds.
    pub deadline: i64,
    /// What it tells; `None` for a test.
    pub change: Option<Change>,
}

fn read(row: &Row) -> Result<DueDelivery, StoreError> {
    let tells: Option<i64> = get(row, "seq")?;
    Ok(DueDelivery {
        id: id(row, "delivery_id")?,
        attempts: count(row, "attempts")?,
        created_at: get(row, "made_at")?,
        deadline: get(row, "deadline")?,
        change: tells.map(|_| changes::read(row)).transpose()?,
    })
}

impl SqliteStore {
    /// Deliveries that are due, in their order, at most `limit`. Of those that share a lane only the first, due or
    /// not: the others wait for it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_deliveries(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<DueDelivery>, StoreError> {
        let rows = sql::query(
            "SELECT d.id AS delivery_id, d.attempts, d.created_at AS made_at, d.deadline,
                c.seq, c.action, c.subject, c.kind, c.version, c.changed, c.origin, c.connections, c.at, c.webhook
             FROM outbound_deliveries d
             LEFT JOIN changes c ON c.organization_id = d.organization_id AND c.seq = d.seq
             WHERE d.organization_id = $1 AND d.endpoint_id = $2 AND d.state = 'pending' AND d.next_at <= $3
                AND (d.lane IS NULL OR NOT EXISTS (
                    SELECT 1 FROM outbound_deliveries b
                    WHERE b.organization_id = d.organization_id AND b.endpoint_id = d.endpoint_id
                        AND b.lane = d.lane AND b.state = 'pending' AND b.seq < d.seq
                ))
             ORDER BY d.next_at, d.id LIMIT $4",
        )
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .bind(now_ms)
        .bind(i64::from(limit))
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, read)
    }

    /// When the next delivery of an endpoint is due after `after_ms`, epoch milliseconds; `None` when nothing waits
    /// beyond that.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next_delivery_due(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        after_ms: i64,
    ) -> Result<Option<i64>, StoreError> {
        sql::query_scalar(
            "SELECT MIN(next_at) FROM outbound_deliveries
             WHERE organization_id = $1 AND endpoint_id = $2 AND state = 'pending' AND next_at > $3",
        )
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .bind(after_ms)
        .fetch_one(self.read())
        .await
        .map_err(failed)
    }
}
