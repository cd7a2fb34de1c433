//! The engine: runs jobs. One job works on one connection at a time; see [`Engine::run`].

use std::collections::BTreeSet;
use std::sync::Arc;

use connector_sdk::{Clock, Error, ErrorKind, Retry};
use model::{ConnectionId, IntentId, OrganizationId};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::history::{Cause, Via};
use crate::matching;
use crate::mirror;
use crate::ports::{Effect, Entropy, JobFailure, Provider, Providers, Store, StoreError};
use crate::scene::Scene;
use crate::state::{ClaimedJob, Collection, Connection, Fence, Health, JobTask, Selection};
use crate::unlink;

/// Numbers that bound the engine.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// A pull that would delete more than this many records *and* more than `delete_share` of the collection stops
    /// and asks.
    pub delete_floor: usize,
    /// Share of a collection, in percent, that a pull may delete without asking.
    pub delete_share_percent: usize,
    /// A pull that would change more than this many records *and* more than `update_share` of the collection stops
    /// and asks; not while the collection is enumerated for the first time.
    pub update_floor: usize,
    /// Share of a collection, in percent, that a pull may change without asking.
    pub update_share_percent: usize,
    /// Collections are listed anew when the last listing is older, in milliseconds.
    pub discover_every_ms: i64,
    /// Collections whose provider does not say what was deleted are enumerated anew when the last complete
    /// enumeration is older, in milliseconds.
    pub enumerate_every_ms: i64,
    /// How often one batch or write is planned anew because someone else was faster.
    pub max_replans: u32,
    /// How often a contested write is tried in one run.
    pub max_write_tries: u32,
    /// How long a create whose answer was lost may still take effect, in milliseconds. So long its object is looked
    /// for, even when the record was deleted meanwhile.
    pub doubt_ms: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            delete_floor: 20,
            delete_share_percent: 50,
            update_floor: 200,
            update_share_percent: 80,
            discover_every_ms: 3_600_000,
            enumerate_every_ms: 3_600_000,
            max_replans: 8,
            max_write_tries: 4,
            doubt_ms: 24 * 3_600_000,
        }
    }
}

/// Shown while a job runs.
pub trait Progress: Send + Sync {
    /// So many of so many are done; the total is unknown while the provider has not said.
    fn report(&self, done: u64, total: Option<u64>);
}

/// The engine's tools: store, clock, ids. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) settings: Settings,
    /// Through what changes come that are made at this desk.
    pub(crate) cause: Cause,
}

impl Desk {
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    pub(crate) fn epoch_ms(&self) -> u64 {
        u64::try_from(self.now_ms()).unwrap_or_default()
    }

    pub(crate) fn random(&self) -> u128 {
        self.entropy.random()
    }
}

/// The sync engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) desk: Desk,
    pub(crate) providers: Arc<dyn Providers>,
}

/// What went wrong inside a job.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Provider(#[from] Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the {0} is gone; there is nothing left to do")]
    Gone(&'static str),
    #[error("stopped before the end; what was committed stays, the rest follows with the next run")]
    Cancelled,
    #[error("{0}")]
    Held(String),
    #[error("{0}")]
    HeldChanges(String),
}

/// What a sync did, as a job's result.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Records made from objects seen for the first time.
    pub created: u64,
    /// Records that turned out to be the same thing as another one, and were joined with it.
    pub linked: u64,
    /// Records that a provider's edit changed.
    pub updated: u64,
    /// Records that a provider's delete removed.
    pub deleted: u64,
    /// Objects that could not be understood and were kept aside.
    pub quarantined: u64,
    /// Clashes that were logged.
    pub conflicts: u64,
    /// Remote writes that took effect.
    pub written: u64,
    /// Remote writes that were refused for good.
    pub rejected: u64,
    /// Collections that were pulled.
    pub collections: u64,
}

/// How a connection's collections are pulled.
#[derive(Debug, Clone, Copy)]
struct Pulling<'a> {
    /// List them anew, however recent the last listing is.
    discover: bool,
    /// Carry out deletes even if they exceed the breaker's share.
    approve_deletes: bool,
    /// Which; `None`: all.
    collections: Option<&'a Selection>,
}

/// One run of a job on one connection.
pub(crate) struct Run<'a> {
    pub(crate) desk: Desk,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: Connection,
    pub(crate) provider: Provider,
    pub(crate) fence: Option<&'a Fence>,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) approve_deletes: bool,
    pub(crate) summary: Summary,
    pub(crate) done: u64,
    /// Creates in doubt that this run asked about when it began, and has not sent since. Another one may be sent by somebody
    /// else at this moment.
    pub(crate) asked: BTreeSet<IntentId>,
}

impl Engine {
    /// An engine over these ports, with default settings.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        providers: Arc<dyn Providers>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self {
            desk: Desk {
                store,
                clock,
                entropy,
                settings: Settings::default(),
                cause: Cause::default(),
            },
            providers,
        }
    }

    /// The same engine with other bounds.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.desk.settings = settings;
        self
    }

    /// The same engine for one request: the history of what it changes names this cause.
    #[must_use]
    pub fn caused_by(&self, cause: Cause) -> Self {
        let mut engine = self.clone();
        engine.desk.cause = cause;
        engine
    }

    /// Runs a claimed job to its end. Whatever it commits, it commits under the job's fence.
    ///
    /// # Errors
    /// Why the job ended without success, and when to try again.
    pub async fn run(
        &self,
        job: &ClaimedJob,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<serde_json::Value, JobFailure> {
        self.caused_by(Cause::job(job.id.clone()))
            .carry_out(job, progress, cancel)
            .await
    }

    async fn carry_out(
        &self,
        job: &ClaimedJob,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<serde_json::Value, JobFailure> {
        let outcome = match &job.task {
            JobTask::Sync {
                connection,
                discover,
                approve_deletes,
            } => {
                let pulling = Pulling {
                    discover: *discover,
                    approve_deletes: *approve_deletes,
                    collections: None,
                };
                self.sync(job, connection, Some(pulling), progress, cancel).await
            }
            JobTask::Poll {
                connection,
                collections,
            } => {
                let pulling = Pulling {
                    discover: false,
                    approve_deletes: false,
                    collections: Some(collections),
                };
                self.sync(job, connection, Some(pulling), progress, cancel).await
            }
            JobTask::Push { connection } => self.sync(job, connection, None, progress, cancel).await,
            JobTask::Inbox { connection } => self.work_inbox(job, connection, progress, cancel).await,
            JobTask::Mirror { mirror } => {
                matching::backfill(&self.desk, &job.organization, mirror, Some(&job.fence), progress).await
            }
            JobTask::Unlink { members } => {
                unlink::unlink(&self.desk, &job.organization, members, Some(&job.fence), progress).await
            }
        };
        match outcome {
            Ok(summary) => Ok(serde_json::to_value(summary).unwrap_or_default()),
            Err(trouble) => Err(self.failure(job, &trouble)),
        }
    }

    /// Works on a connection: recover, pull (unless this is only a push), push.
    async fn sync(
        &self,
        job: &ClaimedJob,
        id: &ConnectionId,
        pull: Option<Pulling<'_>>,
        progress: &dyn Progress,
        cancel: &CancellationToken,
    ) -> Result<Summary, Trouble> {
        let organization = &job.organization;
        let connection = self
            .desk
            .store
            .connection(organization, id)
            .await?
            .ok_or(Trouble::Gone("connection"))?;
        if connection.health == Health::Paused {
            // A mirror's push, most likely. What is to be written waits, and goes out with the first sync afterwards.
            return Ok(Summary::default());
        }
        let provider = self.providers.open(&connection).await?;
        let mut run = Run {
            desk: self.desk.clone(),
            organization: organization.clone(),
            connection,
            provider,
            fence: Some(&job.fence),
            progress,
            cancel,
            approve_deletes: pull.is_some_and(|pulling| pulling.approve_deletes),
            summary: Summary::default(),
            done: 0,
            asked: BTreeSet::new(),
        };
        let mut outcome = run.work(pull).await;
        if matches!(&outcome, Err(Trouble::Provider(error)) if error.kind == ErrorKind::Unauthorized) {
            match self.providers.reopen(&run.connection, &run.provider).await {
                Ok(provider) => {
                    run.provider = provider;
                    outcome = run.work(pull).await;
                }
                Err(error) => outcome = Err(error.into()),
            }
        }
        // Of what was left out nobody knows: only a sync of the whole says when the connection was seen.
        let whole = pull.is_some_and(|pulling| pulling.collections.is_none());
        run.report_health(&outcome, whole).await?;
        outcome.map(|()| run.summary)
    }

    fn failure(&self, job: &ClaimedJob, trouble: &Trouble) -> JobFailure {
        let backoff = 1_000_i64 << job.attempts.min(9);
        let later = |pause: i64| Some(self.desk.now_ms() + pause);
        let (code, retry_at) = match trouble {
            Trouble::Provider(error) => {
                let code = match error.kind {
                    ErrorKind::Unauthorized => "provider_unauthorized",
                    ErrorKind::RateLimited => "provider_rate_limited",
                    ErrorKind::Unavailable => "provider_unreachable",
                    ErrorKind::PermissionDenied => "provider_forbidden",
                    ErrorKind::NotFound
                    | ErrorKind::VersionConflict
                    | ErrorKind::AlreadyExists
                    | ErrorKind::CursorExpired
                    | ErrorKind::Invalid
                    | ErrorKind::Unsupported
                    | ErrorKind::BadSignature
                    | ErrorKind::Unexpected => "provider_error",
                };
                let retry_at = match error.retry {
                    Retry::Permanent => None,
                    Retry::After(pause) => later(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX)),
                    Retry::Backoff => later(backoff),
                };
                (code, retry_at)
            }
            Trouble::Store(StoreError::Fenced(_)) => ("lease_lost", None),
            Trouble::Store(_) => ("internal", later(backoff)),
            Trouble::Gone(_) => ("not_found", None),
            Trouble::Cancelled => ("cancelled", later(0)),
            Trouble::Held(_) => ("deletes_held", None),
            Trouble::HeldChanges(_) => ("changes_held", None),
        };
        JobFailure {
            code: code.to_owned(),
            message: trouble.to_string(),
            retry_at,
        }
    }
}

impl Run<'_> {
    async fn work(&mut self, pull: Option<Pulling<'_>>) -> Result<(), Trouble> {
        if let Some(pulling) = pull {
            self.discover(pulling.discover).await?;
        }
        self.desk.cause.via = Some(Via::Probe);
        self.recover().await?;
        self.desk.cause.via = Some(Via::Job);
        let mut held = None;
        if let Some(pulling) = pull {
            let collections = self
                .desk
                .store
                .collections(&self.organization, &self.connection.id)
                .await?;
            let wanted = |collection: &Collection| {
                let named = |selection: &Selection| selection.takes(&collection.id);
                collection.enabled && pulling.collections.is_none_or(named)
            };
            for collection in collections.into_iter().filter(wanted) {
                match self.pull(collection).await {
                    Err(stop @ (Trouble::Held(_) | Trouble::HeldChanges(_))) => held = Some(stop),
                    outcome => outcome?,
                }
                self.summary.collections += 1;
            }
        }
        self.push().await?;
        match held {
            Some(stop) => Err(stop),
            None => Ok(()),
        }
    }

    /// Lists the provider's collections when that is due. Collections that are no longer listed stay as they are:
    /// losing sight deletes nothing.
    async fn discover(&mut self, now: bool) -> Result<(), Trouble> {
        let now_ms = self.desk.now_ms();
        let due = self
            .connection
            .discovered_at
            .is_none_or(|at| now_ms - at >= self.desk.settings.discover_every_ms);
        if !due && !now {
            return Ok(());
        }
        let Some(pull) = self.provider.connector.pull() else {
            return Ok(());
        };
        let listed = pull.collections(&self.provider.ctx).await?;
        let known = self
            .desk
            .store
            .collections(&self.organization, &self.connection.id)
            .await?;
        let mut effects = Vec::new();
        for remote in listed {
            let collection = match known.iter().find(|known| known.remote.id == remote.id) {
                Some(known) if known.remote == remote => continue,
                Some(known) => Collection {
                    remote,
                    ..known.clone()
                },
                None => Collection {
                    id: model::CollectionId::new(self.desk.epoch_ms(), self.desk.random()),
                    organization: self.organization.clone(),
                    connection: self.connection.id.clone(),
                    remote,
                    cursor: None,
                    enumerated_at: None,
                    enabled: true,
                    hold: None,
                },
            };
            effects.push(Effect::PutCollection(Box::new(collection)));
        }
        effects.push(Effect::Discovered {
            connection: self.connection.id.clone(),
            at: now_ms,
        });
        self.connection.discovered_at = Some(now_ms);
        self.commit(effects).await?;
        Ok(())
    }

    /// The scene of one of this connection's collections.
    pub(crate) async fn scene(&self, collection: Collection) -> Result<Scene, Trouble> {
        let mirrors = self
            .desk
            .store
            .mirrors_of(&self.organization, &collection.id)
            .await?;
        let mut targets = mirror::targets(&self.desk, &collection, &mirrors, None).await?;
        // Nobody knows yet what these hold: the first complete pull links what belongs together, and asks for the rest.
        targets.retain(|target| collection.is_known() && target.is_known());
        let now_ms = self.desk.now_ms();
        let scene = Scene::new(self.provider.clone(), collection, &mirrors, targets, now_ms);
        Ok(Scene {
            seen_ms: self.connection.synced_at.unwrap_or_default(),
            ..scene
        })
    }

    /// Commits under the job's fence.
    pub(crate) async fn commit(&self, effects: Vec<Effect>) -> Result<(), StoreError> {
        if effects.is_empty() {
            return Ok(());
        }
        self.desk.commit(&self.organization, self.fence, effects).await
    }

    pub(crate) fn check_cancelled(&self) -> Result<(), Trouble> {
        if self.cancel.is_cancelled() {
            Err(Trouble::Cancelled)
        } else {
            Ok(())
        }
    }

    pub(crate) fn advance(&mut self, by: u64, total: Option<u64>) {
        self.done += by;
        self.progress.report(self.done, total);
    }

    /// Says on the connection how the run went. A healthy connection that stays healthy is only told when a whole
    /// sync ended.
    async fn report_health(&self, outcome: &Result<(), Trouble>, pulled: bool) -> Result<(), Trouble> {
        let (health, reason) = match outcome {
            Ok(()) => (Health::Active, None),
            Err(Trouble::Provider(error)) if error.kind == ErrorKind::Unauthorized => (
                Health::NeedsReauth,
                Some(format!("{error}; give the connection new credentials")),
            ),
            Err(trouble @ (Trouble::Provider(_) | Trouble::Held(_) | Trouble::HeldChanges(_))) => {
                (Health::Degraded, Some(trouble.to_string()))
            }
            Err(Trouble::Store(_) | Trouble::Gone(_) | Trouble::Cancelled) => return Ok(()),
        };
        let synced_at = (outcome.is_ok() && pulled).then(|| self.desk.now_ms());
        let same = self.connection.health == health && self.connection.health_reason == reason;
        if same && synced_at.is_none() {
            return Ok(());
        }
        let effect = Effect::SetHealth {
            connection: self.connection.id.clone(),
            health,
            reason,
            synced_at,
        };
        self.commit(vec![effect]).await?;
        Ok(())
    }
}
