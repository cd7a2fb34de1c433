//! How many links a collection has, by state.

use model::{CollectionId, OrganizationId};
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{failed, get};
use crate::sql;

/// How many links a collection has, by state, and how many objects are in quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounts {
    /// Both sides agree.
    pub synced: i64,
    /// Something is on its way.
    pub pending: i64,
    /// The provider refuses.
    pub rejected: i64,
    /// Objects that could not be understood; they have no link.
    pub quarantined: i64,
}

impl SqliteStore {
    /// Counts the links of a collection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn link_counts(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<LinkCounts, StoreError> {
        let states = sql::query(
            "SELECT state AS what, COUNT(*) AS number FROM links
             WHERE organization_id = $1 AND collection_id = $2 GROUP BY state
             UNION ALL
             SELECT 'quarantined', COUNT(*) FROM quarantine WHERE organization_id = $1 AND collection_id = $2",
        )
        .bind(organization.as_str())
        .bind(collection.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        let mut counts = LinkCounts::default();
        for row in &states {
            let number: i64 = get(row, "number")?;
            match get::<&str>(row, "what")? {
                "synced" => counts.synced = number,
                "pending" => counts.pending = number,
                "rejected" => counts.rejected = number,
                _ => counts.quarantined = number,
            }
        }
        Ok(counts)
    }
}
