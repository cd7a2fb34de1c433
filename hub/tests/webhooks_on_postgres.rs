//! Webhooks in, with PostgreSQL behind the server: what is answered, parked, worked on, and kept back.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

#[path = "webhooks/apps.rs"]
mod apps;
#[path = "webhooks/failing.rs"]
mod failing;
#[path = "webhooks/intake.rs"]
mod intake;
#[path = "webhooks/scene.rs"]
mod scene;
#[path = "webhooks/work.rs"]
mod work;

use std::path::Path;

use testkit::harness::Database;

/// The address of a database of the test's own, and what keeps it.
fn fresh_database(_folder: &Path) -> (String, Option<Database>) {
    let database = Database::new().unwrap();
    (database.url().to_owned(), Some(database))
}
