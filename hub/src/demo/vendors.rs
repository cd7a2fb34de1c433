//! The simulated vendors: started where they were the last time, with what they then had, and saved as they change.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connector_sdk::Clock;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use simulators::caldav::{self as caldav_server, CaldavServer};
use simulators::google_calendar::{self as google_server, GoogleCalendar, GoogleCalendarServer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::files::{self, Kept};
use super::{caldav, google};
use crate::failure::Failure;

/// How often changes are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Both vendors, running.
pub(super) struct Vendors {
    pub(super) google: GoogleCalendarServer,
    pub(super) caldav: CaldavServer,
    stop: CancellationToken,
    saving: JoinHandle<()>,
}

/// Where they listened.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Ports {
    google: u16,
    caldav: u16,
}

/// Where everything is kept.
#[derive(Debug, Clone)]
struct Files {
    ports: PathBuf,
    google: PathBuf,
    caldav: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Self {
        Self {
            ports: folder.join("ports.json"),
            google: folder.join("google.json"),
            caldav: folder.join("caldav.json"),
        }
    }
}

impl Vendors {
    /// Starts both; `monday` begins the week that they have when they are new.
    ///
    /// # Errors
    /// When their files cannot be read or written, or no port can be had.
    pub(super) async fn start(folder: &Path, clock: Arc<dyn Clock>, monday: Date) -> Result<Self, Failure> {
        let files = Files::in_folder(folder);
        let ports: Ports = files::read(&files.ports)?.unwrap_or_default();
        let google = start_google(files::read(&files.google)?, &clock, monday, ports.google).await?;
        let caldav = start_caldav(files::read(&files.caldav)?, monday, ports.caldav).await?;
        let ports = Ports {
            google: port_of(google.base_url()),
            caldav: port_of(caldav.base_url()),
        };
        files::write(&files.ports, &ports, Kept::Open)?;
        save(&files, &google, &caldav)?;
        let stop = CancellationToken::new();
        let saving = tokio::spawn(keep(files, google.google(), caldav.clone(), clock, stop.clone()));
        Ok(Self {
            google,
            caldav,
            stop,
            saving,
        })
    }

    /// Saves what is unsaved and closes both ports.
    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.saving.await {
            tracing::error!(%error, "the simulated vendors could not be saved");
        }
        self.google.shutdown().await;
        self.caldav.shutdown().await;
    }
}

fn port_of(base_url: &str) -> u16 {
    base_url
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok())
        .unwrap_or_default()
}

/// The port of the last time, or a free one when somebody else has it now.
async fn on_port<T, F: Future<Output = std::io::Result<T>>>(
    port: u16,
    start: impl Fn(SocketAddr) -> F,
) -> Result<T, Failure> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let begun = match start(at(port)).await {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => start(at(0)).await,
        begun => begun,
    };
    begun.map_err(|error| {
        let remedy = "end some programs that listen on this machine, and start the demo again";
        Failure::new(
            format!("a simulated vendor cannot listen on this machine: {error}"),
            remedy,
        )
    })
}

async fn start_google(
    snapshot: Option<google_server::Snapshot>,
    clock: &Arc<dyn Clock>,
    monday: Date,
    port: u16,
) -> Result<GoogleCalendarServer, Failure> {
    let is_new = snapshot.is_none();
    let server = on_port(port, |address| {
        let clock = Arc::clone(clock);
        let mut config = google::config(google_server::Clock::new(move || clock.now())).address(address);
        if let Some(snapshot) = snapshot.clone() {
            config = config.snapshot(snapshot);
        }
        GoogleCalendar::start(config)
    })
    .await?;
    if is_new {
        google::fill(&server, monday).map_err(|error| {
            Failure::new(
                format!("the demo's own events are refused: {error:?}"),
                "report this as a fault",
            )
        })?;
    }
    Ok(server)
}

async fn start_caldav(
    snapshot: Option<caldav_server::Snapshot>,
    monday: Date,
    port: u16,
) -> Result<CaldavServer, Failure> {
    on_port(port, |address| {
        let mut config = caldav_server::Config::with_account(caldav::account(monday));
        config.server.address = Some(address);
        config.snapshot.clone_from(&snapshot);
        CaldavServer::start(config)
    })
    .await
}

fn save(files: &Files, google: &GoogleCalendar, caldav: &CaldavServer) -> Result<(), Failure> {
    files::write(&files.google, &google.snapshot(), Kept::Open)?;
    files::write(&files.caldav, &caldav.snapshot(), Kept::Open)
}

/// Saves after each change: a demo that is killed finds its vendors as the hub knows them.
async fn keep(
    files: Files,
    google: GoogleCalendar,
    caldav: CaldavServer,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    let writes = || (google.log().writes(), caldav.log().writes());
    let mut saved = (0, 0);
    loop {
        let ends = stop.run_until_cancelled(clock.sleep(LOOK_EVERY)).await.is_none();
        let now = writes();
        if now != saved {
            match save(&files, &google, &caldav) {
                Ok(()) => saved = now,
                Err(error) => tracing::error!(%error, "the simulated vendors could not be saved"),
            }
        }
        if ends {
            return;
        }
    }
}
