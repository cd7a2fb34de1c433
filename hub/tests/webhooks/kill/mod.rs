//! Nothing that was acknowledged is lost, and nothing has its effect twice: nodes are killed (`kill -9`) while signed
//! deliveries come in at full speed, doubled and out of order, their database is restarted, their disk is full or
//! fails. Deliveries and effects are counted on both sides.
//!
//! The nodes are processes of this test's program, so that their provider can be one in memory that signs. With
//! `CONCORD_FULL` set it is 200,000 deliveries and 100 kills on either engine (docs/webhooks.md has the figures).

mod again;
mod away;
mod disk;
mod points;
mod sender;
mod site;
mod verdict;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use hub::config::Config;
use hub::server::{Make, Server};
use tokio::signal::unix::{SignalKind, signal};

use crate::scene::{connectors, provider};

/// Where a child finds its folder, its database, its Redis if there is one, and how long a job stays a dead node's.
const FOLDER: &str = "CHILD_FOLDER";
const DATABASE: &str = "CHILD_DATABASE";
const REDIS: &str = "CHILD_REDIS";
const LEASE_MS: &str = "CHILD_LEASE_MS";
/// What it says once it serves.
const SERVING: &str = "serving at ";
/// What the system sends to who writes beyond the bound of a file's size, on Linux.
const SIGXFSZ: i32 = 25;

/// The small size, or the full one when `CONCORD_FULL` is set.
pub(crate) fn size(small: usize, full: usize) -> usize {
    match std::env::var_os("CONCORD_FULL") {
        Some(_) => full,
        None => small,
    }
}

/// Not a test by itself: a node. Its provider is empty; all that it learns, deliveries tell.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the tests beside it as a process of its own"]
async fn child_that_serves() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let redis = std::env::var(REDIS).map_or_else(|_| String::new(), |url| format!("redis_url = \"{url}\"\n"));
    let text = format!(
        "listen = \"127.0.0.1:0\"\ndatabase_url = \"{}\"\nmaster_key_file = \"{}\"\nsync_interval_seconds = 3600\n{redis}",
        std::env::var(DATABASE).unwrap(),
        folder.join("concord.key").display()
    );
    hub::logs::start(&Config::from_toml("").unwrap());
    let make = Make {
        connectors: connectors(&provider()),
        lease: Duration::from_millis(std::env::var(LEASE_MS).unwrap().parse().unwrap()),
        ..Make::default()
    };
    let server = Server::start_with(&Config::from_toml(&text).unwrap(), make)
        .await
        .unwrap();
    if let Some(key) = server.first_key() {
        std::fs::write(folder.join("key"), key).unwrap();
    }
    // A file beyond its bound is an error of the write then, and not the end of the process.
    let mut beyond = signal(SignalKind::from_raw(SIGXFSZ)).unwrap();
    println!("\n{SERVING}{}", server.base_url());
    loop {
        beyond.recv().await;
    }
}
