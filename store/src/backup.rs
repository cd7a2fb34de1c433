//! Copies of a database in a file: made while it is served, checked, and put back while it is not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector_sdk::Clock;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sync::ports::StoreError;

use crate::column::failed;
use crate::open::{OpenError, Options, SqlStore, take_lock};
use crate::ring::KeyRing;
use crate::seal::create_private;

/// Why a backup was not made, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is in the way.
    #[error("{0} is there already; nothing was changed")]
    Exists(PathBuf),
    /// The database is no file.
    #[error("the database is on a server, which has backups of its own; nothing was changed")]
    Server,
    /// The backup is no whole database of this program.
    #[error("{path} is not a whole backup: {problem}; nothing was changed")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is served, sealed with another key, or newer than this program.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where the database that stood there before is now.
    pub aside: Option<PathBuf>,
    /// The size of the database, in bytes.
    pub bytes: u64,
}

impl SqlStore {
    /// Writes a copy of the database, as it is at one moment, to a file that is not there yet. Others read and write
    /// meanwhile. The copy appears under its name only when it is whole, checked and on the disk; it is readable for
    /// its owner only. The master key is not in it.
    ///
    /// # Errors
    /// When the target is there, cannot be written, or the copy turns out broken, which says that the database is.
    pub async fn back_up_to(&self, target: &Path) -> Result<u64, BackupError> {
        let source = self.path().ok_or(BackupError::Server)?;
        if target.exists() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        let partial = beside(target, ".partial");
        remove(&partial)?;
        // SQLite takes an empty file, and this one has the right permissions already.
        create_private(&partial).map_err(|source| io(&partial, source))?;
        // https://www.sqlite.org/lang_vacuum.html#vacuuminto: one read transaction on the source. The readers' pool
        // may not write anywhere, so this takes a connection of its own.
        let pool = connect(SqliteConnectOptions::new().filename(source).read_only(true)).await?;
        let copied = sqlx::query("VACUUM INTO ?1")
            .bind(partial.to_string_lossy().into_owned())
            .execute(&pool)
            .await;
        pool.close().await;
        copied.map_err(failed)?;
        check(&partial).await?;
        let bytes = settle(&partial)?;
        fs::rename(&partial, target).map_err(|source| io(target, source))?;
        settle_folder(target)?;
        Ok(bytes)
    }

    /// Puts a backup in the place of the database at `sqlite://path`, which nobody may serve meanwhile. It is copied,
    /// checked and brought up to date beside it first; then it takes its place in one step. A database that stands
    /// there is kept under another name, and only touched with `replace`.
    ///
    /// # Errors
    /// When the database is served or in the way, or the backup is broken, sealed with another key, or newer than this
    /// program. Nothing was changed then.
    pub async fn restore(
        backup: &Path,
        url: &str,
        keys: impl Into<KeyRing>,
        clock: Arc<dyn Clock>,
        replace: bool,
    ) -> Result<Restored, BackupError> {
        let path = Self::path_of(url)?;
        let _lock = take_lock(&path)?.ok_or_else(|| OpenError::InUse(path.clone()))?;
        if path.exists() && !replace {
            return Err(BackupError::Exists(path));
        }
        let staged = beside(&path, ".restoring");
        clear(&staged)?;
        let outcome = stage(backup, &staged, keys.into(), &clock).await;
        let bytes = match outcome {
            Ok(bytes) => bytes,
            Err(error) => {
                clear(&staged)?;
                return Err(error);
            }
        };
        let aside = beside(&path, &format!(".before-restore-{}", clock.now_ms()));
        let stood = path.exists();
        set_aside(&path, &aside).await?;
        fs::rename(&staged, &path).map_err(|source| io(&path, source))?;
        clear(&staged)?;
        settle_folder(&path)?;
        Ok(Restored {
            aside: stood.then_some(aside),
            bytes,
        })
    }
}

/// Copies a backup and opens it once: that checks its key and brings it up to date.
async fn stage(
    backup: &Path,
    staged: &Path,
    keys: KeyRing,
    clock: &Arc<dyn Clock>,
) -> Result<u64, BackupError> {
    let mut from = File::open(backup).map_err(|source| io(backup, source))?;
    let mut to = create_private(staged).map_err(|source| io(staged, source))?;
    std::io::copy(&mut from, &mut to).map_err(|source| io(staged, source))?;
    drop(to);
    check(staged).await.map_err(|error| match error {
        BackupError::Damaged { problem, .. } => BackupError::Damaged {
            path: backup.to_owned(),
            problem,
        },
        other => other,
    })?;
    let url = format!("sqlite://{}", staged.display());
    let store = SqlStore::open_with(&url, keys, Arc::clone(clock), Options::default()).await?;
    store.close().await;
    fold(staged).await?;
    settle(staged)
}

/// The database at `path` gets a second name. Until the rename that follows, the first name stays too: a crash in
/// between leaves a database there, not a gap that the next start would fill with an empty one.
///
/// A log that a killed server left is written into its database first. Where that cannot be done, because the database
/// is damaged or gone, the log goes aside under the second name, too: SQLite would take it for the log of whatever stands
/// at the first (<https://www.sqlite.org/howtocorrupt.html>, section 4.3).
async fn set_aside(path: &Path, aside: &Path) -> Result<(), BackupError> {
    if path.exists() {
        // A damaged one is kept as it is.
        let _ = fold(path).await;
        fs::hard_link(path, aside).map_err(|source| io(aside, source))?;
    }
    let log = beside(path, "-wal");
    if log.exists() {
        fs::rename(&log, beside(aside, "-wal")).map_err(|source| io(&log, source))?;
    }
    remove(&beside(path, "-shm"))
}

/// Writes a database's log into it, and leaves none. The last connection that closes removes it
/// (<https://www.sqlite.org/wal.html>, section 2.1).
async fn fold(path: &Path) -> Result<(), BackupError> {
    let log = beside(path, "-wal");
    if !log.exists() {
        return Ok(());
    }
    let pool = connect(
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false),
    )
    .await?;
    let folded: Result<i64, _> = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)")
        .fetch_one(&pool)
        .await;
    pool.close().await;
    let busy = folded.map_err(failed)?;
    if busy == 0 && fs::metadata(&log).map_or(0, |facts| facts.len()) == 0 {
        return Ok(());
    }
    Err(BackupError::Damaged {
        path: path.to_owned(),
        problem: "its log cannot be written into it".to_owned(),
    })
}

/// Whether a file is a whole database of this program.
async fn check(path: &Path) -> Result<(), BackupError> {
    let damaged = |problem: String| BackupError::Damaged {
        path: path.to_owned(),
        problem,
    };
    // Nobody else has it: SQLite needs no log or lock beside it.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(true);
    let pool = connect(options)
        .await
        .map_err(|error| damaged(error.to_string()))?;
    let lines: Result<Vec<String>, _> = sqlx::query_scalar("PRAGMA integrity_check(20)")
        .fetch_all(&pool)
        .await;
    let steps: Result<i64, _> = sqlx::query_scalar("SELECT COUNT(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&pool)
        .await;
    pool.close().await;
    let lines = lines.map_err(|error| damaged(error.to_string()))?;
    if lines != ["ok"] {
        return Err(damaged(lines.join("; ")));
    }
    match steps {
        Ok(steps) if steps > 0 => Ok(()),
        Ok(_) | Err(_) => Err(damaged("it is a database, and not one of Concord".to_owned())),
    }
}

async fn connect(options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    let pool = SqlitePoolOptions::new().max_connections(1);
    pool.connect_with(options).await.map_err(failed)
}

/// The same name with something after it.
fn beside(path: &Path, after: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(after);
    name.into()
}

/// Writes a file through to the disk; its size.
fn settle(path: &Path) -> Result<u64, BackupError> {
    let failed = |source| io(path, source);
    let file = File::open(path).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    Ok(file.metadata().map_err(failed)?.len())
}

/// Writes the names in a file's folder through to the disk.
fn settle_folder(path: &Path) -> Result<(), BackupError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    settle(folder).map(|_| ())
}

fn clear(path: &Path) -> Result<(), BackupError> {
    for after in ["", "-wal", "-shm", ".lock"] {
        remove(&beside(path, after))?;
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), BackupError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(io(path, source)),
    }
}

fn io(path: &Path, source: std::io::Error) -> BackupError {
    BackupError::Io {
        path: path.to_owned(),
        source,
    }
}
