//! Quarantine: what a provider sent that could not be dealt with.

use connector_sdk::{RemoteId, RemoteVersion};
use model::{CollectionId, OrganizationId, QuarantineId};
use sqlx::QueryBuilder;
use sync::ports::StoreError;
use sync::state::Quarantine;

use crate::column::{all, failed, get, id, refused};
use crate::dialect::{Engine, Row};
use crate::original;
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuarantineFilter {
    /// From this collection.
    pub collection: Option<CollectionId>,
}

fn read(row: &Row) -> Result<Quarantine, StoreError> {
    Ok(Quarantine {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        collection: id(row, "collection_id")?,
        remote: RemoteId(get(row, "remote_id")?),
        version: get::<Option<String>>(row, "version")?.map(RemoteVersion),
        reason: get(row, "reason")?,
        raw: original::unpack(get(row, "encoding")?, get(row, "raw")?)?,
        created_at: get(row, "created_at")?,
    })
}

pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    entry: &Quarantine,
) -> Result<(), StoreError> {
    let packed = original::pack(&entry.raw);
    sqlx::query(
        "INSERT INTO quarantine
            (organization_id, id, collection_id, remote_id, version, reason, encoding, raw, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (organization_id, collection_id, remote_id) DO UPDATE
         SET id = excluded.id, version = excluded.version, reason = excluded.reason,
             encoding = excluded.encoding, raw = excluded.raw, created_at = excluded.created_at",
    )
    .bind(organization.as_str())
    .bind(entry.id.as_str())
    .bind(entry.collection.as_str())
    .bind(&entry.remote.0)
    .bind(entry.version.as_ref().map(|version| &version.0))
    .bind(&entry.reason)
    .bind(packed.encoding)
    .bind(packed.bytes)
    .bind(entry.created_at)
    .execute(write.conn())
    .await
    .map_err(refused(entry.id.as_str()))?;
    Ok(())
}

/// Lets an object out, if it is in.
pub(crate) async fn release(
    write: &mut Write,
    organization: &OrganizationId,
    collection: &CollectionId,
    remote: &RemoteId,
) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM quarantine WHERE organization_id = $1 AND collection_id = $2 AND remote_id = $3",
    )
    .bind(organization.as_str())
    .bind(collection.as_str())
    .bind(&remote.0)
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
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
        let mut query = QueryBuilder::<Engine>::new("SELECT * FROM quarantine WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(collection) = &filter.collection {
            query.push(" AND collection_id = ").push_bind(collection.as_str());
        }
        if let Some(after) = &paging.after {
            query.push(" AND id > ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |entry| entry.id.as_str()))
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
        let row = self
            .row(
                "SELECT * FROM quarantine WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
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
        let mut write = self.write().await?;
        let collection: Option<String> = sqlx::query_scalar(
            "DELETE FROM quarantine WHERE organization_id = $1 AND id = $2 RETURNING collection_id",
        )
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(write.conn())
        .await
        .map_err(failed)?;
        let Some(collection) = collection else {
            return Ok(false);
        };
        sqlx::query("UPDATE collections SET cursor = NULL WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(collection)
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(true)
    }
}
