//! Records: the hub's objects, with their links.

use model::{CollectionId, ConnectionId, Kind, OrganizationId, RecordId};
use sync::ports::StoreError;
use sync::state::{Link, Record};

use crate::{Page, Paging, SqliteStore};

/// A record as the API shows it: with its links, in order of id.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordView {
    /// The record.
    pub record: Record,
    /// Its links.
    pub links: Vec<Link>,
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFilter {
    /// Of this kind.
    pub kind: Kind,
    /// With a link on this connection.
    pub connection: Option<ConnectionId>,
    /// With a link in this collection.
    pub collection: Option<CollectionId>,
    /// Changed after this moment, epoch milliseconds.
    pub updated_after: Option<i64>,
    /// That contain this text in one of their text fields, whatever its case.
    pub q: Option<String>,
}

impl RecordFilter {
    /// All records of a kind.
    #[must_use]
    pub const fn of_kind(kind: Kind) -> Self {
        Self {
            kind,
            connection: None,
            collection: None,
            updated_after: None,
            q: None,
        }
    }
}

impl SqliteStore {
    /// A live record with its links.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_view(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<RecordView>, StoreError> {
        let _ = (organization, id);
        todo!()
    }

    /// Live records, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn records(
        &self,
        organization: &OrganizationId,
        filter: &RecordFilter,
        paging: &Paging,
    ) -> Result<Page<RecordView>, StoreError> {
        let _ = (organization, filter, paging);
        todo!()
    }
}
