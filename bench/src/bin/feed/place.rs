//! Servers with a database of their own, and changes committed to it.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use connector_memory::{MemoryConnector, MemoryProvider, Options};
use connector_sdk::WebhookProof;
use hub::config::Config;
use hub::server::{Make, Server};
use model::OrganizationId;
use store::SqliteStore;
use sync::ports::{Effect, Store as _};
use sync::state::{FeedAction, FeedEntry, Origin};
use tempfile::TempDir;
use testkit::harness::postgres::Disk;
use testkit::harness::{Postgres, Redis};

/// The provider's only calendar.
pub(crate) const WORK: &str = "work";

/// How many servers there are, and what is between them.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Layout {
    /// Nodes: changes are made at the first, clients follow at the last.
    #[arg(long, default_value_t = 1)]
    pub(crate) nodes: usize,
    /// On PostgreSQL (a private server that waits for its disk) and not on SQLite.
    #[arg(long)]
    pub(crate) postgres: bool,
    /// With a Redis server between the nodes.
    #[arg(long)]
    pub(crate) redis: bool,
}

impl Layout {
    /// One server on a SQLite file.
    pub(crate) const ALONE: Self = Self {
        nodes: 1,
        postgres: false,
        redis: false,
    };
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = if self.postgres { "PostgreSQL" } else { "SQLite" };
        let redis = if self.redis { " and Redis" } else { "" };
        write!(f, "{} node(s) on {database}{redis}", self.nodes)
    }
}

pub(crate) struct Place {
    servers: Vec<Server>,
    pub(crate) key: String,
    pub(crate) organization: OrganizationId,
    /// What connections are made to: it signs its webhooks.
    pub(crate) provider: MemoryProvider,
    // Ended after the servers.
    _databases: (Option<Postgres>, Option<Redis>),
    _folder: TempDir,
}

impl Place {
    pub(crate) async fn start(layout: Layout) -> Result<Self> {
        ensure!(
            layout.nodes == 1 || layout.postgres,
            "several nodes need --postgres"
        );
        let folder = tempfile::tempdir()?;
        let postgres = match layout.postgres {
            true => Some(Postgres::start_on(Disk::Awaited).await?),
            false => None,
        };
        let redis = match layout.redis {
            true => Some(Redis::start().await?),
            false => None,
        };
        let database = match &postgres {
            Some(postgres) => postgres.database("concord")?,
            None => format!("sqlite://{}/concord.db", folder.path().display()),
        };
        let mut settings = format!(
            "listen = \"127.0.0.1:0\"\ndatabase_url = \"{database}\"\nsync_interval_seconds = 86400\n\
             master_key_file = \"{}/concord.key\"\negress_allow = \"127.0.0.0/8\"\negress_ports = \"1-65535\"\n",
            folder.path().display()
        );
        if let Some(redis) = &redis {
            settings += &format!("redis_url = \"{}\"\n", redis.url());
        }
        let config = Config::from_toml(&settings).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        let provider = MemoryProvider::new(Options {
            webhook: WebhookProof::Signed,
            ..Options::WHOLE
        });
        provider.add_collection(WORK, "Work");
        let mut servers = Vec::new();
        for _ in 0..layout.nodes {
            let make = Make {
                connectors: vec![Arc::new(MemoryConnector::named("memory", provider.clone()))],
                ..Make::default()
            };
            let server = Server::start_with(&config, make)
                .await
                .map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
            servers.push(server);
        }
        let first = servers.first().context("a server")?;
        let key = first
            .first_key()
            .context("a new database has a first key")?
            .to_owned();
        let organizations = first.state().unscoped_store().organizations().await?;
        let organization = organizations.first().context("an organization")?.id.clone();
        Ok(Self {
            servers,
            key,
            organization,
            provider,
            _databases: (postgres, redis),
            _folder: folder,
        })
    }

    /// Where changes are made.
    pub(crate) fn first(&self) -> &Server {
        &self.servers[0]
    }

    /// Where clients follow.
    pub(crate) fn last(&self) -> &Server {
        &self.servers[self.servers.len() - 1]
    }

    pub(crate) fn store(&self) -> SqliteStore {
        self.first().state().unscoped_store().clone()
    }

    pub(crate) async fn end(mut self) {
        for server in std::mem::take(&mut self.servers) {
            server.shutdown().await;
        }
    }
}

/// Commits changes of these numbers and kinds, in one transaction.
pub(crate) async fn commit(
    store: &SqliteStore,
    organization: &OrganizationId,
    changes: impl IntoIterator<Item = (usize, String)>,
) -> Result<()> {
    let entry = |(number, kind): (usize, String)| {
        Effect::Feed(FeedEntry {
            action: FeedAction::Updated,
            subject: format!("rec_{number}"),
            kind,
            version: 1,
            changed: vec!["title".to_owned(), "location".to_owned()],
            origin: Origin::Hub,
            at: 1_780_000_000_000,
        })
    };
    let effects = changes.into_iter().map(entry).collect();
    store.commit(organization, None, effects).await?;
    Ok(())
}

/// The number in such a change's id.
pub(crate) fn number(id: &str) -> Option<usize> {
    id.strip_prefix("rec_")?.parse().ok()
}
