//! A disk that is full for a while, and one that fails to sync. What fails are the calls of the system, as the node
//! sees them; SQLite is the one that it ships.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use testkit::harness::until;

use super::sender::{Mail, parcels};
use super::site::{Engine, Site};
use super::verdict::check;

/// Objects, two deliveries each.
const OBJECTS: usize = 20;
/// Deliveries before the trouble, and in it.
const BEFORE: usize = 5;
const AMID: usize = 20;

/// A library that troubles the process that loads it: `trouble.c` says how.
pub(super) fn library(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/webhooks/kill/trouble.c");
    let library = folder.join("trouble.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status()
        .unwrap();
    assert!(
        built.success(),
        "`cc`, with which SQLite was built, cannot build trouble.c"
    );
    library
}

/// A node with a connection, and deliveries of which some are durable.
async fn scene(site: &Site) -> Arc<Mail> {
    let line = site.connect().await;
    let parcels = parcels(0..OBJECTS, 1, &mut StdRng::seed_from_u64(20_260_305));
    let mail = Mail::new(parcels, vec![line], site.nodes.clone());
    for at in 0..BEFORE {
        assert_eq!(mail.once(at).await, Some(200));
    }
    mail
}

/// Sends what comes amid the trouble, each once; how many were refused.
async fn amid(mail: &Mail) -> usize {
    let mut refused = 0;
    for at in BEFORE..BEFORE + AMID {
        match mail.once(at).await {
            Some(200) => {}
            Some(503) => refused += 1,
            other => panic!("{other:?}"),
        }
    }
    refused
}

/// The trouble is over: all that was not acknowledged is, by itself, and nothing is lost or there twice.
async fn recovers(site: &Site, mail: &Arc<Mail>) {
    let last = mail.parcels.len() - 1;
    let recovered = async || (mail.once(last).await == Some(200)).then_some(());
    let recovery = until("recovery", Duration::from_secs(30), recovered).await;
    recovery.unwrap_or_else(|error| panic!("{error}: {:#?}", site.running[0].output()));
    mail.send(4).join_all().await;
    site.idle().await;
    check(site, mail).await;
}

/// Bounds the size of files that a process may write, as a full disk would.
fn limit_files(pid: u32, limit: &str) {
    let done = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--fsize={limit}")])
        .status()
        .unwrap();
    assert!(done.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_disk_is_full_nothing_is_acknowledged_and_it_recovers_by_itself() {
    let site = Site::start(Engine::Sqlite, 1).await;
    let mail = scene(&site).await;
    // Nothing can be written any more, not even over what the log has at its beginning.
    limit_files(site.running[0].pid(), "1:unlimited");
    assert_eq!(amid(&mail).await, AMID, "every one was refused");
    limit_files(site.running[0].pid(), "unlimited:unlimited");
    recovers(&site, &mail).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_syncs_fail_nothing_is_acknowledged_and_it_recovers_by_itself() {
    for killed in [false, true] {
        let mut site = Site::start_with(Engine::Sqlite, 1, |folder| {
            let fails = folder.join("syncs-fail").into_os_string();
            vec![
                ("LD_PRELOAD", library(folder).into_os_string()),
                ("TROUBLE_SYNC_FAILS", fails),
            ]
        })
        .await;
        let mail = scene(&site).await;
        let sign = site.folder.path().join("syncs-fail");
        std::fs::write(&sign, "").unwrap();
        assert_eq!(amid(&mail).await, AMID, "every one was refused");
        if killed {
            // What it could not sync may be found by the next, and is sent again: a double.
            site.kill(0);
            std::fs::remove_file(&sign).unwrap();
            site.restart(0).await;
        } else {
            std::fs::remove_file(&sign).unwrap();
        }
        recovers(&site, &mail).await;
    }
}
