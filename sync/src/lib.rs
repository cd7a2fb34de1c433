//! The sync engine: observe what a provider says, plan in pure functions, execute behind stored intents.
//!
//! This room knows no SQL and no HTTP. It speaks to the [`ports`]: a store, connectors and their contexts, a
//! clock, a source of ids. DESIGN section 6 is its specification; invariants are cited by their number.

mod dry_run;
pub mod edit;
pub mod engine;
pub mod history;
pub mod hold;
mod inbox;
mod link_edits;
mod matching;
mod mirror;
mod observe;
mod occurrence;
mod patch;
pub mod plan;
pub mod ports;
mod push;
mod quarantine;
mod recover;
mod resolve;
mod scene;
mod silence;
#[cfg(test)]
mod staged;
pub mod state;
mod subject;
mod sweep;
mod unlink;
mod whole;
mod work;

pub use dry_run::{PlannedClash, PlannedOperation};
pub use edit::{EditError, EditScope};
pub use engine::{Engine, Progress, Settings};
pub use inbox::MAX_ATTEMPTS as INBOX_MAX_ATTEMPTS;
pub use matching::{Reason, TWIN_IN_DOUBT};
pub use recover::IN_DOUBT;
pub use resolve::Resolution;
