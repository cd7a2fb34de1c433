//! What sort of thing a record is.

use serde::{Deserialize, Serialize};

use crate::schema::Schema;

/// The kind of a record. Each kind has a [`Schema`] that says which fields it has and how each merges.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A calendar: itself a collection of events.
    Calendar,
    /// An event, or a series of events with its overrides.
    Event,
    /// A person or an organization in an address book.
    Contact,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 3] = [Self::Calendar, Self::Event, Self::Contact];

    /// The name used in the API, in logs and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::Event => "event",
            Self::Contact => "contact",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The fields of this kind.
    #[must_use]
    pub fn schema(self) -> &'static Schema {
        match self {
            Self::Calendar => crate::calendar::schema(),
            Self::Event => crate::event::schema(),
            Self::Contact => crate::contact::schema(),
        }
    }
}
