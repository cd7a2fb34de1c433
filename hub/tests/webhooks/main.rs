//! Webhooks in, over real HTTP: what is answered, what is stored, what comes of it, what survives.

#![expect(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod apps;
mod failing;
mod hostile;
mod intake;
mod kill;
mod scene;
mod traces;
mod work;

use std::path::Path;

use testkit::harness::Database;

/// The address of a database of the test's own.
fn fresh_database(folder: &Path) -> (String, Option<Database>) {
    (format!("sqlite://{}", folder.join("concord.db").display()), None)
}
