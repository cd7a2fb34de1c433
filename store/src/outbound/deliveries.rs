//! The log of deliveries.

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use serde::{Deserialize, Serialize};
use sync::ports::StoreError;

use crate::column::{all, count, failed, get, id, word};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

/// How long after it was made an ended delivery and its attempts can be looked up.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// A delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its id, the same in every attempt.
    pub id: OutboundDeliveryId,
    /// To where.
    pub endpoint: WebhookEndpointId,
    /// The change that it tells; `None` for a test.
    pub seq: Option<i64>,
    /// What the change is about.
    pub subject: String,
    /// How it stands.
    pub state: DeliveryState,
    /// How often it was sent.
    pub attempts: u32,
    /// When it is sent next, while it waits; epoch milliseconds.
    pub next_at: i64,
    /// After this it is given up, epoch milliseconds.
    pub deadline: i64,
    /// Epoch milliseconds.
    pub created_at: i64,
    /// When it arrived or was given up, epoch milliseconds.
    pub ended_at: Option<i64>,
}

/// How a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its first or another attempt.
    Pending,
    /// It arrived.
    Delivered,
    /// It was given up.
    Dead,
    /// Somebody asked to leave it out.
    Skipped,
}

impl DeliveryState {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Skipped => "skipped",
        }
    }
}

/// Which deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// In this state.
    pub state: Option<DeliveryState>,
    /// Made at or after this moment, epoch milliseconds.
    pub from_ms: Option<i64>,
    /// Made before this moment, epoch milliseconds.
    pub to_ms: Option<i64>,
}

fn read(row: &Row) -> Result<Delivery, StoreError> {
    Ok(Delivery {
        id: id(row, "id")?,
        endpoint: id(row, "endpoint_id")?,
        seq: get(row, "seq")?,
        subject: get(row, "subject")?,
        state: word(row, "state")?,
        attempts: count(row, "attempts")?,
        next_at: get(row, "next_at")?,
        deadline: get(row, "deadline")?,
        created_at: get(row, "created_at")?,
        ended_at: get(row, "ended_at")?,
    })
}

impl SqliteStore {
    /// Deliveries of an endpoint, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn deliveries(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        filter: &DeliveryFilter,
        paging: &Paging,
    ) -> Result<Page<Delivery>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM outbound_deliveries WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND endpoint_id = ")
            .push_bind(endpoint.as_str());
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.name());
        }
        if let Some(from) = filter.from_ms {
            query.push(" AND created_at >= ").push_bind(from);
        }
        if let Some(to) = filter.to_ms {
            query.push(" AND created_at < ").push_bind(to);
        }
        if let Some(after) = &paging.after {
            query.push(" AND id < ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |delivery| {
            delivery.id.as_str()
        }))
    }

    /// A delivery of an endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delivery(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        id: &OutboundDeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        let query = "SELECT * FROM outbound_deliveries WHERE organization_id = $1 AND id = $2";
        let row = self.row(query, organization, id.as_str()).await?;
        let found = row.as_ref().map(read).transpose()?;
        Ok(found.filter(|delivery| delivery.endpoint == *endpoint))
    }
}

/// Forgets deliveries that were made, and are over, for a month. Their ids begin with their time, so that those of an
/// organization lie together. Attempts may outlive their delivery: one that was under way when its endpoint was removed.
pub(crate) async fn sweep(write: &mut Write, now: i64) -> Result<(), StoreError> {
    let before = u64::try_from(now - KEPT_MS).unwrap_or_default();
    let before = OutboundDeliveryId::new(before, 0);
    let endless = "DELETE FROM outbound_deliveries
         WHERE organization_id = $1 AND id < $2 AND state <> 'pending'";
    let attempts = "DELETE FROM outbound_attempts WHERE organization_id = $1 AND delivery_id < $2
            AND NOT EXISTS (
                SELECT 1 FROM outbound_deliveries d
                WHERE d.organization_id = outbound_attempts.organization_id AND d.id = outbound_attempts.delivery_id
            )";
    let organizations: Vec<String> = sql::query_scalar("SELECT organization_id FROM organizations")
        .fetch_all(write.conn())
        .await
        .map_err(failed)?;
    for organization in organizations {
        for statement in [endless, attempts] {
            sql::query(statement)
                .bind(&organization)
                .bind(before.as_str())
                .execute(write.conn())
                .await
                .map_err(failed)?;
        }
    }
    Ok(())
}
