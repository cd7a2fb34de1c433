//! Conflicts: clashes of edits, and the values that lost.

use model::{OrganizationId, RecordId};
use sync::ports::StoreError;
use sync::state::Conflict;

use crate::{Page, Paging, SqliteStore};

/// Which conflicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConflictFilter {
    /// Only those that nobody has dealt with.
    pub open: bool,
    /// Of this record.
    pub record: Option<RecordId>,
}

impl SqliteStore {
    /// Conflicts, newest first. A single one is read with [`sync::ports::Store::conflict`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn conflicts(
        &self,
        organization: &OrganizationId,
        filter: &ConflictFilter,
        paging: &Paging,
    ) -> Result<Page<Conflict>, StoreError> {
        let _ = (organization, filter, paging);
        todo!()
    }
}
