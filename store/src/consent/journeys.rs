//! A browser's way to a vendor and back. It is in the store, so that any node can take the callback.

use model::{ConnectLinkId, ConnectionId, JourneyId, OrganizationId};
use sync::ports::StoreError;

use super::{AppRef, Wanted};
use crate::SqliteStore;
use crate::column::{document, failed, get, id, json, optional_id, refused};
use crate::sql::{self, Row};

/// A journey. The state and the browser's cookie are known by their digests only.
#[derive(Debug, Clone, PartialEq)]
pub struct Journey {
    /// Its id.
    pub id: JourneyId,
    /// Whose connection is to come of it.
    pub organization: OrganizationId,
    /// Of the state that comes back.
    pub state_digest: String,
    /// Of the cookie of the browser that set out.
    pub browser_digest: String,
    /// The link that it began with.
    pub link: Option<ConnectLinkId>,
    /// The app that asks.
    pub app: AppRef,
    /// The connection to be repaired or widened.
    pub connection: Option<ConnectionId>,
    /// What is to come of it.
    pub wanted: Wanted,
    /// When it came back, epoch milliseconds.
    pub used_at: Option<i64>,
    /// Until when it may, epoch milliseconds.
    pub expires_at: i64,
    /// Epoch milliseconds.
    pub created_at: i64,
}

fn read(row: &Row) -> Result<Journey, StoreError> {
    Ok(Journey {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        state_digest: get(row, "state_digest")?,
        browser_digest: get(row, "browser_digest")?,
        link: optional_id(row, "link_id")?,
        app: AppRef::read(row)?,
        connection: optional_id(row, "connection_id")?,
        wanted: json(row, "wanted")?,
        used_at: get(row, "used_at")?,
        expires_at: get(row, "expires_at")?,
        created_at: get(row, "created_at")?,
    })
}

impl SqliteStore {
    /// Writes down that a browser sets out.
    ///
    /// # Errors
    /// `Stale` when the id or the state is taken.
    pub async fn insert_journey(&self, journey: &Journey) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query(
            "INSERT INTO consents
                (organization_id, id, state_digest, browser_digest, link_id, app_owner, app_id, connection_id, wanted,
                 used_at, expires_at, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        )
        .bind(journey.organization.as_str())
        .bind(journey.id.as_str())
        .bind(&journey.state_digest)
        .bind(&journey.browser_digest)
        .bind(journey.link.as_ref().map(|id| id.as_str()))
        .bind(journey.app.owner.as_str())
        .bind(journey.app.id.as_str())
        .bind(journey.connection.as_ref().map(|id| id.as_str()))
        .bind(document(&journey.wanted)?)
        .bind(journey.used_at)
        .bind(journey.expires_at)
        .bind(journey.created_at)
        .execute(write.conn())
        .await
        .map_err(refused(journey.id.as_str()))?;
        write.commit().await
    }

    /// The journey of this state. Starts from an address and ends at an organization, as [`Self::hook_target`] does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn journey_at(&self, state_digest: &str) -> Result<Option<Journey>, StoreError> {
        let row = sql::query("SELECT * FROM consents WHERE state_digest = $1")
            .bind(state_digest)
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// A journey comes back. `false` when it has before, or too late: of any number of callers one is told `true`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_journey(
        &self,
        organization: &OrganizationId,
        id: &JourneyId,
        now_ms: i64,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query(
            "UPDATE consents SET used_at = $1
             WHERE organization_id = $2 AND id = $3 AND used_at IS NULL AND expires_at > $1",
        )
        .bind(now_ms)
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
