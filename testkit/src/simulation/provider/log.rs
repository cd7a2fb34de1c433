//! What the connector's writes did, for those who judge the hub by it.

use std::collections::BTreeSet;

use model::{Content, FieldPath, PartKey};
use serde::Serialize;

/// What a write was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// An object was made.
    Create,
    /// An object was changed.
    Update,
    /// An object was removed.
    Delete,
}

/// A write of the connector that took effect at the provider, whatever was answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HubWrite {
    /// In which collection.
    pub collection: String,
    /// The record: for an override, the series'.
    pub id: String,
    /// Which part of it was written.
    pub part: PartKey,
    /// What it was.
    pub action: Act,
    /// The paths that the write named; of a create all that it said.
    pub changed: BTreeSet<FieldPath>,
    /// What the record said before.
    pub before: Option<Content>,
    /// What it says now.
    pub after: Option<Content>,
    /// The paths that the write overwrote or removed though the connector was never shown what they said (invariant 9).
    /// Shown is what stood in a page, a fetch, a probe or an answer that arrived, last.
    pub unseen: Vec<FieldPath>,
    /// Whether fields of the vendor's own were lost, which the mapping does not know (invariant 11).
    pub complement_lost: bool,
    /// Whether people were mailed because of it (invariant 16).
    pub mailed: bool,
}
