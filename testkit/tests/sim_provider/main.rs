//! The simulated provider: it keeps the contract when it has no quirks, and departs from it as each quirk and fault
//! says.

#![expect(clippy::unwrap_used, reason = "a test's helper fails the test")]

mod client;
mod conformance;
mod determinism;
mod faults;
mod reading_quirks;
mod writing_quirks;
