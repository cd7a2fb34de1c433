//! The CalDAV connector against a real Radicale, against a server that misbehaves, and against hostile answers.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod account;
mod broken_answers;
mod conformance;
mod discovery;
mod quirks;
mod radicale;
mod refusals;
mod silence;
mod writes;
