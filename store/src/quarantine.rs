//! Quarantine: what a provider sent that could not be dealt with.

use model::{CollectionId, OrganizationId, QuarantineId};
use sync::ports::StoreError;
use sync::state::Quarantine;

use crate::{Page, Paging, SqliteStore};

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// From this collection.
    pub collection: Option<CollectionId>,
}

impl SqliteStore {
    /// What is in quarantine, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn quarantined(
        &self,
        organization: &OrganizationId,
        filter: &QuarantineFilter,
        paging: &Paging,
    ) -> Result<Page<Quarantine>, StoreError> {
        let _ = (organization, filter, paging);
        todo!()
    }

    /// An entry.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn quarantine(
        &self,
        organization: &OrganizationId,
        id: &QuarantineId,
    ) -> Result<Option<Quarantine>, StoreError> {
        let _ = (organization, id);
        todo!()
    }

    /// Lets an entry go, so that the next pull reads the object again; `false` when there is none. The collection's
    /// cursor is forgotten with it: a provider that reports changes only would not name the object again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_quarantine(
        &self,
        organization: &OrganizationId,
        id: &QuarantineId,
    ) -> Result<bool, StoreError> {
        let _ = (organization, id);
        todo!()
    }
}
