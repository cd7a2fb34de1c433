//! What the hub asks of the store beyond the engine's ports, on PostgreSQL.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

#[path = "queries/accounts.rs"]
mod accounts;
#[path = "queries/audit.rs"]
mod audit;
#[path = "queries/background.rs"]
mod background;
#[path = "queries/bench.rs"]
mod bench;
#[path = "queries/brought.rs"]
mod brought;
#[path = "queries/consent.rs"]
mod consent;
#[path = "queries/consent_twice.rs"]
mod consent_twice;
#[path = "queries/feed.rs"]
mod feed;
#[path = "queries/halfway.rs"]
mod halfway;
#[path = "queries/inbox.rs"]
mod inbox;
#[path = "queries/outbound.rs"]
mod outbound;
mod place;
#[path = "queries/records.rs"]
mod records;
#[path = "queries/schedules.rs"]
mod schedules;

use bench::{Bench, DAY_MS, bench, ms, settled, zoned};
use place::Place;

fn fresh_place() -> Place {
    Place::on_postgres()
}
