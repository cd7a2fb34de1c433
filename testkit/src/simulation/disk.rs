//! What survives a crash: the store in memory, or a SQLite file or PostgreSQL database that is closed and opened again.

use std::sync::Arc;
use std::time::Duration;

use connector_sdk::Credentials;
use model::OrganizationId;
use store::{Durability, MasterKey, OpenMode, Organization, SqlStore};
use sync::state::{Connection, Origin};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::store_port::Backing;
use super::time::{SkewedClock, WorldTime};
use crate::harness::Database;
use crate::memory_store::MemoryStore;

/// Ends the old process at the server, too: what it was about to claim stays locked until then, and whoever claims next
/// would pass over it.
const END_SESSIONS: &str = "SET statement_timeout = '60s'; DO $$ BEGIN LOOP
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend';
        EXIT WHEN NOT FOUND;
        PERFORM pg_sleep(0.002), pg_stat_clear_snapshot();
    END LOOP; END $$";
/// What the start of a process that has a file for itself does.
const TAKE_OVER: &str = "UPDATE jobs SET lease_until = 0, token = token + 1 WHERE state = 'running'";

/// Which store a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// The store in memory: for speed.
    Memory,
    /// SQLite in a file: for truth.
    Sqlite,
    /// PostgreSQL, on the private server that tests share.
    Postgres,
}

impl DiskKind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        }
    }
}

/// The store of a world.
pub(crate) enum Disk {
    Memory(MemoryStore),
    Sql(Box<Sql>),
}

/// A database.
pub(crate) struct Sql {
    store: SqlStore,
    runtime: Arc<Runtime>,
    time: Arc<WorldTime>,
    folder: TempDir,
    database: Option<Database>,
}

impl Disk {
    /// An empty store.
    #[expect(
        clippy::expect_used,
        reason = "a simulation without its store has nothing to say"
    )]
    pub(crate) fn new(kind: DiskKind, organization: &OrganizationId, time: &Arc<WorldTime>) -> Self {
        match kind {
            DiskKind::Memory => Self::Memory(MemoryStore::new()),
            DiskKind::Sqlite | DiskKind::Postgres => {
                let database = (kind == DiskKind::Postgres).then(|| Database::new().expect("PostgreSQL"));
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = Arc::new(runtime.expect("a runtime"));
                let folder = tempfile::tempdir().expect("a temporary folder");
                let store = runtime.block_on(open(&folder, database.as_ref(), time));
                let fresh = Organization {
                    id: organization.clone(),
                    name: "Simulated".to_owned(),
                    created_at: 0,
                };
                runtime
                    .block_on(store.create_organization(&fresh))
                    .expect("an organization");
                Self::Sql(Box::new(Sql {
                    store,
                    runtime,
                    time: time.clone(),
                    folder,
                    database,
                }))
            }
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "a simulation without its store has nothing to say"
    )]
    pub(crate) fn add_connection(&self, connection: Connection) {
        let added = match self {
            Self::Memory(store) => store.add_connection(connection),
            Self::Sql(sql) => sql.runtime.block_on(sql.store.insert_connection(
                &connection,
                &Credentials::default(),
                &Origin::Hub,
            )),
        };
        added.expect("a connection");
    }

    /// The process died: what it had in memory is gone.
    #[expect(
        clippy::expect_used,
        reason = "a simulation without its store has nothing to say"
    )]
    pub(crate) fn reopen(&mut self) {
        match self {
            Self::Memory(store) => store.take_over(),
            Self::Sql(sql) => {
                sql.runtime.block_on(sql.store.close());
                if let Some(database) = &sql.database {
                    // On a file the lock proves that the old process is dead; on a server its leases run out. That
                    // wait would make another schedule of the same seed.
                    for statement in [END_SESSIONS, TAKE_OVER] {
                        database.psql(statement).expect("PostgreSQL");
                    }
                }
                sql.store = sql
                    .runtime
                    .block_on(open(&sql.folder, sql.database.as_ref(), &sql.time));
            }
        }
    }

    pub(crate) fn backing(&self) -> Backing {
        match self {
            Self::Memory(store) => Backing {
                store: Arc::new(store.clone()),
                jobs: Arc::new(store.clone()),
                runtime: None,
            },
            Self::Sql(sql) => Backing {
                store: Arc::new(sql.store.clone()),
                jobs: Arc::new(sql.store.clone()),
                runtime: Some(sql.runtime.clone()),
            },
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "a simulation without its store has nothing to say"
)]
async fn open(folder: &TempDir, database: Option<&Database>, time: &Arc<WorldTime>) -> SqlStore {
    let url = match database {
        Some(database) => database.url().to_owned(),
        None => format!("sqlite://{}", folder.path().join("simulated.db").display()),
    };
    let key = MasterKey::from_text(&"42".repeat(32)).expect("a key");
    let options = store::Options {
        mode: OpenMode::Serve,
        durability: Durability::ProcessOnly,
        // A schedule is the same on a machine that has other work.
        connect_within: Duration::from_secs(60),
        ..Default::default()
    };
    let clock = Arc::new(SkewedClock {
        time: time.clone(),
        skew_ms: 0,
    });
    SqlStore::open_with(&url, key, clock, options)
        .await
        .expect("a database")
}
