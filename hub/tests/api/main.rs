//! The API over real HTTP: one binary, a server of its own per test, simulated providers, a database in a folder
//! that goes with the test.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod auth;
mod backup;
mod bad_input;
mod changes;
mod conflicts;
mod connections;
mod consent;
mod demo;
mod documents;
mod egress;
mod envelope;
mod events;
mod free_busy;
mod history;
mod holds;
mod jobs;
mod linking;
mod links;
mod mirrors;
mod outbound;
mod passthrough;
mod process;
mod renewal;
mod rotation;
mod scenarios;
mod scene;
mod schedules;
mod server;
mod streams;
mod tenants;
mod windows;

use std::path::Path;

use testkit::harness::Database;

/// The address of a database of the test's own, and what keeps it.
fn fresh_database(folder: &Path) -> (String, Option<Database>) {
    (format!("sqlite://{}", folder.join("concord.db").display()), None)
}
