//! The test's side of the server: it runs it, sets its quirks, and edits calendars as "another client" would.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::config::{CalendarConfig, Config};
use super::quirks::{Operation, Quirks};
use super::service::{Service, router};
use super::state::{Calendar, Snapshot, State};
use crate::faults::{Fault, Faults, Match};
use crate::server::{RequestLog, SimulatorServer, observed};

/// A running CalDAV server. Clones share it; the port closes when the last one is dropped.
#[derive(Clone, Debug)]
pub struct CaldavServer {
    service: Arc<Service>,
    server: Arc<SimulatorServer>,
    log: RequestLog,
    faults: Faults,
}

/// What a handle names is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(String);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulator has no {}", self.0)
    }
}

impl std::error::Error for Missing {}

impl CaldavServer {
    /// Starts a server on loopback.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(config: Config) -> io::Result<Self> {
        let scheme = if config.server.tls.is_some() {
            "https"
        } else {
            "http"
        };
        let state = State::new(config.accounts, config.snapshot);
        let context_path = config.context_path;
        let max_size = config.max_resource_size_bytes;
        let service = Service::new(
            context_path,
            config.schemes,
            max_size,
            scheme,
            (state, config.quirks),
        );
        let (service, log, faults) = (Arc::new(service), RequestLog::new(), Faults::new());
        let observed = observed(router(Arc::clone(&service)), log.clone(), faults.clone());
        let server = SimulatorServer::start(observed, config.server).await?;
        Ok(Self {
            service,
            server: Arc::new(server),
            log,
            faults,
        })
    }

    /// `http(s)://address:port` without a trailing slash: where a client's discovery begins.
    pub fn base_url(&self) -> &str {
        self.server.base_url()
    }

    /// Every request so far, with counters of reads and writes.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }

    /// The plan of faults, by method and path. For what depends on a request's body see
    /// [`Quirks::unauthorized_from`] and [`Quirks::bad_answer`].
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// How many requests of this kind arrived since the start.
    pub fn count(&self, operation: Operation) -> u64 {
        self.service.lock().counts.get(&operation).copied().unwrap_or(0)
    }

    /// The quirks in force.
    pub fn quirks(&self) -> Quirks {
        self.service.lock().quirks.clone()
    }

    /// Puts other quirks in force from the next request on.
    pub fn set_quirks(&self, quirks: Quirks) {
        let mut inner = self.service.lock();
        inner.quirks = quirks;
        inner.counts_of_quirks.clear();
    }

    /// Runs `edit` once, just before the next PUT is handled: somebody else's change between a client's read and
    /// its write. `edit` should hold a [`CalendarHandle`] only, not a server, which would keep the port open.
    pub fn before_next_put(&self, edit: impl FnOnce() + Send + 'static) {
        let edit = Mutex::new(Some(edit));
        let once = move || {
            let edit = edit.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(edit) = edit {
                edit();
            }
        };
        self.faults
            .next(Match::method(http::Method::PUT), Fault::before(once));
    }

    /// A calendar, whether it exists or not.
    pub fn calendar(&self, account: impl Into<String>, calendar: impl Into<String>) -> CalendarHandle {
        CalendarHandle {
            service: Arc::clone(&self.service),
            account: account.into(),
            calendar: calendar.into(),
        }
    }

    /// Adds a calendar to an account.
    ///
    /// # Errors
    /// When there is no such account, or the name is taken.
    pub fn add_calendar(&self, account: &str, calendar: CalendarConfig) -> Result<(), Missing> {
        match self.service.lock().state.add_calendar(account, calendar) {
            true => Ok(()),
            false => Err(Missing(format!("account {account} with that name free"))),
        }
    }

    /// Removes a calendar with all that is in it.
    ///
    /// # Errors
    /// When there is no such calendar.
    pub fn remove_calendar(&self, account: &str, calendar: &str) -> Result<(), Missing> {
        match self.service.lock().state.remove_calendar(account, calendar) {
            true => Ok(()),
            false => Err(Missing(format!("calendar {account}/{calendar}"))),
        }
    }

    /// Changes the password, or takes Basic authentication away from the account.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn set_password(&self, account: &str, password: Option<&str>) -> Result<(), Missing> {
        let mut inner = self.service.lock();
        let found = inner
            .state
            .account_mut(account)
            .ok_or_else(|| Missing(format!("account {account}")))?;
        found.password = password.map(str::to_owned);
        Ok(())
    }

    /// Replaces the account's Bearer tokens: those before are refused from now on.
    ///
    /// # Errors
    /// When there is no such account.
    pub fn set_tokens(&self, account: &str, tokens: &[&str]) -> Result<(), Missing> {
        let mut inner = self.service.lock();
        let found = inner
            .state
            .account_mut(account)
            .ok_or_else(|| Missing(format!("account {account}")))?;
        found.tokens = tokens.iter().map(|token| (*token).to_owned()).collect();
        Ok(())
    }

    /// All calendars with their history, for [`Config::snapshot`].
    pub fn snapshot(&self) -> Snapshot {
        self.service.lock().state.snapshot()
    }

    /// Cuts all connections at once.
    pub fn abort(&self) {
        self.server.abort();
    }

    /// Lets requests in flight finish and closes the port; cuts them when other clones of the handle are about.
    pub async fn shutdown(self) {
        match Arc::try_unwrap(self.server) {
            Ok(server) => server.shutdown().await,
            Err(shared) => shared.abort(),
        }
    }
}

/// A member of a calendar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Resource name, the last part of its path, decoded.
    pub name: String,
    /// Quoted entity tag, also when a quirk hides it from clients.
    pub etag: String,
    /// The iCalendar object as stored.
    pub ics: String,
}

/// One calendar, edited from the server's side: quirks, rights and checks do not apply here, whatever is put is
/// stored as it is, and every change counts for entity tags, ctag and sync tokens.
#[derive(Clone, Debug)]
pub struct CalendarHandle {
    service: Arc<Service>,
    account: String,
    calendar: String,
}

impl CalendarHandle {
    /// Path of the calendar, as in the server's hrefs.
    pub fn path(&self) -> String {
        self.links().calendar(&self.account, &self.calendar)
    }

    /// Path of a member, as in the server's hrefs.
    pub fn path_of(&self, name: &str) -> String {
        self.links().object(&self.account, &self.calendar, name)
    }

    /// Creates or replaces an object; returns its entity tag.
    ///
    /// # Errors
    /// When there is no such calendar.
    pub fn put(&self, name: &str, ics: impl Into<String>) -> Result<String, Missing> {
        let stored = self
            .service
            .lock()
            .state
            .put(&self.account, &self.calendar, name, ics.into());
        stored.ok_or_else(|| self.missing(None))
    }

    /// Replaces an object by what `change` makes of it; returns its new entity tag.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn edit(&self, name: &str, change: impl FnOnce(&str) -> String) -> Result<String, Missing> {
        let mut inner = self.service.lock();
        let calendar = inner.state.calendar(&self.account, &self.calendar);
        let object = calendar.and_then(|calendar| calendar.objects.get(name));
        let changed = change(&object.ok_or_else(|| self.missing(Some(name)))?.ics);
        let stored = inner.state.put(&self.account, &self.calendar, name, changed);
        stored.ok_or_else(|| self.missing(None))
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// When there is no such object.
    pub fn delete(&self, name: &str) -> Result<(), Missing> {
        match self
            .service
            .lock()
            .state
            .delete(&self.account, &self.calendar, name)
        {
            true => Ok(()),
            false => Err(self.missing(Some(name))),
        }
    }

    /// An object as stored.
    pub fn get(&self, name: &str) -> Option<Member> {
        self.list().into_iter().find(|member| member.name == name)
    }

    /// All objects by name; empty when there is no such calendar.
    pub fn list(&self) -> Vec<Member> {
        let inner = self.service.lock();
        let Some(calendar) = inner.state.calendar(&self.account, &self.calendar) else {
            return Vec::new();
        };
        let member = |(name, object): (&String, &super::state::Object)| Member {
            name: name.clone(),
            etag: object.etag.clone(),
            ics: object.ics.clone(),
        };
        calendar.objects.iter().map(member).collect()
    }

    /// Grants or takes the right to write.
    ///
    /// # Errors
    /// When there is no such calendar.
    pub fn set_read_only(&self, read_only: bool) -> Result<(), Missing> {
        self.change(|calendar| calendar.read_only = read_only)
    }

    /// Invalidates the sync tokens given out so far; those of later answers are valid.
    ///
    /// # Errors
    /// When there is no such calendar.
    pub fn expire_sync_tokens(&self) -> Result<(), Missing> {
        self.change(|calendar| calendar.token_epoch += 1)
    }

    fn change(&self, change: impl FnOnce(&mut Calendar)) -> Result<(), Missing> {
        let mut inner = self.service.lock();
        let calendar = inner.state.calendar_mut(&self.account, &self.calendar);
        change(calendar.ok_or_else(|| self.missing(None))?);
        Ok(())
    }

    fn links(&self) -> super::target::Links {
        super::target::Links {
            origin: String::new(),
            context_path: self.service.context_path.clone(),
        }
    }

    fn missing(&self, object: Option<&str>) -> Missing {
        let place = format!("calendar {}/{}", self.account, self.calendar);
        Missing(object.map_or(place.clone(), |object| format!("object {object} in {place}")))
    }
}
