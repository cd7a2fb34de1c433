//! Links: ties between records and remote objects, with their parts and originals.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use connector_sdk::{Known, RemoteId, RemoteVersion};
use model::{CollectionId, ConnectionId, Content, Kind, LinkId, OrganizationId, PartKey, RecordId};
use sync::ports::{Linked, StoreError};
use sync::state::{Link, LinkState, Snapshots};

use crate::column::{all, corrupt, count, document, failed, flag, get, id, json, optional_json, refused};
use crate::dialect::{IDS_PER_QUERY, rows_per_insert};
use crate::link_parts::Parts;
use crate::original::{self, Packed};
use crate::sql::{self, Pool, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore, records};

/// The columns of a link, named so that they can stand next to those of its record.
pub(crate) const COLUMNS: &str = "l.id AS l_id, l.organization_id AS l_organization_id, l.record_id AS l_record_id,
    l.connection_id AS l_connection_id, l.collection_id AS l_collection_id, l.kind AS l_kind,
    l.revision AS l_revision, l.state AS l_state, l.reason AS l_reason, l.parts AS l_parts, l.remote AS l_remote,
    l.hub AS l_hub, l.local AS l_local, l.held AS l_held, l.dirty AS l_dirty, l.removing AS l_removing,
    l.attempts AS l_attempts, l.not_before AS l_not_before, l.traits AS l_traits";

/// Which links.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkFilter {
    /// Of this record.
    pub record: Option<RecordId>,
    /// On this connection.
    pub connection: Option<ConnectionId>,
    /// In this collection.
    pub collection: Option<CollectionId>,
    /// In this state: `synced`, `pending`, `waiting`, `needs_approval` or `rejected`.
    pub state: Option<String>,
}

pub(crate) fn read(row: &Row) -> Result<Link, StoreError> {
    let remote: Content = json(row, "l_remote")?;
    let hub = optional_json(row, "l_hub")?.unwrap_or_else(|| remote.clone());
    Ok(Link {
        id: id(row, "l_id")?,
        organization: id(row, "l_organization_id")?,
        record: id(row, "l_record_id")?,
        connection: id(row, "l_connection_id")?,
        collection: id(row, "l_collection_id")?,
        kind: Kind::from_name(get(row, "l_kind")?).ok_or_else(|| corrupt("kind", "not known"))?,
        revision: get(row, "l_revision")?,
        state: state(row)?,
        parts: json(row, "l_parts")?,
        snapshots: Snapshots { remote, hub },
        local: json(row, "l_local")?,
        held: json(row, "l_held")?,
        dirty: flag(row, "l_dirty")?,
        removing: flag(row, "l_removing")?,
        attempts: count(row, "l_attempts")?,
        not_before: get(row, "l_not_before")?,
        traits: json(row, "l_traits")?,
    })
}

fn state(row: &Row) -> Result<LinkState, StoreError> {
    let reason = || Ok(get::<Option<String>>(row, "l_reason")?.unwrap_or_default());
    match get(row, "l_state")? {
        "synced" => Ok(LinkState::Synced),
        "pending" => Ok(LinkState::Pending),
        "waiting" => Ok(LinkState::Waiting { reason: reason()? }),
        "needs_approval" => Ok(LinkState::NeedsApproval { reason: reason()? }),
        "rejected" => Ok(LinkState::Rejected { reason: reason()? }),
        other => Err(corrupt("state", format!("`{other}` is not known"))),
    }
}

fn state_columns(state: &LinkState) -> (&'static str, Option<&str>) {
    match state {
        LinkState::Synced => ("synced", None),
        LinkState::Pending => ("pending", None),
        LinkState::Waiting { reason } => ("waiting", Some(reason)),
        LinkState::NeedsApproval { reason } => ("needs_approval", Some(reason)),
        LinkState::Rejected { reason } => ("rejected", Some(reason)),
    }
}

/// The documents of a link as stored.
struct Documents {
    parts: String,
    remote: String,
    hub: Option<String>,
    local: String,
    held: String,
    traits: String,
}

impl Documents {
    fn of(link: &Link) -> Result<Self, StoreError> {
        let snapshots = &link.snapshots;
        Ok(Self {
            parts: document(&link.parts)?,
            remote: document(&snapshots.remote)?,
            hub: if snapshots.hub == snapshots.remote {
                None
            } else {
                Some(document(&snapshots.hub)?)
            },
            local: document(&link.local)?,
            held: document(&link.held)?,
            traits: document(&link.traits)?,
        })
    }
}

/// New links. Their remote objects wait for the end of the batch.
pub(crate) async fn insert(
    write: &mut Write,
    organization: &OrganizationId,
    parts: &mut Parts,
    links: Vec<Link>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(links.len());
    for link in links {
        parts.put(&link);
        rows.push((Documents::of(&link)?, link));
    }
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert = QueryBuilder::new(
            "INSERT INTO links
                (organization_id, id, record_id, connection_id, collection_id, kind, revision, state, reason, parts,
                 remote, hub, local, held, dirty, removing, attempts, not_before, traits) ",
        );
        insert.push_values(
            rows.by_ref().take(rows_per_insert(19)),
            |mut row, (documents, link)| {
                let (state, reason) = state_columns(&link.state);
                row.push_bind(organization.as_str())
                    .push_bind(link.id.as_str())
                    .push_bind(link.record.as_str())
                    .push_bind(link.connection.as_str())
                    .push_bind(link.collection.as_str())
                    .push_bind(link.kind.name())
                    .push_bind(link.revision)
                    .push_bind(state)
                    .push_bind(reason)
                    .push_bind(documents.parts)
                    .push_bind(documents.remote)
                    .push_bind(documents.hub)
                    .push_bind(documents.local)
                    .push_bind(documents.held)
                    .push_bind(i64::from(link.dirty))
                    .push_bind(i64::from(link.removing))
                    .push_bind(i64::from(link.attempts))
                    .push_bind(link.not_before)
                    .push_bind(documents.traits);
            },
        );
        insert
            .build()
            .execute(write.conn())
            .await
            .map_err(refused("one of the new links"))?;
    }
    Ok(())
}

/// Links as they now are. Their remote objects wait for the end of the batch, so that links may exchange them.
pub(crate) async fn update(
    write: &mut Write,
    organization: &OrganizationId,
    parts: &mut Parts,
    links: Vec<Link>,
) -> Result<(), StoreError> {
    for link in &links {
        update_row(write, organization, link).await?;
    }
    for chunk in links.chunks(IDS_PER_QUERY) {
        parts.replace(write, organization, chunk).await?;
    }
    Ok(())
}

async fn update_row(write: &mut Write, organization: &OrganizationId, link: &Link) -> Result<(), StoreError> {
    let documents = Documents::of(link)?;
    let (state, reason) = state_columns(&link.state);
    let done = sql::query(
        "UPDATE links
         SET record_id = $1, revision = $2, state = $3, reason = $4, parts = $5, remote = $6, hub = $7, local = $8,
             held = $9, dirty = $10, removing = $11, attempts = $12, not_before = $13, connection_id = $14,
             collection_id = $15, kind = $16, traits = $17
         WHERE organization_id = $18 AND id = $19 AND revision = $20",
    )
    .bind(link.record.as_str())
    .bind(link.revision)
    .bind(state)
    .bind(reason)
    .bind(documents.parts)
    .bind(documents.remote)
    .bind(documents.hub)
    .bind(documents.local)
    .bind(documents.held)
    .bind(i64::from(link.dirty))
    .bind(i64::from(link.removing))
    .bind(i64::from(link.attempts))
    .bind(link.not_before)
    .bind(link.connection.as_str())
    .bind(link.collection.as_str())
    .bind(link.kind.name())
    .bind(documents.traits)
    .bind(organization.as_str())
    .bind(link.id.as_str())
    .bind(link.revision - 1)
    .execute(write.conn())
    .await
    .map_err(refused(link.id.as_str()))?;
    write.touched(done.rows_affected(), link.id.as_str())
}

pub(crate) async fn remove(
    write: &mut Write,
    organization: &OrganizationId,
    parts: &mut Parts,
    link: &LinkId,
    revision: i64,
) -> Result<(), StoreError> {
    parts.forget(write, organization, link).await?;
    let done = sql::query("DELETE FROM links WHERE organization_id = $1 AND id = $2 AND revision = $3")
        .bind(organization.as_str())
        .bind(link.as_str())
        .bind(revision)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    write.touched(done.rows_affected(), link.as_str())
}

pub(crate) async fn touch(
    write: &mut Write,
    organization: &OrganizationId,
    record: &RecordId,
    except: Option<&LinkId>,
) -> Result<(), StoreError> {
    // The revision rises, so that whoever read the link before cannot put it to rest over this.
    let touched = "UPDATE links SET dirty = 1, revision = revision + 1, \
         state = CASE state WHEN 'synced' THEN 'pending' ELSE state END \
         WHERE organization_id = $1 AND record_id = $2 AND id <> $3";
    sql::query(touched)
        .bind(organization.as_str())
        .bind(record.as_str())
        .bind(except.map_or("", |link| link.as_str()))
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

pub(crate) async fn put_raws(
    write: &mut Write,
    organization: &OrganizationId,
    raws: Vec<((LinkId, PartKey), Packed)>,
) -> Result<(), StoreError> {
    let mut rows = raws.into_iter().peekable();
    while rows.peek().is_some() {
        let mut insert =
            QueryBuilder::new("INSERT INTO raws (organization_id, link_id, part, encoding, raw) ");
        insert.push_values(
            rows.by_ref().take(rows_per_insert(5)),
            |mut row, ((link, part), packed)| {
                row.push_bind(organization.as_str())
                    .push_bind(link.as_str())
                    .push_bind(part.as_str())
                    .push_bind(packed.encoding)
                    .push_bind(packed.bytes);
            },
        );
        insert.push(
            " ON CONFLICT (organization_id, link_id, part) DO UPDATE
              SET encoding = excluded.encoding, raw = excluded.raw",
        );
        insert
            .build()
            .execute(write.conn())
            .await
            .map_err(refused("one of the new originals"))?;
    }
    Ok(())
}

/// The links of records, in order of id within a record.
pub(crate) async fn of_records(
    pool: &Pool,
    organization: &OrganizationId,
    records: &[&RecordId],
) -> Result<Vec<Link>, StoreError> {
    let mut found = Vec::with_capacity(records.len());
    for chunk in records.chunks(IDS_PER_QUERY) {
        let mut query = of_records_query("SELECT ", organization, chunk);
        for row in query.build().fetch_all(pool).await.map_err(failed)? {
            found.push(read(&row)?);
        }
    }
    found.sort_unstable_by(|one: &Link, other| one.id.cmp(&other.id));
    Ok(found)
}

/// Asked to sort by id, SQLite reads all links of the organization in that order instead of looking records up.
fn of_records_query(
    verb: &'static str,
    organization: &OrganizationId,
    records: &[&RecordId],
) -> QueryBuilder {
    let mut query = QueryBuilder::new(verb);
    query
        .push(COLUMNS)
        .push(" FROM links l WHERE l.organization_id = ")
        .push_bind(organization.as_str())
        .push(" AND l.record_id")
        .push_in(records.iter().map(|record| record.as_str()));
    query
}

impl SqliteStore {
    pub(crate) async fn read_known(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Known, StoreError> {
        // The second text goes last: of an object that is linked and in quarantine, the version that could not be
        // read is the one that was seen last.
        let mut known = Known::new();
        for text in [
            "SELECT remote_id, version FROM link_parts WHERE organization_id = $1 AND collection_id = $2",
            "SELECT remote_id, version FROM quarantine WHERE organization_id = $1 AND collection_id = $2",
        ] {
            let rows = sql::query(text)
                .bind(organization.as_str())
                .bind(collection.as_str())
                .fetch_all(self.read())
                .await
                .map_err(failed)?;
            known.reserve(rows.len());
            for row in &rows {
                known.insert(
                    RemoteId(get(row, "remote_id")?),
                    get::<Option<String>>(row, "version")?.map(RemoteVersion),
                );
            }
        }
        Ok(known)
    }

    pub(crate) async fn read_linked(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Linked>, StoreError> {
        let mut ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut found = Vec::with_capacity(ids.len());
        for chunk in ids.chunks(IDS_PER_QUERY) {
            let mut query = linked_query("p.part AS part");
            query
                .push(
                    " FROM link_parts p
                      JOIN links l ON l.organization_id = p.organization_id AND l.id = p.link_id
                      JOIN records r ON r.organization_id = l.organization_id AND r.id = l.record_id
                      WHERE p.organization_id = ",
                )
                .push_bind(organization.as_str())
                .push(" AND p.collection_id = ")
                .push_bind(collection.as_str())
                .push(" AND p.remote_id")
                .push_in(chunk.iter().copied())
                .push(" ORDER BY p.remote_id");
            for row in query.build().fetch_all(self.read()).await.map_err(failed)? {
                found.push(linked(&row)?);
            }
        }
        Ok(found)
    }

    pub(crate) async fn read_link(
        &self,
        organization: &OrganizationId,
        id: &LinkId,
    ) -> Result<Option<Linked>, StoreError> {
        let mut query = linked_query("'' AS part");
        query
            .push(
                " FROM links l JOIN records r ON r.organization_id = l.organization_id AND r.id = l.record_id
                  WHERE l.organization_id = ",
            )
            .push_bind(organization.as_str())
            .push(" AND l.id = ")
            .push_bind(id.as_str());
        let row = query.build().fetch_optional(self.read()).await.map_err(failed)?;
        row.as_ref().map(linked).transpose()
    }

    pub(crate) async fn read_members(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError> {
        let mut query = linked_query("'' AS part");
        query
            .push(
                " FROM links l JOIN records r ON r.organization_id = l.organization_id AND r.id = l.record_id
                  WHERE l.organization_id = ",
            )
            .push_bind(organization.as_str())
            .push(" AND l.collection_id = ")
            .push_bind(collection.as_str())
            .push(" AND l.record_id > ")
            .push_bind(after.map_or("", |after| after.as_str()))
            .push(" AND r.deleted = 0 ORDER BY l.record_id LIMIT ")
            .push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        all(&rows, linked)
    }

    pub(crate) async fn read_with_uid(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        uids: &[String],
    ) -> Result<Vec<Linked>, StoreError> {
        let mut uids: Vec<&str> = uids.iter().map(String::as_str).collect();
        uids.sort_unstable();
        uids.dedup();
        let mut found = Vec::new();
        for chunk in uids.chunks(IDS_PER_QUERY) {
            let mut query = linked_query("'' AS part");
            query
                .push(
                    " FROM records r JOIN links l ON l.organization_id = r.organization_id AND l.record_id = r.id
                      WHERE r.organization_id = ",
                )
                .push_bind(organization.as_str())
                .push(" AND l.collection_id = ")
                .push_bind(collection.as_str())
                .push(" AND r.deleted = 0 AND r.uid").push_in(chunk.iter().copied().map(records::lookup_uid));
            for row in query.build().fetch_all(self.read()).await.map_err(failed)? {
                found.push(linked(&row)?);
            }
        }
        found.sort_by(|a, b| a.record.id.cmp(&b.record.id));
        Ok(found)
    }

    pub(crate) async fn read_dirty_links(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LinkId>, StoreError> {
        let rows = sql::query(
            "SELECT id FROM links
             WHERE organization_id = $1 AND connection_id = $2 AND dirty = 1 AND not_before <= $3
             ORDER BY not_before, id LIMIT $4",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(now_ms)
        .bind(i64::from(limit))
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, |row| id(row, "id"))
    }

    pub(crate) async fn read_raws(
        &self,
        organization: &OrganizationId,
        link: &LinkId,
    ) -> Result<BTreeMap<PartKey, Bytes>, StoreError> {
        let rows =
            sql::query("SELECT part, encoding, raw FROM raws WHERE organization_id = $1 AND link_id = $2")
                .bind(organization.as_str())
                .bind(link.as_str())
                .fetch_all(self.read())
                .await
                .map_err(failed)?;
        rows.iter()
            .map(|row| {
                let part = PartKey::occurrence(get::<String>(row, "part")?);
                Ok((part, original::unpack(get(row, "encoding")?, get(row, "raw")?)?))
            })
            .collect()
    }

    /// Links, in order of id. A single one is read with [`sync::ports::Store::link`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn links(
        &self,
        organization: &OrganizationId,
        filter: &LinkFilter,
        paging: &Paging,
    ) -> Result<Page<Link>, StoreError> {
        let mut query = QueryBuilder::new("SELECT ");
        query
            .push(COLUMNS)
            .push(" FROM links l WHERE l.organization_id = ")
            .push_bind(organization.as_str());
        let conditions = [
            (
                " AND l.record_id = ",
                filter.record.as_ref().map(RecordId::as_str),
            ),
            (
                " AND l.connection_id = ",
                filter.connection.as_ref().map(ConnectionId::as_str),
            ),
            (
                " AND l.collection_id = ",
                filter.collection.as_ref().map(CollectionId::as_str),
            ),
            (" AND l.state = ", filter.state.as_deref()),
            (" AND l.id > ", paging.after.as_deref()),
        ];
        for (condition, value) in conditions {
            if let Some(value) = value {
                query.push(condition).push_bind(value);
            }
        }
        query.push(" ORDER BY l.id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |link| link.id.as_str()))
    }
}

fn linked_query(part: &'static str) -> QueryBuilder {
    let mut query = QueryBuilder::new("SELECT ");
    query
        .push(part)
        .push(", ")
        .push(COLUMNS)
        .push(", ")
        .push(records::COLUMNS);
    query
}

fn linked(row: &Row) -> Result<Linked, StoreError> {
    Ok(Linked {
        link: read(row)?,
        record: Arc::new(records::read(row)?),
        part: PartKey::occurrence(get::<String>(row, "part")?),
    })
}

#[cfg(test)]
mod tests {
    use connector_sdk::SystemClock;

    use super::*;
    use crate::{MasterKey, SqlStore};

    #[tokio::test]
    async fn the_links_of_a_record_are_looked_up_and_not_searched_for_among_all() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("concord.db").display());
        let key = MasterKey::from_text(&"ab".repeat(32)).unwrap();
        let store = SqlStore::open(&url, key, Arc::new(SystemClock)).await.unwrap();
        let (organization, record) = (OrganizationId::new(1, 1), RecordId::new(1, 1));
        let mut query = of_records_query("EXPLAIN QUERY PLAN SELECT ", &organization, &[&record]);
        let plan = query.build().fetch_all(store.read()).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| get(row, "detail").unwrap()).collect();
        assert!(
            plan.len() == 1 && plan[0].contains("organization_id=? AND record_id=?"),
            "{plan:?}"
        );
    }
}
