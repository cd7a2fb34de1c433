//! A running server: store, engine, worker, timer and API, from configuration to graceful end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connector_sdk::{Clock, Connector, SystemClock};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use model::OrganizationId;
use store::{KeyPermission, KeyRing, MasterKey, OpenError, OpenMode, Options, Organization, SqlStore};
use sync::engine::Engine;
use sync::ports::Entropy;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Database, KeySource};
use crate::egress::{Guard, SystemResolver};
use crate::entropy::SystemEntropy;
use crate::failure::Failure;
use crate::feed::{Feed, Limits};
use crate::keys::Fresh;
use crate::outbound::{self, Dispatcher};
use crate::providers::{ProviderPool, TOKEN_PATIENCE};
use crate::redis::{self, Budgets, Nodes, Redis};
use crate::state::{AppState, Parts, id_parts};
use crate::traces::{self, Follow, Queue, Traces};
use crate::webhooks::committer::InboxPort;
use crate::webhooks::{Intake, refresh_routes};
use crate::worker::{self, Lanes, Worker};
use crate::{api, listener, registry};

/// How long open requests have to end when the server stops.
const PATIENCE: Duration = Duration::from_secs(10);
/// Upper bounds of the histograms' buckets, in seconds.
const BUCKETS: &[f64] = &[0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];

/// A running server. [`Self::shutdown`] ends it in order; dropping it only tells it to stop.
pub struct Server {
    address: SocketAddr,
    first_key: Option<String>,
    state: AppState,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
}

/// What a server is made of besides its configuration; tests put their own in.
pub struct Make {
    /// The connectors.
    pub connectors: Vec<Arc<dyn Connector>>,
    /// Where webhooks are made durable, over the store.
    pub inbox: Box<dyn FnOnce(SqlStore) -> Arc<dyn InboxPort> + Send>,
    /// How long a job stays a node's without a sign of life.
    pub lease: Duration,
    /// Longest wait for a token endpoint's answer.
    pub token_patience: Duration,
    /// Who is told of traces; what the environment says unless given.
    pub traces: Option<traces::Settings>,
}

impl Default for Make {
    fn default() -> Self {
        Self {
            connectors: registry::connectors(),
            inbox: Box::new(|store| Arc::new(store)),
            lease: worker::LEASE,
            token_patience: TOKEN_PATIENCE,
            traces: None,
        }
    }
}

impl Server {
    /// Opens the database, makes a first organization and key in an empty one, and serves.
    ///
    /// # Errors
    /// When the database or the address cannot be had; says what to do.
    pub async fn start(config: &Config) -> Result<Self, Failure> {
        Self::start_with(config, Make::default()).await
    }

    /// [`Self::start`] with other parts.
    ///
    /// # Errors
    /// As there.
    pub async fn start_with(config: &Config, make: Make) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        // The address first: a second server on the same one shall not touch the database.
        let listener = listen(config.listen).await?;
        let address = listener
            .local_addr()
            .map_err(|error| cannot_listen(config.listen, &error))?;
        let store = open_store(config, OpenMode::Serve).await?;
        let first_key = first_key(&store, clock.as_ref(), entropy.as_ref()).await?;
        let guard = Guard::new(
            config.egress.clone(),
            Arc::new(SystemResolver),
            &config.extra_roots,
        );
        let guard = guard.map_err(|error| {
            let remedy = "check the certificates in `extra_roots_file`";
            Failure::new(format!("the way out cannot be set up: {error}"), remedy)
        })?;
        let stop = CancellationToken::new();
        let (redis, mut background) = link_nodes(config, &store, &clock, &entropy, &stop);
        let budgets = redis.clone().map(|redis| {
            let nodes = Nodes::new(1);
            let counting = nodes
                .clone()
                .count(store.clone(), Arc::clone(&clock), stop.clone());
            background.push(tokio::spawn(counting));
            Budgets::new(redis, nodes)
        });
        let providers = ProviderPool::new(
            make.connectors,
            store.clone(),
            Arc::clone(&clock),
            &config.extra_roots,
            config.guard_connections.then(|| guard.clone()),
        );
        let providers = providers.map_err(|error| {
            let remedy = "check the certificates in `extra_roots_file`";
            Failure::new(format!("outgoing connections cannot be set up: {error}"), remedy)
        })?;
        let node = node_name(entropy.as_ref());
        let origin = origin(config, address);
        let providers = providers.sharing(budgets).named(&node);
        let providers = Arc::new(providers.patient_for(make.token_patience));
        let engine = Engine::new(
            Arc::new(store.clone()),
            Arc::clone(&providers) as Arc<dyn sync::ports::Providers>,
            Arc::clone(&clock),
            Arc::clone(&entropy),
        );
        refresh_routes(&store, &providers).await.map_err(|error| {
            let remedy = "run `concord doctor` to see what is wrong with the database";
            Failure::new(
                format!("the connections' routes cannot be written: {error}"),
                remedy,
            )
        })?;
        let intake = Intake::new(
            store.clone(),
            (make.inbox)(store.clone()),
            Arc::clone(&providers),
            Arc::clone(&clock),
            &origin,
        );
        let lanes = Lanes::default();
        let told = match make.traces {
            Some(settings) => Some(settings),
            None => traces::from_environment()?,
        };
        let (traces, telling) = trace(told, &node, &clock, entropy.as_ref(), &stop)?;
        if telling.is_some() {
            store.watch(Arc::new(Follow(traces.clone())));
        }
        let worker = Worker {
            store: store.clone(),
            runner: Arc::new(engine.clone()),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            lanes: lanes.clone(),
            traces: traces.clone(),
            node: node.clone(),
            parallel: config.parallel_jobs,
            lease: make.lease,
        };
        let timer = worker::schedule(
            store.clone(),
            Arc::clone(&clock),
            Arc::clone(&entropy),
            config.sync_interval,
            stop.clone(),
        );
        background.extend([tokio::spawn(worker.work(stop.clone())), tokio::spawn(timer)]);
        background.extend(telling);
        let parts = outbound::Parts {
            store: store.clone(),
            guard: guard.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            node,
            limits: outbound::Limits::default(),
            traces: traces.clone(),
        };
        let (dispatcher, sending) = Dispatcher::start(parts, stop.clone());
        background.push(sending);
        let feed = Feed::new(store.clone(), Arc::clone(&clock), stop.clone(), Limits::default());
        let state = AppState::new(Parts {
            store,
            engine,
            providers,
            clock,
            entropy,
            lanes,
            prometheus: prometheus()?,
            intake,
            feed,
            guard,
            dispatcher,
            redis,
            traces,
            origin,
            sync_interval: config.sync_interval,
            stopping: stop.clone(),
        });
        let router = api::router(state.clone());
        let serving = listener::serve(listener, router, config.max_connections, stop.clone());
        Ok(Self {
            address,
            first_key,
            state,
            stop,
            serving: tokio::spawn(serving),
            background,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The secret of the first key, when this start made it: it is known only now.
    #[must_use]
    pub fn first_key(&self) -> Option<&str> {
        self.first_key.as_deref()
    }

    /// The application behind it.
    #[must_use]
    pub const fn state(&self) -> &AppState {
        &self.state
    }

    /// Stops: no new requests, open ones and running jobs get some seconds to end, then the database closes.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(PATIENCE, &mut self.serving).await.is_err() {
            tracing::warn!("some requests did not end in time and were cut off");
            self.serving.abort();
        }
        for task in self.background.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task ended badly");
            }
        }
        self.state.providers().end_renewals().await;
        self.state.unscoped_store().close().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The Redis server that nodes share, where one is configured, and the tasks that ring through it. Nothing waits for it.
fn link_nodes(
    config: &Config,
    store: &SqlStore,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    stop: &CancellationToken,
) -> (Option<Redis>, Vec<JoinHandle<()>>) {
    let Some(address) = config.redis.clone() else {
        return (None, Vec::new());
    };
    let (redis, kept) = Redis::start(address, Arc::clone(clock), Arc::clone(entropy), stop.clone());
    let mut tasks = redis::carry(&redis, store);
    tasks.push(kept);
    (Some(redis), tasks)
}

/// Where spans go, and the task that sends them there.
fn trace(
    settings: Option<traces::Settings>,
    node: &str,
    clock: &Arc<dyn Clock>,
    entropy: &dyn Entropy,
    stop: &CancellationToken,
) -> Result<(Traces, Option<JoinHandle<()>>), Failure> {
    let Some(settings) = settings else {
        return Ok((Traces::default(), None));
    };
    let (queue, sending) = Queue::start(settings.exporter(node)?, stop.clone());
    let traces = Traces::into(queue, settings.ratio, Arc::clone(clock), entropy.random());
    Ok((traces, Some(sending)))
}

/// Opens the database of this configuration, as its server or beside one.
///
/// # Errors
/// When it cannot be opened; says what to do.
pub async fn open_store(config: &Config, mode: OpenMode) -> Result<SqlStore, Failure> {
    // A database whose key is gone must not silently get another one.
    let create = !matches!(&config.database, Database::File(file) if file.exists());
    let keys = key_ring(config, create)?;
    let options = Options {
        mode,
        ..Options::default()
    };
    SqlStore::open_with(&config.database.url(), keys, Arc::new(SystemClock), options)
        .await
        .map_err(|error| unopened(&error, &config.database))
}

/// The master keys of this configuration; where there is none, one is made if `create` says so.
///
/// # Errors
/// When a key cannot be read; says what to do.
pub fn key_ring(config: &Config, create: bool) -> Result<KeyRing, Failure> {
    let load = |path: &Path| {
        MasterKey::load_or_create(path).map_err(|error| {
            let remedy = "let this user read it or write to its folder, or set CONCORD_MASTER_KEY";
            Failure::new(error.to_string(), remedy)
        })
    };
    let first = match &config.master_key {
        KeySource::Given(key) => key.clone(),
        KeySource::File(path) if create || path.exists() => load(path)?,
        KeySource::File(path) => {
            return Err(Failure::new(
                format!("the database's master key {} is missing", path.display()),
                "put the copy of the key back, or set CONCORD_MASTER_KEY or CONCORD_MASTER_KEY_FILE",
            ));
        }
    };
    let next = match &config.next_key {
        Some(KeySource::Given(key)) => Some(key.clone()),
        Some(KeySource::File(path)) if path.exists() => Some(load(path)?),
        Some(KeySource::File(_)) | None => None,
    };
    Ok(KeyRing::new(first, next))
}

/// Scheme, host and port at which providers reach this server, and whatever path stands before its own.
fn origin(config: &Config, address: SocketAddr) -> String {
    match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    }
}

fn unopened(error: &OpenError, database: &Database) -> Failure {
    let remedy = match error {
        OpenError::Address { .. } => "correct `database_url`",
        OpenError::InUse(_) => "stop the other one, or set CONCORD_DATABASE_URL to another file",
        OpenError::WrongKey { .. } => {
            "give the key this database was made with (CONCORD_MASTER_KEY or `master_key_file`)"
        }
        OpenError::KeyBetween { .. } => {
            "give the new one as CONCORD_MASTER_KEY_NEXT or in `master_key_next_file`, and run `concord key rotate` again"
        }
        OpenError::Io { .. } => "check the path in `database_url` and who may write there",
        OpenError::Migration(_) => "run the newest version of Concord on it, or restore a backup",
        OpenError::Store(_) if matches!(database, Database::Server(_)) => {
            return Failure::new(
                format!("{database} does not answer: {}", first_cause(error)),
                "check that PostgreSQL runs, that `database_url` names it, and that its user may make tables there",
            );
        }
        OpenError::Store(_) => "run `concord doctor`; restore a backup if the file is damaged",
    };
    Failure::new(error.to_string(), remedy)
}

/// What an error comes from in the end. The database's own words name no password.
fn first_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> Failure {
    let remedy = if error.kind() == std::io::ErrorKind::AddrInUse {
        "stop what listens there, or choose another port: CONCORD_LISTEN=127.0.0.1:8081 concord serve"
    } else {
        "choose an address of this machine and a port that this user may open (CONCORD_LISTEN)"
    };
    Failure::new(format!("{address} cannot be listened at: {error}"), remedy)
}

/// In an empty database: an organization and a key, so that there is a way in.
async fn first_key(
    store: &SqlStore,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> Result<Option<String>, Failure> {
    let failed = |error: sync::ports::StoreError| {
        Failure::new(
            error.to_string(),
            "run `concord doctor` to see what is wrong with the database",
        )
    };
    if !store.organizations().await.map_err(failed)?.is_empty() {
        return Ok(None);
    }
    let organization = new_organization("default", clock, entropy);
    let organization = store.default_organization(&organization).await.map_err(failed)?;
    // Whoever runs the server has it, and gives of it what others may.
    let permissions = vec![KeyPermission::Passthrough];
    let name = "first key".to_owned();
    let fresh = Fresh::make(organization.id, name, permissions, clock, entropy);
    store
        .create_api_key(&fresh.key, &fresh.secret)
        .await
        .map_err(failed)?;
    Ok(Some(fresh.secret))
}

/// An organization of this name, not stored yet.
pub fn new_organization(name: &str, clock: &dyn Clock, entropy: &dyn Entropy) -> Organization {
    let (now_ms, random) = id_parts(clock, entropy);
    Organization {
        id: OrganizationId::new(now_ms, random),
        name: name.to_owned(),
        created_at: clock.now_ms(),
    }
}

/// Distinct for every process: leases of an earlier one are never taken for one's own.
fn node_name(entropy: &dyn Entropy) -> String {
    format!("{}-{:08x}", std::process::id(), entropy.random() as u32)
}

/// The process's counters; all servers in it share them, as the `metrics` crate knows one recorder only.
fn prometheus() -> Result<PrometheusHandle, Failure> {
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| {
        PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .ok()
    });
    handle.clone().ok_or_else(|| {
        let remedy = "start Concord in a process of its own";
        Failure::new("the process counts for someone else already", remedy)
    })
}
