//! What `doctor` wants to know.

use sync::ports::StoreError;

use sqlx::AssertSqlSafe;

use crate::SqliteStore;
use crate::column::failed;
use crate::dialect;

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
    /// The size of the database file.
    pub database_bytes: u64,
    /// The size of its write-ahead log.
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
        let mut conn = self.read().acquire().await.map_err(failed)?;
        let mut rows = Vec::with_capacity(TABLES.len());
        for table in TABLES {
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}")))
                .fetch_one(&mut *conn)
                .await
                .map_err(failed)?;
            rows.push((table.to_owned(), count));
        }
        let oldest_due_at: Option<i64> =
            sqlx::query_scalar("SELECT MIN(run_at) FROM jobs WHERE state = 'queued'")
                .fetch_one(&mut *conn)
                .await
                .map_err(failed)?;
        let (running, expired): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COALESCE(SUM(CASE WHEN lease_until <= $1 THEN 1 ELSE 0 END), 0)
             FROM jobs WHERE state = 'running'",
        )
        .bind(now_ms)
        .fetch_one(&mut *conn)
        .await
        .map_err(failed)?;
        let problems = dialect::problems(&mut conn).await.map_err(failed)?;
        drop(conn);
        let mut log = self.path().as_os_str().to_owned();
        log.push("-wal");
        Ok(Facts {
            rows,
            database_bytes: size_bytes(self.path()),
            log_bytes: size_bytes(log.as_ref()),
            migration: self.migration().await?,
            problems,
            oldest_due_at,
            running,
            expired,
            key_id: self.key().id().to_owned(),
        })
    }

    /// The last migration that was applied; 0 on a database that nobody has set up.
    pub(crate) async fn migration(&self) -> Result<i64, StoreError> {
        let version: Option<i64> =
            sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations WHERE success")
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
