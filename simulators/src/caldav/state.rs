//! What the server holds: accounts, calendars, objects, and the history that sync tokens, entity tags and ctags
//! are made of. One counter numbers every change of every calendar.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::{AccountConfig, CalendarConfig};
use super::content_lines::uid_of;

/// All calendars of a server with their history, without credentials: what a later server can start from so that
/// a client's sync tokens and entity tags stay valid.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    revision: u64,
    calendars: BTreeMap<String, BTreeMap<String, Calendar>>,
}

#[derive(Debug)]
pub(crate) struct State {
    revision: u64,
    accounts: BTreeMap<String, Account>,
}

pub(crate) struct Account {
    pub(crate) display_name: String,
    pub(crate) password: Option<String>,
    pub(crate) tokens: Vec<String>,
    pub(crate) calendars: BTreeMap<String, Calendar>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("display_name", &self.display_name)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calendar {
    /// Never used again for another calendar, so that tokens of a deleted namesake are invalid.
    pub(crate) id: u64,
    pub(crate) display_name: Option<String>,
    pub(crate) color: Option<String>,
    pub(crate) description: Option<String>,
    /// IANA name.
    pub(crate) timezone: Option<String>,
    pub(crate) components: Vec<String>,
    pub(crate) read_only: bool,
    /// Number of the last change.
    pub(crate) revision: u64,
    /// Raised when the tokens issued so far expire.
    pub(crate) token_epoch: u64,
    pub(crate) objects: BTreeMap<String, Object>,
    /// Deleted members and the number of the deletion.
    pub(crate) tombstones: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Object {
    pub(crate) revision: u64,
    /// Quoted, strong.
    pub(crate) etag: String,
    /// None when the data is too broken to tell.
    pub(crate) uid: Option<String>,
    pub(crate) ics: String,
}

impl Calendar {
    pub(crate) fn ctag(&self) -> String {
        format!("{}-{}", self.id, self.revision)
    }

    /// A token for the state after change number `revision`; an URI, as RFC 6578 section 4 asks.
    pub(crate) fn sync_token(&self, revision: u64) -> String {
        format!(
            "urn:x-caldav-simulator:sync:{}:{}:{revision}",
            self.id, self.token_epoch
        )
    }

    /// Reads a token back; none when it is not one of this calendar's, or has expired.
    pub(crate) fn revision_of_token(&self, token: &str) -> Option<u64> {
        let mut parts = token
            .strip_prefix("urn:x-caldav-simulator:sync:")?
            .split(':')
            .map(str::parse::<u64>);
        let (Some(Ok(id)), Some(Ok(epoch)), Some(Ok(revision)), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        (id == self.id && epoch == self.token_epoch && revision <= self.revision).then_some(revision)
    }
}

impl State {
    pub(crate) fn new(accounts: Vec<AccountConfig>, snapshot: Option<Snapshot>) -> Self {
        let mut state = Self {
            revision: 0,
            accounts: BTreeMap::new(),
        };
        let (revision, mut kept) = match snapshot {
            Some(snapshot) => (snapshot.revision, Some(snapshot.calendars)),
            None => (0, None),
        };
        state.revision = revision;
        for config in accounts {
            let calendars = match &mut kept {
                Some(kept) => kept.remove(&config.name).unwrap_or_default(),
                None => config
                    .calendars
                    .into_iter()
                    .map(|calendar| state.seeded(calendar))
                    .collect(),
            };
            let account = Account {
                display_name: config.display_name,
                password: config.password,
                tokens: config.tokens,
                calendars,
            };
            state.accounts.insert(config.name, account);
        }
        state
    }

    fn seeded(&mut self, config: CalendarConfig) -> (String, Calendar) {
        let (name, objects) = (config.name.clone(), config.objects.clone());
        let mut calendar = self.new_calendar(config);
        for (object, ics) in objects {
            let revision = self.next_revision();
            store(&mut calendar, revision, &object, ics);
        }
        (name, calendar)
    }

    fn new_calendar(&mut self, config: CalendarConfig) -> Calendar {
        let revision = self.next_revision();
        Calendar {
            id: revision,
            display_name: config.display_name,
            color: config.color,
            description: config.description,
            timezone: config.timezone,
            components: config.components,
            read_only: config.read_only,
            revision,
            token_epoch: 0,
            objects: BTreeMap::new(),
            tombstones: BTreeMap::new(),
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let calendars = self
            .accounts
            .iter()
            .map(|(name, account)| (name.clone(), account.calendars.clone()));
        Snapshot {
            revision: self.revision,
            calendars: calendars.collect(),
        }
    }

    pub(crate) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    pub(crate) fn account_mut(&mut self, name: &str) -> Option<&mut Account> {
        self.accounts.get_mut(name)
    }

    /// All accounts with their names.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = (&String, &Account)> {
        self.accounts.iter()
    }

    pub(crate) fn calendar(&self, account: &str, calendar: &str) -> Option<&Calendar> {
        self.accounts.get(account)?.calendars.get(calendar)
    }

    pub(crate) fn calendar_mut(&mut self, account: &str, calendar: &str) -> Option<&mut Calendar> {
        self.accounts.get_mut(account)?.calendars.get_mut(calendar)
    }

    /// Adds a calendar with its objects; false when there is no such account or the name is taken.
    pub(crate) fn add_calendar(&mut self, account: &str, config: CalendarConfig) -> bool {
        if self
            .account(account)
            .is_none_or(|found| found.calendars.contains_key(&config.name))
        {
            return false;
        }
        let (name, calendar) = self.seeded(config);
        self.account_mut(account)
            .is_some_and(|found| found.calendars.insert(name, calendar).is_none())
    }

    pub(crate) fn remove_calendar(&mut self, account: &str, calendar: &str) -> bool {
        self.account_mut(account)
            .is_some_and(|found| found.calendars.remove(calendar).is_some())
    }

    /// Stores an object as it is and returns its new entity tag; none when there is no such calendar.
    pub(crate) fn put(&mut self, account: &str, calendar: &str, object: &str, ics: String) -> Option<String> {
        self.calendar(account, calendar)?;
        let revision = self.next_revision();
        Some(store(
            self.calendar_mut(account, calendar)?,
            revision,
            object,
            ics,
        ))
    }

    /// Deletes an object and leaves a tombstone; false when there is no such object.
    pub(crate) fn delete(&mut self, account: &str, calendar: &str, object: &str) -> bool {
        if self
            .calendar(account, calendar)
            .is_none_or(|found| !found.objects.contains_key(object))
        {
            return false;
        }
        let revision = self.next_revision();
        let Some(found) = self.calendar_mut(account, calendar) else {
            return false;
        };
        found.objects.remove(object);
        found.tombstones.insert(object.to_owned(), revision);
        found.revision = revision;
        true
    }

    fn next_revision(&mut self) -> u64 {
        self.revision += 1;
        self.revision
    }
}

fn store(calendar: &mut Calendar, revision: u64, name: &str, ics: String) -> String {
    let hash = Sha256::digest(ics.as_bytes());
    let short: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let etag = format!("\"{revision}-{short}\"");
    let object = Object {
        revision,
        etag: etag.clone(),
        uid: uid_of(&ics),
        ics,
    };
    calendar.objects.insert(name.to_owned(), object);
    calendar.tombstones.remove(name);
    calendar.revision = revision;
    etag
}
