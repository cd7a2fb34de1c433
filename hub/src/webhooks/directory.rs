//! What an address leads to: connector, secrets, routes. Kept for a few seconds, so that a flood of deliveries does not
//! become a flood of queries; what this process changes is forgotten at once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_sdk::{Clock, Connector, WebhookSecret, WebhookSecrets};
use model::{ConnectionId, OrganizationId};
use store::{HookOwner, SqliteStore};
use sync::ports::StoreError;

use crate::providers::ProviderPool;

/// How long an entry is believed, in milliseconds: so late at most does another node's change arrive.
const BELIEVED_MS: i64 = 5_000;
/// An entry older than this is looked up once more before a signature is called wrong: a new secret may be there.
const DOUBTED_MS: i64 = 1_000;
/// How long a look into the store may take: a server that says nothing must not keep a sender waiting.
const LOOK_WITHIN: Duration = Duration::from_millis(950);
/// Addresses, and routes, that are kept.
const KEPT: usize = 10_000;

/// What an address leads to.
pub(super) struct Target {
    pub(super) organization: OrganizationId,
    pub(super) owner: HookOwner,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) secrets: WebhookSecrets,
    loaded_at: i64,
}

/// A route within an organization.
type RouteKey = (OrganizationId, String, String);

/// Values with the moment they were looked up.
struct Kept<K, V>(Mutex<HashMap<K, (i64, V)>>);

impl<K: Hash + Eq, V: Clone> Kept<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, (i64, V)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &K, now_ms: i64) -> Option<V> {
        let kept = self.lock();
        let (at, value) = kept.get(key)?;
        (now_ms - at < BELIEVED_MS).then(|| value.clone())
    }

    fn put(&self, key: K, value: V, now_ms: i64) {
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.retain(|_, (at, _)| now_ms - *at < BELIEVED_MS);
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        kept.insert(key, (now_ms, value));
    }
}

/// What addresses lead to.
pub(super) struct Directory {
    store: SqliteStore,
    providers: Arc<ProviderPool>,
    clock: Arc<dyn Clock>,
    targets: Kept<String, Arc<Target>>,
    routes: Kept<RouteKey, Arc<[ConnectionId]>>,
}

impl Directory {
    pub(super) fn new(store: SqliteStore, providers: Arc<ProviderPool>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            providers,
            clock,
            targets: Kept(Mutex::default()),
            routes: Kept(Mutex::default()),
        }
    }

    /// What an address leads to; `None` where there is nothing, or nothing that takes deliveries.
    pub(super) async fn find(&self, owner: &HookOwner) -> Result<Option<Arc<Target>>, StoreError> {
        match self.targets.get(&name(owner).to_owned(), self.clock.now_ms()) {
            Some(target) => Ok(Some(target)),
            None => self.load(owner).await,
        }
    }

    /// The same looked up anew, when it was not a moment ago: its secrets may have changed.
    pub(super) async fn find_anew(&self, target: &Target) -> Result<Option<Arc<Target>>, StoreError> {
        if self.clock.now_ms() - target.loaded_at < DOUBTED_MS {
            return Ok(None);
        }
        self.load(&target.owner).await
    }

    async fn load(&self, owner: &HookOwner) -> Result<Option<Arc<Target>>, StoreError> {
        let now_ms = self.clock.now_ms();
        let Some(found) = soon(self.store.hook_target(owner)).await? else {
            return Ok(None);
        };
        let connector = self.providers.connector(&found.provider);
        let Some(connector) = connector.filter(|connector| connector.webhooks().is_some()) else {
            return Ok(None);
        };
        let secrets = found
            .secrets
            .iter()
            .map(|secret| WebhookSecret::new(secret.text.as_str()));
        let target = Arc::new(Target {
            organization: found.organization,
            owner: found.owner,
            connector: Arc::clone(connector),
            secrets: WebhookSecrets::new(secrets),
            loaded_at: now_ms,
        });
        self.targets
            .put(name(owner).to_owned(), Arc::clone(&target), now_ms);
        Ok(Some(target))
    }

    /// The connections that a route of an app's deliveries names.
    pub(super) async fn routed(
        &self,
        target: &Target,
        route: &str,
    ) -> Result<Arc<[ConnectionId]>, StoreError> {
        let now_ms = self.clock.now_ms();
        let provider = target.connector.info().id;
        let key = (target.organization.clone(), provider.to_owned(), route.to_owned());
        if let Some(found) = self.routes.get(&key, now_ms) {
            return Ok(found);
        }
        let routed = self.store.routed(&target.organization, provider, route);
        let found: Arc<[ConnectionId]> = soon(routed).await?.into();
        if !found.is_empty() {
            // Nobody may become somebody at any moment.
            self.routes.put(key, Arc::clone(&found), now_ms);
        }
        Ok(found)
    }

    /// Forgets an address: it or its secrets have changed.
    pub(super) fn forget(&self, owner: &HookOwner) {
        self.targets.lock().remove(name(owner));
    }

    /// Forgets an organization's routes: a connection has changed.
    pub(super) fn forget_routes(&self, organization: &OrganizationId) {
        self.routes
            .lock()
            .retain(|(owner, _, _), _| owner != organization);
    }
}

/// What the store answers, when it does within the bound.
async fn soon<T>(answer: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match tokio::time::timeout(LOOK_WITHIN, answer).await {
        Ok(answered) => answered,
        Err(late) => Err(StoreError::Database(late.into())),
    }
}

fn name(owner: &HookOwner) -> &str {
    match owner {
        HookOwner::Connection(id) => id.as_str(),
        HookOwner::App(id) => id.as_str(),
    }
}
