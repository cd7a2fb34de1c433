//! Organizations: the tenants.

use model::OrganizationId;
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{all, failed, get, id, refused};
use crate::dialect::Row;

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

fn read(row: &Row) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: id(row, "organization_id")?,
        name: get(row, "name")?,
        created_at: get(row, "created_at")?,
    })
}

impl SqliteStore {
    /// Adds an organization.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn create_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("INSERT INTO organizations (organization_id, name, created_at) VALUES ($1, $2, $3)")
            .bind(organization.id.as_str())
            .bind(&organization.name)
            .bind(organization.created_at)
            .execute(write.conn())
            .await
            .map_err(refused(organization.id.as_str()))?;
        write.commit().await
    }

    /// The oldest organization; adds `fresh` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn default_organization(&self, fresh: &Organization) -> Result<Organization, StoreError> {
        if let Some(oldest) = self.organizations().await?.into_iter().next() {
            return Ok(oldest);
        }
        match self.create_organization(fresh).await {
            Ok(()) | Err(StoreError::Stale(_)) => {}
            Err(error) => return Err(error),
        }
        // Someone else may have been faster: the oldest is the one for all.
        Ok(self
            .organizations()
            .await?
            .into_iter()
            .next()
            .unwrap_or_else(|| fresh.clone()))
    }

    /// All organizations, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        let rows = sqlx::query("SELECT * FROM organizations ORDER BY created_at, organization_id")
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        all(&rows, read)
    }
}
