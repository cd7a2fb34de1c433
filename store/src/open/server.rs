//! A database on a PostgreSQL server: its address and its connections. Several nodes share it; none locks it.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::{OpenError, OpenMode, Options};
use crate::column::failed;
use crate::dialect::postgres;
use crate::sql::{Gate, Pool, plans};

/// A connection that rested so long is asked before it is used: the server may have gone and come back.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// Whether an address is one of a database on a server.
pub(super) fn is_address(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

/// Opens the database: connections that write, connections that read, and for a server process one to listen on. They
/// are separate, so that readers do not stand behind writers that wait for each other.
pub(super) async fn open(url: &str, options: Options) -> Result<(Pool, Pool, Option<PgPool>), OpenError> {
    let address = postgres::connection(address(url)?, options);
    let connections = options.readers.max(2);
    let writers = pool(connections, options)
        .connect_with(address.clone())
        .await
        .map_err(failed)?;
    let readers = pool(connections, options).connect_lazy_with(address.clone());
    let listening = (options.mode == OpenMode::Serve).then(|| pool(1, options).connect_lazy_with(address));
    let gated = |pool| Pool::Postgres(Arc::new(Gate::new(pool, connections)));
    Ok((gated(writers), gated(readers), listening))
}

/// The address as sqlx reads it. What is refused is not repeated: it may hold a password.
fn address(url: &str) -> Result<PgConnectOptions, OpenError> {
    PgConnectOptions::from_str(url).map_err(|error| OpenError::Address {
        url: "postgres://...".to_owned(),
        problem: error.to_string(),
    })
}

fn pool(connections: u32, options: Options) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(options.connect_within)
        .test_before_acquire(false)
        .before_acquire(|connection, facts| {
            Box::pin(async move {
                if plans::are_kept_at(facts.age) {
                    return Ok(false);
                }
                if facts.idle_for >= ASK_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}
