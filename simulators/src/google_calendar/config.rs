//! What a simulated Google has when it starts: accounts, their tokens, calendars, limits.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::Value;

use super::clock::Clock;
use super::errors::Trouble;
use super::oauth::Rotation;
use super::snapshot::Snapshot;
use crate::faults::Faults;
use crate::server::ServerOptions;

/// What an account may do with a calendar, from less to more.
/// <https://developers.google.com/workspace/calendar/api/concepts/sharing>
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Role {
    /// Sees only when the calendar is busy.
    FreeBusyReader,
    /// Reads; details of private events are hidden.
    Reader,
    /// Writes; details of private events are hidden.
    WriterWithoutPrivateAccess,
    /// Reads and writes everything.
    Writer,
    /// May also share and delete the calendar.
    Owner,
}

impl Role {
    /// The name in `accessRole`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreeBusyReader => "freeBusyReader",
            Self::Reader => "reader",
            Self::WriterWithoutPrivateAccess => "writerWithoutPrivateAccess",
            Self::Writer => "writer",
            Self::Owner => "owner",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [
            Self::FreeBusyReader,
            Self::Reader,
            Self::WriterWithoutPrivateAccess,
            Self::Writer,
            Self::Owner,
        ]
        .into_iter()
        .find(|role| role.as_str() == name)
    }
}

/// How many quota units each account has per window, and how the refusal looks.
/// <https://developers.google.com/workspace/calendar/api/guides/quota>
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Units per account and window; a PATCH costs three, everything else one
    /// (<https://developers.google.com/workspace/calendar/api/v3/reference/events/patch>).
    pub units: u32,
    /// Length of the window.
    pub window: SignedDuration,
    /// The refusal.
    pub refusal: Trouble,
}

/// A person with a Google account.
#[derive(Clone)]
pub struct AccountConfig {
    pub(crate) email: String,
    pub(crate) display_name: Option<String>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) access_tokens: Vec<String>,
}

impl AccountConfig {
    /// An account with this address; its primary calendar has the same id.
    pub fn new(email: impl Into<String>) -> Self {
        Self {
            email: email.into(),
            display_name: None,
            refresh_token: None,
            access_tokens: Vec::new(),
        }
    }

    /// The person's name.
    #[must_use]
    pub fn display_name(mut self, name: impl Into<String>) -> Self {
        self.display_name = Some(name.into());
        self
    }

    /// Lets the token endpoint exchange this refresh token for access tokens.
    #[must_use]
    pub fn refresh_token(mut self, token: impl Into<String>) -> Self {
        self.refresh_token = Some(token.into());
        self
    }

    /// An access token that is valid from the start and does not expire.
    #[must_use]
    pub fn access_token(mut self, token: impl Into<String>) -> Self {
        self.access_tokens.push(token.into());
        self
    }
}

/// A calendar beside the primary ones, or the settings of a primary one (same id as the account).
#[derive(Clone, Debug)]
pub struct CalendarConfig {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) summary: String,
    pub(crate) time_zone: String,
    pub(crate) default_reminders: Vec<Value>,
    pub(crate) roles: Vec<(String, Role)>,
}

impl CalendarConfig {
    /// A calendar in UTC, owned by this account.
    pub fn new(id: impl Into<String>, owner: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            summary: id.clone(),
            id,
            owner: owner.into(),
            time_zone: "UTC".to_owned(),
            default_reminders: Vec::new(),
            roles: Vec::new(),
        }
    }

    /// Its title.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Its IANA time zone.
    #[must_use]
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.time_zone = zone.into();
        self
    }

    /// Its owner's default reminders, as `{"method": ..., "minutes": ...}`.
    #[must_use]
    pub fn default_reminders(mut self, reminders: Vec<Value>) -> Self {
        self.default_reminders = reminders;
        self
    }

    /// Shares it with another account.
    #[must_use]
    pub fn shared_with(mut self, email: impl Into<String>, role: Role) -> Self {
        self.roles.push((email.into(), role));
        self
    }
}

/// Everything needed to start.
#[derive(Clone)]
pub struct Config {
    pub(crate) clock: Clock,
    pub(crate) accounts: Vec<AccountConfig>,
    pub(crate) calendars: Vec<CalendarConfig>,
    pub(crate) oauth_client: Option<(String, String)>,
    pub(crate) issuer: Option<String>,
    pub(crate) rotation: Rotation,
    pub(crate) access_token_lifetime: SignedDuration,
    pub(crate) sync_token_lifetime: Option<SignedDuration>,
    pub(crate) quota: Option<Quota>,
    pub(crate) page_size_cap: Option<usize>,
    pub(crate) faults: Faults,
    pub(crate) server: ServerOptions,
    pub(crate) snapshot: Option<Snapshot>,
}

impl Config {
    /// Nobody and nothing yet; access tokens from the token endpoint live for an hour, as Google's do.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            accounts: Vec::new(),
            calendars: Vec::new(),
            oauth_client: None,
            issuer: None,
            rotation: Rotation::Never,
            access_token_lifetime: SignedDuration::from_secs(3599),
            sync_token_lifetime: None,
            quota: None,
            page_size_cap: None,
            faults: Faults::new(),
            server: ServerOptions::default(),
            snapshot: None,
        }
    }

    /// Adds an account and its primary calendar.
    #[must_use]
    pub fn account(mut self, account: AccountConfig) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds a calendar.
    #[must_use]
    pub fn calendar(mut self, calendar: CalendarConfig) -> Self {
        self.calendars.push(calendar);
        self
    }

    /// The only OAuth client that the token endpoint accepts; without one it accepts all.
    #[must_use]
    pub fn oauth_client(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.oauth_client = Some((id.into(), secret.into()));
        self
    }

    /// Names itself so in answers to the browser, which Google's pages do not promise
    /// (<https://datatracker.ietf.org/doc/html/rfc9207>).
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// What becomes of refresh tokens when they are used.
    #[must_use]
    pub fn rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// How long access tokens from the token endpoint are valid.
    #[must_use]
    pub fn access_token_lifetime(mut self, lifetime: SignedDuration) -> Self {
        self.access_token_lifetime = lifetime;
        self
    }

    /// Sync tokens older than this are answered with 410.
    #[must_use]
    pub fn sync_token_lifetime(mut self, lifetime: SignedDuration) -> Self {
        self.sync_token_lifetime = Some(lifetime);
        self
    }

    /// Limits what each account may ask per window.
    #[must_use]
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quota = Some(quota);
        self
    }

    /// No list page is longer than this, whatever `maxResults` says.
    #[must_use]
    pub fn page_size_cap(mut self, items: usize) -> Self {
        self.page_size_cap = Some(items);
        self
    }

    /// Shares a fault plan with other simulators.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Starts with an earlier server's calendars, which take the place of those configured.
    #[must_use]
    pub fn snapshot(mut self, snapshot: Snapshot) -> Self {
        self.snapshot = Some(snapshot);
        self
    }

    /// Serves HTTPS with this configuration.
    #[must_use]
    pub fn tls(mut self, tls: Arc<rustls::ServerConfig>) -> Self {
        self.server.tls = Some(tls);
        self
    }

    /// Listens on this address instead of a free port.
    #[must_use]
    pub fn address(mut self, address: std::net::SocketAddr) -> Self {
        self.server.address = Some(address);
        self
    }
}
