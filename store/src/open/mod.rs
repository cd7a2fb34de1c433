//! Opening a database: connections, migrations, what a crash left behind.

mod checkpoints;
mod file;
mod server;
mod statistics;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use connector_sdk::Clock;
use model::OrganizationId;
use sync::ports::StoreError;
use tokio::sync::{broadcast, watch};

use crate::bells::{Bells, Carriers};
use crate::changes::FeedHead;
use crate::column::failed;
use crate::dialect::sqlite::{self, Begin};
use crate::dialect::{Engine, postgres};
use crate::migrations;
use crate::outbound;
use crate::ring::KeyRing;
use crate::sql::{self, Pool, Row, Tx};
use crate::watch::Watch;
use crate::write::Write;

pub(crate) use checkpoints::Checkpoints;
pub(crate) use file::take_lock;

/// The store, on a SQLite file or a PostgreSQL database. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct SqlStore {
    inner: Arc<Inner>,
}

struct Inner {
    /// Where the file is, if it is one.
    place: Option<file::Place>,
    writers: Pool,
    readers: Pool,
    durability: Durability,
    keys: KeyRing,
    clock: Arc<dyn Clock>,
    /// Turns with organizations: on a server, those of one node wait for each other here and not there, where each
    /// would keep a connection. Several organizations may share one.
    turns: [Arc<tokio::sync::Mutex<()>>; 64],
    bells: Bells,
    /// Between nodes; ended by [`SqlStore::close`], or with the last clone.
    carriers: Mutex<Option<Carriers>>,
    checkpoints: Checkpoints,
    /// Ended as the carriers are.
    copier: Mutex<Option<checkpoints::Copier>>,
    /// The same for the server's tables.
    statistics: Mutex<Option<statistics::Statistics>>,
    /// Who hears what commits did with webhooks.
    watch: OnceLock<Arc<dyn Watch>>,
}

/// How to open a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// As the one server, or beside it.
    pub mode: OpenMode,
    /// What survives a loss of power.
    pub durability: Durability,
    /// Connections for reading; on PostgreSQL as many again for writing.
    pub readers: u32,
    /// How long the making of a connection to a server may take. Someone waits behind it, who shall hear soon that the
    /// database is away.
    pub connect_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: OpenMode::Serve,
            durability: Durability::Full,
            readers: 4,
            connect_within: Duration::from_millis(800),
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
    /// The address is not one of a database.
    #[error(
        "`{url}` is not the address of a SQLite file, such as sqlite://concord.db, or of a PostgreSQL database, such as postgres://concord@localhost/concord: {problem}"
    )]
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
    /// Its credentials are sealed with two keys, and one of them is missing.
    #[error(
        "the master key is being changed from {before} to {after}, and both are needed until that is done: give both; nothing was changed"
    )]
    KeyBetween {
        /// The fingerprint of the old key.
        before: String,
        /// The fingerprint of the new key.
        after: String,
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

impl SqlStore {
    /// Opens or creates the database at `sqlite://path`, brings it up to date, and takes over what an earlier
    /// process left unfinished. Or opens the one at `postgres://..` and brings it up to date; what other nodes hold
    /// there stays theirs.
    ///
    /// # Errors
    /// When the file is served by another process, sealed with another key, newer than this program, or broken.
    pub async fn open(url: &str, keys: impl Into<KeyRing>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(url, keys, clock, Options::default()).await
    }

    /// [`SqlStore::open`] with options.
    ///
    /// # Errors
    /// As there.
    pub async fn open_with(
        url: &str,
        keys: impl Into<KeyRing>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let (place, writers, readers, listening) = if server::is_address(url) {
            let (writers, readers, listening) = server::open(url, options).await?;
            (None, writers, readers, listening)
        } else {
            let (place, writer, readers) = file::open(url, options).await?;
            (Some(place), Pool::Sqlite(writer), Pool::Sqlite(readers), None)
        };
        let mut store = Inner {
            place,
            writers,
            readers,
            durability: options.durability,
            keys: keys.into(),
            clock,
            turns: std::array::from_fn(|_| Arc::default()),
            bells: Bells::alone(),
            carriers: Mutex::default(),
            checkpoints: Checkpoints::default(),
            copier: Mutex::default(),
            statistics: Mutex::default(),
            watch: OnceLock::new(),
        };
        store.bring_up_to_date(options.mode).await?;
        if let Some(own) = listening {
            let (bells, carriers) = Bells::among_others(&store.readers, own);
            store.bells = bells;
            store.carriers = Mutex::new(Some(carriers));
            store.statistics = Mutex::new(Some(statistics::Statistics::keep(store.readers.clone())));
        }
        if let Some(place) = &store.place
            && options.mode == OpenMode::Serve
            && options.durability == Durability::Full
        {
            let (checkpoints, copier) = Checkpoints::start(file::copier(&place.path));
            store.checkpoints = checkpoints;
            store.copier = Mutex::new(Some(copier));
        }
        let store = Self {
            inner: Arc::new(store),
        };
        store.check_keys(options.mode).await?;
        if options.mode == OpenMode::Serve && store.engine() == Engine::Sqlite {
            store.take_over().await?;
        }
        Ok(store)
    }

    /// Where the database of an address is.
    ///
    /// # Errors
    /// `Address` when it is not one of a SQLite file.
    pub fn path_of(url: &str) -> Result<PathBuf, OpenError> {
        file::path_of(url)
    }

    /// Ends all connections and gives up the lock. Other clones are of no use afterwards.
    pub async fn close(&self) {
        drop(taken(&self.inner.carriers));
        drop(taken(&self.inner.statistics));
        if let Some(copier) = taken(&self.inner.copier) {
            copier.end().await;
        }
        self.inner.readers.close().await;
        self.inner.writers.close().await;
        if let Some(lock) = self.inner.place.as_ref().and_then(|place| place.lock.as_ref()) {
            // Nothing to be done about a failure; the lock goes with the process at the latest.
            let _ = lock.unlock();
        }
    }

    /// Whether other nodes may work on the same database.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.engine() == Engine::Postgres
    }

    /// Has `watch` told of each commit that takes a webhook in, or goes back to one. The first who asks is told.
    pub fn watch(&self, watch: Arc<dyn Watch>) {
        // There is one reader of this, and it asks once.
        let _ = self.inner.watch.set(watch);
    }

    pub(crate) fn watcher(&self) -> Option<&dyn Watch> {
        self.inner.watch.get().map(|watch| &**watch)
    }

    /// Whether no other process can serve the database as long as this store is open.
    pub(crate) fn is_alone(&self) -> bool {
        let place = self.inner.place.as_ref();
        place.is_some_and(|place| place.lock.is_some())
    }

    /// Batches of webhooks that it takes at the same time ([`SqlStore::receive`]): a file has one writer.
    #[must_use]
    pub fn receives_at_once(&self) -> usize {
        match self.engine() {
            Engine::Sqlite => 1,
            Engine::Postgres => 2,
        }
    }

    pub(crate) fn engine(&self) -> Engine {
        self.inner.engine()
    }

    pub(crate) fn read(&self) -> &Pool {
        &self.inner.readers
    }

    /// The one row that a query by organization (`$1`) and id (`$2`) finds.
    pub(crate) async fn row(
        &self,
        sql: &'static str,
        organization: &OrganizationId,
        id: &str,
    ) -> Result<Option<Row>, StoreError> {
        sql::query(sql)
            .bind(organization.as_str())
            .bind(id)
            .fetch_optional(self.read())
            .await
            .map_err(failed)
    }

    /// A transaction that reads and writes rows of an organization, or appends to its feed. Between it and its commit
    /// no other one of the organization commits: on SQLite because one connection writes, on PostgreSQL because it
    /// holds the organization's row of `feed_heads`.
    pub(crate) async fn write_in(&self, organization: &OrganizationId) -> Result<Write, StoreError> {
        if self.engine() == Engine::Sqlite {
            return self.write().await;
        }
        let mut hasher = DefaultHasher::new();
        organization.hash(&mut hasher);
        let place = hasher.finish() as usize % self.inner.turns.len();
        let turn = Arc::clone(&self.inner.turns[place]).lock_owned().await;
        let mut write = self.write().await?;
        write.take_turn(turn);
        postgres::enter(&mut write.conn(), organization.as_str())
            .await
            .map_err(failed)?;
        Ok(write)
    }

    /// A transaction of a statement or two that depend on no other row, or on rows of many organizations. On
    /// PostgreSQL others commit meanwhile; whatever decides by what it read begins with [`SqlStore::write_in`].
    pub(crate) async fn write(&self) -> Result<Write, StoreError> {
        self.begin(Begin::Durable).await
    }

    /// The same for what may be lost with the machine, since whoever comes then does it again: that a job is taken, that it
    /// is alive. On PostgreSQL it is durable: others, who live on, go by it.
    pub(crate) async fn write_lightly(&self) -> Result<Write, StoreError> {
        self.begin(Begin::Light).await
    }

    async fn begin(&self, begin: Begin) -> Result<Write, StoreError> {
        let tx = match &self.inner.writers {
            Pool::Sqlite(pool) => {
                let begun = sqlite::begin_write(pool, begin, self.inner.durability).await;
                begun.map(Tx::Sqlite)
            }
            Pool::Postgres(gate) => Tx::on_server(gate).await,
        };
        let tx = tx.map_err(failed)?;
        let inner = &self.inner;
        Ok(Write::new(tx, inner.bells.clone(), inner.checkpoints.clone()))
    }

    /// For one statement of PostgreSQL's that is a transaction by itself and appends to no feed.
    pub(crate) fn write_alone(&self) -> &Pool {
        &self.inner.writers
    }

    /// Rings for workers, after such a statement.
    pub(crate) fn wake_workers(&self) {
        self.inner.bells.ring(Vec::new(), true);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    pub(crate) fn keys(&self) -> &KeyRing {
        &self.inner.keys
    }

    /// The file, if the database is one.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.inner.place.as_ref().map(|place| place.path.as_path())
    }

    /// Rings after each commit that appended to a feed. It says where to look, not what is there: who lags
    /// (`RecvError::Lagged`) reads on with [`SqlStore::changes_after`] and has missed nothing.
    #[must_use]
    pub fn subscribe_changes(&self) -> broadcast::Receiver<FeedHead> {
        self.inner.bells.changes()
    }

    /// As [`SqlStore::subscribe_changes`], for commits of this process alone: what other nodes can be told of.
    #[must_use]
    pub fn subscribe_own_changes(&self) -> broadcast::Receiver<FeedHead> {
        self.inner.bells.own_changes()
    }

    /// Rings for a feed of which another node says, by some other way than the database, that it grew. It is a hint: those
    /// who wait look into the database, and what they find there counts.
    pub fn hint(&self, head: FeedHead) {
        self.inner.bells.hint(head);
    }

    /// Changes after each commit that enqueued work or made room for some, so that a worker wakes at once.
    #[must_use]
    pub fn subscribe_jobs(&self) -> watch::Receiver<u64> {
        self.inner.bells.jobs()
    }

    /// Releases what an earlier process held. It is dead: this one has the lock. The tokens rise, so that nothing
    /// it may still have on the way is taken.
    async fn take_over(&self) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query("UPDATE jobs SET lease_until = 0, token = token + 1 WHERE state = 'running'")
            .execute(write.conn())
            .await
            .map_err(failed)?;
        outbound::release_all(&mut write).await?;
        sql::query("DELETE FROM idempotency_keys WHERE status IS NULL")
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await
    }
}

impl Inner {
    const fn engine(&self) -> Engine {
        match self.writers {
            Pool::Sqlite(_) => Engine::Sqlite,
            Pool::Postgres(_) => Engine::Postgres,
        }
    }

    /// Applies the migrations that are missing. Beside a server nothing is applied: it runs on what is there.
    async fn bring_up_to_date(&self, mode: OpenMode) -> Result<(), OpenError> {
        let alone = match &self.place {
            Some(place) => place.lock.is_some(),
            // Nodes are restarted one after the other, so that steps are applied while others serve: they expand.
            None => mode == OpenMode::Serve || !postgres::is_set_up(&self.readers).await.map_err(failed)?,
        };
        if alone {
            let migrator = migrations::migrator(self.engine());
            let run = match &self.writers {
                Pool::Sqlite(pool) => migrator.run(pool).await,
                Pool::Postgres(gate) => migrator.run(gate.pool()).await,
            };
            return run.map_err(|error| OpenError::Migration(error.to_string()));
        }
        let newest = migrations::newest();
        let applied = migrations::applied(&self.readers).await?;
        if applied == newest {
            return Ok(());
        }
        Err(OpenError::Migration(format!(
            "another process serves it at version {applied}, and this program needs {newest}; stop the other first"
        )))
    }
}

impl std::fmt::Debug for SqlStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlStore")
            .field("engine", &self.engine())
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

fn taken<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}
