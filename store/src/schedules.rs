//! When connections and collections are synced, where someone says it. What a schedule means is the hub's; here it is a
//! document and the next time that it names.

use std::collections::BTreeMap;

use model::{CollectionId, ConnectionId, OrganizationId};
use sync::ports::StoreError;
use sync::state::NewJob;

use crate::column::{all, failed, get, id};
use crate::sql::{self, Row};
use crate::write::Write;
use crate::{SqliteStore, queue};

/// The hand with which `place_of_connection` reads ids.
const LETTERS: &str = "0123456789abcdefghjkmnpqrstvwxyz";
/// Schedules that are looked at in one go.
const MOST_DUE: i64 = 500;

/// A schedule as it is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scheduled {
    /// The document; `None` where nobody said anything.
    pub schedule: Option<String>,
    /// When it is due next, epoch milliseconds.
    pub next_at: Option<i64>,
}

/// The schedules of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedules {
    /// The connection's own.
    pub connection: Scheduled,
    /// When a sync of it last ended, well or not, epoch milliseconds.
    pub attempted_at: Option<i64>,
    /// Those of its collections that have one.
    pub collections: BTreeMap<CollectionId, Scheduled>,
}

/// A schedule that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSchedule {
    /// Whose.
    pub organization: OrganizationId,
    /// Of which connection.
    pub connection: ConnectionId,
    /// Of which of its collections; `None`: its own.
    pub collection: Option<CollectionId>,
    /// The document.
    pub schedule: String,
    /// Since when, epoch milliseconds.
    pub due_at: i64,
}

/// When a connection without a schedule is looked at next, if its last sync ended then: [`SqliteStore::due_connections`]
/// for one.
#[must_use]
pub fn next_usual_sync(connection: &ConnectionId, attempted_at: i64, interval_ms: i64) -> i64 {
    let interval_ms = interval_ms.max(1);
    let mut last = connection.as_str().chars().rev();
    let mut number = || {
        last.next()
            .and_then(|letter| LETTERS.find(letter))
            .unwrap_or_default()
    };
    let (low, high) = (number(), number());
    let place = i64::try_from(32 * high + low).unwrap_or_default();
    let offset = place * interval_ms / 1024;
    offset + ((attempted_at - offset).div_euclid(interval_ms) + 1) * interval_ms
}

fn scheduled(row: &Row) -> Result<Scheduled, StoreError> {
    Ok(Scheduled {
        schedule: get(row, "schedule")?,
        next_at: get(row, "next_sync_at")?,
    })
}

impl SqliteStore {
    /// Sets a connection's schedule with its next time, or takes it away; `false` when there is no such connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_schedule(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        scheduled: &Scheduled,
    ) -> Result<bool, StoreError> {
        let set =
            "UPDATE connections SET schedule = $1, next_sync_at = $2 WHERE organization_id = $3 AND id = $4";
        self.put(set, organization, connection.as_str(), scheduled).await
    }

    /// The same for a collection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_collection_schedule(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        scheduled: &Scheduled,
    ) -> Result<bool, StoreError> {
        let set =
            "UPDATE collections SET schedule = $1, next_sync_at = $2 WHERE organization_id = $3 AND id = $4";
        self.put(set, organization, collection.as_str(), scheduled).await
    }

    async fn put(
        &self,
        set: &'static str,
        organization: &OrganizationId,
        id: &str,
        scheduled: &Scheduled,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query(set)
            .bind(&scheduled.schedule)
            .bind(scheduled.next_at)
            .bind(organization.as_str())
            .bind(id)
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// The schedules of a connection and of its collections.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn schedules(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Schedules, StoreError> {
        let own = "SELECT schedule, next_sync_at, attempted_at FROM connections WHERE organization_id = $1 AND id = $2";
        let Some(row) = self.row(own, organization, connection.as_str()).await? else {
            return Ok(Schedules::default());
        };
        let rows = sql::query(
            "SELECT id, schedule, next_sync_at FROM collections
             WHERE organization_id = $1 AND connection_id = $2 AND schedule IS NOT NULL",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        Ok(Schedules {
            connection: scheduled(&row)?,
            attempted_at: get(&row, "attempted_at")?,
            collections: all(&rows, |row| Ok((id(row, "id")?, scheduled(row)?)))?
                .into_iter()
                .collect(),
        })
    }

    /// Schedules of all organizations that are due, of connections that are awake and collections that are synced; the
    /// oldest first, so many at most.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_schedules(&self, now_ms: i64) -> Result<Vec<DueSchedule>, StoreError> {
        let mut due = Vec::new();
        for find in [
            "SELECT organization_id, id AS connection_id, NULL AS collection_id, schedule, next_sync_at
             FROM connections
             WHERE next_sync_at <= $1 AND health IN ('active', 'degraded')
             ORDER BY next_sync_at LIMIT $2",
            "SELECT l.organization_id, l.connection_id, l.id AS collection_id, l.schedule, l.next_sync_at
             FROM collections l
             JOIN connections c ON c.organization_id = l.organization_id AND c.id = l.connection_id
             WHERE l.next_sync_at <= $1 AND l.enabled = 1 AND c.health IN ('active', 'degraded')
             ORDER BY l.next_sync_at LIMIT $2",
        ] {
            let found = sql::query(find)
                .bind(now_ms)
                .bind(MOST_DUE)
                .fetch_all(self.read());
            due.extend(all(&found.await.map_err(failed)?, |row| {
                let collection: Option<&str> = get(row, "collection_id")?;
                Ok(DueSchedule {
                    organization: id(row, "organization_id")?,
                    connection: id(row, "connection_id")?,
                    collection: match collection {
                        Some(_) => Some(id(row, "collection_id")?),
                        None => None,
                    },
                    schedule: get(row, "schedule")?,
                    due_at: get(row, "next_sync_at")?,
                })
            })?);
        }
        Ok(due)
    }

    /// The collections that have schedules of their own, of all connections.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn scheduled_collections(
        &self,
    ) -> Result<BTreeMap<(OrganizationId, ConnectionId), Vec<CollectionId>>, StoreError> {
        let rows = sql::query(
            "SELECT organization_id, connection_id, id FROM collections WHERE next_sync_at IS NOT NULL ORDER BY id",
        )
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        let mut found: BTreeMap<_, Vec<CollectionId>> = BTreeMap::new();
        for row in &rows {
            let of = (id(row, "organization_id")?, id(row, "connection_id")?);
            found.entry(of).or_default().push(id(row, "id")?);
        }
        Ok(found)
    }

    /// Enqueues the job for schedules that are due and says when they are due next, in one transaction; `false`, and
    /// nothing is written, when another node was faster or somebody set one of them anew.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_scheduled(
        &self,
        job: &NewJob,
        due: &[(DueSchedule, Option<i64>)],
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        for (due, next_at) in due {
            if !advance(&mut write, due, *next_at).await? {
                return Ok(false);
            }
        }
        queue::enqueue(&mut write, &job.organization, job, self.now_ms()).await?;
        write.commit().await?;
        Ok(true)
    }
}

async fn advance(write: &mut Write, due: &DueSchedule, next_at: Option<i64>) -> Result<bool, StoreError> {
    let (set, id) = match &due.collection {
        Some(collection) => (
            "UPDATE collections SET next_sync_at = $1 WHERE organization_id = $2 AND id = $3 AND next_sync_at = $4",
            collection.as_str(),
        ),
        None => (
            "UPDATE connections SET next_sync_at = $1 WHERE organization_id = $2 AND id = $3 AND next_sync_at = $4",
            due.connection.as_str(),
        ),
    };
    let done = sql::query(set)
        .bind(next_at)
        .bind(due.organization.as_str())
        .bind(id)
        .bind(due.due_at)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() > 0)
}
