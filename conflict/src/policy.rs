//! Who is given right when both sides changed the same field differently.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One of the two sides of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The hub's record.
    Hub,
    /// The provider's object.
    Remote,
}

impl Side {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Hub => Self::Remote,
            Self::Remote => Self::Hub,
        }
    }
}

/// How a clash is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema, Default)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The edit that the hub received last. At a link that is the remote one: it is only being received now.
    #[default]
    LastWriter,
    /// The hub.
    HubWins,
    /// The provider.
    RemoteWins,
    /// Nobody: both sides keep theirs until a person decides.
    Ask,
}

impl Rule {
    /// The side that is given right; `None` when a person is asked.
    #[must_use]
    pub const fn winner(self) -> Option<Side> {
        match self {
            Self::LastWriter | Self::RemoteWins => Some(Side::Remote),
            Self::HubWins => Some(Side::Hub),
            Self::Ask => None,
        }
    }

    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LastWriter => "last_writer",
            Self::HubWins => "hub_wins",
            Self::RemoteWins => "remote_wins",
            Self::Ask => "ask",
        }
    }
}

/// The rules of one link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    /// For fields without an owner.
    pub default: Rule,
    /// Owner-restricted fields: the side that decides, seen from this link. The other side's edits of such a field
    /// are undone and logged, even where the owner did not edit.
    pub owners: BTreeMap<String, Side>,
    /// Whether the remote side is a pure target whose edits are undone: the hub then owns every field.
    pub revert_remote: bool,
}

impl Policy {
    /// The side that owns a field, if any.
    #[must_use]
    pub fn owner(&self, field: &str) -> Option<Side> {
        if self.revert_remote {
            Some(Side::Hub)
        } else {
            self.owners.get(field).copied()
        }
    }

    /// The rule for a clash on a field.
    #[must_use]
    pub fn rule(&self, field: &str) -> Rule {
        match self.owner(field) {
            Some(Side::Hub) => Rule::HubWins,
            Some(Side::Remote) => Rule::RemoteWins,
            None => self.default,
        }
    }
}
