//! What differs between engines, in one place. Everything else in this room is SQL that SQLite and PostgreSQL both
//! take: `$1`, `ON CONFLICT ... DO UPDATE`, `RETURNING`, partial indexes, window functions.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{SqlSafeStr, SqliteConnection};

use crate::open::Durability;

/// The engine.
pub(crate) type Engine = sqlx::Sqlite;
/// A row of it.
pub(crate) type Row = sqlx::sqlite::SqliteRow;
/// A connection to it.
pub(crate) type Conn = SqliteConnection;

/// Begins a transaction that writes. SQLite would otherwise take the write lock at the first write, and fail at
/// once instead of waiting when another process wrote since the first read
/// (<https://www.sqlite.org/lang_transaction.html>).
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Variables of one statement. SQLite takes 32,766 (<https://www.sqlite.org/limits.html>), PostgreSQL 65,535.
const MAX_VARIABLES: usize = 32_766;

/// Rows of one INSERT. More rows save round trips; beyond a hundred or so the longer statement costs what they save.
pub(crate) const fn rows_per_insert(columns: usize) -> usize {
    let most = MAX_VARIABLES / columns;
    if most < 100 { most } else { 100 }
}

/// Ids of one `IN (...)`.
pub(crate) const IDS_PER_QUERY: usize = 500;

/// The steps that bring a database up to date. They are carried in the program: nothing is read at run time.
pub(crate) fn migrator() -> Migrator {
    let step = |version, description: &'static str, sql: &'static str| {
        Migration::new(
            version,
            description.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(vec![
        step(
            1,
            "first light",
            include_str!("../../migrations/sqlite/0001_first_light.sql"),
        ),
        step(
            2,
            "history and holds",
            include_str!("../../migrations/sqlite/0002_history_and_holds.sql"),
        ),
        step(
            3,
            "traits",
            include_str!("../../migrations/sqlite/0003_traits.sql"),
        ),
        step(
            4,
            "linking",
            include_str!("../../migrations/sqlite/0004_linking.sql"),
        ),
        step(
            5,
            "anchors",
            include_str!("../../migrations/sqlite/0005_anchors.sql"),
        ),
        step(
            7,
            "feed connections",
            include_str!("../../migrations/sqlite/0007_feed_connections.sql"),
        ),
    ])
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

fn base(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(200)
}

/// What is broken in the file.
pub(crate) async fn problems(conn: &mut Conn) -> Result<Vec<String>, sqlx::Error> {
    let mut problems: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)")
        .fetch_all(&mut *conn)
        .await?;
    problems.retain(|line| line != "ok");
    let dangling: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM pragma_foreign_key_check")
        .fetch_one(conn)
        .await?;
    if dangling > 0 {
        problems.push(format!("{dangling} rows refer to rows that are not there"));
    }
    Ok(problems)
}

/// The jobs that can be claimed: due ones that wait, and running ones whose lease ran out, one of each lane that
/// nobody works on. A lost job goes before waiting ones of its lane: as long as nobody took it over its old holder
/// could still commit. (PostgreSQL adds `FOR UPDATE SKIP LOCKED`; SQLite has one writer.)
pub(crate) const CLAIMABLE: &str = "
    SELECT organization_id, id FROM (
        SELECT j.organization_id, j.id, j.run_at,
            ROW_NUMBER() OVER (
                PARTITION BY j.organization_id, j.lane
                ORDER BY CASE WHEN j.state = 'running' THEN 0 ELSE 1 END, j.run_at, j.id
            ) AS place
        FROM jobs j
        WHERE ((j.state = 'queued' AND j.run_at <= $1) OR (j.state = 'running' AND j.lease_until <= $1))
            AND NOT EXISTS (
                SELECT 1 FROM jobs o
                WHERE o.organization_id = j.organization_id AND o.lane = j.lane
                    AND o.state = 'running' AND o.lease_until > $1
            )
    ) AS free
    WHERE place = 1
    ORDER BY run_at, id
    LIMIT $2";

/// Whether a fence still stands. (PostgreSQL adds `FOR SHARE`, so that no other node claims the job before the
/// commit; SQLite has one writer.)
pub(crate) const FENCE: &str =
    "SELECT id FROM jobs WHERE organization_id = $1 AND id = $2 AND token = $3 AND state = 'running'";
