//! A simulated world: providers, nodes, one store, and the time between them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use connector_sdk::{
    Clock as _, Context, Credentials, Error, ErrorKind, HttpRequest, HttpResponse, HttpTransport,
};
use model::{CollectionId, ConnectionId, JobId, Kind, LinkId, MirrorId, OrganizationId};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sync::ports::{Effect, Entropy as _, Jobs, Provider, Providers, Store};
use sync::state::{Connection, Health, JobTask, Member, MemberRole, Mirror, NewJob, TargetEdits};
use sync::{Engine, Progress};
use tokio_util::sync::CancellationToken;

use super::connector_port::WatchedConnector;
use super::disk::{Disk, DiskKind};
use super::provider::SimProvider;
use super::setup::Setup;
use super::store_port::WatchedStore;
use super::time::{SeededEntropy, SkewedClock, WorldTime, mix};
use super::turn::{Task, finish};
use super::watch::{Actor, Detail, Watch};

/// How long a claimed job is a node's own, in milliseconds.
const LEASE_MS: i64 = 60_000;
/// A connection is polled when the last poll is so long ago, in milliseconds.
const POLL_EVERY_MS: i64 = 900_000;
/// The collection that mirrors join.
pub(crate) const MAIN: &str = "main";
/// The collection that things are moved to.
pub(crate) const ASIDE: &str = "aside";
/// Longer than any row is late.
const LONG_MS: i64 = 7_200_000;
/// Things that all providers hold before they are joined, where there are any.
const SHARED: u32 = 3;
/// Turns after which work that has not ended will not end.
const ENDLESS: u32 = 200_000;

/// One provider and its connection.
pub(crate) struct Side {
    pub(crate) provider: SimProvider,
    /// The connector to it as it is, with nothing planted and nobody watching.
    pub(crate) connector: Arc<dyn connector_sdk::Connector>,
    pub(crate) connection: ConnectionId,
    /// The collection that mirrors join, as the hub knows it.
    pub(crate) main: CollectionId,
    last_poll: i64,
}

struct Node {
    engine: Engine,
    clock: SkewedClock,
    task: Option<Task<bool>>,
}

/// How a node's turn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// There is more to do.
    Busy,
    /// It has done what it had claimed.
    Done,
    /// There was nothing to claim.
    Idle,
}

/// What happens to a notification that a provider sends.
struct Notification {
    due_ms: i64,
    side: usize,
}

/// The world of one schedule.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) watch: Arc<Watch>,
    pub(crate) time: Arc<WorldTime>,
    pub(crate) store: WatchedStore,
    pub(crate) organization: OrganizationId,
    pub(crate) sides: Vec<Side>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) client: Option<Task<()>>,
    /// Entities, by side, of which somebody agreed that people are mailed.
    pub(crate) approved: BTreeSet<(usize, Option<u32>)>,
    /// Refused writes that somebody has tried again at the end.
    pub(crate) retried: BTreeSet<LinkId>,
    registry: Arc<Registry>,
    nodes: Vec<Node>,
    notifications: Vec<Notification>,
    chance: StdRng,
    disk: Disk,
    /// How ports are changed before the engine gets them: planted faults.
    pub(crate) planted: Planted,
}

/// What stands between the engine and its ports, beside the watch.
pub(crate) type Planted = Arc<dyn super::fault::Plant>;

/// Opens connections.
struct Registry {
    connectors: HashMap<ConnectionId, Arc<dyn connector_sdk::Connector>>,
    time: Arc<WorldTime>,
}

/// No simulated provider speaks HTTP.
struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        Err(Error::new(
            ErrorKind::Unavailable,
            request.operation,
            "there is no network in a simulation",
        ))
    }
}

#[async_trait]
impl Providers for Registry {
    async fn open(&self, connection: &Connection) -> Result<Provider, Error> {
        let unknown = || Error::new(ErrorKind::Invalid, "open", "there is no such provider");
        let connector = self.connectors.get(&connection.id).ok_or_else(unknown)?;
        let base_url = "memory://provider/".parse().map_err(|_| unknown())?;
        let clock = SkewedClock {
            time: self.time.clone(),
            skew_ms: 0,
        };
        let ctx = Context {
            dial: Arc::new(connector_sdk::NoDial),
            http: Arc::new(NoNetwork),
            base_url,
            credentials: Arc::new(Credentials::default()),
            config: Arc::default(),
            clock: Arc::new(clock),
            cancel: CancellationToken::new(),
        };
        Ok(Provider {
            connector: connector.clone(),
            ctx,
        })
    }

    async fn reopen(&self, connection: &Connection, _: &Provider) -> Result<Provider, Error> {
        // Credentials are refreshed without fail; a provider that still refuses them says so by itself.
        self.open(connection).await
    }
}

/// Nobody looks at the progress of a simulated job.
struct Unwatched;

impl Progress for Unwatched {
    fn report(&self, _: u64, _: Option<u64>) {}
}

impl World {
    /// A world as its schedule begins: providers connected, their collections known and joined by mirrors.
    pub(crate) fn new(seed: u64, setup: Setup, disk: DiskKind, detail: Detail, planted: Planted) -> Self {
        let watch = Arc::new(Watch::new(setup.kind, detail));
        let time = Arc::new(WorldTime::default());
        let organization = OrganizationId::new(1, 1);
        let disk = Disk::new(disk, &organization, &time);
        let mut connectors = HashMap::new();
        let mut sides = Vec::new();
        for (at, quirks) in setup.providers.iter().enumerate() {
            let name = format!("p{at}");
            watch.remark(|| format!("{name} is {:?}", quirks.values()));
            let provider = SimProvider::new(&name, setup.kind, quirks.clone(), mix(seed ^ at as u64));
            provider.add_collection(MAIN);
            provider.add_collection(ASIDE);
            let connection = ConnectionId::new(1, at as u128);
            planted.provider(&provider);
            let plain = provider.connector();
            let planted = planted.connector(plain.clone());
            let connector = WatchedConnector::new(planted, connection.clone(), watch.clone());
            connectors.insert(
                connection.clone(),
                Arc::new(connector) as Arc<dyn connector_sdk::Connector>,
            );
            disk.add_connection(new_connection(&organization, &connection));
            sides.push(Side {
                provider,
                connector: plain,
                connection,
                main: CollectionId::new(1, at as u128),
                last_poll: time.now_ms(),
            });
        }
        let registry = Arc::new(Registry {
            connectors,
            time: time.clone(),
        });
        let store = WatchedStore::new(planted.backing(disk.backing()), watch.clone());
        let mut world = Self {
            watch,
            store,
            organization,
            sides,
            entropy: Arc::new(SeededEntropy::new(seed)),
            client: None,
            approved: BTreeSet::new(),
            retried: BTreeSet::new(),
            registry,
            nodes: Vec::new(),
            notifications: Vec::new(),
            chance: StdRng::seed_from_u64(mix(seed ^ 0x00c0_ffee)),
            disk,
            planted,
            time,
            setup,
        };
        world.start_nodes();
        world
    }

    /// Connects the providers, and joins their collections by mirrors.
    pub(crate) fn join(&mut self) {
        // What a list keeps back for good cannot be met before it is copied.
        let told = self
            .setup
            .providers
            .iter()
            .all(|quirks| quirks.list_cap.is_none());
        if self.setup.overlapping && self.setup.kind == Kind::Event && told {
            for pick in 0..SHARED {
                self.share(pick % 2 == 1, pick);
            }
            // Long before, so that every list shows them.
            self.time.pass(LONG_MS);
            for side in &self.sides {
                side.provider.set_now(self.time.now_ms());
            }
        }
        for side in 0..self.sides.len() {
            self.poll(side);
        }
        self.drain_soon();
        for side in &mut self.sides {
            let collections = self.store.collections(&self.organization, &side.connection);
            let collections = finish(collections).and_then(Result::ok).unwrap_or_default();
            if let Some(main) = collections
                .iter()
                .find(|collection| collection.remote.id.0 == MAIN)
            {
                side.main = main.id.clone();
            }
        }
        for (at, members) in self
            .setup
            .topology
            .mirrors(self.sides.len())
            .into_iter()
            .enumerate()
        {
            let members = members.into_iter().map(|side| Member {
                collection_id: self.sides[side].main.clone(),
                role: MemberRole::Both,
            });
            let mirror = Mirror {
                id: MirrorId::new(1, at as u128),
                organization: self.organization.clone(),
                name: format!("mirror {at}"),
                kind: self.setup.kind,
                members: members.collect(),
                policy: self.setup.rule,
                field_owners: BTreeMap::new(),
                target_edits: TargetEdits::Keep,
                created_at: self.time.now_ms(),
            };
            let engine = self.engine();
            self.finish_call(async move { engine.put_mirror(mirror).await.map(drop) });
            self.drain_soon();
        }
    }

    /// The engine that serves clients of the API.
    pub(crate) fn engine(&self) -> Engine {
        self.nodes[0].engine.clone()
    }

    fn start_nodes(&mut self) {
        let nodes = self.setup.skews_ms.iter().map(|skew_ms| {
            let clock = SkewedClock {
                time: self.time.clone(),
                skew_ms: *skew_ms,
            };
            let engine = Engine::new(
                Arc::new(self.store.clone()),
                self.registry.clone(),
                Arc::new(clock.clone()),
                self.entropy.clone(),
            );
            Node {
                engine,
                clock,
                task: None,
            }
        });
        self.nodes = nodes.collect();
    }

    /// One turn of one node: it claims a job if it has none.
    pub(crate) fn turn(&mut self, at: usize) -> Turned {
        let node = &mut self.nodes[at];
        let mut task = node.task.take().unwrap_or_else(|| {
            let (engine, clock, store) = (node.engine.clone(), node.clock.clone(), self.store.clone());
            Task::new(async move { serve(at, &engine, &clock, &store).await })
        });
        self.watch.notes().actor = Actor::Node(at);
        let ended = task.step();
        self.watch.notes().actor = Actor::Client;
        if ended.is_none() {
            self.nodes[at].task = Some(task);
        }
        self.after_turn(Some(at));
        match ended {
            None => Turned::Busy,
            Some(true) => Turned::Done,
            Some(false) => Turned::Idle,
        }
    }

    /// One turn of the client's call, if one is under way.
    pub(crate) fn client_turn(&mut self) -> bool {
        let Some(mut task) = self.client.take() else {
            return false;
        };
        let ended = task.step().is_some();
        if !ended {
            self.client = Some(task);
        }
        self.after_turn(None);
        !ended
    }

    /// Carries a client's call out to its end.
    pub(crate) fn finish_call<E>(&mut self, call: impl Future<Output = Result<(), E>> + Send + 'static) {
        while self.client_turn() {}
        self.client = Some(Task::new(async move {
            let _ = call.await;
        }));
        while self.client_turn() {}
    }

    fn after_turn(&mut self, node: Option<usize>) {
        self.check_writes();
        let crash = std::mem::take(&mut self.watch.notes().crash);
        if crash {
            self.watch.remark(|| "the process dies".to_owned());
            match node {
                Some(node) if self.nodes.len() > 1 => self.kill(node),
                Some(_) | None => self.restart(),
            }
        }
    }

    /// A node dies between two turns.
    pub(crate) fn kill(&mut self, node: usize) {
        let count = self.nodes.len();
        self.nodes[node % count].task = None;
    }

    /// The process dies and starts again: only the store is left.
    pub(crate) fn restart(&mut self) {
        self.client = None;
        self.nodes.clear();
        self.disk.reopen();
        self.store = WatchedStore::new(self.planted.backing(self.disk.backing()), self.watch.clone());
        self.start_nodes();
    }

    /// The nodes work for so many turns, in an order that follows from the seed.
    pub(crate) fn work(&mut self, turns: u32, seed: u64) {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..turns {
            let of = self.nodes.len() + usize::from(self.client.is_some());
            let at = random.random_range(0..of);
            if at < self.nodes.len() {
                self.turn(at);
            } else {
                self.client_turn();
            }
        }
    }

    /// Works until nobody has anything to do, once every clock has come past the present moment.
    pub(crate) fn drain_soon(&mut self) {
        self.time.pass(60_000);
        self.drain();
    }

    /// Works until nobody has anything to do now.
    pub(crate) fn drain(&mut self) {
        while self.client_turn() {}
        // A node may have asked for work before the time that has passed, so it is asked twice.
        let mut idle = vec![0; self.nodes.len()];
        for _ in 0..ENDLESS {
            for at in 0..idle.len() {
                if idle[at] == 2 {
                    continue;
                }
                match self.turn(at) {
                    Turned::Busy => {}
                    Turned::Idle => idle[at] += 1,
                    // It may have left work for the others.
                    Turned::Done => idle.fill(0),
                }
            }
            if idle.iter().all(|idle| *idle == 2) {
                return;
            }
        }
        self.watch.violate(2, "the nodes' work does not come to an end");
    }

    /// Time passes. What is due arrives in an order that follows from the seed.
    pub(crate) fn pass(&mut self, ms: i64, seed: u64) {
        self.time.pass(ms);
        let now = self.time.now_ms();
        for side in &self.sides {
            side.provider.set_now(now);
        }
        let (mut due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.notifications)
            .into_iter()
            .partition(|notification| notification.due_ms <= now);
        self.notifications = later;
        let mut random = StdRng::seed_from_u64(seed);
        while !due.is_empty() {
            let one = due.swap_remove(random.random_range(0..due.len()));
            self.poll(one.side);
        }
        for side in 0..self.sides.len() {
            if now - self.sides[side].last_poll >= POLL_EVERY_MS {
                self.poll(side);
            }
        }
    }

    /// Asks for a sync of a connection.
    pub(crate) fn poll(&mut self, side: usize) {
        let now = self.time.now_ms();
        self.sides[side].last_poll = now;
        let job = NewJob {
            id: JobId::new(u64::try_from(now).unwrap_or_default(), self.entropy.random()),
            organization: self.organization.clone(),
            task: JobTask::Sync {
                connection: self.sides[side].connection.clone(),
                discover: false,
                approve_deletes: true,
            },
            run_at: now,
        };
        // The scheduler is no part of what is simulated: it neither waits nor dies.
        let effects = vec![Effect::Enqueue(Box::new(job))];
        let enqueued = finish(self.store.commit(&self.organization, None, effects));
        if let Some(Err(error)) = enqueued {
            self.watch
                .violate(15, format!("a sync could not be asked for: {error}"));
        }
    }

    /// A provider notices that something changed, and tells the hub: at once, late, twice, or never.
    pub(crate) fn notify(&mut self, side: usize) {
        let now = self.time.now_ms();
        let copies = match self.chance.random_range(0..10) {
            0..=1 => 0,
            2 => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let late = [0, 0, 50, 2_000, 30_000, 10_800_000];
            let due_ms = now + late[self.chance.random_range(0..late.len())];
            self.notifications.push(Notification { due_ms, side });
        }
    }

    /// No more notifications are under way.
    pub(crate) fn forget_notifications(&mut self) {
        self.notifications.clear();
    }

    /// Writes that took effect at all providers so far.
    pub(crate) fn writes(&self) -> u64 {
        self.sides.iter().map(|side| side.provider.writes()).sum()
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.setup.kind
    }
}

/// Claims a job and works on it. Whether there was one.
async fn serve(at: usize, engine: &Engine, clock: &SkewedClock, store: &WatchedStore) -> bool {
    let name = format!("node{at}");
    let claimed = store.claim(&name, clock.now_ms(), LEASE_MS, 1).await;
    let Some(job) = claimed.ok().and_then(|jobs| jobs.into_iter().next()) else {
        return false;
    };
    let result = engine.run(&job, &Unwatched, &CancellationToken::new()).await;
    // A lost lease is no news to whoever lost it.
    let _ = store.finish(&job.fence, clock.now_ms(), result).await;
    true
}

fn new_connection(organization: &OrganizationId, id: &ConnectionId) -> Connection {
    Connection {
        id: id.clone(),
        organization: organization.clone(),
        provider: "simulated".to_owned(),
        name: "Simulated".to_owned(),
        owner: None,
        config: serde_json::Map::new(),
        health: Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at: 0,
    }
}
