//! Organizations: the tenants.

use model::OrganizationId;
use sync::ports::StoreError;

use crate::SqliteStore;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// Its name for people.
    pub name: String,
    /// Epoch milliseconds.
    pub created_at: i64,
}

impl SqliteStore {
    /// Adds an organization.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn create_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        let _ = organization;
        todo!()
    }

    /// The oldest organization; adds `fresh` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn default_organization(&self, fresh: &Organization) -> Result<Organization, StoreError> {
        let _ = fresh;
        todo!()
    }

    /// All organizations, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        todo!()
    }
}
