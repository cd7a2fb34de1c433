//! What `doctor` wants to know.

use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{failed, get};
use crate::dialect::postgres;
use crate::sql::{self, QueryBuilder};

/// The tables whose rows are counted.
const TABLES: [&str; 19] = [
    "organizations",
    "api_keys",
    "connections",
    "credentials",
    "collections",
    "records",
    "links",
    "link_parts",
    "raws",
    "intents",
    "mirrors",
    "mirror_members",
    "pairings",
    "conflicts",
    "quarantine",
    "changes",
    "feed_heads",
    "jobs",
    "idempotency_keys",
];

/// The state of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Rows per table.
    pub rows: Vec<(String, i64)>,
    /// The size of the database.
    pub database_bytes: u64,
    /// The size of a file's write-ahead log; 0 on a server.
    pub log_bytes: u64,
    /// The last migration that was applied.
    pub migration: i64,
    /// What is broken; empty when the database is sound.
    pub problems: Vec<String>,
    /// When the oldest waiting job was due, epoch milliseconds.
    pub oldest_due_at: Option<i64>,
    /// Jobs that are being worked on.
    pub running: i64,
    /// Jobs whose lease ran out without an end.
    pub expired: i64,
    /// The fingerprint of the master key.
    pub key_id: String,
}

impl SqliteStore {
    /// Reads the facts; checks the whole file, which takes a while on a large one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facts(&self, now_ms: i64) -> Result<Facts, StoreError> {
        let mut rows = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let mut query = QueryBuilder::new("SELECT COUNT(*) AS number FROM ");
            let row = query
                .push(table)
                .build()
                .fetch_one(self.read())
                .await
                .map_err(failed)?;
            rows.push((table.to_owned(), get(&row, "number")?));
        }
        let oldest_due_at: Option<i64> =
            sql::query_scalar("SELECT MIN(run_at) FROM jobs WHERE state = 'queued'")
                .fetch_one(self.read())
                .await
                .map_err(failed)?;
        let jobs = sql::query(
            "SELECT COUNT(*) AS running, COALESCE(SUM(CASE WHEN lease_until <= $1 THEN 1 ELSE 0 END), 0) AS expired
             FROM jobs WHERE state = 'running'",
        )
        .bind(now_ms)
        .fetch_one(self.read())
        .await
        .map_err(failed)?;
        let problems = self.engine().problems(self.read()).await.map_err(failed)?;
        let (database_bytes, log_bytes) = self.sizes().await?;
        Ok(Facts {
            rows,
            database_bytes,
            log_bytes,
            migration: self.migration().await?,
            problems,
            oldest_due_at,
            running: get(&jobs, "running")?,
            expired: get(&jobs, "expired")?,
            key_id: self.key().id().to_owned(),
        })
    }

    /// The sizes of the database and of the log beside it; a server keeps one log for all of its databases.
    async fn sizes(&self) -> Result<(u64, u64), StoreError> {
        let Some(path) = self.path() else {
            let bytes = postgres::size_bytes(self.read()).await.map_err(failed)?;
            return Ok((bytes, 0));
        };
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok((size_bytes(path), size_bytes(log.as_ref())))
    }

    /// The last migration that was applied; 0 on a database that nobody has set up.
    pub(crate) async fn migration(&self) -> Result<i64, StoreError> {
        let version: Option<i64> =
            sql::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
                .fetch_one(self.read())
                .await
                .map_err(failed)?;
        Ok(version.unwrap_or_default())
    }
}

/// The size of a file; 0 when there is none.
fn size_bytes(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}
