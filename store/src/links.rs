//! Links: ties between records and remote objects.

use model::{CollectionId, ConnectionId, OrganizationId, RecordId};
use sync::ports::StoreError;
use sync::state::Link;

use crate::{Page, Paging, SqliteStore};

/// Which links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkFilter {
    /// Of this record.
    pub record: Option<RecordId>,
    /// On this connection.
    pub connection: Option<ConnectionId>,
    /// In this collection.
    pub collection: Option<CollectionId>,
    /// In this state: `synced`, `pending` or `rejected`.
    pub state: Option<String>,
}

impl SqliteStore {
    /// Links, in order of id. A single one is read with [`sync::ports::Store::link`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn links(
        &self,
        organization: &OrganizationId,
        filter: &LinkFilter,
        paging: &Paging,
    ) -> Result<Page<Link>, StoreError> {
        let _ = (organization, filter, paging);
        todo!()
    }
}
