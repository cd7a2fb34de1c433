//! Backups as an administrator makes them: while the server writes, and put back into another place.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::harness::until;

use crate::process::{concord, serve};
use crate::server::LIMIT;

const STOP: Duration = Duration::from_secs(15);

async fn names(url: &str, key: &str) -> BTreeSet<String> {
    let http = reqwest::Client::new();
    let answer = http
        .get(format!("{url}/v1/api-keys"))
        .bearer_auth(key)
        .send()
        .await
        .unwrap();
    let list: Value = answer.json().await.unwrap();
    let rows = list["data"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
}

/// Makes API keys one after the other until told to stop; what was acknowledged is in the list.
async fn write(url: String, key: String, acknowledged: Arc<Mutex<Vec<String>>>, stop: Arc<AtomicBool>) {
    let http = reqwest::Client::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("key {number}");
        let sent = http.post(format!("{url}/v1/api-keys")).bearer_auth(&key);
        let answer = sent.json(&json!({"name": name})).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        acknowledged.lock().unwrap().push(name);
    }
}

fn copy_key(from: &Path, to: &Path) {
    std::fs::copy(from.join("concord.db.key"), to.join("concord.db.key")).unwrap();
}

#[tokio::test]
async fn a_backup_made_while_the_server_writes_holds_all_that_was_acknowledged_before() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut running, url, key) = serve(folder.path()).await;
    let key = key.unwrap();
    let (acknowledged, stop) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<AtomicBool>::default());
    let writer = tokio::spawn(write(
        url,
        key.clone(),
        Arc::clone(&acknowledged),
        Arc::clone(&stop),
    ));
    let count = || acknowledged.lock().unwrap().len();
    let mut before = Vec::new();
    for number in 1..=3 {
        let reached = count() + 20;
        until("the server writes on", LIMIT, async || {
            (count() >= reached).then_some(())
        })
        .await
        .unwrap();
        before = acknowledged.lock().unwrap().clone();
        let file = elsewhere.path().join(format!("{number}.db"));
        let said = concord(folder.path())
            .arg("backup")
            .arg(&file)
            .run(LIMIT)
            .await
            .unwrap();
        assert!(
            said.contains("whole copy") && said.contains("concord.db.key"),
            "{said}"
        );
    }
    let reached = count() + 1;
    until("the server writes on", LIMIT, async || {
        (count() >= reached).then_some(())
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    running.terminate(STOP).await.unwrap();

    copy_key(folder.path(), elsewhere.path());
    let restore = concord(elsewhere.path())
        .arg("restore")
        .arg("3.db")
        .run(LIMIT)
        .await
        .unwrap();
    assert!(restore.contains("as it was"), "{restore}");
    let doctor = concord(elsewhere.path()).arg("doctor").run(LIMIT).await.unwrap();
    assert!(doctor.contains("database: sound"), "{doctor}");
    let (mut again, url, fresh) = serve(elsewhere.path()).await;
    assert_eq!(fresh, None, "the restored database has its keys");
    let restored = names(&url, &key).await;
    let lost: Vec<&String> = before.iter().filter(|name| !restored.contains(*name)).collect();
    assert!(
        lost.is_empty(),
        "{lost:?} were acknowledged before the backup and are not in it"
    );
    again.terminate(STOP).await.unwrap();
}

#[tokio::test]
async fn a_backup_is_put_over_a_database_only_when_told_and_keeps_what_stood_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, url, key) = serve(folder.path()).await;
    let key = key.unwrap();
    concord(folder.path())
        .args(["backup", "safe.db"])
        .run(LIMIT)
        .await
        .unwrap();
    let again = concord(folder.path())
        .args(["backup", "safe.db"])
        .run(LIMIT)
        .await
        .unwrap_err();
    assert!(format!("{again:#}").contains("there already"), "{again:#}");
    let served = concord(folder.path())
        .args(["restore", "safe.db", "--replace"])
        .run(LIMIT)
        .await
        .unwrap_err();
    assert!(
        format!("{served:#}").contains("stop `concord serve`"),
        "{served:#}"
    );
    let stop = Arc::<AtomicBool>::default();
    let acknowledged = Arc::<Mutex<Vec<String>>>::default();
    let writer = tokio::spawn(write(
        url,
        key.clone(),
        Arc::clone(&acknowledged),
        Arc::clone(&stop),
    ));
    until("a key after the backup", LIMIT, async || {
        acknowledged.lock().unwrap().first().cloned()
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    running.terminate(STOP).await.unwrap();

    let untold = concord(folder.path())
        .args(["restore", "safe.db"])
        .run(LIMIT)
        .await
        .unwrap_err();
    assert!(format!("{untold:#}").contains("--replace"), "{untold:#}");
    concord(folder.path())
        .args(["restore", "safe.db", "--replace"])
        .run(LIMIT)
        .await
        .unwrap();
    let (mut again, url, _) = serve(folder.path()).await;
    assert_eq!(names(&url, &key).await, BTreeSet::from(["first key".to_owned()]));
    again.terminate(STOP).await.unwrap();

    let files = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let aside: Vec<String> = files
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.contains(".before-restore-") && !name.ends_with("-wal"))
        .collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    concord(folder.path())
        .args(["restore", &aside[0], "--replace"])
        .run(LIMIT)
        .await
        .unwrap();
    let (mut back, url, _) = serve(folder.path()).await;
    assert!(
        names(&url, &key).await.contains("key 0"),
        "what stood there is whole"
    );
    back.terminate(STOP).await.unwrap();
}

#[tokio::test]
async fn what_is_no_whole_backup_or_has_another_key_changes_nothing() {
    let (folder, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for place in [&folder, &stranger] {
        concord(place.path()).arg("migrate").run(LIMIT).await.unwrap();
    }
    concord(stranger.path())
        .args(["backup", "other.db"])
        .run(LIMIT)
        .await
        .unwrap();
    let whole = std::fs::read(stranger.path().join("other.db")).unwrap();
    std::fs::write(folder.path().join("foreign.db"), &whole).unwrap();
    std::fs::write(folder.path().join("cut.db"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(
        folder.path().join("text.db"),
        "no database at all, and long enough to look at".repeat(100),
    )
    .unwrap();
    std::fs::write(folder.path().join("empty.db"), "").unwrap();
    let database = || std::fs::read(folder.path().join("concord.db")).unwrap();
    let before = database();
    for (file, expected) in [
        ("foreign.db", "master key"),
        ("cut.db", "not a whole backup"),
        ("text.db", "not a whole backup"),
        ("empty.db", "not a whole backup"),
        ("absent.db", "absent.db"),
    ] {
        let refused = concord(folder.path())
            .args(["restore", file, "--replace"])
            .run(LIMIT)
            .await
            .unwrap_err();
        assert!(format!("{refused:#}").contains(expected), "{file}: {refused:#}");
        assert_eq!(database(), before, "{file}");
    }
    let left = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|file| file.unwrap().file_name());
    let left: Vec<_> = left
        .filter(|name| name.to_string_lossy().contains(".restoring"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn the_log_that_a_killed_server_left_goes_aside_with_its_database_and_never_into_the_restored_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, url, key) = serve(folder.path()).await;
    let key = key.unwrap();
    concord(folder.path())
        .args(["backup", "safe.db"])
        .run(LIMIT)
        .await
        .unwrap();
    let made = |name: &str| {
        let sent = reqwest::Client::new().post(format!("{url}/v1/api-keys"));
        sent.bearer_auth(&key).json(&json!({"name": name})).send()
    };
    for number in 0..20 {
        assert!(
            made(&format!("later {number}"))
                .await
                .unwrap()
                .status()
                .is_success()
        );
    }
    running.kill().unwrap();
    let (database, log) = (
        folder.path().join("concord.db"),
        folder.path().join("concord.db-wal"),
    );
    let left = std::fs::read(&log).unwrap();
    assert!(!left.is_empty(), "a killed server leaves a log");

    // Over the database with its log: both go aside as one, and can be put back.
    let said = concord(folder.path())
        .args(["restore", "safe.db", "--replace"])
        .run(LIMIT)
        .await
        .unwrap();
    let aside = said
        .lines()
        .find_map(|line| {
            line.strip_prefix("What stood there before is ")?
                .strip_suffix('.')
        })
        .unwrap();
    let (mut restored, url, _) = serve(folder.path()).await;
    assert_eq!(names(&url, &key).await, BTreeSet::from(["first key".to_owned()]));
    restored.terminate(STOP).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    copy_key(folder.path(), elsewhere.path());
    let aside = folder.path().join(aside);
    assert!(!aside.with_extension("db-wal").exists());
    concord(elsewhere.path())
        .arg("restore")
        .arg(&aside)
        .run(LIMIT)
        .await
        .unwrap();
    let (mut whole, url, _) = serve(elsewhere.path()).await;
    assert_eq!(
        names(&url, &key).await.len(),
        21,
        "nothing that was acknowledged is missing"
    );
    whole.terminate(STOP).await.unwrap();

    // The database was removed and its log was not.
    std::fs::remove_file(&database).unwrap();
    std::fs::write(&log, &left).unwrap();
    concord(folder.path())
        .args(["restore", "safe.db"])
        .run(LIMIT)
        .await
        .unwrap();
    let doctor = concord(folder.path()).arg("doctor").run(LIMIT).await.unwrap();
    assert!(doctor.contains("database: sound"), "{doctor}");
    let (mut again, url, _) = serve(folder.path()).await;
    assert_eq!(names(&url, &key).await, BTreeSet::from(["first key".to_owned()]));
    again.terminate(STOP).await.unwrap();
}
