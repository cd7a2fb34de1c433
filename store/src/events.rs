//! Events in a window of time.

use model::{CollectionId, ConnectionId, OrganizationId};
use sync::ports::StoreError;

use crate::{RecordView, SqliteStore};

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// With a link in one of these collections; empty for all.
    pub collections: Vec<CollectionId>,
    /// With a link on this connection.
    pub connection: Option<ConnectionId>,
}

impl SqliteStore {
    /// Live events that may have an occurrence that begins before `to_ms` and ends after `from_ms` (or begins at
    /// it), in order of their first start, at most `limit`. Series are not expanded here: some that are returned
    /// may have no occurrence in the window.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn events_between(
        &self,
        organization: &OrganizationId,
        from_ms: i64,
        to_ms: i64,
        filter: &EventFilter,
        limit: u32,
    ) -> Result<Vec<RecordView>, StoreError> {
        let _ = (organization, from_ms, to_ms, filter, limit);
        todo!()
    }
}
