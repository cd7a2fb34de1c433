//! What the running application consists of, shared by API and worker.

use std::sync::Arc;
use std::time::Duration;

use connector_sdk::Clock;
use metrics_exporter_prometheus::PrometheusHandle;
use store::SqliteStore;
use sync::engine::Engine;
use sync::ports::Entropy;
use tokio_util::sync::CancellationToken;

use crate::egress::Guard;
use crate::feed::Feed;
use crate::outbound::Dispatcher;
use crate::providers::ProviderPool;
use crate::redis::Redis;
use crate::traces::Traces;
use crate::webhooks::Intake;
use crate::worker::Lanes;

/// The running application. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Parts>);

/// What an [`AppState`] is made of.
pub struct Parts {
    /// What is stored.
    pub store: SqliteStore,
    /// The sync engine.
    pub engine: Engine,
    /// Connectors and their contexts.
    pub providers: Arc<ProviderPool>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The jobs that run in this process.
    pub lanes: Lanes,
    /// What was counted.
    pub prometheus: PrometheusHandle,
    /// Where webhooks come in.
    pub intake: Intake,
    /// The feed as it grows.
    pub feed: Feed,
    /// The way out to addresses that customers give.
    pub guard: Guard,
    /// Sends what the feed says.
    pub dispatcher: Dispatcher,
    /// What is shared with other nodes besides the database, if anything.
    pub redis: Option<Redis>,
    /// Where spans go.
    pub traces: Traces,
    /// Scheme, host and port at which others reach this server, and whatever path stands before its own.
    pub origin: String,
    /// How often connections without a schedule are synced.
    pub sync_interval: Duration,
    /// Cancelled when the server is to stop: long answers end then.
    pub stopping: CancellationToken,
}

impl AppState {
    /// Puts the application together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// What is stored, for all organizations. Handlers go through [`crate::api::extract::Caller`] instead.
    #[must_use]
    pub fn unscoped_store(&self) -> &SqliteStore {
        &self.0.store
    }

    /// The sync engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Where webhooks come in.
    #[must_use]
    pub fn intake(&self) -> &Intake {
        &self.0.intake
    }

    /// Connectors and their contexts.
    #[must_use]
    pub fn providers(&self) -> &ProviderPool {
        &self.0.providers
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.0.clock.as_ref()
    }

    /// Randomness.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        self.0.entropy.as_ref()
    }

    /// The jobs that run in this process.
    #[must_use]
    pub fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    /// What was counted.
    #[must_use]
    pub fn prometheus(&self) -> &PrometheusHandle {
        &self.0.prometheus
    }

    /// The way out to addresses that customers give.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }

    /// Sends what the feed says.
    #[must_use]
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.0.dispatcher
    }

    /// Where spans go.
    #[must_use]
    pub fn traces(&self) -> &Traces {
        &self.0.traces
    }

    /// The feed as it grows.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// What is shared with other nodes besides the database, if anything.
    #[must_use]
    pub fn redis(&self) -> Option<&Redis> {
        self.0.redis.as_ref()
    }

    /// Scheme, host and port at which others reach this server, and whatever path stands before its own.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// How often connections without a schedule are synced.
    #[must_use]
    pub fn sync_interval(&self) -> Duration {
        self.0.sync_interval
    }

    /// Cancelled when the server is to stop: long answers end then.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// The present moment and fresh randomness: what a new id is made of.
    #[must_use]
    pub fn id_parts(&self) -> (u64, u128) {
        id_parts(self.clock(), self.0.entropy.as_ref())
    }
}

/// The present moment and fresh randomness: what a new id is made of.
pub fn id_parts(clock: &dyn Clock, entropy: &dyn Entropy) -> (u64, u128) {
    (
        u64::try_from(clock.now_ms()).unwrap_or_default(),
        entropy.random(),
    )
}
