//! The demo: what it prints works as printed, and a second start goes on where the first one ended.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use hub::demo::{Demo, Options};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::Value;
use tokio::process::Command;

use crate::scene::eventually;

async fn start(folder: &Path) -> Demo {
    let options = Options {
        folder: folder.to_owned(),
        listen: Some("127.0.0.1:0".parse().unwrap()),
    };
    let progress = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
    Demo::start(&options, &progress).await.unwrap()
}

async fn shell(command: &str) -> Output {
    Command::new("sh")
        .args(["-c", command])
        .kill_on_drop(true)
        .output()
        .await
        .unwrap()
}

async fn get(demo: &Demo, path: &str) -> Value {
    let request = reqwest::Client::new()
        .get(format!("{}{path}", demo.url()))
        .bearer_auth(demo.key());
    request.send().await.unwrap().json::<Value>().await.unwrap()["data"].take()
}

/// Each calendar's name with its events.
async fn counts(demo: &Demo) -> Vec<(String, i64)> {
    let calendars = get(demo, "/v1/calendars").await;
    let shown = |calendar: &Value| {
        (
            calendar["name"].as_str().unwrap().to_owned(),
            calendar["counts"]["events"].as_i64().unwrap(),
        )
    };
    calendars.as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_the_banner_work_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let demo = start(folder.path()).await;
    let banner = demo.banner(&str::to_owned);
    assert!(
        banner.contains(&demo.url()) && banner.contains(demo.key()),
        "{banner}"
    );
    let commands = demo.commands();
    assert_eq!(commands.len(), 3, "{commands:?}");
    assert!(
        commands.iter().all(|command| banner.contains(command)),
        "{banner}"
    );

    let week: Value = serde_json::from_slice(&shell(&commands[0]).await.stdout).unwrap();
    assert!(week["data"].as_array().unwrap().len() > 30, "{week}");

    let renamed = shell(&commands[1]).await;
    let text = String::from_utf8(renamed.stdout).unwrap();
    assert!(
        renamed.status.success() && text.contains("(moved by curl)"),
        "{text}"
    );
    assert!(
        text.contains("BEGIN:VCALENDAR"),
        "the copy at the CalDAV server: {text}"
    );
    eventually("the rename at Google", || {
        let team = demo.google().calendar("team@group.calendar.google.com");
        team.living_events()
            .iter()
            .any(|event| event["summary"].as_str().unwrap_or_default().ends_with("curl)"))
    })
    .await;

    let watched = shell(&format!("timeout 2 {}", commands[2])).await;
    assert!(
        String::from_utf8(watched.stdout)
            .unwrap()
            .contains("event: change")
    );
    demo.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_finds_its_data_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let (key, banner, before) = (
        first.key().to_owned(),
        first.banner(&str::to_owned),
        counts(&first).await,
    );
    assert!(before.iter().all(|(_, count)| *count > 0), "{before:?}");
    assert!(before.len() >= 6, "{before:?}");
    first.shutdown().await;
    let mode = std::fs::metadata(folder.path().join("key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    let second = start(folder.path()).await;
    assert_eq!(second.key(), key, "the same key is shown again");
    assert_eq!(counts(&second).await, before);
    let address = |text: &str| {
        text.lines()
            .find(|line| line.contains("CalDAV  "))
            .map(str::to_owned)
    };
    assert_eq!(
        address(&second.banner(&str::to_owned)),
        address(&banner),
        "vendors are where they were"
    );
    assert_eq!(get(&second, "/v1/connections").await.as_array().unwrap().len(), 2);
    assert_eq!(get(&second, "/v1/mirrors").await.as_array().unwrap().len(), 1);
    let (google, caldav) = (second.google().log(), second.caldav().log());
    assert_eq!(
        (google.writes(), caldav.writes()),
        (0, 0),
        "nothing is written again"
    );
    assert_eq!(get(&second, "/v1/quarantine").await, serde_json::json!([]));
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vendors_whose_ports_were_taken_meanwhile_are_found_at_their_new_ones() {
    let folder = tempfile::tempdir().unwrap();
    let first = start(folder.path()).await;
    let (before, taken) = (
        counts(&first).await,
        first.caldav().base_url().replace("http://", ""),
    );
    first.shutdown().await;
    let squatter = tokio::net::TcpListener::bind(&taken).await.unwrap();
    let second = start(folder.path()).await;
    assert_ne!(second.caldav().base_url(), format!("http://{taken}"));
    assert_eq!(counts(&second).await, before);
    second.shutdown().await;
    drop(squatter);
}
