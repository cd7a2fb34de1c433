//! What only PostgreSQL knows.

use sqlx::Error;
use sqlx::postgres::PgConnectOptions;

use crate::open::{Durability, OpenMode, Options};
use crate::sql::{self, Conn, Pool};

/// The jobs to claim: `SKIP LOCKED` passes over those that another node is at, and a lock on the lane over those whose
/// neighbour another node is about to claim, so that nobody waits for anybody here. Whoever has the lane looks again
/// before it takes the job: only then does it see what was committed before. Each job is looked up by itself, in its turn:
/// a plain join may go through the table in the order in which the server happens to keep it.
pub(super) const CLAIM: &str = concat!(
    "WITH free AS MATERIALIZED (",
    free_jobs!(),
    " LIMIT $2 * 8 + 32)
     SELECT held.organization_id, held.id FROM free CROSS JOIN LATERAL (
        SELECT j.organization_id, j.id FROM jobs j
        WHERE j.organization_id = free.organization_id AND j.id = free.id
        LIMIT 1 FOR UPDATE SKIP LOCKED
     ) AS held
     WHERE pg_try_advisory_xact_lock(hashtextextended(free.organization_id || ' ' || free.lane, 1))
     LIMIT $2"
);

/// The connections that records are linked on: `$1` the organization, `$2` the records' ids with commas between. `OFFSET 0`
/// keeps the inner query one of its own, asked for each id by the index over organization and record.
pub(crate) const LINKS_OF_RECORDS: &str = "
    SELECT DISTINCT wanted.id AS subject, found.connection_id AS connection_id
    FROM UNNEST(STRING_TO_ARRAY($2, ',')) AS wanted (id) CROSS JOIN LATERAL (
        SELECT l.connection_id FROM links l WHERE l.organization_id = $1 AND l.record_id = wanted.id OFFSET 0
    ) AS found";

/// Whether a fence still stands. The lock keeps other nodes from claiming the job before the commit.
pub(super) const FENCE: &str = concat!(fence!(), " FOR SHARE");

/// Takes out a job that has ended, without waiting for the disk
/// (<https://www.postgresql.org/docs/current/wal-async-commit.html>): were that lost with the server, the job would be claimed
/// once more and find that its work is done, which is written by a commit that did wait.
pub(super) const FORGET: &str = concat!(
    forget!(),
    " AND (SELECT set_config('synchronous_commit', 'off', TRUE)) = 'off'"
);

/// Which master key seals. The lock keeps it from being replaced before the commit, and others from nothing.
pub(super) const SEALING_KEY: &str = concat!(sealing_key!(), " FOR SHARE");

/// The processes that have this database open, by what they call themselves.
pub(crate) const NODES: &str = "
    SELECT SUBSTR(application_name, 9) AS name, COUNT(*) AS connections,
        CAST(EXTRACT(EPOCH FROM MIN(backend_start)) * 1000 AS BIGINT) AS since
    FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'concord %'
    GROUP BY application_name ORDER BY since, name";

/// This process's name among [`NODES`].
pub(crate) fn node() -> String {
    own_name().split_off("concord ".len())
}

/// What this process calls itself. PostgreSQL keeps 63 bytes.
fn own_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let mut name = format!("concord {}@{}", std::process::id(), machine.trim());
    name.truncate(name.floor_char_boundary(63));
    name
}

/// Waits until no other commit of the organization is on its way, and keeps others waiting until the end of this one:
/// see `docs/adr/0006-two-engines-one-store.md`. Every statement after it sees what was committed before.
pub(crate) async fn enter(conn: &mut Conn<'_>, organization: &str) -> Result<(), Error> {
    for _ in 0..2 {
        let head = sql::query("SELECT seq FROM feed_heads WHERE organization_id = $1 FOR UPDATE")
            .bind(organization)
            .fetch_optional(conn.lend())
            .await?;
        if head.is_some() {
            return Ok(());
        }
        sql::query("INSERT INTO feed_heads (organization_id, seq) VALUES ($1, 0) ON CONFLICT DO NOTHING")
            .bind(organization)
            .execute(conn.lend())
            .await?;
    }
    Ok(())
}

/// Whether any step was ever applied here.
pub(crate) async fn is_set_up(pool: &Pool) -> Result<bool, Error> {
    sql::query_scalar("SELECT to_regclass('_sqlx_migrations') IS NOT NULL")
        .fetch_one(pool)
        .await
}

/// How connections are opened. `search_path` is left as the address or the role has it. Whoever only looks beside is no
/// node, and has no name.
pub(crate) fn connection(address: PgConnectOptions, options: Options) -> PgConnectOptions {
    let name = match options.mode {
        OpenMode::Serve => own_name(),
        OpenMode::Beside => "concord".to_owned(),
    };
    let synchronous = match options.durability {
        Durability::Full => "on",
        Durability::ProcessOnly => "off",
    };
    address
        .application_name(&name)
        .statement_cache_capacity(400)
        .options([
            ("synchronous_commit", synchronous),
            // What is asked here takes milliseconds. A node that froze in the middle must not keep the others waiting.
            ("idle_in_transaction_session_timeout", "30s"),
        ])
}

/// The size of the database.
pub(crate) async fn size_bytes(pool: &Pool) -> Result<u64, Error> {
    let bytes: i64 = sql::query_scalar("SELECT pg_database_size(current_database())")
        .fetch_one(pool)
        .await?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// What is broken in the database. PostgreSQL keeps references by itself and checks pages when it reads them, where
/// the cluster was made with checksums.
pub(super) async fn problems(pool: &Pool) -> Result<Vec<String>, Error> {
    let broken: Vec<String> = sql::query_scalar(
        "SELECT c.relname::TEXT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE NOT i.indisvalid AND c.relnamespace = current_schema()::regnamespace",
    )
    .fetch_all(pool)
    .await?;
    Ok(broken
        .into_iter()
        .map(|index| format!("the index {index} was not built to its end; REINDEX it"))
        .collect())
}
