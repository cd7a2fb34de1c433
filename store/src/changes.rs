//! The feed: committed changes in order, and the bell that rings when it grows.

use model::OrganizationId;
use sqlx::QueryBuilder;
use sync::ports::StoreError;
use sync::state::FeedEntry;

use crate::SqliteStore;
use crate::column::{all, failed, get, json, word};
use crate::dialect::{Engine, Row};

/// An entry of the feed with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place: dense, from 1, in the order of the commits.
    pub seq: i64,
    /// What happened.
    pub entry: FeedEntry,
}

/// Where an organization's feed now ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedHead {
    /// Whose feed.
    pub organization: OrganizationId,
    /// The last `seq`.
    pub seq: i64,
}

fn read(row: &Row) -> Result<Change, StoreError> {
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
    })
}

impl SqliteStore {
    /// Entries after `after`, in order, at most `limit`; of one kind of subject where that is given.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn changes_after(
        &self,
        organization: &OrganizationId,
        after: i64,
        kind: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Change>, StoreError> {
        let mut query = QueryBuilder::<Engine>::new("SELECT * FROM changes WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND seq > ")
            .push_bind(after);
        if let Some(kind) = kind {
            query.push(" AND kind = ").push_bind(kind);
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
        let seq: Option<i64> = sqlx::query_scalar("SELECT seq FROM feed_heads WHERE organization_id = $1")
            .bind(organization.as_str())
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        Ok(seq.unwrap_or(0))
    }
}
