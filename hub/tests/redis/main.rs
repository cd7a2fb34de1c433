//! What nodes share on a Redis server: changes are heard of, rates are kept, and the server may go, hang, come back or
//! talk nonsense meanwhile.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod bells;
mod budgets;
mod fake;
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use connector_sdk::SystemClock;
use hub::entropy::SystemEntropy;
use hub::redis::{Address, Redis};
use secrecy::SecretString;
use testkit::harness::until;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bound of every wait; only a failing test comes near it.
const LIMIT: Duration = Duration::from_secs(60);

/// A node's link to a server; it ends with the test.
struct Link {
    redis: Redis,
    stop: CancellationToken,
    kept: JoinHandle<()>,
}

impl Link {
    fn to(url: &str) -> Self {
        let address = Address::parse(&SecretString::from(url), &[]).unwrap();
        let stop = CancellationToken::new();
        let (redis, kept) = Redis::start(
            address,
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
            stop.clone(),
        );
        Self { redis, stop, kept }
    }

    async fn is(&self, up: bool) {
        let what = if up {
            "the server to be up"
        } else {
            "the server to be down"
        };
        until(what, LIMIT, async || (self.redis.is_up() == up).then_some(()))
            .await
            .unwrap();
    }

    /// Nothing is left running.
    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(LIMIT, self.kept).await.unwrap().unwrap();
    }
}
