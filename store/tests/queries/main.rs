//! What the hub asks of the store beyond the engine's ports, on SQLite.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod accounts;
mod audit;
mod background;
mod bench;
mod brought;
mod consent;
mod consent_twice;
mod feed;
mod halfway;
mod inbox;
mod lifecycle;
mod outbound;
#[path = "../place/mod.rs"]
mod place;
mod records;
mod schedules;

use bench::{Bench, DAY_MS, bench, ms, settled, zoned};
use place::Place;

fn fresh_place() -> Place {
    Place::new()
}
