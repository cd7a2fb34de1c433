//! One look at the server, for `concord doctor`.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, InfoDict, RedisResult};

use super::link::{CONNECT_WITHIN, within};
use super::{Address, Reason, bells, budget};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The server's release.
    pub version: String,
    /// Processes that hear of changes through it.
    pub listening: u64,
}

/// Connects, and asks for what nodes ask for.
///
/// # Errors
/// Why the server would be no help.
pub async fn look(address: &Address) -> Result<Seen, Reason> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_WITHIN))
        .set_response_timeout(Some(CONNECT_WITHIN));
    let connecting = address
        .client()
        .get_multiplexed_async_connection_with_config(&config);
    let connection = within(CONNECT_WITHIN, connecting).await?;
    within(CONNECT_WITHIN, budget::probe(connection.clone())).await?;
    within(CONNECT_WITHIN, ask(connection)).await
}

async fn ask(mut connection: MultiplexedConnection) -> RedisResult<Seen> {
    let info: InfoDict = redis::cmd("INFO")
        .arg("server")
        .query_async(&mut connection)
        .await?;
    let version: String = info.get("redis_version").unwrap_or_default();
    let (_, listening): (String, u64) = redis::cmd("PUBSUB")
        .arg("NUMSUB")
        .arg(bells::CHANNEL)
        .query_async(&mut connection)
        .await?;
    Ok(Seen {
        // Somebody else's text on a terminal.
        version: version
            .chars()
            .filter(|each| each.is_ascii_digit() || *each == '.')
            .take(20)
            .collect(),
        listening,
    })
}
