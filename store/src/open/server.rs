//! A database on a PostgreSQL server: its address and its connections. Several nodes share it; none locks it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

use super::{OpenError, Options};
use crate::column::failed;
use crate::dialect::postgres;

/// How long a caller waits for a connection. Someone waits behind it, who shall hear soon that the database is away.
const ACQUIRE_WITHIN: Duration = Duration::from_millis(800);
/// A connection that rested so long is asked before it is used: the server may have gone and come back.
const ASK_AFTER: Duration = Duration::from_secs(1);

/// Opens the database: connections that write, and connections that read. They are separate, so that readers do not
/// stand behind writers that wait for each other.
pub(super) async fn open(url: &str, options: Options) -> Result<(PgPool, PgPool), OpenError> {
    let address = address(url)?;
    let connections = options.readers.max(2);
    let writers = pool(connections)
        .connect_with(postgres::connection(address.clone(), options.durability))
        .await
        .map_err(failed)?;
    let readers = pool(connections).connect_lazy_with(postgres::connection(address, options.durability));
    Ok((writers, readers))
}

/// The address as sqlx reads it. What is refused is not repeated: it may hold a password.
fn address(url: &str) -> Result<PgConnectOptions, OpenError> {
    PgConnectOptions::from_str(url).map_err(|error| OpenError::Address {
        url: "postgres://...".to_owned(),
        problem: error.to_string(),
    })
}

fn pool(connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_WITHIN)
        .test_before_acquire(false)
        .before_acquire(|connection, facts| {
            Box::pin(async move {
                if facts.idle_for >= ASK_AFTER {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}
