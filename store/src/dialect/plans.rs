//! How SQLite goes about what is asked all the time: it knows nothing of how many rows an organization has.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePoolOptions;

use super::{ANYTHING_TO_CLAIM, Engine, NEXT_DUE, sqlite};
use crate::collections;
use crate::migrations::migrator;

/// A worker asks these after every job, and every poll asks the last.
const ASKED_ALL_THE_TIME: [&str; 6] = [
    ANYTHING_TO_CLAIM,
    sqlite::CLAIM,
    NEXT_DUE,
    collections::OF_CONNECTION,
    // As `link_parts.rs` builds them.
    "DELETE FROM link_parts WHERE organization_id = ? AND link_id IN (?) RETURNING link_id, part, collection_id, remote_id",
    "DELETE FROM link_parts WHERE organization_id = ? AND link_id IN (?, ?, ?) RETURNING link_id, part, collection_id, remote_id",
];

#[tokio::test]
async fn what_is_asked_all_the_time_looks_at_no_more_than_it_answers() {
    let one = SqlitePoolOptions::new().max_connections(1);
    let pool = one.connect("sqlite::memory:").await.unwrap();
    migrator(Engine::Sqlite).run(&pool).await.unwrap();
    for asked in ASKED_ALL_THE_TIME {
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {asked}"));
        for step in sqlx::query(explain).fetch_all(&pool).await.unwrap() {
            let step: String = step.get("detail");
            let whole_organization = step.ends_with("(organization_id=?)");
            let whole_table = step.starts_with("SCAN") && step.contains("USING");
            assert!(!whole_organization && !whole_table, "{step}\n{asked}");
        }
    }
}
