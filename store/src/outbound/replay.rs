//! Sending again what was sent, or given up: the same deliveries with the same ids.

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use sync::ports::StoreError;

use super::deliveries::DeliveryState;
use crate::SqliteStore;
use crate::column::failed;
use crate::sql::QueryBuilder;

/// What to send again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replay {
    /// Which ones.
    pub of: ReplayOf,
    /// Those in one of these states. Nothing that waits anyway is touched.
    pub states: Vec<DeliveryState>,
    /// After this they are given up, epoch milliseconds.
    pub deadline_ms: i64,
}

/// Which deliveries.
#[derive(Debug, Clone, PartialEq)]
pub enum ReplayOf {
    /// These.
    Ids(Vec<OutboundDeliveryId>),
    /// Those made in this time, epoch milliseconds; the end does not belong to it.
    Time {
        /// From here.
        from_ms: i64,
        /// To here.
        to_ms: i64,
    },
}

impl SqliteStore {
    /// Makes deliveries of an endpoint due again. How many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replay_deliveries(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        replay: &Replay,
    ) -> Result<u64, StoreError> {
        let mut write = self.write().await?;
        let mut update = QueryBuilder::new(
            "UPDATE outbound_deliveries SET state = 'pending', ended_at = NULL, next_at = ",
        );
        update
            .push_bind(self.now_ms())
            .push(", deadline = ")
            .push_bind(replay.deadline_ms)
            .push(" WHERE organization_id = ")
            .push_bind(organization.as_str())
            .push(" AND endpoint_id = ")
            .push_bind(endpoint.as_str())
            .push(" AND state <> 'pending' AND state")
            .push_in(replay.states.iter().map(|state| state.name()));
        match &replay.of {
            ReplayOf::Ids(ids) => {
                update.push(" AND id").push_in(ids.iter().map(|id| id.as_str()));
            }
            ReplayOf::Time { from_ms, to_ms } => {
                update
                    .push(" AND created_at >= ")
                    .push_bind(*from_ms)
                    .push(" AND created_at < ")
                    .push_bind(*to_ms);
            }
        }
        let done = update.build().execute(write.conn()).await.map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}
