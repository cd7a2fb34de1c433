//! What people did, what they saw when they did it, and so what must have become of it in the end.
//!
//! A deed's number is the value that it writes, so every value tells whose it is. A deed's past is what its author
//! saw: the values on the screen, and whatever those had replaced before their authors' eyes.

use std::collections::BTreeSet;

use model::Fields;
use serde_json::Value;

/// Where somebody did something: at a provider, or through the hub's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    Provider(usize),
    Hub,
}

/// What they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum What {
    Title,
    Location,
    Delete,
    /// Takes the second provider's object out of the record, through the API.
    Part,
}

impl What {
    /// The field it writes.
    pub(crate) const fn field(self) -> Option<&'static str> {
        match self {
            Self::Title => Some("title"),
            Self::Location => Some("location"),
            Self::Delete | Self::Part => None,
        }
    }

    /// Whether it can be done there.
    pub(crate) fn fits(self, place: Place) -> bool {
        self != Self::Part || place == Place::Hub
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) place: Place,
    pub(crate) what: What,
    /// The deeds its author knew of.
    pub(crate) past: BTreeSet<usize>,
    /// Whether the hub could know that its author saw a write of the hub's: it could not if that write's answer was
    /// lost until then.
    pub(crate) certain: bool,
}

/// All deeds, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Deeds(pub(crate) Vec<Deed>);

/// What is left of the record when all is quiet.
pub(crate) struct End<'a> {
    /// What lives: the record, or both halves of one that was taken apart; nothing when it is gone everywhere.
    pub(crate) alive: Vec<&'a Fields>,
    /// Values that the conflict log keeps, by field.
    pub(crate) logged: &'a BTreeSet<(String, String)>,
    /// Whether the log says that an edit beat a delete.
    pub(crate) revived: bool,
}

impl Deeds {
    /// Notes a deed by someone who saw these fields. The value to write.
    pub(crate) fn add(&mut self, place: Place, what: What, seen: &Fields, certain: bool) -> Value {
        let mut past = BTreeSet::new();
        for value in seen.values() {
            if let Some(deed) = self.author(value) {
                past.extend(self.0[deed].past.iter().copied());
                past.insert(deed);
            }
        }
        self.0.push(Deed {
            place,
            what,
            past,
            certain,
        });
        Value::from(format!("#{}", self.0.len() - 1))
    }

    fn author(&self, value: &Value) -> Option<usize> {
        value.as_str()?.strip_prefix('#')?.parse().ok()
    }

    /// Invariant 3: a value that is neither in the end nor in the log, and that nobody replaced who had seen it.
    pub(crate) fn lost(&self, end: &End<'_>) -> Option<String> {
        let edits = self
            .0
            .iter()
            .enumerate()
            .filter_map(|(deed, made)| Some((deed, made, made.what.field()?)));
        for (deed, made, field) in edits {
            let value = format!("#{deed}");
            let written = Value::from(value.as_str());
            let stands = end.alive.iter().any(|fields| fields.get(field) == Some(&written));
            let replaced = self.0.iter().any(|later| {
                later.past.contains(&deed) && (later.what == made.what || later.what == What::Delete)
            });
            if !stands && !replaced && !end.logged.contains(&(field.to_owned(), value)) {
                return Some(format!(
                    "{:?} of {:?} (deed {deed}) is neither in the record nor in the log, and nobody replaced it",
                    made.what, made.place
                ));
            }
        }
        None
    }

    /// Invariant 4: a delete whose author had seen every edit there is, and the record lives. Where the author saw an
    /// edit only by a write whose answer was lost, nobody can tell whether the delete came before it: then edit beats
    /// delete, and the log has to say so.
    pub(crate) fn resurrected(&self, end: &End<'_>) -> Option<String> {
        if end.alive.is_empty() {
            return None;
        }
        let unedited = |delete: &Deed| {
            self.0
                .iter()
                .enumerate()
                .all(|(deed, made)| made.what == What::Delete || delete.past.contains(&deed))
        };
        let delete = self.0.iter().find(|made| {
            let excused = !made.certain && end.revived;
            made.what == What::Delete && unedited(made) && !excused
        })?;
        Some(format!(
            "deleted at {:?}, edited by nobody since, and it lives",
            delete.place
        ))
    }
}
