//! Mirrors: sets of collections that hold the same records.

use model::OrganizationId;
use sync::ports::StoreError;
use sync::state::Mirror;

use crate::{Page, Paging, SqliteStore};

impl SqliteStore {
    /// Mirrors, in order of id. A single one is read with [`sync::ports::Store::mirror`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mirrors(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Mirror>, StoreError> {
        let _ = (organization, paging);
        todo!()
    }
}
