//! What survives a crash: the store in memory, or a SQLite file that is closed and opened again.

use std::sync::Arc;

use connector_sdk::Credentials;
use model::OrganizationId;
use store::{Durability, MasterKey, OpenMode, Organization, SqliteStore};
use sync::state::{Connection, Origin};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::store_port::Backing;
use super::time::{SkewedClock, WorldTime};
use crate::memory_store::MemoryStore;

/// Which store a world has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// The store in memory: for speed.
    Memory,
    /// SQLite in a file: for truth.
    Sqlite,
}

impl DiskKind {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Sqlite => "sqlite",
        }
    }
}

/// The store of a world.
pub(crate) enum Disk {
    Memory(MemoryStore),
    Sqlite(Box<File>),
}

/// A SQLite file.
pub(crate) struct File {
    store: SqliteStore,
    runtime: Arc<Runtime>,
    time: Arc<WorldTime>,
    folder: TempDir,
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
            DiskKind::Sqlite => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let runtime = Arc::new(runtime.expect("a runtime"));
                let folder = tempfile::tempdir().expect("a temporary folder");
                let store = runtime.block_on(open(&folder, time));
                let fresh = Organization {
                    id: organization.clone(),
                    name: "Simulated".to_owned(),
                    created_at: 0,
                };
                runtime
                    .block_on(store.create_organization(&fresh))
                    .expect("an organization");
                Self::Sqlite(Box::new(File {
                    store,
                    runtime,
                    time: time.clone(),
                    folder,
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
            Self::Sqlite(file) => file.runtime.block_on(file.store.insert_connection(
                &connection,
                &Credentials::default(),
                &Origin::Hub,
            )),
        };
        added.expect("a connection");
    }

    /// The process died: what it had in memory is gone.
    pub(crate) fn reopen(&mut self) {
        match self {
            Self::Memory(store) => store.take_over(),
            Self::Sqlite(file) => {
                file.runtime.block_on(file.store.close());
                file.store = file.runtime.block_on(open(&file.folder, &file.time));
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
            Self::Sqlite(file) => Backing {
                store: Arc::new(file.store.clone()),
                jobs: Arc::new(file.store.clone()),
                runtime: Some(file.runtime.clone()),
            },
        }
    }
}

#[expect(
    clippy::expect_used,
    reason = "a simulation without its store has nothing to say"
)]
async fn open(folder: &TempDir, time: &Arc<WorldTime>) -> SqliteStore {
    let url = format!("sqlite://{}", folder.path().join("simulated.db").display());
    let key = MasterKey::from_text(&"42".repeat(32)).expect("a key");
    let options = store::Options {
        mode: OpenMode::Serve,
        durability: Durability::ProcessOnly,
        ..Default::default()
    };
    let clock = Arc::new(SkewedClock {
        time: time.clone(),
        skew_ms: 0,
    });
    SqliteStore::open_with(&url, key, clock, options)
        .await
        .expect("a database")
}
