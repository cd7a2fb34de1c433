//! What providers' pages showed before they gave a cursor, and whether the hub holds it when it stores that cursor
//! (invariant 12).

use std::collections::{BTreeSet, HashMap};

use connector_sdk::{Change, Known, RemoteId};

use super::watch::Violation;

/// What a page with a cursor had shown before it.
#[derive(Debug, Clone)]
pub(crate) enum Served {
    /// The object is there.
    There(RemoteId),
    /// The provider said that it is gone.
    Gone(RemoteId),
}

impl Served {
    /// The object it speaks of.
    pub(crate) const fn id(&self) -> &RemoteId {
        match self {
            Self::There(id) | Self::Gone(id) => id,
        }
    }
}

/// What was shown, asked for and held, by place.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// What was shown before a cursor, by place and cursor.
    served: HashMap<(String, String), Vec<Served>>,
    /// Objects that were asked for by name and were gone.
    asked_gone: BTreeSet<(String, RemoteId)>,
    /// Objects that a link held at some time since a page last showed them.
    held: BTreeSet<(String, RemoteId)>,
}

impl Pages {
    /// A page shows these, whatever the provider said of them earlier.
    pub(crate) fn show(&mut self, place: &str, changes: &[Change]) {
        for change in changes {
            let key = (place.to_owned(), change.id().clone());
            self.asked_gone.remove(&key);
            match change {
                // The hub said itself that it holds this.
                Change::Unchanged(_) => self.held.insert(key),
                Change::Present(_) | Change::Unreadable { .. } | Change::Deleted(_) => self.held.remove(&key),
            };
        }
    }

    /// A page brought a cursor, after all this was shown.
    pub(crate) fn serve(&mut self, place: String, cursor: String, served: Vec<Served>) {
        self.served.insert((place, cursor), served);
    }

    /// The provider was asked for objects, and these are gone, whatever pages said of them earlier.
    pub(crate) fn tell_gone(&mut self, place: &str, ids: impl Iterator<Item = RemoteId>) {
        self.asked_gone.extend(ids.map(|id| (place.to_owned(), id)));
    }

    /// A link holds these. What a later page said may have taken their place since.
    pub(crate) fn hold(&mut self, place: &str, ids: Vec<RemoteId>) {
        self.held.extend(ids.into_iter().map(|id| (place.to_owned(), id)));
    }

    /// Invariant 12: a stored cursor means that all before it is stored too.
    pub(crate) fn check_cursor(&self, place: String, cursor: String, known: &Known) -> Vec<Violation> {
        let key = (place, cursor);
        let (place, cursor) = &key;
        let served = self.served.get(&key).into_iter().flatten();
        let wrong = served.filter_map(|one| match one {
            // An object that was made again under its id is in a later page.
            Served::There(id) if self.was_gone(place, id) => None,
            Served::There(id) if self.held.contains(&(place.clone(), id.clone())) => None,
            Served::There(id) if !known.contains_key(id) => Some(format!(
                "{id} was shown before the cursor {cursor} of {place} and is not held"
            )),
            Served::Gone(id) if known.contains_key(id) => Some(format!(
                "{id} was gone before the cursor {cursor} of {place} and is still held"
            )),
            Served::There(_) | Served::Gone(_) => None,
        });
        let violation = |message| Violation {
            invariant: 12,
            message,
        };
        wrong.map(violation).collect()
    }

    /// Whether the provider, asked for the object or for its series, said that it is gone.
    fn was_gone(&self, place: &str, id: &RemoteId) -> bool {
        self.asked_gone.iter().any(|(there, gone)| {
            let rest = id.0.strip_prefix(&gone.0);
            there == place && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    }
}
