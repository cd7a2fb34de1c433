//! Opens connections: the connector, the transport in its layers, the address and the unsealed credentials.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::http::NetworkTransport;
use connector_sdk::layers::{Budget, Metrics, RateLimit, RetryIdempotent, own_budget};
use connector_sdk::{Clock, Connector, Context, Credentials, Error, ErrorKind, HttpTransport};
use model::ConnectionId;
use serde_json::{Map, Value};
use store::SqliteStore;
use sync::ports::{Provider, Providers};
use sync::state::Connection;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::egress::{Guard, GuardedTransport};
use crate::redis::Budgets;

const OPERATION: &str = "open";

/// The connectors with their transports, and what is kept per connection.
pub struct ProviderPool {
    services: Vec<Service>,
    store: SqliteStore,
    clock: Arc<dyn Clock>,
    open: Mutex<HashMap<ConnectionId, Arc<Kept>>>,
    guard: Option<Guard>,
    /// Where nodes share the vendors' rates.
    shared: Option<Budgets>,
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
    renewing: tokio::sync::Mutex<()>,
    /// How often they were.
    renewals: AtomicU64,
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
        Ok(Self {
            services: connectors
                .into_iter()
                .map(service)
                .collect::<Result<_, Error>>()?,
            store,
            clock,
            open: Mutex::default(),
            guard,
            shared: None,
        })
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
                renewing: tokio::sync::Mutex::default(),
                renewals: AtomicU64::new(0),
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

    fn layered(&self, service: &Service, budget: Option<Arc<dyn Budget>>) -> Box<dyn HttpTransport> {
        let network: Box<dyn HttpTransport> = match budget {
            Some(budget) => Box::new(RateLimit::new(service.transport.clone(), budget)),
            None => Box::new(service.transport.clone()),
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
                base_url: base_url(config, info.default_base_url)?,
                credentials: Arc::new(credentials),
                config: Arc::new(config.clone()),
                clock: Arc::clone(&self.clock),
                cancel: CancellationToken::new(),
            },
        })
    }

    async fn credentials(&self, connection: &Connection) -> Result<Credentials, Error> {
        self.store
            .credentials(&connection.organization, &connection.id)
            .await
            .map_err(stored)?
            .ok_or_else(|| {
                let message = "the connection was removed, its credentials with it";
                Error::new(ErrorKind::Unauthorized, OPERATION, message)
            })
    }

    async fn open_with(&self, connection: &Connection, kept: &Kept) -> Result<Provider, Error> {
        let service = self.service(&connection.provider)?;
        let credentials = self.credentials(connection).await?;
        let transport = self.layered(service, kept.budget.clone());
        self.context(service, transport, &connection.config, credentials)
    }
}

#[async_trait]
impl Providers for ProviderPool {
    async fn open(&self, connection: &Connection) -> Result<Provider, Error> {
        let kept = self.kept(self.service(&connection.provider)?, &connection.id);
        self.open_with(connection, &kept).await
    }

    async fn reopen(&self, connection: &Connection) -> Result<Provider, Error> {
        let kept = self.kept(self.service(&connection.provider)?, &connection.id);
        let seen = kept.renewals.load(Ordering::Acquire);
        let _turn = kept.renewing.lock().await;
        let provider = self.open_with(connection, &kept).await?;
        if kept.renewals.load(Ordering::Acquire) != seen {
            return Ok(provider);
        }
        let renewed = provider.connector.auth().refresh(&provider.ctx).await?.ok_or_else(|| {
            let message = "the provider refuses the credentials, and they are of a sort that cannot be renewed; \
                           give new ones";
            Error::new(ErrorKind::Unauthorized, "refresh", message)
        })?;
        self.store
            .replace_credentials(&connection.organization, &connection.id, &renewed)
            .await
            .map_err(stored)?;
        kept.renewals.fetch_add(1, Ordering::AcqRel);
        tracing::info!(connection = %connection.id, "credentials renewed");
        self.open_with(connection, &kept).await
    }
}

/// Where a connection's provider is: `config.base_url`, or the connector's usual address.
///
/// # Errors
/// `Invalid`, saying what is wrong with the address.
pub fn base_url(config: &Map<String, Value>, usual: Option<&str>) -> Result<Url, Error> {
    let text = match config.get("base_url") {
        Some(Value::String(text)) => text.as_str(),
        None | Some(Value::Null) => {
            usual.ok_or_else(|| invalid("is missing: this provider has no address of its own".to_owned()))?
        }
        Some(_) => return Err(invalid("must be text".to_owned())),
    };
    let url = Url::parse(text).map_err(|error| invalid(format!("is not an address: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(invalid("must begin with https:// or http://".to_owned()));
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
    use super::*;

    fn problem(base_url_text: Value) -> String {
        let config = Map::from_iter([("base_url".to_owned(), base_url_text)]);
        base_url(&config, None).unwrap_err().message
    }

    #[test]
    fn a_connection_without_an_address_uses_the_providers_own() {
        assert!(base_url(&Map::new(), None).is_err());
        let url = base_url(&Map::new(), Some("https://calendar.example/v3/")).unwrap();
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
