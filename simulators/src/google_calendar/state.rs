//! What the simulated Google knows. One lock guards it all, so each request is atomic.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use indexmap::IndexMap;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::UnboundedSender;

use super::channels::{Channel, Delivery};
use super::clock::Clock;
use super::config::{CalendarConfig, Config, Quota, Role};
use super::consent::{Answer, Code, Grant};
use super::errors::ApiError;
use super::mailbox::Notification;
use super::oauth::Rotation;
use super::paging::Listings;

/// One event, exception included. Its id is the key in [`Calendar::events`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Event {
    /// The resource without what depends on the viewer (etag, `self` flags, reminders).
    pub body: Map<String, Value>,
    /// Reminders are each account's own.
    pub reminders: BTreeMap<String, Value>,
    /// World revision of the last change.
    pub revision: u64,
    /// A deleted event; a cancelled exception of a living series is not one.
    pub deleted: bool,
}

impl Event {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.body.get(name).and_then(Value::as_str)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.text("status") == Some("cancelled")
    }

    pub(crate) fn master_id(&self) -> Option<&str> {
        self.text("recurringEventId")
    }

    pub(crate) fn is_series(&self) -> bool {
        self.body.contains_key("recurrence")
    }

    pub(crate) fn etag(&self) -> String {
        etag(self.revision)
    }
}

/// A calendar and its events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calendar {
    pub id: String,
    pub owner: String,
    /// summary, description, location, timeZone.
    pub props: Map<String, Value>,
    pub roles: BTreeMap<String, Role>,
    pub events: IndexMap<String, Event>,
    /// World revision of the last change to an event.
    pub revision: u64,
    pub props_revision: u64,
    /// Sync tokens of an earlier epoch have expired.
    pub epoch: u64,
}

impl Calendar {
    pub(crate) fn time_zone(&self) -> &str {
        self.props
            .get("timeZone")
            .and_then(Value::as_str)
            .unwrap_or("UTC")
    }

    pub(crate) fn is_primary(&self) -> bool {
        self.id == self.owner
    }
}

/// A calendar on an account's list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ListEntry {
    /// What the account chose for itself: colour, `hidden`, `selected`, `summaryOverride`, `defaultReminders`.
    pub props: Map<String, Value>,
    pub revision: u64,
    pub deleted: bool,
}

/// A person.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub email: String,
    pub display_name: Option<String>,
    pub refresh_token: Option<String>,
    /// With expiry; none: never.
    pub access_tokens: HashMap<String, Option<Timestamp>>,
    pub list: IndexMap<String, ListEntry>,
    pub list_epoch: u64,
    quota_window_start: Timestamp,
    quota_used: u32,
}

/// Everything.
pub(crate) struct World {
    pub clock: Clock,
    pub accounts: IndexMap<String, Account>,
    pub calendars: IndexMap<String, Calendar>,
    pub channels: IndexMap<String, Channel>,
    pub listings: Listings,
    pub mailbox: Vec<Notification>,
    pub deliveries: UnboundedSender<Delivery>,
    pub zone_rewrites: Vec<(String, String)>,
    pub page_size_cap: Option<usize>,
    pub quota: Option<Quota>,
    pub oauth_client: Option<(String, String)>,
    pub redirect_urls: Vec<String>,
    pub issuer: Option<String>,
    pub rotation: Rotation,
    pub answer: Answer,
    pub codes: Vec<Code>,
    pub grants: Vec<Grant>,
    pub access_token_lifetime: SignedDuration,
    pub sync_token_lifetime: Option<SignedDuration>,
    pub(super) revision: u64,
    pub(super) minted: u64,
}

impl World {
    pub(crate) fn new(config: &Config, deliveries: UnboundedSender<Delivery>) -> Self {
        let mut world = Self {
            clock: config.clock.clone(),
            accounts: IndexMap::new(),
            calendars: IndexMap::new(),
            channels: IndexMap::new(),
            listings: Listings::default(),
            mailbox: Vec::new(),
            deliveries,
            zone_rewrites: Vec::new(),
            page_size_cap: config.page_size_cap,
            quota: config.quota,
            oauth_client: config.oauth_client.clone(),
            redirect_urls: Vec::new(),
            issuer: config.issuer.clone(),
            rotation: config.rotation,
            answer: Answer::default(),
            codes: Vec::new(),
            grants: Vec::new(),
            access_token_lifetime: config.access_token_lifetime,
            sync_token_lifetime: config.sync_token_lifetime,
            revision: 0,
            minted: 0,
        };
        for account in &config.accounts {
            world.accounts.insert(
                account.email.clone(),
                Account {
                    email: account.email.clone(),
                    display_name: account.display_name.clone(),
                    refresh_token: account.refresh_token.clone(),
                    access_tokens: account
                        .access_tokens
                        .iter()
                        .map(|token| (token.clone(), None))
                        .collect(),
                    list: IndexMap::new(),
                    list_epoch: 0,
                    quota_window_start: Timestamp::UNIX_EPOCH,
                    quota_used: 0,
                },
            );
        }
        for account in &config.accounts {
            if !config
                .calendars
                .iter()
                .any(|calendar| calendar.id == account.email)
            {
                world.add_calendar(&CalendarConfig::new(&account.email, &account.email));
            }
        }
        for calendar in &config.calendars {
            world.add_calendar(calendar);
        }
        if let Some(snapshot) = &config.snapshot {
            snapshot.restore(&mut world);
        }
        world
    }

    pub(crate) fn add_calendar(&mut self, config: &CalendarConfig) {
        let revision = self.next_revision();
        let mut props = Map::new();
        props.insert("summary".to_owned(), json!(config.summary));
        props.insert("timeZone".to_owned(), json!(config.time_zone));
        let mut roles: BTreeMap<String, Role> = config.roles.iter().cloned().collect();
        roles.insert(config.owner.clone(), Role::Owner);
        for email in roles.keys() {
            let reminders = if *email == config.owner {
                config.default_reminders.clone()
            } else {
                Vec::new()
            };
            self.list_calendar(email, &config.id, reminders, revision);
        }
        let calendar = Calendar {
            id: config.id.clone(),
            owner: config.owner.clone(),
            props,
            roles,
            events: IndexMap::new(),
            revision,
            props_revision: revision,
            epoch: 0,
        };
        self.calendars.insert(config.id.clone(), calendar);
    }

    fn list_calendar(&mut self, email: &str, id: &str, default_reminders: Vec<Value>, revision: u64) {
        let Some(account) = self.accounts.get_mut(email) else {
            return;
        };
        let mut props = Map::new();
        props.insert("colorId".to_owned(), json!("14"));
        props.insert("backgroundColor".to_owned(), json!("#9fe1e7"));
        props.insert("foregroundColor".to_owned(), json!("#000000"));
        props.insert("selected".to_owned(), json!(true));
        props.insert("defaultReminders".to_owned(), Value::Array(default_reminders));
        account.list.insert(
            id.to_owned(),
            ListEntry {
                props,
                revision,
                deleted: false,
            },
        );
    }

    /// Gives or takes a role; the account's calendar list follows.
    pub(crate) fn set_role(&mut self, calendar_id: &str, email: &str, role: Option<Role>) {
        let revision = self.next_revision();
        let Some(calendar) = self.calendars.get_mut(calendar_id) else {
            return;
        };
        match role {
            Some(role) => calendar.roles.insert(email.to_owned(), role),
            None => calendar.roles.remove(email),
        };
        let known = self
            .accounts
            .get_mut(email)
            .and_then(|account| account.list.get_mut(calendar_id));
        match known {
            Some(entry) => {
                entry.revision = revision;
                entry.deleted = role.is_none();
            }
            None if role.is_some() => self.list_calendar(email, calendar_id, Vec::new(), revision),
            None => {}
        }
    }

    /// Removes a calendar for everybody.
    pub(crate) fn drop_calendar(&mut self, calendar_id: &str) {
        let revision = self.next_revision();
        self.calendars.shift_remove(calendar_id);
        for account in self.accounts.values_mut() {
            if let Some(entry) = account.list.get_mut(calendar_id) {
                entry.revision = revision;
                entry.deleted = true;
            }
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }

    /// A fresh, unguessable-looking but repeatable text.
    pub(crate) fn mint(&mut self, purpose: &str) -> String {
        self.minted += 1;
        let digest = Sha256::digest(format!("{purpose}/{}", self.minted));
        URL_SAFE_NO_PAD.encode(&digest[..24])
    }

    /// A fresh event id: 26 characters of base32hex, as Google makes them.
    pub(crate) fn mint_event_id(&mut self) -> String {
        self.minted += 1;
        base32hex(&Sha256::digest(format!("event/{}", self.minted))[..16])
    }

    /// The account to which an access token belongs.
    pub(crate) fn authenticate(&self, token: &str) -> Result<String, ApiError> {
        let now = self.now();
        let holds = |account: &&Account| match account.access_tokens.get(token) {
            Some(None) => true,
            Some(Some(expiry)) => now < *expiry,
            None => false,
        };
        self.accounts
            .values()
            .find(holds)
            .map(|account| account.email.clone())
            .ok_or_else(ApiError::auth_error)
    }

    /// Takes quota units from an account, or refuses.
    pub(crate) fn charge(&mut self, email: &str, units: u32) -> Result<(), ApiError> {
        let Some(quota) = self.quota else { return Ok(()) };
        let now = self.now();
        let Some(account) = self.accounts.get_mut(email) else {
            return Ok(());
        };
        if now.duration_since(account.quota_window_start) >= quota.window {
            account.quota_window_start = now;
            account.quota_used = 0;
        }
        if account.quota_used + units > quota.units {
            return Err(quota.refusal.error());
        }
        account.quota_used += units;
        Ok(())
    }

    /// Resolves `primary` and checks the caller's role. A calendar of which the caller may not even see busy times
    /// does not exist for them.
    pub(crate) fn open(
        &self,
        email: &str,
        calendar_id: &str,
        needed: Role,
    ) -> Result<(String, Role), ApiError> {
        let id = if calendar_id == "primary" {
            email
        } else {
            calendar_id
        };
        let calendar = self.calendars.get(id).ok_or_else(ApiError::not_found)?;
        let role = *calendar.roles.get(email).ok_or_else(ApiError::not_found)?;
        if role < needed {
            let needed = if needed == Role::WriterWithoutPrivateAccess {
                Role::Writer
            } else {
                needed
            };
            return Err(ApiError::required_access_level(needed.as_str()));
        }
        Ok((calendar.id.clone(), role))
    }

    pub(crate) fn calendar(&self, id: &str) -> Result<&Calendar, ApiError> {
        self.calendars.get(id).ok_or_else(ApiError::not_found)
    }

    pub(crate) fn calendar_mut(&mut self, id: &str) -> Result<&mut Calendar, ApiError> {
        self.calendars.get_mut(id).ok_or_else(ApiError::not_found)
    }

    /// Stores an event under a new revision and tells the channels.
    pub(crate) fn store(
        &mut self,
        calendar_id: &str,
        event_id: &str,
        mut event: Event,
    ) -> Result<(), ApiError> {
        let revision = self.next_revision();
        let calendar = self.calendar_mut(calendar_id)?;
        event.revision = revision;
        calendar.revision = revision;
        calendar.events.insert(event_id.to_owned(), event);
        Ok(())
    }
}

/// An etag as Google writes them: quoted digits.
pub(crate) fn etag(revision: u64) -> String {
    format!("\"{}\"", 3_400_000_000_000_000_u64 + revision * 2)
}

/// Base32hex in lower case, without padding (RFC 4648, section 7).
pub(crate) fn base32hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut text = String::new();
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in bytes {
        buffer = (buffer << 8) | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(DIGITS[(buffer >> bits) as usize & 31]));
        }
        buffer &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(DIGITS[(buffer << (5 - bits)) as usize & 31]));
    }
    text
}
