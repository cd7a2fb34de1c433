//! What a [`super::CaldavServer`] starts with: where it listens, who may log in, which calendars exist.

use std::fmt;

use super::quirks::Quirks;
use super::state::Snapshot;
use crate::server::ServerOptions;

/// What a server starts with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address and TLS.
    pub server: ServerOptions,
    /// Path under which DAV lives, with a slash at both ends; `/.well-known/caldav` leads there (RFC 6764).
    pub context_path: String,
    /// Authentication schemes that are offered.
    pub schemes: Schemes,
    /// Who may log in, and their calendars.
    pub accounts: Vec<AccountConfig>,
    /// Largest calendar object accepted, in bytes (`CALDAV:max-resource-size`).
    pub max_resource_size_bytes: usize,
    /// How it misbehaves from the start.
    pub quirks: Quirks,
    /// An earlier server's calendars, which then take the place of those in `accounts`.
    pub snapshot: Option<Snapshot>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerOptions::default(),
            context_path: "/dav/".to_owned(),
            schemes: Schemes {
                basic: true,
                bearer: true,
            },
            accounts: Vec::new(),
            max_resource_size_bytes: 1_000_000,
            quirks: Quirks::default(),
            snapshot: None,
        }
    }
}

impl Config {
    /// One account on a free loopback port.
    pub fn with_account(account: AccountConfig) -> Self {
        Self::default().account(account)
    }

    /// Adds an account.
    #[must_use]
    pub fn account(mut self, account: AccountConfig) -> Self {
        self.accounts.push(account);
        self
    }
}

/// Authentication schemes that a server offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schemes {
    /// `Basic` (RFC 7617).
    pub basic: bool,
    /// `Bearer` (RFC 6750).
    pub bearer: bool,
}

/// A person with calendars.
#[derive(Clone)]
pub struct AccountConfig {
    pub(super) name: String,
    pub(super) display_name: String,
    pub(super) password: Option<String>,
    pub(super) tokens: Vec<String>,
    pub(super) calendars: Vec<CalendarConfig>,
}

impl AccountConfig {
    /// An account without any credential yet; the name is also its part of the paths.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            display_name: name.clone(),
            name,
            password: None,
            tokens: Vec::new(),
            calendars: Vec::new(),
        }
    }

    /// Sets the password for Basic authentication.
    #[must_use]
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Adds a token for Bearer authentication.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.push(token.into());
        self
    }

    /// Sets the principal's `DAV:displayname`.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = name.into();
        self
    }

    /// Adds a calendar.
    #[must_use]
    pub fn calendar(mut self, calendar: CalendarConfig) -> Self {
        self.calendars.push(calendar);
        self
    }
}

impl fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountConfig")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A calendar collection and what is in it at the start.
#[derive(Clone, Debug)]
pub struct CalendarConfig {
    pub(super) name: String,
    pub(super) display_name: Option<String>,
    pub(super) color: Option<String>,
    pub(super) description: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) components: Vec<String>,
    pub(super) read_only: bool,
    pub(super) objects: Vec<(String, String)>,
}

impl CalendarConfig {
    /// A calendar for events; the name is its part of the path.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            display_name: None,
            color: None,
            description: None,
            timezone: None,
            components: vec!["VEVENT".to_owned()],
            read_only: false,
            objects: Vec::new(),
        }
    }

    /// Sets `DAV:displayname`.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Sets Apple's `calendar-color`, such as `#1BADF8FF`.
    #[must_use]
    pub fn color(mut self, color: impl Into<String>) -> Self {
        self.color = Some(color.into());
        self
    }

    /// Sets `CALDAV:calendar-description`.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the zone of floating times, an IANA name; served as `CALDAV:calendar-timezone`.
    #[must_use]
    pub fn timezone(mut self, zone: impl Into<String>) -> Self {
        self.timezone = Some(zone.into());
        self
    }

    /// Sets the component types that may be stored, `VEVENT` alone unless told otherwise.
    #[must_use]
    pub fn components<S: Into<String>>(mut self, components: impl IntoIterator<Item = S>) -> Self {
        self.components = components.into_iter().map(Into::into).collect();
        self
    }

    /// Lets its owner read but not write, as with a subscribed or shared calendar.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// Adds a calendar object under a resource name such as `1.ics`; it is not checked.
    #[must_use]
    pub fn object(mut self, name: impl Into<String>, ics: impl Into<String>) -> Self {
        self.objects.push((name.into(), ics.into()));
        self
    }
}
