//! The sync engine: observe what a provider says, plan in pure functions, execute behind stored intents.
//!
//! This room knows no SQL and no HTTP. It speaks to the [`ports`]: a store, connectors and their contexts, a
//! clock, a source of ids. DESIGN section 6 is its specification; invariants are cited by their number.

pub mod edit;
pub mod engine;
pub mod mirror;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod push;
pub mod series_parts;
pub mod state;
