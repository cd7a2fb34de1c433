//! Links at which people are asked for consent. Whoever has one may use it; what makes it secret is known to its holder
//! alone, and here by its digest.

use model::{ConnectLinkId, ConnectionId, OrganizationId};
use sync::ports::StoreError;

use super::{AppRef, Wanted};
use crate::column::{all, document, failed, get, id, json, optional_id, refused};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

/// A link.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectLink {
    /// Its id.
    pub id: ConnectLinkId,
    /// Whose connections it makes.
    pub organization: OrganizationId,
    /// The app that asks.
    pub app: AppRef,
    /// The connection that is to be repaired or widened; none: each use makes one.
    pub connection: Option<ConnectionId>,
    /// What is to come of it.
    pub wanted: Wanted,
    /// How many people may still use it.
    pub uses_left: i64,
    /// Until when, epoch milliseconds.
    pub expires_at: i64,
    /// The key that made it.
    pub created_by: String,
    /// Epoch milliseconds.
    pub created_at: i64,
}

fn read(row: &Row) -> Result<ConnectLink, StoreError> {
    Ok(ConnectLink {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        app: AppRef::read(row)?,
        connection: optional_id(row, "connection_id")?,
        wanted: json(row, "wanted")?,
        uses_left: get(row, "uses_left")?,
        expires_at: get(row, "expires_at")?,
        created_by: get(row, "created_by")?,
        created_at: get(row, "created_at")?,
    })
}

/// Takes one use of a link; `Stale` when there is none left.
pub(super) async fn take_use(
    write: &mut Write,
    organization: &OrganizationId,
    link: &ConnectLinkId,
    now: i64,
) -> Result<(), StoreError> {
    let done = sql::query(
        "UPDATE connect_links
         SET uses_left = uses_left - 1, used_up_at = CASE WHEN uses_left = 1 THEN $3 ELSE used_up_at END
         WHERE organization_id = $1 AND id = $2 AND uses_left > 0",
    )
    .bind(organization.as_str())
    .bind(link.as_str())
    .bind(now)
    .execute(write.conn())
    .await
    .map_err(failed)?;
    write.touched(done.rows_affected(), link.as_str())
}

impl SqliteStore {
    /// Adds a link, by the digest of what makes it secret.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn insert_connect_link(&self, link: &ConnectLink, digest: &str) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query(
            "INSERT INTO connect_links
                (organization_id, id, digest, app_owner, app_id, connection_id, wanted, uses_left, expires_at,
                 created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(link.organization.as_str())
        .bind(link.id.as_str())
        .bind(digest)
        .bind(link.app.owner.as_str())
        .bind(link.app.id.as_str())
        .bind(link.connection.as_ref().map(|id| id.as_str()))
        .bind(document(&link.wanted)?)
        .bind(link.uses_left)
        .bind(link.expires_at)
        .bind(&link.created_by)
        .bind(link.created_at)
        .execute(write.conn())
        .await
        .map_err(refused(link.id.as_str()))?;
        write.commit().await
    }

    /// The link with this digest. Starts from an address and ends at an organization, as
    /// [`Self::hook_target`] does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connect_link_at(&self, digest: &str) -> Result<Option<ConnectLink>, StoreError> {
        let row = sql::query("SELECT * FROM connect_links WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// A link.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connect_link(
        &self,
        organization: &OrganizationId,
        id: &ConnectLinkId,
    ) -> Result<Option<ConnectLink>, StoreError> {
        let row = self
            .row(
                "SELECT * FROM connect_links WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The links of an organization, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connect_links(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<ConnectLink>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM connect_links WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(after) = &paging.after {
            query.push(" AND id > ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |link| link.id.as_str()))
    }

    /// Takes a link back; `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_connect_link(
        &self,
        organization: &OrganizationId,
        id: &ConnectLinkId,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query("DELETE FROM connect_links WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
