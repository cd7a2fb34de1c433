//! Collections: containers on connections.

use model::{CollectionId, ConnectionId, Kind, OrganizationId};
use sync::ports::StoreError;
use sync::state::Collection;

use crate::{Page, Paging, SqliteStore};

impl SqliteStore {
    /// The collections whose records are of a kind (calendars: `Kind::Event`), in order of id; of one connection
    /// where that is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn collections_of_kind(
        &self,
        organization: &OrganizationId,
        kind: Kind,
        connection: Option<&ConnectionId>,
        paging: &Paging,
    ) -> Result<Page<Collection>, StoreError> {
        let _ = (organization, kind, connection, paging);
        todo!()
    }

    /// Says whether a collection is synced; `false` when there is no such collection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enable_collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
        enabled: bool,
    ) -> Result<bool, StoreError> {
        let _ = (organization, id, enabled);
        todo!()
    }
}
