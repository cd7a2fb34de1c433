//! A database in a file: its address, its lock, its connections.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::{OpenError, OpenMode, Options};
use crate::column::failed;
use crate::dialect::sqlite;
use crate::seal::create_private;

/// Where the database is, and the lock on it.
pub(crate) struct Place {
    pub(crate) path: PathBuf,
    /// Held as long as the store lives; the system releases it when the process dies, however it dies.
    pub(crate) lock: Option<File>,
}

/// Opens the file as `options` say: its place, the one connection that writes, those that read.
pub(super) async fn open(url: &str, options: Options) -> Result<(Place, SqlitePool, SqlitePool), OpenError> {
    let path = path_of(url)?;
    let lock = take_lock(&path)?;
    if lock.is_none() && options.mode == OpenMode::Serve {
        return Err(OpenError::InUse(path));
    }
    make_private(&path)?;
    // One connection: SQLite has one writer at a time, and this way nobody finds the database busy.
    let writer = pool(1)
        .connect_with(sqlite::writer(&path, options.durability))
        .await
        .map_err(failed)?;
    let readers = pool(options.readers.max(1)).connect_lazy_with(sqlite::reader(&path));
    Ok((Place { path, lock }, writer, readers))
}

/// A connection that copies the log into the file, made when it is first used.
pub(super) fn copier(path: &Path) -> SqlitePool {
    pool(1).connect_lazy_with(sqlite::copier(path))
}

/// Where the database of an address is.
pub(super) fn path_of(url: &str) -> Result<PathBuf, OpenError> {
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
pub(crate) fn take_lock(database: &Path) -> Result<Option<File>, OpenError> {
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
