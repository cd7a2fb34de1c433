//! A hub with a store of its own and any number of providers in memory, driven step by step.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_memory::{MemoryProvider, Options};
use connector_sdk::{
    Clock, Connector, Context, Credentials, Error, ErrorKind, HttpRequest, HttpResponse, HttpTransport,
};
use jiff::Timestamp;
use model::{CollectionId, ConnectionId, Content, Fields, JobId, Kind, MirrorId, OrganizationId, RecordId};
use serde_json::{Value, json};
use store::{Durability, MasterKey, OpenMode, Organization, SqliteStore};
use sync::ports::{Entropy, JobFailure, Jobs, Provider, Providers, Store};
use sync::state::{
    ClaimedJob, Connection, FieldOwner, Health, JobTask, Member, MemberRole, Mirror, NewJob, Origin, Record,
    TargetEdits,
};
use sync::{Engine, Progress};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::unsure::Blind;

/// A clock that moves only when told.
pub(crate) struct TestClock(AtomicI64);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        self.0
            .fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

struct Counting(AtomicU64);

impl Entropy for Counting {
    fn random(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// No provider in memory speaks HTTP.
struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        Err(Error::new(
            ErrorKind::Unavailable,
            request.operation,
            "there is no network here",
        ))
    }
}

#[derive(Clone)]
struct Registry {
    providers: HashMap<ConnectionId, MemoryProvider>,
    clock: Arc<TestClock>,
    /// Goes on counting when the hub starts again: no id is ever given twice.
    entropy: Arc<Counting>,
    /// Connections whose provider cannot be asked what became of a create.
    blind: Arc<Mutex<HashSet<ConnectionId>>>,
}

#[async_trait]
impl Providers for Registry {
    async fn open(&self, connection: &Connection) -> Result<Provider, Error> {
        let provider = self.providers[&connection.id].clone();
        let ctx = Context {
            http: Arc::new(NoNetwork),
            dial: Arc::new(connector_sdk::NoDial),
            base_url: "memory://provider/".parse().unwrap(),
            credentials: Arc::new(Credentials::default()),
            config: Arc::default(),
            clock: self.clock.clone(),
            cancel: CancellationToken::new(),
        };
        let connector = connector_memory::connector(provider);
        let blind = self.blind.lock().unwrap().contains(&connection.id);
        let connector: Arc<dyn Connector> = if blind {
            Arc::new(Blind(connector))
        } else {
            Arc::new(connector)
        };
        Ok(Provider { connector, ctx })
    }

    async fn reopen(&self, _: &Connection, _: &Provider) -> Result<Provider, Error> {
        Err(Error::new(
            ErrorKind::Unauthorized,
            "refresh",
            "these credentials cannot be refreshed",
        ))
    }
}

struct Unwatched;

impl Progress for Unwatched {
    fn report(&self, _: u64, _: Option<u64>) {}
}

/// One provider, its connection, and its only collection `cal`.
pub(crate) struct Side {
    pub(crate) provider: MemoryProvider,
    pub(crate) connection: ConnectionId,
    pub(crate) collection: CollectionId,
}

pub(crate) struct World {
    pub(crate) store: SqliteStore,
    pub(crate) engine: Engine,
    pub(crate) organization: OrganizationId,
    pub(crate) sides: Vec<Side>,
    clock: Arc<TestClock>,
    registry: Registry,
    folder: TempDir,
}

pub(crate) const CAL: &str = "cal";

/// Every layout of series beside every other.
pub(crate) const PAIRS: [[Options; 2]; 6] = [
    [Options::WHOLE, Options::WHOLE],
    [Options::WHOLE, Options::PER_PART],
    [Options::PER_PART, Options::PER_PART],
    [Options::WHOLE, Options::INSTANCES],
    [Options::INSTANCES, Options::PER_PART],
    [Options::INSTANCES, Options::INSTANCES],
];

impl World {
    /// A hub connected to one provider of each sort, each with an empty calendar that has been pulled once.
    pub(crate) async fn new(options: &[Options]) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(1_767_000_000_000)));
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, clock.clone()).await;
        let organization = OrganizationId::new(1, 1);
        let fresh = Organization {
            id: organization.clone(),
            name: "Test".to_owned(),
            created_at: 0,
        };
        store.create_organization(&fresh).await.unwrap();
        let providers: Vec<MemoryProvider> = options
            .iter()
            .map(|options| MemoryProvider::new(*options))
            .collect();
        let mut registry = Registry {
            providers: HashMap::new(),
            clock: clock.clone(),
            entropy: Arc::new(Counting(AtomicU64::new(0))),
            blind: Arc::default(),
        };
        for (at, provider) in providers.iter().enumerate() {
            provider.add_collection(CAL, "Calendar");
            let id = ConnectionId::new(1, at as u128);
            registry.providers.insert(id.clone(), provider.clone());
            let connection = connection(&organization, &id);
            store
                .insert_connection(&connection, &Credentials::default(), &Origin::Hub)
                .await
                .unwrap();
        }
        let engine = engine(&store, &registry);
        let mut world = Self {
            store,
            engine,
            organization,
            sides: Vec::new(),
            clock,
            registry,
            folder,
        };
        for (at, provider) in providers.into_iter().enumerate() {
            let connection = ConnectionId::new(1, at as u128);
            world.sync_connection(&connection).await.unwrap();
            let collections = Store::collections(&world.store, &world.organization, &connection)
                .await
                .unwrap();
            let collection = collections[0].id.clone();
            world.sides.push(Side {
                provider,
                connection,
                collection,
            });
        }
        world
    }

    /// Two providers whose calendars mirror each other, both ways.
    pub(crate) async fn mirrored(options: &[Options]) -> Self {
        let world = Self::new(options).await;
        let members: Vec<_> = (0..options.len()).map(|at| (at, MemberRole::Both)).collect();
        world
            .mirror(&members, conflict::Rule::LastWriter, TargetEdits::Keep)
            .await;
        world
    }

    pub(crate) async fn mirror(
        &self,
        members: &[(usize, MemberRole)],
        policy: conflict::Rule,
        target_edits: TargetEdits,
    ) -> MirrorId {
        let mirror = self.unstored(members, policy, target_edits);
        self.store_mirror(mirror).await
    }

    /// A mirror in which the calendar of one side owns a field.
    pub(crate) async fn mirror_owned(&self, members: &[(usize, MemberRole)], field: &str, owner: usize) {
        let mut mirror = self.unstored(members, conflict::Rule::LastWriter, TargetEdits::Keep);
        let owner = FieldOwner::Collection(self.sides[owner].collection.clone());
        mirror.field_owners.insert(field.to_owned(), owner);
        self.store_mirror(mirror).await;
    }

    async fn store_mirror(&self, mirror: Mirror) -> MirrorId {
        let id = mirror.id.clone();
        self.engine.put_mirror(mirror).await.unwrap();
        self.work().await;
        id
    }

    /// A mirror that nobody has stored yet.
    pub(crate) fn unstored(
        &self,
        members: &[(usize, MemberRole)],
        policy: conflict::Rule,
        target_edits: TargetEdits,
    ) -> Mirror {
        let members = members.iter().map(|(at, role)| Member {
            collection_id: self.sides[*at].collection.clone(),
            role: *role,
        });
        Mirror {
            id: MirrorId::new(1, self.entropy()),
            organization: self.organization.clone(),
            name: "Mirror".to_owned(),
            kind: Kind::Event,
            members: members.collect(),
            policy,
            field_owners: std::collections::BTreeMap::new(),
            target_edits,
            created_at: 0,
        }
    }

    /// From now on the provider of a side cannot be asked what became of a create.
    pub(crate) fn blind(&self, side: usize) {
        let connection = self.sides[side].connection.clone();
        self.registry.blind.lock().unwrap().insert(connection);
    }

    /// Pauses a connection, or lets it go on.
    pub(crate) async fn pause(&self, side: usize, paused: bool) {
        let health = if paused { Health::Paused } else { Health::Active };
        let patch = store::ConnectionPatch {
            health: Some((health, None)),
            ..Default::default()
        };
        self.store
            .update_connection(
                &self.organization,
                &self.sides[side].connection,
                &patch,
                &Origin::Hub,
            )
            .await
            .unwrap();
    }

    fn entropy(&self) -> u128 {
        u128::try_from(self.clock.0.fetch_add(1, Ordering::SeqCst)).unwrap()
    }

    /// The process dies and starts again: everything in memory is gone, the file stays.
    pub(crate) async fn restart(&mut self) {
        self.store.close().await;
        self.store = open(&self.folder, self.clock.clone()).await;
        self.engine = engine(&self.store, &self.registry);
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.clock
            .0
            .fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Pulls and pushes one side.
    pub(crate) async fn sync(&self, side: usize) -> Result<Value, JobFailure> {
        self.sync_connection(&self.sides[side].connection).await
    }

    pub(crate) async fn sync_connection(&self, connection: &ConnectionId) -> Result<Value, JobFailure> {
        self.run(JobTask::Sync {
            connection: connection.clone(),
            discover: false,
            approve_deletes: false,
        })
        .await
    }

    /// Runs one task as a job of its own.
    pub(crate) async fn run(&self, task: JobTask) -> Result<Value, JobFailure> {
        // What was left to do on the same connection goes first.
        self.work().await;
        let job = NewJob {
            id: JobId::new(2, self.entropy()),
            organization: self.organization.clone(),
            task,
            run_at: 0,
        };
        self.store.enqueue(job.clone()).await.unwrap();
        let mut outcome = None;
        for (claimed, result) in self.drain().await {
            if claimed.id == job.id {
                outcome = Some(result);
            }
        }
        outcome.expect("the job was claimed")
    }

    /// Runs all jobs that are due, and those that they enqueue.
    pub(crate) async fn work(&self) {
        self.drain().await;
    }

    async fn drain(&self) -> Vec<(ClaimedJob, Result<Value, JobFailure>)> {
        let mut outcomes = Vec::new();
        for _ in 0..1_000 {
            let now = self.clock.now_ms();
            let jobs = self.store.claim("test", now, 60_000, 1).await.unwrap();
            let Some(job) = jobs.into_iter().next() else {
                return outcomes;
            };
            let result = self.engine.run(&job, &Unwatched, &CancellationToken::new()).await;
            // A failed job is not tried again by itself here: tests say when.
            let ended = result.clone().map_err(|failure| JobFailure {
                retry_at: None,
                ..failure
            });
            self.store
                .finish(&job.fence, self.clock.now_ms(), ended)
                .await
                .unwrap();
            outcomes.push((job, result));
        }
        panic!("the jobs do not come to an end");
    }

    /// Claims the next job that is due, as a worker would that then dies with it.
    pub(crate) async fn claim(&self) -> ClaimedJob {
        let now = self.clock.now_ms();
        let jobs = self.store.claim("test", now, 60_000, 1).await.unwrap();
        jobs.into_iter().next().expect("a job is due")
    }

    /// Syncs every side once.
    pub(crate) async fn round(&self) {
        for side in 0..self.sides.len() {
            let _ = self.sync(side).await;
        }
    }

    /// Rounds until there has been one in which nobody was written; panics when that does not happen soon.
    pub(crate) async fn settle(&self) {
        for _ in 0..8 {
            self.pass(Duration::from_secs(3_600));
            let before = self.writes();
            self.round().await;
            if self.writes() == before {
                return;
            }
        }
        panic!("the providers are written again and again");
    }

    /// Writes at all providers so far.
    pub(crate) fn writes(&self) -> usize {
        self.sides.iter().map(|side| side.provider.writes()).sum()
    }

    pub(crate) fn contents(&self, side: usize) -> Vec<Content> {
        self.sides[side].provider.contents(CAL).into_values().collect()
    }

    /// The one event on a side.
    pub(crate) fn only(&self, side: usize) -> Content {
        let mut contents = self.contents(side);
        assert_eq!(contents.len(), 1, "{contents:#?}");
        contents.remove(0)
    }

    pub(crate) fn put(&self, side: usize, id: &str, content: Content) {
        self.sides[side].provider.put(CAL, id, content);
    }

    /// Edits the one event on a side as another client would.
    pub(crate) fn edit(&self, side: usize, edit: impl FnOnce(&mut Content)) {
        let ids: Vec<String> = self.sides[side].provider.contents(CAL).into_keys().collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert!(self.sides[side].provider.edit(CAL, &ids[0], edit));
    }

    pub(crate) fn set(&self, side: usize, field: &str, value: Value) {
        self.edit(side, |content| {
            content.set(&model::FieldPath::master(field), Some(value))
        });
    }

    pub(crate) fn delete(&self, side: usize) {
        let ids: Vec<String> = self.sides[side].provider.contents(CAL).into_keys().collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert!(self.sides[side].provider.delete(CAL, &ids[0]));
    }

    /// Live records, in order of their ids.
    pub(crate) async fn records(&self) -> Vec<Record> {
        let filter = store::RecordFilter::of_kind(Kind::Event);
        let page = self
            .store
            .records(&self.organization, &filter, &store::Paging::first(200))
            .await
            .unwrap();
        page.items.into_iter().map(|view| view.record).collect()
    }

    pub(crate) async fn only_record(&self) -> Record {
        let mut records = self.records().await;
        assert_eq!(records.len(), 1, "{records:#?}");
        records.remove(0)
    }

    pub(crate) async fn conflicts(&self) -> Vec<sync::state::Conflict> {
        self.store
            .conflicts(
                &self.organization,
                &store::ConflictFilter::default(),
                &store::Paging::first(200),
            )
            .await
            .unwrap()
            .items
    }

    /// Edits the record through the API's door.
    pub(crate) async fn patch(&self, id: &RecordId, patch: Value) -> Record {
        let patch = patch.as_object().unwrap().clone();
        let origin = Origin::Api("test".to_owned());
        self.engine
            .patch(&self.organization, id, None, patch, origin)
            .await
            .unwrap()
    }
}

async fn open(folder: &TempDir, clock: Arc<TestClock>) -> SqliteStore {
    let url = format!("sqlite://{}", folder.path().join("test.db").display());
    let key = MasterKey::from_text(&"42".repeat(32)).unwrap();
    let options = store::Options {
        mode: OpenMode::Serve,
        durability: Durability::ProcessOnly,
        ..Default::default()
    };
    SqliteStore::open_with(&url, key, clock, options).await.unwrap()
}

fn engine(store: &SqliteStore, registry: &Registry) -> Engine {
    let entropy = registry.entropy.clone();
    Engine::new(
        Arc::new(store.clone()),
        Arc::new(registry.clone()),
        registry.clock.clone(),
        entropy,
    )
}

fn connection(organization: &OrganizationId, id: &ConnectionId) -> Connection {
    Connection {
        id: id.clone(),
        organization: organization.clone(),
        provider: "memory".to_owned(),
        name: "Memory".to_owned(),
        owner: None,
        config: serde_json::Map::new(),
        health: Health::Active,
        health_reason: None,
        discovered_at: None,
        synced_at: None,
        created_at: 0,
    }
}

fn at(day: u8, hour: u8) -> Value {
    json!({"kind": "zoned", "wall": format!("2026-01-{day:02}T{hour:02}:00:00"), "zone": "Europe/Berlin"})
}

/// A single event of one hour.
pub(crate) fn event(title: &str) -> Content {
    let fields = json!({
        "title": title, "uid": format!("{title}@test"), "status": "confirmed", "busy": true,
        "start": at(5, 9), "end": at(5, 10),
    });
    Content::new(serde_json::from_value(fields).unwrap())
}

/// A daily series of ten.
pub(crate) fn series(title: &str) -> Content {
    let mut content = event(title);
    let rule = json!({"rules": ["FREQ=DAILY;COUNT=10"], "dates": []});
    content.fields.insert("recurrence".to_owned(), rule);
    content
}

pub(crate) fn key(day: u8) -> model::PartKey {
    model::PartKey::occurrence(format!("2026-01-{day:02}T09:00:00"))
}

pub(crate) fn fields(json: Value) -> Fields {
    serde_json::from_value(json).unwrap()
}

/// What two providers must agree on: everything but what belongs to each account.
pub(crate) fn shared(content: &Content) -> Content {
    let schema = Kind::Event.schema();
    let mut shared = content.clone();
    shared.retain(|_, field| {
        schema
            .field(field)
            .is_some_and(|spec| spec.scope == model::Scope::Shared)
    });
    shared
}
