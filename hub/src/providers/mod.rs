//! Opens connections: the connector, the transport in its layers, the address and the unsealed credentials, renewed ahead
//! of their end.

mod bearer;
mod calls;
mod renewal;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::dial::{Lookup, NetworkDialer, SystemLookup};
use connector_sdk::http::NetworkTransport;
use connector_sdk::layers::{Budget, Metrics, RateLimit, RetryIdempotent, own_budget};
use connector_sdk::{Clock, Connector, Context, Credentials, Dial, Error, ErrorKind, HttpTransport};
use model::ConnectionId;
use serde_json::{Map, Value};
use store::{Held, SqliteStore};
use sync::ports::{Provider, Providers};
use sync::state::Connection;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::egress::{Guard, GuardedTransport};
use crate::redis::Budgets;

pub use calls::CallPermit;

use bearer::Renewing;
pub use renewal::TOKEN_PATIENCE;
use renewal::{Renewals, Subject};

const OPERATION: &str = "open";
/// How long before the end of an access token it is renewed, at most; of one that lives shorter than four times as long,
/// its last quarter.
const AHEAD_MS: i64 = 300_000;

/// The connectors with their transports, and what is kept per connection.
pub struct ProviderPool {
    services: Vec<Service>,
    clock: Arc<dyn Clock>,
    renewals: Arc<Renewals>,
    open: Mutex<HashMap<ConnectionId, Arc<Kept>>>,
    guard: Option<Guard>,
    dialer: Arc<NetworkDialer>,
    /// Where nodes share the vendors' rates.
    shared: Option<Budgets>,
    /// Places for calls in vendors' own words.
    calls: Arc<Semaphore>,
}

/// A connector with the transport that all its connections share.
struct Service {
    connector: Arc<dyn Connector>,
    transport: NetworkTransport,
}

/// What is kept of a connection between two pieces of work.
struct Kept {
    budget: Option<Arc<dyn Budget>>,
    /// Held while credentials are renewed.
    renewing: Arc<tokio::sync::Mutex<()>>,
    /// Places for calls in the vendor's own words.
    calls: Arc<Semaphore>,
}

impl ProviderPool {
    /// The pool of these connectors; their TLS trusts `extra_roots` besides the well-known authorities. With a guard
    /// nothing is sent where it does not let.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn new(
        connectors: Vec<Arc<dyn Connector>>,
        store: SqliteStore,
        clock: Arc<dyn Clock>,
        extra_roots: &[Bytes],
        guard: Option<Guard>,
    ) -> Result<Self, Error> {
        let service = |connector: Arc<dyn Connector>| {
            let limits = connector.info().limits;
            let timeout = Duration::from_millis(limits.timeout_ms);
            let transport = {
                let resolver = guard.as_ref().map(Guard::resolver);
                NetworkTransport::with_resolver(timeout, limits.max_response_bytes, extra_roots, resolver)?
            };
            Ok(Service { connector, transport })
        };
        let lookup: Arc<dyn Lookup> = match &guard {
            Some(guard) => Arc::new(guard.clone()),
            None => Arc::new(SystemLookup),
        };
        Ok(Self {
            dialer: Arc::new(NetworkDialer::new(extra_roots, lookup)?),
            services: connectors
                .into_iter()
                .map(service)
                .collect::<Result<_, Error>>()?,
            renewals: Arc::new(Renewals {
                store,
                clock: Arc::clone(&clock),
                node: String::new(),
                under_way: TaskTracker::new(),
                patience: TOKEN_PATIENCE,
            }),
            clock,
            open: Mutex::default(),
            guard,
            shared: None,
            calls: calls::of_all(),
        })
    }

    /// Under this name in the store, where it renews credentials.
    #[must_use]
    pub fn named(self, node: &str) -> Self {
        self.renewing(|renewals| renewals.node = node.to_owned())
    }

    /// With another bound on the wait for token endpoints than [`TOKEN_PATIENCE`].
    #[must_use]
    pub fn patient_for(self, patience: Duration) -> Self {
        self.renewing(|renewals| renewals.patience = patience)
    }

    fn renewing(self, change: impl FnOnce(&mut Renewals)) -> Self {
        let mut renewals = Renewals {
            store: self.renewals.store.clone(),
            clock: Arc::clone(&self.clock),
            node: self.renewals.node.clone(),
            patience: self.renewals.patience,
            under_way: TaskTracker::new(),
        };
        change(&mut renewals);
        Self {
            renewals: Arc::new(renewals),
            ..self
        }
    }

    /// Waits for renewals that are under way: what a vendor answers must be stored before the store closes.
    pub async fn end_renewals(&self) {
        self.renewals.end().await;
    }

    /// Longest wait for a token endpoint's answer.
    #[must_use]
    pub fn token_patience(&self) -> Duration {
        self.renewals.patience
    }

    /// With rates that are shared with other nodes.
    #[must_use]
    pub fn sharing(self, shared: Option<Budgets>) -> Self {
        Self { shared, ..self }
    }

    /// Every connector.
    pub fn connectors(&self) -> impl Iterator<Item = &Arc<dyn Connector>> {
        self.services.iter().map(|service| &service.connector)
    }

    /// The connector of a provider.
    #[must_use]
    pub fn connector(&self, provider: &str) -> Option<&Arc<dyn Connector>> {
        self.connectors()
            .find(|connector| connector.info().id == provider)
    }

    /// A provider with credentials that are not stored (yet), to find out whether they work.
    ///
    /// # Errors
    /// `Invalid` when the provider is unknown or the settings are wrong.
    pub fn open_unstored(
        &self,
        provider: &str,
        config: &Map<String, Value>,
        credentials: Credentials,
    ) -> Result<Provider, Error> {
        let service = self.service(provider)?;
        // Neither limited nor tried again: a person waits for one answer.
        let network = Box::new(service.transport.clone());
        self.context(service, network, config, credentials)
    }

    /// Forgets what is kept of a connection that is gone.
    pub fn forget(&self, connection: &ConnectionId) {
        self.lock().remove(connection);
    }

    fn service(&self, provider: &str) -> Result<&Service, Error> {
        self.services
            .iter()
            .find(|service| service.connector.info().id == provider)
            .ok_or_else(|| invalid(format!("there is no provider `{provider}`")))
    }

    fn kept(&self, service: &Service, connection: &ConnectionId) -> Arc<Kept> {
        let fresh = || {
            Arc::new(Kept {
                budget: self.budget(service, connection),
                renewing: Arc::default(),
                calls: calls::of_a_connection(),
            })
        };
        Arc::clone(self.lock().entry(connection.clone()).or_insert_with(fresh))
    }

    fn budget(&self, service: &Service, connection: &ConnectionId) -> Option<Arc<dyn Budget>> {
        let per_second = service.connector.info().limits.requests_per_second?;
        let per_second = NonZeroU32::new(per_second)?;
        Some(match &self.shared {
            Some(shared) => shared.of(connection, per_second),
            None => own_budget(per_second),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ConnectionId, Arc<Kept>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layered(&self, network: NetworkTransport, budget: Option<Arc<dyn Budget>>) -> Box<dyn HttpTransport> {
        let network: Box<dyn HttpTransport> = match budget {
            Some(budget) => Box::new(RateLimit::new(network, budget)),
            None => Box::new(network),
        };
        Box::new(RetryIdempotent::new(network, Arc::clone(&self.clock)))
    }

    fn context(
        &self,
        service: &Service,
        transport: Box<dyn HttpTransport>,
        config: &Map<String, Value>,
        credentials: Credentials,
    ) -> Result<Provider, Error> {
        let info = service.connector.info();
        let transport = match &self.guard {
            Some(guard) => Box::new(GuardedTransport::new(transport, guard.clone())),
            None => transport,
        };
        Ok(Provider {
            connector: Arc::clone(&service.connector),
            ctx: Context {
                http: Arc::new(Metrics::new(transport, info.id)),
                dial: Arc::clone(&self.dialer) as Arc<dyn Dial>,
                base_url: base_url(config, info.default_base_url, info.schemes)?,
                credentials: Arc::new(credentials),
                config: Arc::new(config.clone()),
                clock: Arc::clone(&self.clock),
                cancel: CancellationToken::new(),
            },
        })
    }

    /// A connection and how its credentials are renewed; its transport renews nothing by itself, and reads at most so much
    /// of an answer.
    fn subject(&self, connection: &Connection, held: &Held, reads: usize) -> Result<Subject, Error> {
        let service = self.service(&connection.provider)?;
        let kept = self.kept(service, &connection.id);
        let network = service.transport.reading_at_most(reads);
        let transport = self.layered(network, kept.budget.clone());
        let credentials = held.credentials.clone();
        let provider = self.context(service, transport, &connection.config, credentials)?;
        Ok(Subject {
            connection: connection.clone(),
            connector: provider.connector,
            ctx: provider.ctx,
            turn: Arc::clone(&kept.renewing),
        })
    }

    /// The connection as its work sees it: a token that ends on the way is renewed.
    fn provider(&self, subject: Subject, held: &Held) -> Provider {
        let mut ctx = Context {
            credentials: Arc::new(held.credentials.clone()),
            ..subject.ctx.clone()
        };
        let connector = Arc::clone(&subject.connector);
        if let Some(token) = held.credentials.get("access_token")
            && held.credentials.get("refresh_token").is_some()
        {
            let renewals = Arc::clone(&self.renewals);
            ctx.http = Arc::new(Renewing::new(renewals, subject, token, held.generation));
        }
        Provider { connector, ctx }
    }
}

#[async_trait]
impl Providers for ProviderPool {
    async fn open(&self, connection: &Connection) -> Result<Provider, Error> {
        self.open_reading(connection, usize::MAX).await
    }

    async fn reopen(&self, connection: &Connection, refused: &Provider) -> Result<Provider, Error> {
        let mut held = self.renewals.held(connection).await?;
        let subject = self.subject(connection, &held, usize::MAX)?;
        if held.credentials.is_same_as(&refused.ctx.credentials) {
            held = self.renewals.renew(&subject, held.generation).await?;
        }
        Ok(self.provider(subject, &held))
    }
}

impl ProviderPool {
    /// Opens a connection; its transport reads at most so much of an answer, and never more than its connector allows.
    async fn open_reading(&self, connection: &Connection, reads: usize) -> Result<Provider, Error> {
        let mut held = self.renewals.held(connection).await?;
        let subject = self.subject(connection, &held, reads)?;
        if let Some(reason) = held.refused {
            return Err(Error::new(ErrorKind::Unauthorized, OPERATION, reason));
        }
        if is_due(&held.credentials, self.clock.now_ms()) {
            match self.renewals.renew(&subject, held.generation).await {
                Ok(renewed) => held = renewed,
                Err(error) if error.kind == ErrorKind::Unauthorized => return Err(error),
                // The token may last, and whoever uses it hears the rest.
                Err(error) => {
                    tracing::warn!(%error, connection = %connection.id, "credentials could not be renewed ahead of their end");
                }
            }
        }
        Ok(self.provider(subject, &held))
    }
}

/// Whether an access token is about to end, and there is something to renew it with.
fn is_due(credentials: &Credentials, now_ms: i64) -> bool {
    let moment = |name| credentials.get(name).and_then(|text| text.parse::<i64>().ok());
    let (Some(ends), Some(_)) = (moment("expires_at"), credentials.get("refresh_token")) else {
        return false;
    };
    let lives = ends - moment("granted_at").unwrap_or(ends);
    now_ms >= ends - AHEAD_MS.min(lives / 4)
}

/// Where a connection's provider is: `config.base_url`, or the connector's usual address.
///
/// # Errors
/// `Invalid`, saying what is wrong with the address.
pub fn base_url(config: &Map<String, Value>, usual: Option<&str>, schemes: &[&str]) -> Result<Url, Error> {
    let text = match config.get("base_url") {
        Some(Value::String(text)) => text.as_str(),
        None | Some(Value::Null) => {
            usual.ok_or_else(|| invalid("is missing: this provider has no address of its own".to_owned()))?
        }
        Some(_) => return Err(invalid("must be text".to_owned())),
    };
    let url = Url::parse(text).map_err(|error| invalid(format!("is not an address: {error}")))?;
    if !schemes.contains(&url.scheme()) || url.host_str().is_none_or(str::is_empty) {
        let known: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
        return Err(invalid(format!("must begin with {}", known.join(" or "))));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(
            "must not hold a name or password: they belong into `credentials`".to_owned(),
        ));
    }
    Ok(url)
}

fn invalid(problem: String) -> Error {
    Error::new(ErrorKind::Invalid, OPERATION, problem)
}

fn stored(error: sync::ports::StoreError) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        OPERATION,
        "the stored credentials cannot be read or written now",
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    use connector_sdk::WEB;

    use super::*;

    fn problem(base_url_text: Value) -> String {
        let config = Map::from_iter([("base_url".to_owned(), base_url_text)]);
        base_url(&config, None, WEB).unwrap_err().message
    }

    #[test]
    fn a_connection_without_an_address_uses_the_providers_own() {
        assert!(base_url(&Map::new(), None, WEB).is_err());
        let url = base_url(&Map::new(), Some("https://calendar.example/v3/"), WEB).unwrap();
        assert_eq!(url.as_str(), "https://calendar.example/v3/");
    }

    #[test]
    fn addresses_that_cannot_work_are_refused_with_their_reason() {
        assert!(problem("ftp://example.com".into()).contains("https://"));
        assert!(problem("example.com".into()).contains("not an address"));
        assert!(problem(7.into()).contains("text"));
        let hidden = problem("https://ada:hunter2@example.com".into());
        assert!(
            hidden.contains("credentials") && !hidden.contains("hunter2"),
            "{hidden}"
        );
    }
}
