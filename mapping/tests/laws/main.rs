//! The laws of DESIGN section 4 as properties, and hostile input, for both mappings.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

mod calcard_reads;
mod generate;
mod google;
mod hostile;
mod ical;
mod rfc5545;

use proptest::test_runner::{Config, RngSeed};

/// Few cases with a fixed seed: every run tries the same ones.
fn config(cases: u32) -> Config {
    Config {
        cases,
        rng_seed: RngSeed::Fixed(0x00C0_9C08),
        failure_persistence: None,
        ..Config::default()
    }
}
