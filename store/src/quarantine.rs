//! Quarantine: what a provider sent that could not be dealt with.

use connector_sdk::{RemoteId, RemoteVersion};
use model::{CollectionId, OrganizationId, QuarantineId};
use sync::ports::StoreError;
use sync::state::Quarantine;

use crate::column::{all, failed, get, id, refused};
use crate::dialect::IDS_PER_QUERY;
use crate::original;
use crate::sql::{self, QueryBuilder, Row};
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
        tries: u32::try_from(get::<i64>(row, "tries")?).unwrap_or(u32::MAX),
        retry_at: get(row, "retry_at")?,
    })
}

pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    entry: &Quarantine,
) -> Result<(), StoreError> {
    let packed = original::pack(&entry.raw);
    // Not one statement: its conflict clause would name one of the two keys, and an entry may meet itself by both.
    let texts = [
        "UPDATE quarantine SET id = $2, version = $5, reason = $6, encoding = $7, raw = $8, created_at = $9,
             tries = $10, retry_at = $11
         WHERE organization_id = $1 AND collection_id = $3 AND remote_id = $4",
        "INSERT INTO quarantine
            (organization_id, id, collection_id, remote_id, version, reason, encoding, raw, created_at, tries, retry_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    ];
    for text in texts {
        let done = sql::query(text)
            .bind(organization.as_str())
            .bind(entry.id.as_str())
            .bind(entry.collection.as_str())
            .bind(&entry.remote.0)
            .bind(entry.version.as_ref().map(|version| &version.0))
            .bind(&entry.reason)
            .bind(packed.encoding)
            .bind(&packed.bytes)
            .bind(entry.created_at)
            .bind(i64::from(entry.tries))
            .bind(entry.retry_at)
            .execute(write.conn())
            .await
            .map_err(refused(entry.id.as_str()))?;
        if done.rows_affected() > 0 {
            break;
        }
    }
    Ok(())
}

/// Lets an object out, if it is in.
pub(crate) async fn release(
    write: &mut Write,
    organization: &OrganizationId,
    collection: &CollectionId,
    remote: &RemoteId,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM quarantine WHERE organization_id = $1 AND collection_id = $2 AND remote_id = $3")
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
        let mut query = QueryBuilder::new("SELECT * FROM quarantine WHERE organization_id = ");
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

    /// Makes an entry due: the next sync looks at its object. `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retry_quarantine(
        &self,
        organization: &OrganizationId,
        id: &QuarantineId,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query("UPDATE quarantine SET retry_at = 0 WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    pub(crate) async fn read_unreadable(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Quarantine>, StoreError> {
        let mut ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::new();
        for chunk in ids.chunks(IDS_PER_QUERY) {
            let mut query = QueryBuilder::new("SELECT * FROM quarantine WHERE organization_id = ");
            query.push_bind(organization.as_str());
            query
                .push(" AND collection_id = ")
                .push_bind(collection.as_str())
                .push(" AND remote_id")
                .push_in(chunk.iter().copied())
                .push(" ORDER BY remote_id");
            let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
            found.extend(all(&rows, read)?);
        }
        Ok(found)
    }

    pub(crate) async fn read_unreadable_due(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Quarantine>, StoreError> {
        let rows = sql::query(
            "SELECT * FROM quarantine WHERE organization_id = $1 AND collection_id = $2 AND retry_at <= $3
             ORDER BY retry_at, remote_id LIMIT $4",
        )
        .bind(organization.as_str())
        .bind(collection.as_str())
        .bind(now_ms)
        .bind(i64::from(limit))
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, read)
    }
}
