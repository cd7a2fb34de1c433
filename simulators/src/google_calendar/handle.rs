//! The test's side of the simulator: look into it, edit as somebody else, make tokens expire.

use std::sync::Arc;
use std::sync::OnceLock;

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use super::channels::deliver;
use super::config::{Config, Role};
use super::consent::Answer;
use super::errors::ApiError;
use super::events_create;
use super::events_write::{self, Edit, WriteOptions};
use super::listing;
use super::mailbox::Notification;
use super::occurrences::find;
use super::params::Params;
use super::render;
use super::routes::{Shared, router};
use super::snapshot::Snapshot;
use super::state::World;
use crate::faults::Faults;
use crate::server::{RequestLog, SimulatorServer, observed};

/// A running simulator. Dropping it stops the server.
#[derive(Debug)]
pub struct GoogleCalendarServer {
    server: SimulatorServer,
    google: GoogleCalendar,
}

impl GoogleCalendarServer {
    /// `http(s)://address:port`, without a trailing slash.
    pub fn base_url(&self) -> &str {
        self.server.base_url()
    }

    /// Root of the API: `{base_url}/calendar/v3/`, what `https://www.googleapis.com/calendar/v3/` is at Google.
    pub fn api_url(&self) -> String {
        format!("{}/calendar/v3/", self.base_url())
    }

    /// The OAuth token endpoint: `{base_url}/token`.
    pub fn token_url(&self) -> String {
        format!("{}/token", self.base_url())
    }

    /// Where people give consent: `{base_url}/o/oauth2/v2/auth`.
    pub fn authorize_url(&self) -> String {
        format!("{}/o/oauth2/v2/auth", self.base_url())
    }

    /// Where tokens are given back: `{base_url}/revoke`.
    pub fn revocation_url(&self) -> String {
        format!("{}/revoke", self.base_url())
    }

    /// The handle to look in and to interfere.
    pub fn google(&self) -> GoogleCalendar {
        self.google.clone()
    }

    /// Stops when requests in flight are done.
    pub async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

impl std::ops::Deref for GoogleCalendarServer {
    type Target = GoogleCalendar;

    fn deref(&self) -> &GoogleCalendar {
        &self.google
    }
}

/// The simulated Google; clones share one world.
#[derive(Clone)]
pub struct GoogleCalendar {
    shared: Shared,
    log: RequestLog,
    faults: Faults,
}

impl std::fmt::Debug for GoogleCalendar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoogleCalendar").finish_non_exhaustive()
    }
}

impl GoogleCalendar {
    /// Starts a server with this content.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: Config) -> std::io::Result<GoogleCalendarServer> {
        let (sender, queue) = mpsc::unbounded_channel();
        let world = World::new(&config, sender);
        let base_url = Arc::new(OnceLock::new());
        let shared = Shared {
            world: Arc::new(world.into()),
            base_url: base_url.clone(),
        };
        let log = RequestLog::with_reads(|_, path| {
            // A query, credentials and channels change nothing that a person sees.
            [
                "/freeBusy",
                "/token",
                "/revoke",
                "/events/watch",
                "/channels/stop",
            ]
            .iter()
            .any(|end| path.ends_with(end))
        });
        let google = Self {
            shared: shared.clone(),
            log: log.clone(),
            faults: config.faults.clone(),
        };
        let router = observed(router(shared), log, config.faults);
        let server = SimulatorServer::start(router, config.server).await?;
        base_url.get_or_init(|| server.base_url().to_owned());
        tokio::spawn(deliver(queue));
        Ok(GoogleCalendarServer { server, google })
    }

    /// Every request so far.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }

    /// The plan of troubles.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Mails that would have been sent so far.
    pub fn notifications(&self) -> Vec<Notification> {
        self.shared.lock().mailbox.clone()
    }

    /// All calendars with their history, for [`Config::snapshot`].
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.shared.lock())
    }

    /// A calendar, by its id, to read and to edit as another client.
    pub fn calendar(&self, id: impl Into<String>) -> CalendarHandle {
        CalendarHandle {
            shared: self.shared.clone(),
            id: id.into(),
        }
    }

    /// Living events on a calendar: masters, single events and exceptions that are not cancelled.
    pub fn event_count(&self, calendar_id: &str) -> usize {
        let world = self.shared.lock();
        let calendar = world.calendars.get(calendar_id);
        calendar.map_or(0, |calendar| {
            calendar
                .events
                .values()
                .filter(|event| !event.is_cancelled())
                .count()
        })
    }

    /// Makes every sync token handed out so far answer 410 `fullSyncRequired`.
    pub fn expire_sync_tokens(&self) {
        let mut world = self.shared.lock();
        for calendar in world.calendars.values_mut() {
            calendar.epoch += 1;
        }
        for account in world.accounts.values_mut() {
            account.list_epoch += 1;
        }
    }

    /// Forgets deleted events, as Google eventually does, and with them the sync tokens that would report them.
    pub fn purge_tombstones(&self) {
        for calendar in self.shared.lock().calendars.values_mut() {
            calendar.events.retain(|_, event| !event.deleted);
        }
        self.expire_sync_tokens();
    }

    /// Makes every access token handed out so far answer 401.
    pub fn expire_access_tokens(&self) {
        for account in self.shared.lock().accounts.values_mut() {
            account.access_tokens.clear();
        }
    }

    /// Makes an account's refresh token, and its access tokens, invalid for good.
    pub fn revoke(&self, email: &str) {
        if let Some(account) = self.shared.lock().accounts.get_mut(email) {
            account.refresh_token = None;
            account.access_tokens.clear();
        }
        self.shared.lock().end_grants(|grant| grant.email == email);
    }

    /// What the person in front of the browser does from now on.
    pub fn answers(&self, answer: Answer) {
        self.shared.lock().answer = answer;
    }

    /// The callback addresses that the client registered; before the first, all are taken.
    pub fn register_redirect(&self, url: impl Into<String>) {
        self.shared.lock().redirect_urls.push(url.into());
    }

    /// The scopes of everything that an account has granted and not taken back, one list per grant.
    pub fn granted(&self, email: &str) -> Vec<Vec<String>> {
        let world = self.shared.lock();
        let grants = world.grants.iter().filter(|grant| grant.email == email);
        grants.map(|grant| grant.scopes.clone()).collect()
    }

    /// Changes what an account may do with a calendar; none takes it away.
    pub fn set_role(&self, calendar_id: &str, email: &str, role: impl Into<Option<Role>>) {
        self.shared.lock().set_role(calendar_id, email, role.into());
    }

    /// No list page is longer than this from now on.
    pub fn set_page_size_cap(&self, items: impl Into<Option<usize>>) {
        self.shared.lock().page_size_cap = items.into();
    }

    /// Stores events that come with zone `from` under the name `to`, as vendors do with links in the zone database
    /// (`Asia/Kolkata` to `Asia/Calcutta`).
    pub fn rewrite_zone(&self, from: impl Into<String>, to: impl Into<String>) {
        self.shared.lock().zone_rewrites.push((from.into(), to.into()));
    }

    /// Ids of notification channels that have not expired.
    pub fn open_channels(&self) -> Vec<String> {
        let world = self.shared.lock();
        let now = world.now();
        let open = world.channels.values().filter(|channel| channel.expiration > now);
        open.map(|channel| channel.id.clone()).collect()
    }
}

/// One calendar, seen and edited past HTTP: by its owner, with etags, `updated`, sync state and channel notices as
/// after any other edit, without mail. Body fields are those of the API.
#[derive(Clone)]
pub struct CalendarHandle {
    shared: Shared,
    id: String,
}

impl std::fmt::Debug for CalendarHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CalendarHandle")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl CalendarHandle {
    fn owner(&self, world: &World) -> Result<String, ApiError> {
        world.calendar(&self.id).map(|calendar| calendar.owner.clone())
    }

    fn shown(&self, world: &World, event_id: &str) -> Result<Value, ApiError> {
        let calendar = world.calendar(&self.id)?;
        let viewer = listing::viewer(calendar, &calendar.owner, Role::Owner, &Params::default())?;
        Ok(render::event(calendar, &find(calendar, event_id)?, &viewer))
    }

    /// All events as their owner sees them, deleted ones and exceptions included, in order of creation.
    pub fn events(&self) -> Vec<Value> {
        let world = self.shared.lock();
        let ids = world
            .calendars
            .get(&self.id)
            .map(|calendar| calendar.events.keys().cloned());
        ids.into_iter()
            .flatten()
            .filter_map(|id| self.shown(&world, &id).ok())
            .collect()
    }

    /// Events that are not cancelled.
    pub fn living_events(&self) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["status"] != "cancelled")
            .collect()
    }

    /// One event, or an occurrence by its instance id.
    pub fn event(&self, event_id: &str) -> Option<Value> {
        let world = self.shared.lock();
        self.shown(&world, event_id).ok()
    }

    /// Creates an event and answers it as stored.
    ///
    /// # Errors
    /// What the API would answer.
    pub fn insert(&self, body: Value) -> Result<Value, ApiError> {
        let mut world = self.shared.lock();
        let owner = self.owner(&world)?;
        let options = WriteOptions::silent();
        let id = events_create::insert(&mut world, &owner, &self.id, &fields(body)?, &options, false)?;
        self.shown(&world, &id)
    }

    /// Patches an event, or an occurrence by its instance id.
    ///
    /// # Errors
    /// What the API would answer.
    pub fn patch(&self, event_id: &str, body: Value) -> Result<Value, ApiError> {
        let mut world = self.shared.lock();
        let owner = self.owner(&world)?;
        let options = WriteOptions::silent();
        events_write::edit(
            &mut world,
            &owner,
            (&self.id, event_id),
            &fields(body)?,
            &options,
            Edit::Patch,
        )?;
        self.shown(&world, event_id)
    }

    /// Deletes an event, or cancels an occurrence by its instance id.
    ///
    /// # Errors
    /// What the API would answer.
    pub fn delete(&self, event_id: &str) -> Result<(), ApiError> {
        let mut world = self.shared.lock();
        let owner = self.owner(&world)?;
        events_write::delete(&mut world, &owner, &self.id, event_id, &WriteOptions::silent())
    }

    /// Cancels the occurrence of a series whose id has this suffix: `yyyymmdd` or `yyyymmddThhmmssZ`.
    ///
    /// # Errors
    /// What the API would answer.
    pub fn cancel_instance(&self, master_id: &str, original_start: &str) -> Result<(), ApiError> {
        self.delete(&format!("{master_id}_{original_start}"))
    }

    /// Creates many events.
    ///
    /// # Errors
    /// The first refusal; events before it stay.
    pub fn insert_all(&self, bodies: impl IntoIterator<Item = Value>) -> Result<(), ApiError> {
        for body in bodies {
            self.insert(body)?;
        }
        Ok(())
    }
}

fn fields(body: Value) -> Result<Map<String, Value>, ApiError> {
    match body {
        Value::Object(fields) => Ok(fields),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(ApiError::parse_error())
        }
    }
}
