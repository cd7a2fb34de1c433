//! The connector against a real Dovecot.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod account;
mod changes;
mod conformance;
mod hostile;
mod secured;
