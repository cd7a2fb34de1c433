//! Pairings: what people decided about a record and a collection.

use std::collections::BTreeMap;

use model::{CollectionId, OrganizationId, RecordId};
use sync::ports::StoreError;
use sync::state::Pairing;

use crate::SqliteStore;
use crate::column::{failed, id, refused, spelled, word};
use crate::sql;
use crate::write::Write;

pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    record: &RecordId,
    collection: &CollectionId,
    pairing: Option<Pairing>,
) -> Result<(), StoreError> {
    let Some(pairing) = pairing else {
        sql::query(
            "DELETE FROM pairings WHERE organization_id = $1 AND collection_id = $2 AND record_id = $3",
        )
        .bind(organization.as_str())
        .bind(collection.as_str())
        .bind(record.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        return Ok(());
    };
    sql::query(
        "INSERT INTO pairings (organization_id, collection_id, record_id, pairing) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organization_id, collection_id, record_id) DO UPDATE SET pairing = excluded.pairing",
    )
    .bind(organization.as_str())
    .bind(collection.as_str())
    .bind(record.as_str())
    .bind(spelled(&pairing)?)
    .execute(write.conn())
    .await
    .map_err(refused(record.as_str()))?;
    Ok(())
}

impl SqliteStore {
    pub(crate) async fn read_pairings(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<BTreeMap<RecordId, Pairing>, StoreError> {
        let rows = sql::query(
            "SELECT record_id, pairing FROM pairings WHERE organization_id = $1 AND collection_id = $2",
        )
        .bind(organization.as_str())
        .bind(collection.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((id(row, "record_id")?, word(row, "pairing")?)))
            .collect()
    }

    pub(crate) async fn read_pairings_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<BTreeMap<CollectionId, Pairing>, StoreError> {
        let rows = sql::query(
            "SELECT collection_id, pairing FROM pairings WHERE organization_id = $1 AND record_id = $2",
        )
        .bind(organization.as_str())
        .bind(record.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| Ok((id(row, "collection_id")?, word(row, "pairing")?)))
            .collect()
    }
}
