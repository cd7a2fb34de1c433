//! Deliveries from the feed: made in the transaction that moves the endpoint's cursor past their changes, so that a
//! crash neither loses one nor makes one twice.

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{failed, refused};
use crate::dialect::rows_per_insert;
use crate::sql::{self, QueryBuilder};
use crate::write::Write;

/// What an endpoint is to be told of a piece of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivation {
    /// The endpoint.
    pub endpoint: WebhookEndpointId,
    /// Its cursor when the piece was read.
    pub from: i64,
    /// The end of the piece.
    pub to: i64,
    /// Its `updated_at` when its filter and order were read.
    pub seen_at: i64,
    /// Changes of one object wait for each other.
    pub ordered: bool,
    /// What it is told.
    pub deliveries: Vec<NewDelivery>,
}

/// A delivery before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// Its id, the same in every attempt.
    pub id: OutboundDeliveryId,
    /// The change that it tells; `None` for a test.
    pub seq: Option<i64>,
    /// What the change is about.
    pub subject: String,
}

impl SqliteStore {
    /// Stores deliveries and moves the cursors of their endpoints, in one transaction. An endpoint whose cursor is not
    /// where it was, that is disabled, or that was changed since, gets nothing; the answer says which did.
    /// Endpoints come in order of id, as everywhere where several are written at once: two that wait for each other
    /// would be a deadlock.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn derive_deliveries(
        &self,
        organization: &OrganizationId,
        derivations: &[Derivation],
        now_ms: i64,
        deadline_ms: i64,
    ) -> Result<Vec<bool>, StoreError> {
        let mut write = self.write().await?;
        let mut accepted = Vec::with_capacity(derivations.len());
        for derivation in derivations {
            let moved = sql::query(
                "UPDATE webhook_endpoints SET cursor = $1
                 WHERE organization_id = $2 AND id = $3 AND cursor = $4 AND updated_at = $5 AND state = 'active'",
            )
            .bind(derivation.to)
            .bind(organization.as_str())
            .bind(derivation.endpoint.as_str())
            .bind(derivation.from)
            .bind(derivation.seen_at)
            .execute(write.conn())
            .await
            .map_err(failed)?;
            accepted.push(moved.rows_affected() > 0);
        }
        let mut rows = Vec::new();
        for (derivation, accepted) in derivations.iter().zip(&accepted) {
            if *accepted {
                rows.extend(derivation.deliveries.iter().map(|new| (derivation, new)));
            }
        }
        insert(&mut write, organization, &rows, now_ms, deadline_ms).await?;
        write.commit().await?;
        Ok(accepted)
    }

    /// Stores a delivery that tells no change. `false` when there is no such endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn insert_test_delivery(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        delivery: &NewDelivery,
        deadline_ms: i64,
    ) -> Result<bool, StoreError> {
        let derivation = Derivation {
            endpoint: endpoint.clone(),
            from: 0,
            to: 0,
            seen_at: 0,
            ordered: false,
            deliveries: Vec::new(),
        };
        let mut write = self.write().await?;
        let found = sql::query("SELECT id FROM webhook_endpoints WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(endpoint.as_str())
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
        if found.is_none() {
            return Ok(false);
        }
        let rows = [(&derivation, delivery)];
        insert(&mut write, organization, &rows, self.now_ms(), deadline_ms).await?;
        write.commit().await?;
        Ok(true)
    }
}

async fn insert(
    write: &mut Write,
    organization: &OrganizationId,
    rows: &[(&Derivation, &NewDelivery)],
    now_ms: i64,
    deadline_ms: i64,
) -> Result<(), StoreError> {
    for some in rows.chunks(rows_per_insert(11)) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO outbound_deliveries
                (organization_id, id, endpoint_id, seq, subject, lane, state, attempts, next_at, deadline,
                 created_at) ",
        );
        insert.push_values(some, |mut row, (derivation, new)| {
            let lane = derivation.ordered.then_some(new.subject.as_str());
            row.push_bind(organization.as_str())
                .push_bind(new.id.as_str())
                .push_bind(derivation.endpoint.as_str())
                .push_bind(new.seq)
                .push_bind(new.subject.as_str())
                .push_bind(lane)
                .push_bind("pending")
                .push_bind(0_i64)
                .push_bind(now_ms)
                .push_bind(deadline_ms)
                .push_bind(now_ms);
        });
        insert
            .build()
            .execute(write.conn())
            .await
            .map_err(refused("a delivery"))?;
    }
    Ok(())
}
