//! The kind `calendar`: a collection of events as its owner sees it.

use crate::record::kind;
use crate::schema::MergeClass::{Scalar, Text};

kind! {
    /// A calendar.
    Calendar, "calendar" {
        /// Display name.
        name: String => Text, Shared;
        /// What it is for, plain text.
        description: String => Text, Shared;
        /// Default IANA zone for events in it.
        zone: String => Scalar, Shared;
        /// Colour as `#rrggbb`, on this account.
        color: String => Scalar, PerLink;
        /// Whether the account may write to it.
        read_only: bool => Scalar, PerLink, read_only;
        /// Whether it is the account's main calendar.
        primary: bool => Scalar, PerLink, read_only;
    }
}
