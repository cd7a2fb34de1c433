//! What the connector is and can do.

use std::sync::LazyLock;

use async_trait::async_trait;
use connector_sdk::oauth::OAuth2;
use connector_sdk::{
    Account, Actions, Auth, AuthScheme, Capability, Conditional, Connector, ConnectorInfo, Context,
    Credentials, Error, FieldSupport, Limits, Pull, Push, RemoteCollection, WebhookProof, Webhooks,
};
use model::{Content, Kind};

use crate::provider::MemoryProvider;
use crate::webhooks;

/// Every field of an event, read and written.
static FIELDS: LazyLock<Vec<FieldSupport>> = LazyLock::new(|| {
    let fields = Kind::Event.schema().fields.iter();
    fields
        .map(|spec| FieldSupport {
            field: spec.name,
            writable: true,
        })
        .collect()
});

/// The connector of one provider in memory.
#[derive(Debug, Clone)]
pub struct MemoryConnector {
    info: ConnectorInfo,
    pub(crate) provider: MemoryProvider,
}

/// A connector to this provider, under the id `memory`.
#[must_use]
pub fn connector(provider: MemoryProvider) -> MemoryConnector {
    MemoryConnector::named("memory", provider)
}

impl MemoryConnector {
    /// A connector under another id, so that several providers can stand in one registry.
    #[must_use]
    pub fn named(id: &'static str, provider: MemoryProvider) -> Self {
        Self {
            info: ConnectorInfo {
                id,
                name: "Memory",
                kinds: &[Kind::Event],
                schemes: connector_sdk::WEB,
                default_base_url: Some("memory://provider/"),
                limits: Limits {
                    requests_per_second: None,
                    timeout_ms: 1_000,
                    max_response_bytes: 64 << 20,
                },
                passthrough: None,
                docs_url: "docs/specs/connector.md",
            },
            provider,
        }
    }

    /// The provider behind it.
    #[must_use]
    pub fn provider(&self) -> &MemoryProvider {
        &self.provider
    }
}

impl Connector for MemoryConnector {
    fn info(&self) -> &ConnectorInfo {
        &self.info
    }

    fn capability(&self, kind: Kind) -> Capability {
        match kind {
            Kind::Calendar | Kind::Contact | Kind::Folder | Kind::Message => Capability::NONE,
            Kind::Event => {
                let options = self.provider.options();
                Capability {
                    read: true,
                    create: true,
                    update: true,
                    delete: true,
                    incremental: options.incremental,
                    reports_deletes: options.incremental && options.reports_deletes,
                    conditional: if options.versions {
                        Conditional::Version
                    } else {
                        Conditional::None
                    },
                    notifies: options.notifies,
                    client_ids: true,
                    series: options.series,
                    batch_max: 50,
                    webhook: options.webhook,
                    webhook_expires_max_ms: (options.webhook != WebhookProof::None)
                        .then_some(webhooks::MAX_LASTING_MS),
                    fields: &FIELDS,
                }
            }
        }
    }

    fn auth(&self) -> &dyn Auth {
        self
    }

    fn pull(&self) -> Option<&dyn Pull> {
        Some(self)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        let receives = self.provider.options().webhook != WebhookProof::None;
        receives.then_some(self as &dyn Webhooks)
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, _collection: &RemoteCollection, content: &Content) -> Content {
        content.clone()
    }
}

#[async_trait]
impl Auth for MemoryConnector {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::None]
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        None
    }

    fn check(&self, _credentials: &Credentials) -> Result<(), Error> {
        Ok(())
    }

    async fn account(&self, _ctx: &Context) -> Result<Option<Account>, Error> {
        Ok(None)
    }

    async fn refresh(&self, _ctx: &Context) -> Result<Option<Credentials>, Error> {
        Ok(None)
    }
}
