//! `concord demo`: the hub with two simulated vendors in one process, connected and mirrored, ready to be tried.
//!
//! Everything lies in one folder, the vendors' data too, so that a second start goes on where the first one ended.

mod banner;
mod caldav;
mod client;
mod files;
mod google;
mod setup;
mod vendors;
mod week;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connector_sdk::{Clock, SystemClock};
use indicatif::MultiProgress;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::Config;
use crate::entropy::SystemEntropy;
use crate::failure::Failure;
use crate::keys::Fresh;
use crate::server::Server;

use banner::Facts;
use client::Client;
use files::Kept;
use setup::Scene;
use vendors::Vendors;

/// Where the demo keeps its data unless it is told otherwise.
pub const USUAL_FOLDER: &str = "concord-demo";
/// Where the API listens unless it is told otherwise, when nobody else does.
const USUAL_ADDRESS: &str = "127.0.0.1:8080";

/// How to start the demo.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data lies.
    pub folder: PathBuf,
    /// Where the API listens; the usual address, or a free port when that is taken, unless given.
    pub listen: Option<SocketAddr>,
}

/// A running demo. [`Self::shutdown`] ends it in order.
pub struct Demo {
    server: Server,
    vendors: Vendors,
    key: String,
    folder: PathBuf,
    monday: Date,
    scene: Scene,
}

impl Demo {
    /// Starts vendors and hub, makes or finds what the demo shows, and waits for the first syncs.
    ///
    /// # Errors
    /// What keeps it from starting, and what to do.
    pub async fn start(options: &Options, progress: &MultiProgress) -> Result<Self, Failure> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        files::make_folder(&options.folder)?;
        let today = TimeZone::UTC.to_datetime(clock.now()).date();
        let monday = today.saturating_sub(i64::from(today.weekday().to_monday_zero_offset()).days());
        let server = start_server(options).await?;
        let vendors = Vendors::start(&options.folder, clock, monday).await?;
        let key = key(&server, &options.folder.join("key")).await?;
        let client = Client::new(server.state().clone(), key.clone());
        let scene = setup::prepare(&client, &vendors, progress).await?;
        Ok(Self {
            server,
            vendors,
            key,
            folder: options.folder.clone(),
            monday,
            scene,
        })
    }

    /// The API's address.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.base_url()
    }

    /// A key for it, the same at every start.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The simulated Google, to look into.
    #[must_use]
    pub fn google(&self) -> &simulators::google_calendar::GoogleCalendarServer {
        &self.vendors.google
    }

    /// The simulated CalDAV server, to look into.
    #[must_use]
    pub const fn caldav(&self) -> &simulators::caldav::CaldavServer {
        &self.vendors.caldav
    }

    /// What to tell whoever started it. `bold` marks what stands out.
    #[must_use]
    pub fn banner(&self, bold: &dyn Fn(&str) -> String) -> String {
        self.with_facts(|facts| banner::banner(facts, bold))
    }

    /// The lines of the banner that are to be tried, each a whole shell command.
    #[must_use]
    pub fn commands(&self) -> Vec<String> {
        self.with_facts(|facts| {
            banner::commands(facts)
                .into_iter()
                .map(|(_, command)| command)
                .collect()
        })
    }

    fn with_facts<T>(&self, tell: impl FnOnce(&Facts<'_>) -> T) -> T {
        tell(&Facts {
            url: &self.server.base_url(),
            key: &self.key,
            folder: &self.folder,
            google_url: &self.vendors.google.api_url(),
            caldav_url: self.vendors.caldav.base_url(),
            monday: self.monday,
            scene: &self.scene,
        })
    }

    /// Ends the hub first, then the vendors, so that nothing is cut off.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
        self.vendors.shutdown().await;
    }
}

async fn start_server(options: &Options) -> Result<Server, Failure> {
    let config = |listen: &str| {
        let database = options.folder.join("concord.db");
        let quoted = toml::Value::String(format!("sqlite://{}", database.display()));
        // Vendors that are changed behind the hub's back are looked at every few seconds: somebody is watching.
        Config::from_toml(&format!(
            "listen = \"{listen}\"\ndatabase_url = {quoted}\nsync_interval_seconds = 3\nlog_level = \"warn\"\n"
        ))
    };
    if let Some(address) = options.listen {
        return Server::start(&config(&address.to_string())?).await;
    }
    match Server::start(&config(USUAL_ADDRESS)?).await {
        Err(failure) if failure.cause.contains("cannot be listened at") => {
            Server::start(&config("127.0.0.1:0")?).await
        }
        started => started,
    }
}

/// The demo's key: the hub keeps a hash only, so that it could not be shown again without this file.
async fn key(server: &Server, path: &Path) -> Result<String, Failure> {
    let store = server.state().unscoped_store();
    let failed = |error: sync::ports::StoreError| {
        Failure::new(error.to_string(), "delete the demo's folder to start afresh")
    };
    if let Some(secret) = files::read::<String>(path)?
        && store.find_api_key(&secret).await.map_err(failed)?.is_some()
    {
        return Ok(secret);
    }
    let secret = match server.first_key() {
        Some(secret) => secret.to_owned(),
        None => {
            let organization = store.organizations().await.map_err(failed)?.into_iter().next();
            let organization = organization.ok_or_else(|| {
                Failure::new(
                    "the demo's database has no organization",
                    "delete the demo's folder to start afresh",
                )
            })?;
            let name = "demo".to_owned();
            let fresh = Fresh::make(organization.id, name, Vec::new(), &SystemClock, &SystemEntropy);
            store
                .create_api_key(&fresh.key, &fresh.secret)
                .await
                .map_err(failed)?;
            fresh.secret
        }
    };
    files::write(path, &secret, Kept::Secret)?;
    Ok(secret)
}
