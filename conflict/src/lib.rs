//! Three-way merge of fields, with policies. Pure: no I/O, no clock.
//!
//! A side changed if and only if it differs from *its own* snapshot; the clocks of two providers are never
//! compared. See [`merge()`].

mod element;
pub mod merge;
pub mod policy;

pub use merge::{Clash, Merged, Sides, Support, merge};
pub use policy::{Policy, Rule, Side};
