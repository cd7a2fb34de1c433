//! Conformance suite for connectors, store behaviour suite, real-server harness.

pub mod conformance;
pub mod corpus;
pub mod harness;
pub mod store_suite;
