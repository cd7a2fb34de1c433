//! What only SQLite knows.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{Error, Sqlite, Transaction};

use crate::open::Durability;
use crate::sql::{self, Pool};

/// How a transaction that writes begins. SQLite would otherwise take the write lock at the first write, and fail at
/// once instead of waiting when another process wrote since the first read
/// (<https://www.sqlite.org/lang_transaction.html>). Whether its commit waits for the disk is the connection's to know
/// (<https://www.sqlite.org/pragma.html#pragma_synchronous>), so that each says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// What is committed survives a loss of power.
    Durable,
    /// It survives the end of the process, and a loss of power once anything durable is committed after it: the log is
    /// one. For what a process that begins anew would do again.
    Light,
}

impl Begin {
    const fn text(self, durability: Durability) -> &'static str {
        match (durability, self) {
            (Durability::Full, Self::Durable) => "PRAGMA synchronous = FULL; BEGIN IMMEDIATE",
            (Durability::Full, Self::Light) => "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
            (Durability::ProcessOnly, _) => "BEGIN IMMEDIATE",
        }
    }
}

/// Begins a transaction on the connection that writes.
///
/// When a commit fails for want of room or by an error of the disk, SQLite may have ended the transaction by itself
/// (<https://www.sqlite.org/lang_transaction.html#response_to_errors_within_a_transaction>). The driver's ROLLBACK then
/// fails, and it goes on believing that the transaction is open: that connection would never write again. So it is given
/// up for a new one.
pub(crate) async fn begin_write(
    pool: &SqlitePool,
    begin: Begin,
    durability: Durability,
) -> Result<Transaction<'static, Sqlite>, Error> {
    let begin = begin.text(durability);
    match pool.begin_with(begin).await {
        Err(Error::InvalidSavePointStatement) => {
            pool.acquire().await?.close().await?;
            pool.begin_with(begin).await
        }
        begun => begun,
    }
}

/// How the one connection that writes is opened.
pub(crate) fn writer(path: &Path, durability: Durability) -> SqliteConnectOptions {
    let synchronous = match durability {
        Durability::Full => SqliteSynchronous::Full,
        Durability::ProcessOnly => SqliteSynchronous::Off,
    };
    base(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
        .create_if_missing(true)
        // A page commit writes a few MB of log; the default of 1,000 pages would copy the log after every one.
        .pragma("wal_autocheckpoint", "4000")
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-8000")
}

/// How connections that read are opened. They see the last commit, and never wait for the writer.
pub(crate) fn reader(path: &Path) -> SqliteConnectOptions {
    base(path).pragma("query_only", "ON").row_buffer_size(512)
}

/// How the connection is opened that copies the log into the file while others work.
pub(crate) fn copier(path: &Path) -> SqliteConnectOptions {
    base(path).synchronous(SqliteSynchronous::Full)
}

fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(264)
}

/// What is broken in the file.
pub(super) async fn problems(pool: &Pool) -> Result<Vec<String>, Error> {
    let mut problems: Vec<String> = sql::query_scalar("PRAGMA integrity_check(20)")
        .fetch_all(pool)
        .await?;
    problems.retain(|line| line != "ok");
    let dangling: i64 = sql::query_scalar("SELECT COUNT(*) FROM pragma_foreign_key_check")
        .fetch_one(pool)
        .await?;
    if dangling > 0 {
        problems.push(format!("{dangling} rows refer to rows that are not there"));
    }
    Ok(problems)
}

/// The jobs to claim. There is one writer: nobody else is at them.
pub(super) const CLAIM: &str = concat!(free_jobs!(), " LIMIT $2");

/// Whether a fence still stands. It does so until the commit: there is one writer.
pub(super) const FENCE: &str = fence!();

/// Which master key seals. Nobody else writes.
pub(super) const SEALING_KEY: &str = sealing_key!();

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test]
    async fn what_is_durable_waits_for_the_disk_after_what_is_light() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.db");
        for (durability, [durable, light]) in [(Durability::Full, [2, 1]), (Durability::ProcessOnly, [0, 0])]
        {
            let pool = SqlitePoolOptions::new()
                .max_connections(1)
                .connect_lazy_with(writer(&path, durability));
            for (begin, expected) in [
                (Begin::Durable, durable),
                (Begin::Light, light),
                (Begin::Light, light),
                (Begin::Durable, durable),
            ] {
                let mut tx = begin_write(&pool, begin, durability).await.unwrap();
                let level: i64 = sqlx::query_scalar("PRAGMA synchronous")
                    .fetch_one(&mut *tx)
                    .await
                    .unwrap();
                assert_eq!(level, expected, "{durability:?} {begin:?}");
                let locked = sqlx::query("CREATE TABLE IF NOT EXISTS notes (text TEXT)");
                locked.execute(&mut *tx).await.unwrap();
                // Dropped or committed, the next one says for itself.
                if begin == Begin::Durable {
                    tx.commit().await.unwrap();
                }
            }
            pool.close().await;
        }
    }
}
