//! How new the last observations of remote objects were that webhooks brought.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::{RemoteId, RemoteVersion};
use model::{CollectionId, OrganizationId};
use sync::ports::StoreError;
use sync::state::Freshness;

use crate::SqliteStore;
use crate::column::{failed, get, refused};
use crate::dialect::{IDS_PER_QUERY, rows_per_insert};
use crate::sql::{self, QueryBuilder};
use crate::write::Write;

/// How long it is kept of objects that have no link: longer than any vendor goes on sending a delivery.
const KEPT_MS: i64 = 30 * 24 * 3_600_000;

/// One of them, on its way into the store.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) collection: CollectionId,
    pub(crate) remote: RemoteId,
    pub(crate) freshness: Freshness,
    pub(crate) at: i64,
}

/// Writes them over what was there; of two of the same object the last.
pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    rows: Vec<Fresh>,
) -> Result<(), StoreError> {
    // PostgreSQL refuses to write a row twice in one statement.
    let rows: BTreeMap<(CollectionId, RemoteId), Fresh> = rows
        .into_iter()
        .map(|row| ((row.collection.clone(), row.remote.clone()), row))
        .collect();
    let mut rows = rows.into_values().peekable();
    while rows.peek().is_some() {
        let mut insert = QueryBuilder::new(
            "INSERT INTO observed (organization_id, collection_id, remote_id, ordering, version, at) ",
        );
        insert.push_values(rows.by_ref().take(rows_per_insert(6)), |mut values, row| {
            values
                .push_bind(organization.as_str())
                .push_bind(row.collection.to_string())
                .push_bind(row.remote.0)
                .push_bind(row.freshness.ordering)
                .push_bind(row.freshness.version.map(|version| version.0))
                .push_bind(row.at);
        });
        insert.push(
            " ON CONFLICT (organization_id, collection_id, remote_id) DO UPDATE
             SET ordering = excluded.ordering, version = excluded.version, at = excluded.at",
        );
        insert
            .build()
            .execute(write.conn())
            .await
            .map_err(refused("a collection"))?;
    }
    Ok(())
}

/// Objects that have lost their link: what comes late of them is not taken at its word.
pub(crate) async fn forget(
    write: &mut Write,
    organization: &OrganizationId,
    gone: BTreeSet<(CollectionId, RemoteId)>,
    at: i64,
) -> Result<(), StoreError> {
    let rows = gone
        .into_iter()
        .map(|(collection, remote)| Fresh {
            collection,
            remote,
            freshness: Freshness::default(),
            at,
        })
        .collect();
    put(write, organization, rows).await
}

/// Forgets what nobody needs any more.
pub(crate) async fn sweep(write: &mut Write, now_ms: i64) -> Result<(), StoreError> {
    sql::query(
        "DELETE FROM observed WHERE at < $1 AND NOT EXISTS (
            SELECT 1 FROM link_parts p
            WHERE p.organization_id = observed.organization_id AND p.collection_id = observed.collection_id
                AND p.remote_id = observed.remote_id
         )",
    )
    .bind(now_ms - KEPT_MS)
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
}

impl SqliteStore {
    pub(crate) async fn read_freshness(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<BTreeMap<RemoteId, Freshness>, StoreError> {
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(IDS_PER_QUERY) {
            let mut query = QueryBuilder::new(
                "SELECT remote_id, ordering, version FROM observed WHERE organization_id = ",
            );
            query
                .push_bind(organization.as_str())
                .push(" AND collection_id = ")
                .push_bind(collection.as_str())
                .push(" AND remote_id")
                .push_in(chunk.iter().map(|id| id.0.as_str()));
            for row in query.build().fetch_all(self.read()).await.map_err(failed)? {
                let freshness = Freshness {
                    ordering: get(&row, "ordering")?,
                    version: get::<Option<String>>(&row, "version")?.map(RemoteVersion),
                };
                found.insert(RemoteId(get(&row, "remote_id")?), freshness);
            }
        }
        Ok(found)
    }
}
