//! `concord key rotate` as an administrator uses it: beside a server, killed in the middle, and run again.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::process::{concord, serve};
use crate::server::LIMIT;

const STOP: Duration = Duration::from_secs(15);
/// Each has two sealed secrets: more than one transaction's worth.
const ENDPOINTS: usize = 60;

async fn fill(url: &str, key: &str) {
    let http = reqwest::Client::new();
    let post = async |path: &str, body: Value| {
        let sent = http
            .post(format!("{url}/v1/webhook-endpoints{path}"))
            .bearer_auth(key);
        let answer = sent.json(&body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{text}");
        serde_json::from_str::<Value>(&text).unwrap()
    };
    for number in 0..ENDPOINTS {
        // An address on the public internet, to which nothing is ever sent: no such change happens.
        let body = json!({"url": format!("https://192.88.98.1/{number}"), "kinds": ["mirror"]});
        let made = post("", body).await;
        let id = made["data"]["id"].as_str().unwrap();
        post(&format!("/{id}/rotate-secret"), json!({})).await;
    }
}

async fn refused(folder: &Path, words: &[&str]) -> String {
    let error = concord(folder).args(words).run(LIMIT).await.unwrap_err();
    format!("{error:#}")
}

#[tokio::test]
async fn the_master_key_is_replaced_beside_a_server_however_often_the_command_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let (first, next) = (
        folder.path().join("concord.db.key"),
        folder.path().join("concord.db.key.next"),
    );
    let (mut running, url, key) = serve(folder.path()).await;
    fill(&url, &key.unwrap()).await;
    let old = std::fs::read_to_string(&first).unwrap();
    let said = refused(folder.path(), &["key", "rotate"]).await;
    assert!(
        said.contains("does not hold master key") && said.contains("restart it"),
        "{said}"
    );
    running.terminate(STOP).await.unwrap();

    let (mut running, _, _) = serve(folder.path()).await;
    for round in 0..6 {
        if !next.exists() {
            break;
        }
        let mut killed = concord(folder.path()).args(["key", "rotate"]).start().unwrap();
        let a_while = Duration::from_millis(15 * round);
        // Whether it is done by then or not: what follows holds.
        let _ = killed
            .wait_for_line(a_while, |line| line.contains("Everything").then_some(()))
            .await;
        killed.kill().unwrap();
        let doctor = concord(folder.path()).arg("doctor").run(LIMIT).await.unwrap();
        assert!(doctor.contains("database: sound"), "{doctor}");
    }
    if next.exists() {
        let said = concord(folder.path())
            .args(["key", "rotate"])
            .run(LIMIT)
            .await
            .unwrap();
        assert!(said.contains("is the new key now"), "{said}");
    }
    running.terminate(STOP).await.unwrap();

    assert_ne!(std::fs::read_to_string(&first).unwrap(), old);
    let kept = std::fs::read_dir(folder.path()).unwrap().find_map(|file| {
        let path = file.unwrap().path();
        path.to_string_lossy().contains(".key.until-").then_some(path)
    });
    let kept = kept.expect("the old key is kept for backups");
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), old);
    let with_old = concord(folder.path())
        .arg("serve")
        .env("CONCORD_MASTER_KEY", old.trim());
    let error = format!("{:#}", with_old.run(LIMIT).await.unwrap_err());
    assert!(error.contains("sealed with master key"), "{error}");

    // With the new key everything can be read: it is sealed anew once more, without a server this time.
    let said = concord(folder.path())
        .args(["key", "rotate"])
        .run(LIMIT)
        .await
        .unwrap();
    assert!(said.contains(&format!("{} values anew", 2 * ENDPOINTS)), "{said}");
    let (mut again, _, _) = serve(folder.path()).await;
    again.terminate(STOP).await.unwrap();
}

#[tokio::test]
async fn a_key_given_as_a_setting_is_replaced_by_the_one_given_as_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = ("ab".repeat(32), "cd".repeat(32));
    let with = |key: &str| concord(folder.path()).env("CONCORD_MASTER_KEY", key);
    with(&old).arg("migrate").run(LIMIT).await.unwrap();
    let error = with(&old).args(["key", "rotate"]).run(LIMIT).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("CONCORD_MASTER_KEY_NEXT"),
        "{error:#}"
    );
    let rotate = with(&old)
        .env("CONCORD_MASTER_KEY_NEXT", &new)
        .args(["key", "rotate"]);
    let said = rotate.run(LIMIT).await.unwrap();
    assert!(said.contains("in the place of the old one"), "{said}");
    for text in [&old, &new] {
        assert!(!said.contains(text.as_str()), "keys are never shown");
    }
    let error = with(&old).arg("migrate").run(LIMIT).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("sealed with master key"),
        "{error:#}"
    );
    with(&new).arg("migrate").run(LIMIT).await.unwrap();
    let back = with(&new)
        .env("CONCORD_MASTER_KEY_NEXT", &old)
        .args(["key", "rotate"]);
    let error = back.run(LIMIT).await.unwrap_err();
    assert!(format!("{error:#}").contains("replaced once"), "{error:#}");
}
