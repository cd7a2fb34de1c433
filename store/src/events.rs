//! Events in a window of time.

use model::{CollectionId, ConnectionId, OrganizationId};
use sync::ports::StoreError;

use crate::column::{all, failed};
use crate::sql::QueryBuilder;
use crate::{RecordView, SqliteStore, records};

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
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(records::COLUMNS)
            .push(" FROM records r WHERE r.organization_id = ")
            .push_bind(organization.as_str())
            .push(" AND r.deleted = 0 AND r.starts_at IS NOT NULL AND r.starts_at < ")
            .push_bind(to_ms)
            .push(" AND (r.ends_at IS NULL OR r.ends_at > ")
            .push_bind(from_ms)
            // An event without a length.
            .push(" OR r.starts_at >= ")
            .push_bind(from_ms)
            .push(")");
        records::linked_in(&mut query, filter.connection.as_ref(), &filter.collections);
        query
            .push(" ORDER BY r.starts_at, r.id LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        records::with_links(self.read(), organization, all(&rows, records::read)?).await
    }
}
