//! Opening a database: connections, migrations, the lock, what a crash left behind.

use std::path::PathBuf;
use std::sync::Arc;

use connector_sdk::Clock;
use sync::ports::StoreError;

use crate::seal::MasterKey;

/// The store on one SQLite file. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) key: MasterKey,
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
        let _ = (url, key, clock, options);
        todo!()
    }

    /// Where the database of an address is.
    ///
    /// # Errors
    /// `Address` when it is not one of a SQLite file.
    pub fn path_of(url: &str) -> Result<PathBuf, OpenError> {
        let _ = url;
        todo!()
    }

    /// Ends all connections and gives up the lock. Other clones are of no use afterwards.
    pub async fn close(&self) {
        todo!()
    }
}
