//! A store and a dispatcher with a clock that only the test moves.

use std::sync::Arc;
use std::time::Duration;

use ::sync::ports::{Effect, Store as _};
use ::sync::state::{FeedAction, FeedEntry, Origin};
use async_trait::async_trait;
use connector_sdk::Clock;
use hub::egress::{Guard, Policy, SystemResolver};
use hub::entropy::SystemEntropy;
use hub::outbound::{Dispatcher, Limits, Parts};
use hub::server::new_organization;
use jiff::Timestamp;
use model::{OrganizationId, WebhookEndpointId};
use store::{
    ChangeFilter, Delivery, DeliveryFilter, EndpointState, MasterKey, Options, Paging, SqliteStore,
    WebhookEndpoint,
};
use tempfile::TempDir;
use testkit::harness::{Database, until};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::LIMIT;

pub(crate) const SECRET: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
const START_MS: i64 = 1_780_000_000_000;

/// Stands still until it is moved.
pub(crate) struct SetClock(watch::Sender<i64>);

impl SetClock {
    fn advance(&self, ms: i64) {
        self.0.send_modify(|now| *now += ms);
    }
}

#[async_trait]
impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(*self.0.borrow()).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        let mut now = self.0.subscribe();
        let until = *now.borrow() + i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 2);
        let _ = now.wait_for(|now| *now >= until).await;
    }
}

/// The clock, the store and the dispatcher on it.
pub(crate) struct Bed {
    pub(crate) store: SqliteStore,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) organization: OrganizationId,
    pub(crate) dispatcher: Dispatcher,
    stop: CancellationToken,
    running: JoinHandle<()>,
    pub(crate) place: Arc<Place>,
}

/// What outlives a process.
pub(crate) struct Place {
    folder: TempDir,
    url: String,
    /// Removed when nobody needs it any more.
    _database: Option<Database>,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, _database) = crate::fresh_database(folder.path());
        let place = Arc::new(Place {
            folder,
            url,
            _database,
        });
        let clock = Arc::new(SetClock(watch::channel(START_MS).0));
        Self::open(place, clock, limits).await
    }

    /// On a database that may be there already. Waits for whoever has it to be gone.
    pub(crate) async fn open(place: Arc<Place>, clock: Arc<SetClock>, limits: Limits) -> Self {
        let key = MasterKey::load_or_create(&place.folder.path().join("key")).unwrap();
        let store = until("the database", LIMIT, async || {
            let clock = Arc::clone(&clock) as Arc<dyn Clock>;
            SqliteStore::open_with(&place.url, key.clone(), clock, Options::default())
                .await
                .ok()
        })
        .await
        .unwrap();
        let organization = new_organization("mine", clock.as_ref(), &SystemEntropy);
        let organization = store.default_organization(&organization).await.unwrap();
        let policy = Policy::parse("127.0.0.0/8", "1-65535").unwrap();
        let parts = Parts {
            store: store.clone(),
            guard: Guard::new(policy, Arc::new(SystemResolver), &[]).unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(SystemEntropy),
            node: "node".to_owned(),
            limits,
            traces: hub::traces::Traces::default(),
        };
        let stop = CancellationToken::new();
        let (dispatcher, running) = Dispatcher::start(parts, stop.clone());
        Self {
            store,
            clock,
            organization: organization.id,
            dispatcher,
            stop,
            running,
            place,
        }
    }

    /// An endpoint at this address, with the secret [`SECRET`].
    pub(crate) async fn endpoint(&self, url: &str, ordered: bool) -> WebhookEndpointId {
        let now_ms = self.clock.now_ms();
        let random = ::sync::ports::Entropy::random(&SystemEntropy);
        let endpoint = WebhookEndpoint {
            id: WebhookEndpointId::new(now_ms.unsigned_abs(), random),
            organization: self.organization.clone(),
            name: String::new(),
            url: url.to_owned(),
            filter: ChangeFilter {
                kinds: vec!["event".to_owned()],
                connections: Vec::new(),
            },
            actions: Vec::new(),
            rate: None,
            ordered,
            state: EndpointState::Active,
            reason: None,
            cursor: 0,
            failing_since: None,
            created_at: now_ms,
            updated_at: now_ms,
        };
        self.store
            .insert_webhook_endpoint(&endpoint, SECRET, &Origin::Hub)
            .await
            .unwrap();
        self.dispatcher.endpoints_changed();
        endpoint.id
    }

    pub(crate) async fn stored(&self, id: &WebhookEndpointId) -> WebhookEndpoint {
        let found = self.store.webhook_endpoint(&self.organization, id).await;
        found.unwrap().unwrap()
    }

    /// Commits a change of each of these objects. Their places in the feed.
    pub(crate) async fn change(&self, subjects: &[&str]) -> Vec<i64> {
        let mut effects = Vec::new();
        for subject in subjects {
            effects.push(Effect::Feed(FeedEntry {
                action: FeedAction::Updated,
                subject: (*subject).to_owned(),
                kind: "event".to_owned(),
                version: 1,
                changed: vec!["title".to_owned()],
                origin: Origin::Hub,
                at: self.clock.now_ms(),
            }));
        }
        self.store
            .commit(&self.organization, None, effects)
            .await
            .unwrap();
        let last = self.store.latest_seq(&self.organization).await.unwrap();
        let count = i64::try_from(subjects.len()).unwrap();
        (last - count + 1..=last).collect()
    }

    /// Moves the clock, and waits until everything that is due then was tried.
    pub(crate) async fn pass(&self, ms: i64, endpoint: &WebhookEndpointId) {
        self.clock.advance(ms);
        self.quiet(endpoint).await;
    }

    /// Waits until the feed was read, as far as an endpoint that fails is given it, and nothing is due.
    pub(crate) async fn quiet(&self, endpoint: &WebhookEndpointId) {
        let mut due = Vec::new();
        let quiet = until("nothing to be due", LIMIT, async || {
            let (organization, now_ms) = (&self.organization, self.clock.now_ms());
            due = self
                .store
                .due_deliveries(organization, endpoint, now_ms, 9)
                .await
                .unwrap();
            // Whoever read the clock just before it was moved sleeps too long: nobody moves it while this waits.
            self.dispatcher.deliveries_changed(organization, endpoint);
            let latest = self.store.latest_seq(organization).await.unwrap();
            let stored = self.stored(endpoint).await;
            let read = stored.cursor >= latest || stored.failing_since.is_some();
            ((due.is_empty() && read) || stored.state == EndpointState::Disabled).then_some(())
        });
        quiet.await.unwrap_or_else(|error| panic!("{error}: {due:?}"));
    }

    pub(crate) async fn deliveries(&self, endpoint: &WebhookEndpointId) -> Vec<Delivery> {
        let all = Paging::first(10_000);
        let filter = DeliveryFilter::default();
        let page = self.store.deliveries(&self.organization, endpoint, &filter, &all);
        page.await.unwrap().items
    }

    /// Stops in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap();
        self.store.close().await;
    }
}

/// Waits until `condition` holds, while the clock moves on a little with every look.
pub(crate) async fn eventually(bed: &Bed, what: &str, mut condition: impl AsyncFnMut() -> bool) {
    until(what, LIMIT, async || {
        bed.clock.advance(100);
        condition().await.then_some(())
    })
    .await
    .unwrap();
}

impl Bed {
    /// Moves the clock and waits for nothing.
    pub(crate) fn clock_only(&self, ms: i64) {
        self.clock.advance(ms);
    }
}
