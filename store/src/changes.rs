//! The feed: committed changes in order, and the bell that rings when it grows.

use model::OrganizationId;
use sync::ports::StoreError;
use sync::state::FeedEntry;
use tokio::sync::broadcast;

use crate::SqliteStore;

/// An entry of the feed with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place: dense, from 1, in the order of the commits.
    pub seq: i64,
    /// What happened.
    pub entry: FeedEntry,
}

/// Where an organization's feed now ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// Whose feed.
    pub organization: OrganizationId,
    /// The last `seq`.
    pub seq: i64,
}

impl SqliteStore {
    /// Entries after `after`, in order, at most `limit`; of one kind of subject where that is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_after(
        &self,
        organization: &OrganizationId,
        after: i64,
        kind: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let _ = (organization, after, kind, limit);
        todo!()
    }

    /// The last `seq`; 0 when the feed is empty.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_seq(&self, organization: &OrganizationId) -> Result<i64, StoreError> {
        let _ = organization;
        todo!()
    }

    /// Rings after each commit that appended to a feed. It says where to look, not what is there: who lags
    /// (`RecvError::Lagged`) reads on with [`SqliteStore::changes_after`] and has missed nothing.
    #[must_use]
    pub fn subscribe_changes(&self) -> broadcast::Receiver<FeedHead> {
        todo!()
    }
}
