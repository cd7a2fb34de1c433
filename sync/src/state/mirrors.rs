//! Mirrors: which collections say the same, who gives and who takes, and who decides.

use std::collections::BTreeMap;

use model::{CollectionId, Kind, MirrorId, OrganizationId};
use serde::{Deserialize, Serialize};

/// A set of collections that hold the same records.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Its id.
    pub id: MirrorId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name for people.
    pub name: String,
    /// The kind of the records.
    pub kind: Kind,
    /// Who takes part.
    pub members: Vec<Member>,
    /// What happens when two sides changed the same field.
    pub policy: conflict::Rule,
    /// Fields with an owner: the collection that decides, or the hub.
    pub field_owners: BTreeMap<String, FieldOwner>,
    /// What happens to edits on a member that is only a target.
    pub target_edits: TargetEdits,
    /// Epoch milliseconds.
    pub created_at: i64,
}

/// What somebody decided about a record and a collection, which nothing changes by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// The record is not linked into the collection by a mirror: it was taken apart from what is there.
    Apart,
    /// The record's link into the collection was made by hand, and stays when no mirror asks for it.
    Tied,
}

/// A collection's part in a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Member {
    /// The collection.
    pub collection_id: CollectionId,
    /// Whether it gives, takes, or both.
    pub role: MemberRole,
}

/// Whether a member gives, takes, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Its records go to the targets.
    Source,
    /// It receives.
    Target,
    /// Both.
    Both,
}

impl MemberRole {
    /// Whether records of this member go to others.
    #[must_use]
    pub const fn gives(self) -> bool {
        matches!(self, Self::Source | Self::Both)
    }

    /// Whether this member receives.
    #[must_use]
    pub const fn takes(self) -> bool {
        matches!(self, Self::Target | Self::Both)
    }
}

/// Who decides on a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldOwner {
    /// The hub.
    Hub,
    /// The provider behind this collection.
    Collection(CollectionId),
}

/// What happens to edits on a member that is only a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TargetEdits {
    /// They are taken like any other.
    Keep,
    /// They are undone, and logged.
    Revert,
}
