//! The connector: what it is, what it can do given the quirks, and what it knows of how the provider rewrites.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use connector_sdk::oauth::OAuth2;
use connector_sdk::{
    Account, Actions, Auth, AuthScheme, Capability, Conditional, Connector, ConnectorInfo, Context,
    Credentials, Error, FieldSupport, Limits, Notifies, Pull, Push, RemoteCollection, SeriesModel,
    WebhookProof, Webhooks,
};
use model::{Content, Kind};

use super::SimProvider;
use super::normal::{self, Pass};
use super::quirks::{Creation, Deltas, Layout, Mails, Quirks, Versions};

/// The connector of one simulated provider.
pub(super) struct SimConnector {
    info: ConnectorInfo,
    kind: Kind,
    capability: Capability,
    quirks: Quirks,
    pub(super) provider: SimProvider,
}

impl SimConnector {
    pub(super) fn new(name: &str, kind: Kind, quirks: &Quirks, provider: SimProvider) -> Self {
        let id = interned(name);
        Self {
            info: ConnectorInfo {
                id,
                name: id,
                kinds: match kind {
                    Kind::Event => &[Kind::Event],
                    Kind::Contact => &[Kind::Contact],
                    Kind::Calendar => &[Kind::Calendar],
                    Kind::Folder => &[Kind::Folder],
                    Kind::Message => &[Kind::Message],
                },
                schemes: connector_sdk::WEB,
                default_base_url: Some("sim://provider/"),
                limits: Limits {
                    requests_per_second: None,
                    timeout_ms: 1_000,
                    max_response_bytes: 64 << 20,
                },
                passthrough: None,
                docs_url: "docs/specs/connector.md",
            },
            kind,
            capability: capability(kind, quirks),
            quirks: quirks.clone(),
            provider,
        }
    }
}

/// How series of a kind are laid out.
pub(super) fn series_model(kind: Kind, quirks: &Quirks) -> SeriesModel {
    match (kind, quirks.layout) {
        (Kind::Contact | Kind::Calendar | Kind::Folder | Kind::Message, _) => SeriesModel::None,
        (Kind::Event, Layout::Whole) => SeriesModel::Whole,
        (Kind::Event, Layout::PerPart) => SeriesModel::PerPart,
        (Kind::Event, Layout::Instances) => SeriesModel::Instances,
    }
}

fn capability(kind: Kind, quirks: &Quirks) -> Capability {
    Capability {
        read: true,
        create: true,
        update: true,
        delete: true,
        incremental: quirks.deltas != Deltas::None,
        reports_deletes: quirks.deltas == Deltas::Full,
        conditional: match quirks.versions {
            Versions::Strong => Conditional::Version,
            Versions::Second => Conditional::Second,
            Versions::Weak | Versions::None => Conditional::None,
        },
        notifies: match quirks.mails {
            Mails::Never => Notifies::Never,
            Mails::Suppressible => Notifies::Suppressible,
            Mails::Always => Notifies::Always,
        },
        client_ids: quirks.creation == Creation::ClientId,
        series: series_model(kind, quirks),
        batch_max: 50,
        webhook: WebhookProof::None,
        webhook_expires_max_ms: None,
        fields: supported(kind, quirks),
    }
}

/// Whether a client's write of a field is taken at all.
pub(super) fn takes(quirks: &Quirks, field: &str) -> bool {
    let own = quirks.own_uid && field == "uid";
    !own && !quirks.lacks.contains(field) && !quirks.read_only.contains(field)
}

/// The names of connectors live as long as the process; there are few different ones.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    match names.get(name) {
        Some(known) => known,
        None => {
            let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
            names.insert(name);
            name
        }
    }
}

/// Which fields are supported is a table that lives as long as the process, one for each of the few combinations.
fn supported(kind: Kind, quirks: &Quirks) -> &'static [FieldSupport] {
    type Key = (Kind, BTreeSet<String>, BTreeSet<String>, bool);
    static TABLES: Mutex<BTreeMap<Key, &'static [FieldSupport]>> = Mutex::new(BTreeMap::new());
    let key = (
        kind,
        quirks.lacks.clone(),
        quirks.read_only.clone(),
        quirks.own_uid,
    );
    let mut tables = TABLES.lock().unwrap_or_else(PoisonError::into_inner);
    tables.entry(key).or_insert_with(|| {
        let fields = kind.schema().fields.iter();
        let fields: Vec<FieldSupport> = fields
            .filter(|spec| !quirks.lacks.contains(spec.name))
            .map(|spec| FieldSupport {
                field: spec.name,
                writable: takes(quirks, spec.name),
            })
            .collect();
        Box::leak(fields.into_boxed_slice())
    })
}

impl Connector for SimConnector {
    fn info(&self) -> &ConnectorInfo {
        &self.info
    }

    fn capability(&self, kind: Kind) -> Capability {
        if kind == self.kind {
            self.capability
        } else {
            Capability::NONE
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
        None
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, _collection: &RemoteCollection, content: &Content) -> Content {
        let mut projected = if self.quirks.unannounced {
            content.clone()
        } else {
            let mut known = self.quirks.clone();
            // What is dropped without a word, or changed afterwards, no documentation says.
            known.drops = None;
            normal::normalised(&known, self.kind, content, Pass::First)
        };
        projected.retain(|_, field| takes(&self.quirks, field));
        projected
    }
}

#[async_trait]
impl Auth for SimConnector {
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
