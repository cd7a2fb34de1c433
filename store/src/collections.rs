//! Collections: containers on connections.

use connector_sdk::{Cursor, RemoteCollection, RemoteId};
use model::{CollectionId, ConnectionId, Kind, OrganizationId};
use sync::hold::{Hold, HoldAnswer};
use sync::ports::StoreError;
use sync::state::Collection;

use crate::column::{all, document, failed, flag, get, id, json, optional_json, refused, spelled, word};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

/// A connection's collections.
pub(crate) const OF_CONNECTION: &str =
    "SELECT * FROM collections WHERE organization_id = $1 AND connection_id = $2 ORDER BY name, id";

fn read(row: &Row) -> Result<Collection, StoreError> {
    Ok(Collection {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        connection: id(row, "connection_id")?,
        remote: RemoteCollection {
            id: RemoteId(get(row, "remote_id")?),
            kind: word(row, "kind")?,
            name: get(row, "name")?,
            access: word(row, "access")?,
            fields: json(row, "fields")?,
        },
        cursor: get::<Option<String>>(row, "cursor")?.map(Cursor),
        enumerated_at: get(row, "enumerated_at")?,
        enabled: flag(row, "enabled")?,
        hold: read_hold(row)?,
    })
}

/// The document of a hold; of one that an earlier release stored there are only words.
fn read_hold(row: &Row) -> Result<Option<Hold>, StoreError> {
    match optional_json(row, "hold_detail")? {
        Some(hold) => Ok(Some(hold)),
        None => Ok(get::<Option<String>>(row, "hold")?.map(Hold::in_words)),
    }
}

/// A new collection, or what the provider now says of one. Of a known one the cursor, the hold and the time of its
/// enumeration stay; whether it is synced changes only when the caller speaks of the stored collection itself, by
/// its id, and not of one that a listing has just named.
pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    collection: &Collection,
) -> Result<(), StoreError> {
    let remote = &collection.remote;
    sql::query(
        "INSERT INTO collections
            (organization_id, id, connection_id, remote_id, kind, name, access, fields, cursor, enumerated_at,
             enabled, hold, hold_detail, hold_answer)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (organization_id, connection_id, remote_id) DO UPDATE
         SET kind = excluded.kind, name = excluded.name, access = excluded.access, fields = excluded.fields,
             enabled = CASE WHEN collections.id = excluded.id THEN excluded.enabled ELSE collections.enabled END",
    )
    .bind(organization.as_str())
    .bind(collection.id.as_str())
    .bind(collection.connection.as_str())
    .bind(&remote.id.0)
    .bind(remote.kind.name())
    .bind(&remote.name)
    .bind(spelled(&remote.access)?)
    .bind(document(&remote.fields)?)
    .bind(collection.cursor.as_ref().map(|cursor| &cursor.0))
    .bind(collection.enumerated_at)
    .bind(i64::from(collection.enabled))
    .bind(collection.hold.as_ref().map(|hold| &hold.reason))
    .bind(collection.hold.as_ref().map(document).transpose()?)
    .bind(answer(collection.hold.as_ref()))
    .execute(write.conn())
    .await
    .map_err(refused(collection.id.as_str()))?;
    Ok(())
}

pub(crate) async fn put_cursor(
    write: &mut Write,
    organization: &OrganizationId,
    collection: &CollectionId,
    cursor: Option<&Cursor>,
    enumerated_at: Option<i64>,
) -> Result<(), StoreError> {
    let done = sql::query(
        "UPDATE collections SET cursor = $1, enumerated_at = COALESCE($2, enumerated_at)
         WHERE organization_id = $3 AND id = $4",
    )
    .bind(cursor.map(|cursor| &cursor.0))
    .bind(enumerated_at)
    .bind(organization.as_str())
    .bind(collection.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    write.touched(done.rows_affected(), collection.as_str())
}

fn answer(hold: Option<&Hold>) -> Option<&'static str> {
    hold.and_then(|hold| hold.answer).map(HoldAnswer::name)
}

/// Sets or clears a hold; stale when somebody answered it meanwhile.
pub(crate) async fn hold(
    write: &mut Write,
    organization: &OrganizationId,
    collection: &CollectionId,
    before: Option<HoldAnswer>,
    hold: Option<&Hold>,
) -> Result<(), StoreError> {
    let done = sql::query(
        "UPDATE collections SET hold = $1, hold_detail = $2, hold_answer = $3
         WHERE organization_id = $4 AND id = $5 AND COALESCE(hold_answer, '') = $6",
    )
    .bind(hold.map(|hold| &hold.reason))
    .bind(hold.map(document).transpose()?)
    .bind(answer(hold))
    .bind(organization.as_str())
    .bind(collection.as_str())
    .bind(before.map_or("", HoldAnswer::name))
    .execute(write.conn())
    .await
    .map_err(failed)?;
    write.touched(done.rows_affected(), collection.as_str())
}

impl SqliteStore {
    pub(crate) async fn read_collections(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Collection>, StoreError> {
        let rows = sql::query(OF_CONNECTION)
            .bind(organization.as_str())
            .bind(connection.as_str())
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        all(&rows, read)
    }

    pub(crate) async fn read_collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
    ) -> Result<Option<Collection>, StoreError> {
        let row = self
            .row(
                "SELECT * FROM collections WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The collections whose records are of a kind (calendars: `Kind::Event`), in order of id; of one connection
    /// where that is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn collections_of_kind(
        &self,
        organization: &OrganizationId,
        kind: Kind,
        connection: Option<&ConnectionId>,
        paging: &Paging,
    ) -> Result<Page<Collection>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM collections WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND kind = ")
            .push_bind(kind.name());
        if let Some(connection) = connection {
            query.push(" AND connection_id = ").push_bind(connection.as_str());
        }
        if let Some(after) = &paging.after {
            query.push(" AND id > ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |collection| {
            collection.id.as_str()
        }))
    }

    /// Says whether a collection is synced; `false` when there is no such collection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn enable_collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
        enabled: bool,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query("UPDATE collections SET enabled = $1 WHERE organization_id = $2 AND id = $3")
            .bind(i64::from(enabled))
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
