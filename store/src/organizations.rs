//! Organizations: the tenants.

use model::OrganizationId;
use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{all, failed, get, id, refused};
use crate::sql::{self, Row};
use crate::write::Write;

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

/// All of them, oldest first.
const ALL: &str = "SELECT * FROM organizations ORDER BY created_at, organization_id";

fn read(row: &Row) -> Result<Organization, StoreError> {
    Ok(Organization {
        id: id(row, "organization_id")?,
        name: get(row, "name")?,
        created_at: get(row, "created_at")?,
    })
}

async fn insert(write: &mut Write, organization: &Organization) -> Result<(), StoreError> {
    sql::query("INSERT INTO organizations (organization_id, name, created_at) VALUES ($1, $2, $3)")
        .bind(organization.id.as_str())
        .bind(&organization.name)
        .bind(organization.created_at)
        .execute(write.conn())
        .await
        .map_err(refused(organization.id.as_str()))?;
    Ok(())
}

impl SqliteStore {
    /// Adds an organization.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn create_organization(&self, organization: &Organization) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        insert(&mut write, organization).await?;
        write.commit().await
    }

    /// An organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organization(&self, id: &OrganizationId) -> Result<Option<Organization>, StoreError> {
        let row = sql::query("SELECT * FROM organizations WHERE organization_id = $1")
            .bind(id.as_str())
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The oldest organization; adds `fresh` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn default_organization(&self, fresh: &Organization) -> Result<Organization, StoreError> {
        if let Some(oldest) = self.organizations().await?.into_iter().next() {
            return Ok(oldest);
        }
        let mut write = self.write().await?;
        // Nodes that start together do this one after the other: the row is theirs until the commit.
        sql::query("UPDATE installation SET value = value WHERE name = 'master_key'")
            .execute(write.conn())
            .await
            .map_err(failed)?;
        let oldest = sql::query(ALL)
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
        if let Some(row) = oldest {
            return read(&row);
        }
        insert(&mut write, fresh).await?;
        write.commit().await?;
        Ok(fresh.clone())
    }

    /// All organizations, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organizations(&self) -> Result<Vec<Organization>, StoreError> {
        let rows = sql::query(ALL).fetch_all(self.read()).await.map_err(failed)?;
        all(&rows, read)
    }
}
