//! What `doctor` wants to know.

use sync::ports::StoreError;

use crate::SqliteStore;
use crate::column::{all, failed, get};
use crate::dialect::{Engine, postgres};
use crate::migrations;
use crate::sql::{self, QueryBuilder};

/// The tables whose rows are counted and copied: all but what is about the installation itself.
pub(crate) const TABLES: [&str; 34] = [
    "organizations",
    "api_keys",
    "connections",
    "credentials",
    "collections",
    "records",
    "record_history",
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
    "webhook_endpoints",
    "webhook_secrets",
    "outbound_deliveries",
    "outbound_attempts",
    "inbox",
    "observed",
    "provider_apps",
    "app_clients",
    "connect_links",
    "consents",
    "grants",
    "connection_routes",
    "hook_secrets",
    "audit",
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
    /// Who works on how many jobs, by the node's name, and until when at the longest.
    pub leases: Vec<Lease>,
    /// Processes that have the database open; on a server only.
    pub nodes: Vec<Node>,
    /// The fingerprint of the master key that seals.
    pub key_id: String,
}

/// The jobs that a node works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The node's name.
    pub node: String,
    /// How many jobs.
    pub jobs: i64,
    /// When the last of its leases ends, epoch milliseconds.
    pub until: i64,
}

/// A process that has the database open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it calls itself: its process id and its machine.
    pub name: String,
    /// Its connections.
    pub connections: i64,
    /// When its oldest connection was made, epoch milliseconds.
    pub since: i64,
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
        let leases = sql::query(
            "SELECT COALESCE(node, '') AS node, COUNT(*) AS jobs, COALESCE(MAX(lease_until), 0) AS until
             FROM jobs WHERE state = 'running' GROUP BY node ORDER BY node",
        )
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        let leases = all(&leases, |row| {
            Ok(Lease {
                node: get(row, "node")?,
                jobs: get(row, "jobs")?,
                until: get(row, "until")?,
            })
        })?;
        let problems = self.engine().problems(self.read()).await.map_err(failed)?;
        let key_id: String = sql::query_scalar("SELECT value FROM installation WHERE name = 'master_key'")
            .fetch_one(self.read())
            .await
            .map_err(failed)?;
        let (database_bytes, log_bytes) = self.sizes().await?;
        Ok(Facts {
            rows,
            database_bytes,
            log_bytes,
            migration: migrations::applied(self.read()).await?,
            problems,
            oldest_due_at,
            leases,
            nodes: self.nodes().await?,
            running: get(&jobs, "running")?,
            expired: get(&jobs, "expired")?,
            key_id,
        })
    }

    /// Processes that serve this database; on a server only.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        if self.engine() == Engine::Sqlite {
            return Ok(Vec::new());
        }
        let rows = sql::query(postgres::NODES)
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        all(&rows, |row| {
            Ok(Node {
                name: get(row, "name")?,
                connections: get(row, "connections")?,
                since: get(row, "since")?,
            })
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
}

/// The size of a file; 0 when there is none.
fn size_bytes(path: &std::path::Path) -> u64 {
    std::fs::metadata(path).map_or(0, |facts| facts.len())
}
