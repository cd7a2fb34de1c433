//! Numbers for whoever watches the whole installation: cheap enough for every scrape, and nobody's data.

use sync::ports::StoreError;

use crate::SqlStore;
use crate::column::{failed, get};
use crate::sql;

/// Unfinished jobs of one sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueDepth {
    /// What they do: `sync`, `push`.
    pub task: String,
    /// `queued` or `running`.
    pub state: String,
    /// How many.
    pub jobs: i64,
    /// When the first of them was due, epoch milliseconds.
    pub oldest_due_at: i64,
}

/// Connections of one provider in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionCount {
    /// The provider.
    pub provider: String,
    /// Their health.
    pub health: String,
    /// How many.
    pub connections: i64,
}

impl SqlStore {
    /// Unfinished jobs of all organizations, by task and state.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn queue_depths(&self) -> Result<Vec<QueueDepth>, StoreError> {
        let rows = sql::query(
            "SELECT name, state, COUNT(*) AS jobs, MIN(run_at) AS oldest_due_at FROM jobs
             WHERE state IN ('queued', 'running') GROUP BY name, state",
        )
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        let depth = |row| {
            Ok(QueueDepth {
                task: get::<&str>(row, "name")?.to_owned(),
                state: get::<&str>(row, "state")?.to_owned(),
                jobs: get(row, "jobs")?,
                oldest_due_at: get(row, "oldest_due_at")?,
            })
        };
        rows.iter().map(depth).collect()
    }

    /// Connections of all organizations, by provider and health.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connection_counts(&self) -> Result<Vec<ConnectionCount>, StoreError> {
        let rows = sql::query(
            "SELECT provider, health, COUNT(*) AS connections FROM connections GROUP BY provider, health",
        )
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        let count = |row| {
            Ok(ConnectionCount {
                provider: get::<&str>(row, "provider")?.to_owned(),
                health: get::<&str>(row, "health")?.to_owned(),
                connections: get(row, "connections")?,
            })
        };
        rows.iter().map(count).collect()
    }

    /// Objects of all organizations that could not be understood.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn quarantined_everywhere(&self) -> Result<i64, StoreError> {
        sql::query_scalar("SELECT COUNT(*) FROM quarantine")
            .fetch_one(self.read())
            .await
            .map_err(failed)
    }
}
