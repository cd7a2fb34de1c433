//! Containers at a provider.

use model::{Fields, Kind};
use serde::{Deserialize, Serialize};

use crate::RemoteId;

/// A container at a provider: a calendar, a mailbox folder, a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemoteCollection {
    /// The provider's id of it.
    pub id: RemoteId,
    /// The kind of the records in it.
    pub kind: Kind,
    /// Its name for people.
    pub name: String,
    /// What the account may do with it.
    pub access: Access,
    /// What the collection itself says (colour, zone), in the fields of its own kind.
    #[serde(default)]
    pub fields: Fields,
}

/// What an account may do with a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
}
