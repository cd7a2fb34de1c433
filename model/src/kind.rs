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
    /// A folder of a mailbox: itself a collection of messages.
    Folder,
    /// A message of a mailbox.
    Message,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 5] = [
        Self::Calendar,
        Self::Event,
        Self::Contact,
        Self::Folder,
        Self::Message,
    ];

    /// The name used in the API, in logs and in the store.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calendar => "calendar",
            Self::Event => "event",
            Self::Contact => "contact",
            Self::Folder => "folder",
            Self::Message => "message",
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
            Self::Folder => crate::folder::schema(),
            Self::Message => crate::message::schema(),
        }
    }

    /// What a collection of records of this kind is called, whose fields say what a provider tells of it; `None` where
    /// it has no kind of its own.
    #[must_use]
    pub const fn container(self) -> Option<Self> {
        match self {
            Self::Event => Some(Self::Calendar),
            Self::Message => Some(Self::Folder),
            Self::Calendar | Self::Contact | Self::Folder => None,
        }
    }
}
