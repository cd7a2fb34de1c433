//! Opening a database: connections, migrations, the lock, what a crash left behind.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use connector_sdk::Clock;
use model::OrganizationId;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sync::ports::StoreError;
use tokio::sync::{broadcast, watch};

use crate::changes::FeedHead;
use crate::column::failed;
use crate::dialect::{self, Row};
use crate::seal::{MasterKey, create_private};
use crate::write::Write;

/// The store on one SQLite file. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// One connection: SQLite has one writer at a time, and this way nobody finds the database busy.
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held as long as the store lives; the system releases it when the process dies, however it dies.
    lock: Option<File>,
    key: MasterKey,
    clock: Arc<dyn Clock>,
    feed: broadcast::Sender<FeedHead>,
    jobs: watch::Sender<u64>,
}

/// How to open a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// As the one server, or beside it.
    pub mode: OpenMode,
    /// What survives a loss of power.
    pub durability: Durability,
    /// Connections for reading.
    pub readers: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: OpenMode::Serve,
            durability: Durability::Full,
            readers: 4,
        }
    }
}

/// As what a process opens a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// The one process that serves the file: takes the lock and releases what an earlier process held.
    Serve,
    /// A short administrative command (`key create`, `doctor`) that may run while a server does: takes no lock,
    /// leaves leases alone.
    Beside,
}

/// What survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit.
    Full,
    /// Nothing that the operating system had not written yet. For tests; a crash of the process loses nothing.
    ProcessOnly,
}

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The address is not one of a SQLite file.
    #[error("`{url}` is not the address of a SQLite file, such as sqlite://concord.db: {problem}")]
    Address {
        /// The address.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Another process serves it.
    #[error("another process serves {0}; stop it first, or give this one a database of its own")]
    InUse(PathBuf),
    /// Its credentials were sealed with another key.
    #[error(
        "the database's credentials are sealed with master key {expected}, and the given key is {given}: give the right key; nothing was changed"
    )]
    WrongKey {
        /// The fingerprint of the key that sealed.
        expected: String,
        /// The fingerprint of the key that was given.
        given: String,
    },
    /// The file or its lock cannot be made or read.
    #[error("{path} cannot be opened: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The tables could not be brought up to date.
    #[error("the database could not be brought up to date; it is as it was: {0}")]
    Migration(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SqliteStore {
    /// Opens or creates the database at `sqlite://path`, brings it up to date, and takes over what an earlier
    /// process left unfinished.
    ///
    /// # Errors
    /// When the file is served by another process, sealed with another key, newer than this program, or broken.
    pub async fn open(url: &str, key: MasterKey, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(url, key, clock, Options::default()).await
    }

    /// [`SqliteStore::open`] with options.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(
        url: &str,
        key: MasterKey,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let path = Self::path_of(url)?;
        let lock = take_lock(&path)?;
        if lock.is_none() && options.mode == OpenMode::Serve {
            return Err(OpenError::InUse(path));
        }
        make_private(&path)?;
        let writer = pool(1)
            .connect_with(dialect::writer(&path, options.durability))
            .await
            .map_err(failed)?;
        let readers = pool(options.readers.max(1)).connect_lazy_with(dialect::reader(&path));
        let store = Self {
            inner: Arc::new(Inner {
                path,
                writer,
                readers,
                lock,
                key,
                clock,
                feed: broadcast::channel(256).0,
                jobs: watch::channel(0).0,
            }),
        };
        store.bring_up_to_date().await?;
        store.check_key().await?;
        if options.mode == OpenMode::Serve {
            store.take_over().await?;
        }
        Ok(store)
    }

    /// Where the database of an address is.
    ///
    /// # Errors
    /// `Address` when it is not one of a SQLite file.
    pub fn path_of(url: &str) -> Result<PathBuf, OpenError> {
        let refused = |problem: &str| OpenError::Address {
            url: url.to_owned(),
            problem: problem.to_owned(),
        };
        if !url.starts_with("sqlite:") {
            return Err(refused("it does not begin with `sqlite:`"));
        }
        if url.contains(":memory:") || url.contains('?') {
            return Err(refused(
                "a plain path is wanted: no options, and not a database in memory",
            ));
        }
        let path = SqliteConnectOptions::from_str(url)
            .map_err(|error| refused(&error.to_string()))?
            .get_filename()
            .to_owned();
        if path.as_os_str().is_empty() {
            Err(refused("it names no file"))
        } else {
            Ok(path)
        }
    }

    /// Ends all connections and gives up the lock. Other clones are of no use afterwards.
    pub async fn close(&self) {
        self.inner.readers.close().await;
        self.inner.writer.close().await;
        if let Some(lock) = &self.inner.lock {
            // Nothing to be done about a failure; the lock goes with the process at the latest.
            let _ = lock.unlock();
        }
    }

    pub(crate) fn read(&self) -> &SqlitePool {
        &self.inner.readers
    }

    /// The one row that a query by organization (`$1`) and id (`$2`) finds.
    pub(crate) async fn row(
        &self,
        sql: &'static str,
        organization: &OrganizationId,
        id: &str,
    ) -> Result<Option<Row>, StoreError> {
        sqlx::query(sql)
            .bind(organization.as_str())
            .bind(id)
            .fetch_optional(self.read())
            .await
            .map_err(failed)
    }

    /// A transaction on the writing connection; waits for the one before it.
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        let tx = self
            .inner
            .writer
            .begin_with(dialect::BEGIN_WRITE)
            .await
            .map_err(failed)?;
        Ok(Write::new(tx, self.inner.feed.clone(), self.inner.jobs.clone()))
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn key(&self) -> &MasterKey {
        &self.inner.key
    }

    pub(crate) fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Rings after each commit that appended to a feed. It says where to look, not what is there: who lags
    /// (`RecvError::Lagged`) reads on with [`SqliteStore::changes_after`] and has missed nothing.
    #[must_use]
    pub fn subscribe_changes(&self) -> broadcast::Receiver<FeedHead> {
        self.inner.feed.subscribe()
    }

    /// Changes after each commit that enqueued work or made room for some, so that a worker wakes at once.
    #[must_use]
    pub fn subscribe_jobs(&self) -> watch::Receiver<u64> {
        self.inner.jobs.subscribe()
    }

    /// Applies the migrations that are missing. Beside a server nothing is applied: it runs on what is there.
    async fn bring_up_to_date(&self) -> Result<(), OpenError> {
        let migrator = dialect::migrator();
        if self.inner.lock.is_some() {
            return migrator
                .run(&self.inner.writer)
                .await
                .map_err(|error| OpenError::Migration(error.to_string()));
        }
        let newest = migrator.iter().map(|step| step.version).max().unwrap_or_default();
        let applied = self.migration().await?;
        if applied == newest {
            return Ok(());
        }
        Err(OpenError::Migration(format!(
            "another process serves it at version {applied}, and this program needs {newest}; stop the other first"
        )))
    }

    /// Refuses a key that did not seal what is in the database; the first key is the right one.
    async fn check_key(&self) -> Result<(), OpenError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO installation (name, value) VALUES ('master_key', $1) ON CONFLICT (name) DO NOTHING",
        )
        .bind(self.inner.key.id())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        let expected: String = sqlx::query_scalar("SELECT value FROM installation WHERE name = 'master_key'")
            .fetch_one(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        if expected == self.inner.key.id() {
            return Ok(());
        }
        Err(OpenError::WrongKey {
            expected,
            given: self.inner.key.id().to_owned(),
        })
    }

    /// Releases what an earlier process held. It is dead: this one has the lock. The tokens rise, so that nothing
    /// it may still have on the way is taken.
    async fn take_over(&self) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sqlx::query("UPDATE jobs SET lease_until = 0, token = token + 1 WHERE state = 'running'")
            .execute(write.conn())
            .await
            .map_err(failed)?;
        sqlx::query("DELETE FROM idempotency_keys WHERE status IS NULL")
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.inner.path)
            .finish_non_exhaustive()
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(60))
        // A connection to a file does not go stale.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// The lock on the file next to the database; `None` when another process has it. It is not on the database itself,
/// whose locks are SQLite's own: closing any handle to that file would drop them
/// (<https://www.sqlite.org/howtocorrupt.html>, section 2.2).
fn take_lock(database: &Path) -> Result<Option<File>, OpenError> {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    let path = PathBuf::from(name);
    let failed = |source| OpenError::Io {
        path: path.clone(),
        source,
    };
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Makes a new database file readable by its owner only; SQLite gives its log the same permissions.
fn make_private(path: &Path) -> Result<(), OpenError> {
    match create_private(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(OpenError::Io {
            path: path.to_owned(),
            source,
        }),
    }
}
