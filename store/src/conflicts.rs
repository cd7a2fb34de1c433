//! Conflicts: clashes of edits, and the values that lost.

use model::{ConflictId, OrganizationId, RecordId};
use sync::ports::StoreError;
use sync::state::Conflict;

use crate::column::{all, document, failed, get, id, optional_json, optional_word, refused, spelled, word};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

/// Which conflicts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConflictFilter {
    /// Only those that nobody has dealt with.
    pub open: bool,
    /// Of this record.
    pub record: Option<RecordId>,
}

fn read(row: &Row) -> Result<Conflict, StoreError> {
    Ok(Conflict {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        record: id(row, "record_id")?,
        link: id(row, "link_id")?,
        path: optional_json(row, "path")?,
        anchor: optional_json(row, "anchor")?,
        base: optional_json(row, "base")?,
        hub: optional_json(row, "hub")?,
        remote: optional_json(row, "remote")?,
        winner: optional_word(row, "winner")?,
        rule: word(row, "rule")?,
        resolved_at: get(row, "resolved_at")?,
        created_at: get(row, "created_at")?,
    })
}

pub(crate) async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    conflict: &Conflict,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO conflicts
            (organization_id, id, record_id, link_id, path, base, hub, remote, winner, rule, resolved_at,
             created_at, anchor)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(organization.as_str())
    .bind(conflict.id.as_str())
    .bind(conflict.record.as_str())
    .bind(conflict.link.as_str())
    .bind(conflict.path.as_ref().map(document).transpose()?)
    .bind(conflict.base.as_ref().map(document).transpose()?)
    .bind(conflict.hub.as_ref().map(document).transpose()?)
    .bind(conflict.remote.as_ref().map(document).transpose()?)
    .bind(conflict.winner.as_ref().map(spelled).transpose()?)
    .bind(conflict.rule.name())
    .bind(conflict.resolved_at)
    .bind(conflict.created_at)
    .bind(conflict.anchor.as_ref().map(document).transpose()?)
    .execute(write.conn())
    .await
    .map_err(refused(conflict.id.as_str()))?;
    Ok(())
}

/// Marks a conflict as dealt with; stale when someone else was faster.
pub(crate) async fn resolve(
    write: &mut Write,
    organization: &OrganizationId,
    conflict: &ConflictId,
    at: i64,
) -> Result<(), StoreError> {
    let done = sql::query(
        "UPDATE conflicts SET resolved_at = $1 WHERE organization_id = $2 AND id = $3 AND resolved_at IS NULL",
    )
    .bind(at)
    .bind(organization.as_str())
    .bind(conflict.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    write.touched(done.rows_affected(), conflict.as_str())
}

impl SqliteStore {
    pub(crate) async fn read_conflict(
        &self,
        organization: &OrganizationId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        let row = self
            .row(
                "SELECT * FROM conflicts WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Conflicts, newest first. A single one is read with [`sync::ports::Store::conflict`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn conflicts(
        &self,
        organization: &OrganizationId,
        filter: &ConflictFilter,
        paging: &Paging,
    ) -> Result<Page<Conflict>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM conflicts WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if filter.open {
            query.push(" AND resolved_at IS NULL");
        }
        if let Some(record) = &filter.record {
            query.push(" AND record_id = ").push_bind(record.as_str());
        }
        if let Some(after) = &paging.after {
            query.push(" AND id < ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |conflict| {
            conflict.id.as_str()
        }))
    }
}
