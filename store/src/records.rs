//! Records: the hub's objects, with their links.

use std::collections::HashMap;

use model::{CollectionId, ConnectionId, Content, Kind, OrganizationId, RecordId, expand};
use sha2::{Digest, Sha256};
use sync::ports::StoreError;
use sync::state::{Link, Record};

use crate::column::{all, corrupt, document, failed, flag, get, id, json, optional_id, refused};
use crate::dialect::rows_per_insert;
use crate::seal::to_hex;
use crate::search;
use crate::sql::{self, Pool, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore, links};

/// The columns of a record, named so that they can stand next to those of its link.
pub(crate) const COLUMNS: &str = "r.id AS r_id, r.organization_id AS r_organization_id, r.kind AS r_kind,
    r.version AS r_version, r.content AS r_content, r.clocks AS r_clocks, r.home AS r_home, r.deleted AS r_deleted,
    r.merged_into AS r_merged_into, r.created_at AS r_created_at, r.updated_at AS r_updated_at";

/// Bytes of a UID that is kept as it is.
const LONGEST_UID: usize = 512;

/// A record as the API shows it: with its links, in order of id.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordView {
    /// The record.
    pub record: Record,
    /// Its links.
    pub links: Vec<Link>,
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFilter {
    /// Of this kind.
    pub kind: Kind,
    /// With a link on this connection.
    pub connection: Option<ConnectionId>,
    /// With a link in this collection.
    pub collection: Option<CollectionId>,
    /// Changed after this moment, epoch milliseconds.
    pub updated_after: Option<i64>,
    /// That contain this text in one of their text fields, whatever its case.
    pub q: Option<String>,
}

impl RecordFilter {
    /// All records of a kind.
    #[must_use]
    pub const fn of_kind(kind: Kind) -> Self {
        Self {
            kind,
            connection: None,
            collection: None,
            updated_after: None,
            q: None,
        }
    }
}

pub(crate) fn read(row: &Row) -> Result<Record, StoreError> {
    Ok(Record {
        id: id(row, "r_id")?,
        organization: id(row, "r_organization_id")?,
        kind: Kind::from_name(get(row, "r_kind")?).ok_or_else(|| corrupt("kind", "not known"))?,
        version: get(row, "r_version")?,
        content: json(row, "r_content")?,
        clocks: json(row, "r_clocks")?,
        home: optional_id(row, "r_home")?,
        deleted: flag(row, "r_deleted")?,
        merged_into: optional_id(row, "r_merged_into")?,
        created_at: get(row, "r_created_at")?,
        updated_at: get(row, "r_updated_at")?,
    })
}

/// A UID as it is looked up. An index of PostgreSQL takes rows of up to 2,704 bytes, and a UID may be of any length: a
/// hash stands for a long one (<https://www.postgresql.org/docs/current/btree.html>).
pub(crate) fn lookup_uid(uid: &str) -> String {
    if uid.len() <= LONGEST_UID {
        uid.to_owned()
    } else {
        to_hex(&Sha256::digest(uid)).to_string()
    }
}

/// From when to when an event can have occurrences; nothing for other kinds.
fn span(kind: Kind, content: &Content) -> (Option<i64>, Option<i64>) {
    match kind {
        Kind::Event => expand::span(content).map_or((None, None), |(first, last)| (Some(first), last)),
        Kind::Calendar | Kind::Contact | Kind::Folder | Kind::Message => (None, None),
    }
}

pub(crate) async fn insert(
    write: &mut Write,
    organization: &OrganizationId,
    records: Vec<Record>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        rows.push((document(&record.content)?, document(&record.clocks)?, record));
    }
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = QueryBuilder::new(
            "INSERT INTO records
                (organization_id, id, kind, version, content, clocks, home, deleted, merged_into, uid, starts_at,
                 ends_at, search, created_at, updated_at) ",
        );
        insert.push_values(
            rows.by_ref().take(rows_per_insert(15)),
            |mut row, (content, clocks, record)| {
                let (starts_at, ends_at) = span(record.kind, &record.content);
                row.push_bind(organization.as_str())
                    .push_bind(record.id.as_str())
                    .push_bind(record.kind.name())
                    .push_bind(record.version)
                    .push_bind(content)
                    .push_bind(clocks)
                    .push_bind(record.home.as_ref().map(|home| home.as_str()))
                    .push_bind(i64::from(record.deleted))
                    .push_bind(record.merged_into.as_ref().map(|into| into.as_str()))
                    .push_bind(record.uid().map(lookup_uid))
                    .push_bind(starts_at)
                    .push_bind(ends_at)
                    .push_bind(search::text(record.kind, &record.content))
                    .push_bind(record.created_at)
                    .push_bind(record.updated_at);
            },
        );
        insert
            .build()
            .execute(write.conn())
            .await
            .map_err(refused("one of the new records"))?;
    }
    Ok(())
}

pub(crate) async fn update(
    write: &mut Write,
    organization: &OrganizationId,
    record: &Record,
) -> Result<(), StoreError> {
    let (starts_at, ends_at) = span(record.kind, &record.content);
    let done = sql::query(
        "UPDATE records
         SET version = $1, content = $2, clocks = $3, home = $4, deleted = $5, merged_into = $6, uid = $7,
             starts_at = $8, ends_at = $9, search = $10, updated_at = $11, kind = $12, created_at = $13
         WHERE organization_id = $14 AND id = $15 AND version = $16",
    )
    .bind(record.version)
    .bind(document(&record.content)?)
    .bind(document(&record.clocks)?)
    .bind(record.home.as_ref().map(|home| home.as_str()))
    .bind(i64::from(record.deleted))
    .bind(record.merged_into.as_ref().map(|into| into.as_str()))
    .bind(record.uid().map(lookup_uid))
    .bind(starts_at)
    .bind(ends_at)
    .bind(search::text(record.kind, &record.content))
    .bind(record.updated_at)
    .bind(record.kind.name())
    .bind(record.created_at)
    .bind(organization.as_str())
    .bind(record.id.as_str())
    .bind(record.version - 1)
    .execute(write.conn())
    .await
    .map_err(refused(record.id.as_str()))?;
    write.touched(done.rows_affected(), record.id.as_str())
}

/// Puts the links to their records.
pub(crate) async fn with_links(
    pool: &Pool,
    organization: &OrganizationId,
    records: Vec<Record>,
) -> Result<Vec<RecordView>, StoreError> {
    let ids: Vec<&RecordId> = records.iter().map(|record| &record.id).collect();
    let mut found: HashMap<RecordId, Vec<Link>> = HashMap::with_capacity(records.len());
    for link in links::of_records(pool, organization, &ids).await? {
        found.entry(link.record.clone()).or_default().push(link);
    }
    Ok(records
        .into_iter()
        .map(|record| RecordView {
            links: found.remove(&record.id).unwrap_or_default(),
            record,
        })
        .collect())
}

impl SqliteStore {
    pub(crate) async fn read_record(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<Record>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(COLUMNS)
            .push(" FROM records r WHERE r.organization_id = ")
            .push_bind(organization.as_str())
            .push(" AND r.id = ")
            .push_bind(id.as_str());
        let row = query.build().fetch_optional(self.read()).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    pub(crate) async fn read_joined(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(COLUMNS)
            .push(
                " FROM links l JOIN records r ON r.organization_id = l.organization_id AND r.id = l.record_id
                  WHERE l.organization_id = ",
            )
            .push_bind(organization.as_str())
            .push(" AND l.collection_id = ")
            .push_bind(collection.as_str())
            .push(" AND l.record_id > ")
            .push_bind(after.map_or("", |after| after.as_str()))
            .push(
                " AND r.deleted = 0 AND EXISTS (
                    SELECT 1 FROM links t
                    WHERE t.organization_id = l.organization_id AND t.record_id = l.record_id AND t.id <> l.id)
                  ORDER BY l.record_id LIMIT ",
            )
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        all(&rows, read)
    }

    /// A live record with its links.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn record_view(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<RecordView>, StoreError> {
        let record = self
            .read_record(organization, id)
            .await?
            .filter(|record| !record.deleted);
        let views = with_links(self.read(), organization, record.into_iter().collect()).await?;
        Ok(views.into_iter().next())
    }

    /// Live records, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn records(
        &self,
        organization: &OrganizationId,
        filter: &RecordFilter,
        paging: &Paging,
    ) -> Result<Page<RecordView>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(COLUMNS)
            .push(" FROM records r WHERE r.organization_id = ")
            .push_bind(organization.as_str())
            .push(" AND r.kind = ")
            .push_bind(filter.kind.name())
            .push(" AND r.deleted = 0");
        if let Some(after) = &paging.after {
            query.push(" AND r.id > ").push_bind(after.as_str());
        }
        if let Some(moment) = filter.updated_after {
            query.push(" AND r.updated_at > ").push_bind(moment);
        }
        if let Some(q) = &filter.q {
            query
                .push(" AND r.search LIKE ")
                .push_bind(search::pattern(q))
                .push(" ESCAPE '\\'");
        }
        linked_in(
            &mut query,
            filter.connection.as_ref(),
            filter.collection.as_slice(),
        );
        query.push(" ORDER BY r.id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        let page = Page::cut(all(&rows, read)?, paging, |record| record.id.as_str());
        Ok(Page {
            items: with_links(self.read(), organization, page.items).await?,
            next: page.next,
        })
    }
}

/// Keeps only records that have a link on this connection and in one of these collections, where they are given.
pub(crate) fn linked_in(
    query: &mut QueryBuilder,
    connection: Option<&ConnectionId>,
    collections: &[CollectionId],
) {
    if connection.is_none() && collections.is_empty() {
        return;
    }
    query.push(
        " AND EXISTS (SELECT 1 FROM links l WHERE l.organization_id = r.organization_id AND l.record_id = r.id",
    );
    if let Some(connection) = connection {
        query
            .push(" AND l.connection_id = ")
            .push_bind(connection.as_str());
    }
    if !collections.is_empty() {
        query
            .push(" AND l.collection_id")
            .push_in(collections.iter().map(|collection| collection.as_str()));
    }
    query.push(")");
}
