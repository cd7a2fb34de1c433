//! The engine on the SQLite store, with providers in memory: DESIGN section 6, sentence by sentence.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's helpers fail the test"
)]

mod agreement;
mod deletes;
mod edits;
mod failures;
mod holds;
mod layouts;
mod linking;
mod occurrences;
mod quarantine;
mod random;
mod review;
mod rewrites;
mod rings;
mod roles;
mod scopes;
mod silence;
mod sparse;
mod splits;
mod unsure;
mod world;
