//! A server with a database of its own, and changes committed to it.

use anyhow::{Context, Result};
use hub::config::Config;
use hub::server::Server;
use model::OrganizationId;
use store::SqliteStore;
use sync::ports::{Effect, Store as _};
use sync::state::{FeedAction, FeedEntry, Origin};
use tempfile::TempDir;

pub(crate) struct Place {
    pub(crate) server: Server,
    pub(crate) key: String,
    pub(crate) organization: OrganizationId,
    _folder: TempDir,
}

impl Place {
    pub(crate) async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let settings = format!(
            "listen = \"127.0.0.1:0\"\ndatabase_url = \"sqlite://{}/concord.db\"\nsync_interval_seconds = 86400\n\
             egress_allow = \"127.0.0.0/8\"\negress_ports = \"1-65535\"\n",
            folder.path().display()
        );
        let config = Config::from_toml(&settings).map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        let server = Server::start(&config)
            .await
            .map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
        let key = server
            .first_key()
            .context("a new database has a first key")?
            .to_owned();
        let organizations = server.state().unscoped_store().organizations().await?;
        let organization = organizations.first().context("an organization")?.id.clone();
        Ok(Self {
            server,
            key,
            organization,
            _folder: folder,
        })
    }

    pub(crate) fn store(&self) -> SqliteStore {
        self.server.state().unscoped_store().clone()
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
