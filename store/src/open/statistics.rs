//! What PostgreSQL knows of a table that grows from nothing.
//!
//! Statements are planned by what was last counted, and plans are kept. Those made while a table is empty take any index
//! that begins with the organization, and read all its rows from then on; the checks of foreign keys are planned so, too.
//! The server counts anew by itself, but looks only once a minute
//! (<https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM>, `autovacuum_naptime`): a first sync or a
//! first burst of webhooks is over by then. So it is told to count what has grown.

use std::time::Duration;

use sqlx::Error;
use tokio::task::JoinHandle;

use crate::sql::{self, Pool, QueryBuilder};

/// Between two looks.
const LOOK: Duration = Duration::from_secs(2);
/// Tables of fewer new rows are left to the server: reading all of them costs little.
const WORTH_ROWS: i64 = 1_000;

/// The task that looks. It ends with it.
#[derive(Debug)]
pub(super) struct Statistics(JoinHandle<()>);

impl Statistics {
    /// Looks after the tables of this database.
    pub(super) fn keep(pool: Pool) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK).await;
                if let Err(error) = count_what_grew(&pool).await {
                    tracing::debug!(%error, "tables that have grown were not counted; the server will do so by itself");
                }
            }
        }))
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Tables with three times the rows that were last counted, or more.
async fn count_what_grew(pool: &Pool) -> Result<(), Error> {
    let grown: Vec<String> = sql::query_scalar(
        "SELECT s.relname::TEXT FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
         WHERE s.schemaname = current_schema() AND s.n_mod_since_analyze >= $1
            AND s.n_mod_since_analyze >= 2 * c.reltuples",
    )
    .bind(WORTH_ROWS)
    .fetch_all(pool)
    .await?;
    for table in grown {
        let mut analyze = QueryBuilder::new("ANALYZE ");
        analyze.push_name(&table);
        analyze.build().execute(pool).await?;
    }
    Ok(())
}
