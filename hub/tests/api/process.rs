//! The program as someone at a terminal meets it.

use std::path::Path;
use std::time::Duration;

use testkit::harness::{Program, RunningProgram};

use crate::server::LIMIT;

pub(crate) fn concord(folder: &Path) -> Program {
    Program::new(env!("CARGO_BIN_EXE_concord"))
        .folder(folder)
        .env("CONCORD_LISTEN", "127.0.0.1:0")
        .env("NO_COLOR", "1")
}

pub(crate) async fn serve(folder: &Path) -> (RunningProgram, String, Option<String>) {
    let mut running = concord(folder).arg("serve").start().unwrap();
    let url = running
        .wait_for_line(LIMIT, |line| {
            line.strip_prefix("Concord listens at ").map(str::to_owned)
        })
        .await
        .unwrap();
    running
        .wait_for_line(LIMIT, |line| line.contains("/docs").then_some(()))
        .await
        .unwrap();
    let secret = running
        .output()
        .iter()
        .find_map(|line| line.trim().strip_prefix("ck_").map(|rest| format!("ck_{rest}")));
    (running, url, secret)
}

#[tokio::test]
async fn the_default_settings_can_be_printed_and_used() {
    let folder = tempfile::tempdir().unwrap();
    let printed = concord(folder.path())
        .args(["serve", "--print-config"])
        .run(LIMIT)
        .await
        .unwrap();
    hub::config::Config::from_toml(&printed).unwrap();
    assert!(printed.contains("CONCORD_LISTEN"), "{printed}");
}

#[tokio::test]
async fn an_unknown_setting_ends_the_start_with_its_name_and_a_remedy() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("concord.toml"), "listn = \"x\"\n").unwrap();
    let error = concord(folder.path()).arg("serve").run(LIMIT).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("`listn`") && text.contains("`listen`"), "{text}");
    assert!(!text.contains("Error {") && !text.contains("panicked"), "{text}");
}

#[tokio::test]
async fn a_server_prints_a_key_once_takes_more_beside_it_and_stops_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, url, secret) = serve(folder.path()).await;
    let http = reqwest::Client::new();
    let status = async |key: &str| {
        let answer = http
            .get(format!("{url}/v1/jobs"))
            .bearer_auth(key)
            .send()
            .await
            .unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status(&secret.unwrap()).await, 200);

    let printed = concord(folder.path())
        .args(["key", "create", "--name", "second"])
        .run(LIMIT)
        .await
        .unwrap();
    let second = printed
        .lines()
        .find_map(|line| line.trim().strip_prefix("ck_"))
        .unwrap();
    assert_eq!(
        status(&format!("ck_{second}")).await,
        200,
        "it works without a restart"
    );

    let ended = running.terminate(Duration::from_secs(15)).await.unwrap();
    assert!(ended.success(), "{ended}: {:?}", running.output());

    let (mut again, _, secret) = serve(folder.path()).await;
    assert_eq!(secret, None, "a key is printed for a new database only");
    again.terminate(Duration::from_secs(15)).await.unwrap();
}

#[tokio::test]
async fn a_second_server_on_one_database_is_told_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (mut running, _, _) = serve(folder.path()).await;
    let error = concord(folder.path()).arg("serve").run(LIMIT).await.unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("another process serves"), "{text}");
    assert!(text.contains("CONCORD_DATABASE_URL"), "{text}");
    running.terminate(Duration::from_secs(15)).await.unwrap();
}

#[tokio::test]
async fn a_lost_master_key_is_never_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    concord(folder.path()).arg("migrate").run(LIMIT).await.unwrap();
    std::fs::remove_file(folder.path().join("concord.db.key")).unwrap();
    let error = concord(folder.path()).arg("serve").run(LIMIT).await.unwrap_err();
    assert!(format!("{error:#}").contains("master key"), "{error:#}");
}

#[tokio::test]
async fn doctor_and_connectors_answer_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let before = concord(folder.path()).arg("doctor").run(LIMIT).await.unwrap();
    assert!(before.contains("warn"), "there is no database yet: {before}");
    concord(folder.path()).arg("migrate").run(LIMIT).await.unwrap();
    let after = concord(folder.path()).arg("doctor").run(LIMIT).await.unwrap();
    assert!(after.contains("database: sound"), "{after}");
    let table = concord(folder.path()).arg("connectors").run(LIMIT).await.unwrap();
    assert!(table.contains("caldav") && table.contains("google"), "{table}");
}
