//! The feed: committed changes in order, and the bell that rings when it grows.

use model::{ConnectionId, InboundId, OrganizationId};
use sync::ports::StoreError;
use sync::state::FeedEntry;

use crate::SqliteStore;
use crate::column::{all, failed, get, json, optional_id, word};
use crate::sql::{self, QueryBuilder, Row};

/// An entry of the feed with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place: dense, from 1, in the order of the commits.
    pub seq: i64,
    /// What happened.
    pub entry: FeedEntry,
    /// The connections that it concerns: where its subject is, or was until this change, linked.
    pub connections: Vec<ConnectionId>,
    /// The webhook that brought it about, where one did; of several that were worked on together the first.
    pub webhook: Option<InboundId>,
}

/// Which changes. What is left empty does not narrow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Of one of these kinds of subject.
    pub kinds: Vec<String>,
    /// That concern one of these connections.
    pub connections: Vec<ConnectionId>,
}

impl ChangeFilter {
    /// Whether a change is among them; the same as [`SqliteStore::changes_after`] decides.
    #[must_use]
    pub fn takes(&self, change: &Change) -> bool {
        let of_kind = self.kinds.is_empty() || self.kinds.contains(&change.entry.kind);
        let concerned = |id: &ConnectionId| change.connections.contains(id);
        of_kind && (self.connections.is_empty() || self.connections.iter().any(concerned))
    }
}

/// Where an organization's feed now ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// Whose feed.
    pub organization: OrganizationId,
    /// The last `seq`.
    pub seq: i64,
}

pub(crate) fn read(row: &Row) -> Result<Change, StoreError> {
    Ok(Change {
        seq: get(row, "seq")?,
        entry: FeedEntry {
            action: word(row, "action")?,
            subject: get(row, "subject")?,
            kind: get(row, "kind")?,
            version: get(row, "version")?,
            changed: json(row, "changed")?,
            origin: json(row, "origin")?,
            at: get(row, "at")?,
        },
        connections: json(row, "connections")?,
        webhook: optional_id(row, "webhook")?,
    })
}

impl SqliteStore {
    /// Entries after `after`, in order, at most `limit`; those that the filter takes.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_after(
        &self,
        organization: &OrganizationId,
        after: i64,
        filter: &ChangeFilter,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM changes WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND seq > ")
            .push_bind(after);
        if !filter.kinds.is_empty() {
            query
                .push(" AND kind")
                .push_in(filter.kinds.iter().map(String::as_str));
        }
        for (place, connection) in filter.connections.iter().enumerate() {
            // A list of ids as JSON: an id in its quotes is found nowhere else. `_` stands for any character, which
            // makes no other id of it.
            query
                .push(if place == 0 { " AND (" } else { " OR " })
                .push("connections LIKE ")
                .push_bind(format!("%\"{connection}\"%"));
        }
        if !filter.connections.is_empty() {
            query.push(")");
        }
        query.push(" ORDER BY seq LIMIT ").push_bind(i64::from(limit));
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        all(&rows, read)
    }

    /// The last `seq`; 0 when the feed is empty.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_seq(&self, organization: &OrganizationId) -> Result<i64, StoreError> {
        let seq: Option<i64> = sql::query_scalar("SELECT seq FROM feed_heads WHERE organization_id = $1")
            .bind(organization.as_str())
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        Ok(seq.unwrap_or(0))
    }
}
