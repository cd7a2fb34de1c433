//! The history of records: what happened to each, why, and through what. Bounded per record.

use std::collections::HashMap;

use model::{OrganizationId, RecordId};
use sync::history::{HistoryAction, HistoryEntry, KEPT_PER_RECORD};
use sync::ports::StoreError;

use crate::column::{all, corrupt, document, failed, get, id, json, word};
use crate::dialect::{IDS_PER_QUERY, rows_per_insert};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

fn read(row: &Row) -> Result<(String, HistoryEntry), StoreError> {
    let seq: i64 = get(row, "seq")?;
    let entry = HistoryEntry {
        organization: id(row, "organization_id")?,
        record: id(row, "record_id")?,
        version: get(row, "version")?,
        action: word(row, "action")?,
        path: get(row, "path")?,
        detail: json(row, "detail")?,
        at: get(row, "at")?,
    };
    Ok((seq.to_string(), entry))
}

/// Appends entries, each record's in the order given, and lets the oldest go beyond the bound.
pub(crate) async fn append(
    write: &mut Write,
    organization: &OrganizationId,
    entries: Vec<HistoryEntry>,
) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut last = last_numbers(write, organization, &entries).await?;
    let mut rows = Vec::with_capacity(entries.len());
    let mut full: Vec<(RecordId, i64)> = Vec::new();
    for entry in entries {
        let seq = last.entry(entry.record.clone()).or_default();
        *seq += 1;
        rows.push((*seq, document(&entry.detail)?, entry));
    }
    full.extend(last.into_iter().filter(|(_, seq)| *seq > KEPT_PER_RECORD));
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = QueryBuilder::new(
            "INSERT INTO record_history
                (organization_id, record_id, seq, version, action, path, detail, at) ",
        );
        insert.push_values(
            rows.by_ref().take(rows_per_insert(8)),
            |mut row, (seq, detail, entry)| {
                row.push_bind(organization.as_str())
                    .push_bind(entry.record.to_string())
                    .push_bind(seq)
                    .push_bind(entry.version)
                    .push_bind(entry.action.name())
                    .push_bind(entry.path)
                    .push_bind(detail)
                    .push_bind(entry.at);
            },
        );
        insert.build().execute(write.conn()).await.map_err(failed)?;
    }
    for (record, seq) in full {
        sql::query("DELETE FROM record_history WHERE organization_id = $1 AND record_id = $2 AND seq <= $3")
            .bind(organization.as_str())
            .bind(record.as_str())
            .bind(seq - KEPT_PER_RECORD)
            .execute(write.conn())
            .await
            .map_err(failed)?;
    }
    Ok(())
}

/// The last number that each record's history has. A record that comes into being has none, and is not asked for.
async fn last_numbers(
    write: &mut Write,
    organization: &OrganizationId,
    entries: &[HistoryEntry],
) -> Result<HashMap<RecordId, i64>, StoreError> {
    let mut ids: Vec<&str> = entries
        .iter()
        .filter(|entry| entry.action != HistoryAction::Created)
        .map(|entry| entry.record.as_str())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut last = HashMap::with_capacity(ids.len());
    for ids in ids.chunks(IDS_PER_QUERY) {
        let mut query = QueryBuilder::new(
            "SELECT r.id AS record_id,
                (SELECT MAX(h.seq) FROM record_history h
                 WHERE h.organization_id = r.organization_id AND h.record_id = r.id) AS seq
             FROM records r WHERE r.organization_id = ",
        );
        query
            .push_bind(organization.as_str())
            .push(" AND r.id")
            .push_in(ids.iter().copied());
        let rows = query.build().fetch_all(write.conn()).await.map_err(failed)?;
        for row in &rows {
            let seq: Option<i64> = get(row, "seq")?;
            last.insert(id(row, "record_id")?, seq.unwrap_or_default());
        }
    }
    Ok(last)
}

impl SqliteStore {
    /// A record's history, newest first. With a field only what says something about that field: its own entries, and
    /// those of the record as a whole. `overrides.<start>` stands for all fields of that occurrence.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn history(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
        field: Option<&str>,
        paging: &Paging,
    ) -> Result<Page<HistoryEntry>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM record_history WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND record_id = ")
            .push_bind(record.as_str());
        if let Some(after) = &paging.after {
            let before: i64 = after.parse().map_err(|error| corrupt("cursor", error))?;
            query.push(" AND seq < ").push_bind(before);
        }
        if let Some(field) = field {
            let inside = format!("{field}.");
            query
                .push(" AND (path = ")
                .push_bind(field)
                .push(" OR SUBSTR(path, 1, CAST(")
                .push_bind(i64::try_from(inside.chars().count()).unwrap_or(i64::MAX))
                // PostgreSQL counts characters with INTEGER.
                .push(" AS INTEGER)) = ")
                .push_bind(inside)
                .push(
                    " OR (path IS NULL AND action IN ('created', 'updated', 'deleted', 'revived', 'kept')))",
                );
        }
        query.push(" ORDER BY seq DESC LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        let page = Page::cut(all(&rows, read)?, paging, |(seq, _)| seq.as_str());
        Ok(Page {
            items: page.items.into_iter().map(|(_, entry)| entry).collect(),
            next: page.next,
        })
    }
}
