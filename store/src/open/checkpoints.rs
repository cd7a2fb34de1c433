//! Copying SQLite's log into its file beside the work.
//!
//! SQLite does that by itself, within the commit that finds the log long: that commit, and all that wait behind it, take
//! as long as the copy does (<https://www.sqlite.org/wal.html#performance_considerations>). Here a connection of its own
//! copies before the log is that long, so that little is left for such a commit. It is needed all the same: the log
//! begins anew only when all of it is copied, and beside one who goes on writing nobody else ever gets to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Commits between two copies. Those of full batches of webhooks write about 40 pages each, and SQLite itself copies at
/// 4,000 pages.
const COMMITS: u32 = 32;
/// Between two copies, so that a commit that finds the log long gets its turn.
const PAUSE: Duration = Duration::from_millis(10);
/// After a copy that failed. Nothing is lost by that: the log keeps what was committed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Where commits are counted. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(crate) struct Checkpoints(Option<Arc<Count>>);

#[derive(Debug, Default)]
struct Count {
    commits: AtomicU32,
    many: Notify,
}

/// The task that copies, and its connection. It ends with it.
pub(super) struct Copier {
    pool: SqlitePool,
    task: JoinHandle<()>,
}

impl Checkpoints {
    /// Begins to copy over this connection.
    pub(super) fn start(pool: SqlitePool) -> (Self, Copier) {
        let count = Arc::new(Count::default());
        let task = tokio::spawn(copy(pool.clone(), count.clone()));
        (Self(Some(count)), Copier { pool, task })
    }

    /// Something was committed.
    pub(crate) fn committed(&self) {
        if let Some(count) = &self.0
            && count.commits.fetch_add(1, Ordering::Relaxed) + 1 >= COMMITS
        {
            count.many.notify_one();
        }
    }
}

impl Copier {
    /// Stops, and closes the connection.
    pub(super) async fn end(self) {
        self.task.abort();
        self.pool.close().await;
    }
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn copy(pool: SqlitePool, count: Arc<Count>) {
    loop {
        count.many.notified().await;
        if count.commits.swap(0, Ordering::Relaxed) < COMMITS {
            continue;
        }
        // It waits for nobody and nobody waits for it; it copies what it finds.
        let copied = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").execute(&pool).await;
        if let Err(error) = &copied {
            tracing::debug!(%error, "the database's log was not copied into its file; SQLite will do so by itself");
        }
        tokio::time::sleep(if copied.is_ok() { PAUSE } else { AFTER_FAILURE }).await;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

    use super::*;

    fn options(path: &Path) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .create_if_missing(true)
            // It never copies by itself.
            .pragma("wal_autocheckpoint", "0")
    }

    fn pool(path: &Path) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(1)
            .connect_lazy_with(options(path))
    }

    fn holds(path: &Path, text: &str) -> bool {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[tokio::test]
    async fn the_log_is_copied_after_many_commits_and_not_after_a_few() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        let writer = pool(&path);
        sqlx::query("CREATE TABLE notes (text TEXT)")
            .execute(&writer)
            .await
            .unwrap();
        let (checkpoints, copier) = Checkpoints::start(pool(&path));
        let write = async |text: &str| {
            sqlx::query("INSERT INTO notes VALUES ($1)")
                .bind(text)
                .execute(&writer)
                .await
                .unwrap();
            checkpoints.committed();
        };
        write("the first of them").await;
        for _ in 2..COMMITS {
            write("another").await;
        }
        assert!(!holds(&path, "the first of them"));
        write("the one that is enough").await;
        let copied = async {
            while !holds(&path, "the first of them") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), copied)
            .await
            .unwrap();
        copier.end().await;
        write("afterwards").await;
        writer.close().await;
    }
}
