//! Conformance suite for connectors, store behaviour suite, a store in memory, the deterministic simulator,
//! real-server harness.

pub mod conformance;
pub mod corpus;
pub mod harness;
pub mod memory_store;
pub mod simulation;
pub mod store_suite;
