//! A chosen part of the API's tests with PostgreSQL behind the server: what reads, writes, follows and separates.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]
#![allow(dead_code, reason = "not all of the API's tests are here")]

#[path = "api/changes.rs"]
mod changes;
#[path = "api/conflicts.rs"]
mod conflicts;
#[path = "api/connections.rs"]
mod connections;
#[path = "api/consent/mod.rs"]
mod consent;
#[path = "api/events.rs"]
mod events;
#[path = "api/history.rs"]
mod history;
#[path = "api/linking.rs"]
mod linking;
#[path = "api/mirrors.rs"]
mod mirrors;
#[path = "api/outbound/mod.rs"]
mod outbound;
#[path = "api/scene.rs"]
mod scene;
#[path = "api/server.rs"]
mod server;
#[path = "api/streams.rs"]
mod streams;
#[path = "api/tenants.rs"]
mod tenants;

use std::path::Path;

use testkit::harness::Database;

/// The address of a database of the test's own, and what keeps it.
fn fresh_database(_folder: &Path) -> (String, Option<Database>) {
    let database = Database::new().unwrap();
    (database.url().to_owned(), Some(database))
}
