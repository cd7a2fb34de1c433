//! What a later server can start from, so that a client's sync tokens and etags stay valid.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::state::{Calendar, ListEntry, World};

/// All calendars with their history and all calendar lists, without credentials, mails and channels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    revision: u64,
    minted: u64,
    calendars: IndexMap<String, Calendar>,
    lists: BTreeMap<String, IndexMap<String, ListEntry>>,
}

impl Snapshot {
    pub(crate) fn of(world: &World) -> Self {
        let lists = world.accounts.values();
        Self {
            revision: world.revision,
            minted: world.minted,
            calendars: world.calendars.clone(),
            lists: lists
                .map(|account| (account.email.clone(), account.list.clone()))
                .collect(),
        }
    }

    /// Puts the world back to where it was; accounts and their credentials stay as configured.
    pub(crate) fn restore(&self, world: &mut World) {
        world.revision = self.revision;
        world.minted = self.minted;
        world.calendars = self.calendars.clone();
        for (email, list) in &self.lists {
            if let Some(account) = world.accounts.get_mut(email) {
                account.list = list.clone();
            }
        }
    }
}
