//! Outbound webhooks: what the feed says goes to the endpoints that asked for it (docs/outbound.md, docs/adr/0010).
//!
//! Three tasks share the work, and nothing that one endpoint does holds up another: `derive` makes deliveries from the
//! feed, an `endpoint` task each sends them, and `record` writes down what came of it, many at a time.

mod derive;
mod endpoint;
mod lease;
mod message;
mod pace;
mod record;
mod schedule;
mod send;
mod sign;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_sdk::Clock;
use model::{OrganizationId, WebhookEndpointId};
use store::SqliteStore;
use sync::ports::Entropy;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::egress::Guard;
use crate::traces::Traces;
use endpoint::Handle;
use record::Recorder;

pub use schedule::{RETRIES, RETRY_WINDOW_MS};
pub(crate) use sign::new_secret;

/// What the dispatcher may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Deliveries under way to one endpoint.
    pub concurrency: usize,
    /// How long one attempt may take in all.
    pub attempt: Duration,
    /// How long the rest of an answer may take once its status is there.
    pub answer: Duration,
    /// How much of an answer is read.
    pub answer_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            concurrency: 64,
            attempt: Duration::from_secs(15),
            answer: Duration::from_secs(2),
            answer_bytes: 16 << 10,
        }
    }
}

/// What a dispatcher is made of.
pub struct Parts {
    /// Feed, endpoints and deliveries.
    pub store: SqliteStore,
    /// The way out.
    pub guard: Guard,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for ids and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// This process's name in leases.
    pub node: String,
    /// What it may take.
    pub limits: Limits,
    /// Where spans go.
    pub traces: Traces,
}

/// Sends what the feed says. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher(Arc<Shared>);

pub(crate) struct Shared {
    store: SqliteStore,
    guard: Guard,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    node: String,
    limits: Limits,
    traces: Traces,
    recorder: Recorder,
    /// Rung when endpoints changed.
    leases: Notify,
    /// Rung when there may be something to derive.
    feed: Notify,
    endpoints: Mutex<HashMap<(OrganizationId, WebhookEndpointId), Arc<Handle>>>,
    sending: TaskTracker,
}

impl Dispatcher {
    /// A dispatcher, and the task that is its work: it ends some seconds after `stop` is cancelled, when what was sent
    /// is written down.
    #[must_use]
    pub fn start(parts: Parts, stop: CancellationToken) -> (Self, JoinHandle<()>) {
        let (recorder, outcomes) = record::channel();
        let dispatcher = Self(Arc::new(Shared {
            store: parts.store,
            guard: parts.guard,
            clock: parts.clock,
            entropy: parts.entropy,
            node: parts.node,
            limits: parts.limits,
            traces: parts.traces,
            recorder,
            leases: Notify::new(),
            feed: Notify::new(),
            endpoints: Mutex::default(),
            sending: TaskTracker::new(),
        }));
        let running = tokio::spawn(lease::run(dispatcher.clone(), outcomes, stop));
        (dispatcher, running)
    }

    /// Endpoints were made or changed: what they are is read anew.
    pub fn endpoints_changed(&self) {
        self.0.leases.notify_one();
    }

    /// Deliveries of an endpoint were made due by somebody else than the feed.
    pub fn deliveries_changed(&self, organization: &OrganizationId, endpoint: &WebhookEndpointId) {
        let key = (organization.clone(), endpoint.clone());
        if let Some(handle) = self.0.endpoints().get(&key) {
            handle.look();
        }
    }
}

impl Shared {
    fn endpoints(&self) -> MutexGuard<'_, HashMap<(OrganizationId, WebhookEndpointId), Arc<Handle>>> {
        self.endpoints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
