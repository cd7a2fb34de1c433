//! Initial linking: finding out which records of two collections are the same thing, and making one of two.
//!
//! Nothing here is written to a provider, nothing is deleted there, and nobody is told. What two records say
//! differently is decided like any clash of edits, and the loser stands in the log.

pub(crate) mod apart;
pub(crate) mod join;
mod keys;
mod meeting;
pub(crate) mod picture;
mod preview;
mod rules;
mod run;
mod twin;

use serde::Serialize;

use run::Route;

pub(crate) use keys::is_likely;
pub(crate) use run::backfill;
pub use twin::TWIN_IN_DOUBT;
pub(crate) use twin::Twin;

/// Why two records are taken for the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// They have the same UID.
    Uid,
    /// They have a mail address in common, and no UID.
    Address,
    /// They have the same title and start; as series, the same rule too.
    TitleAndTime,
}
