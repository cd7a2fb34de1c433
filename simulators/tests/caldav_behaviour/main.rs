//! The CalDAV simulator over real HTTP: discovery, synchronisation, preconditions, rights, quirks and bad answers.
#![expect(clippy::unwrap_used, reason = "a test's own helpers fail by panicking")]

mod bad_answers;
mod client;
mod discovery;
mod objects;
mod queries;
mod quirks;
mod synchronisation;
