//! What describes and watches the server: OpenAPI, its page, health, counters.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;
use serde_json::Value;

use crate::server::{Answer, TestServer, start_server};

async fn open(server: &TestServer, path: &str) -> Answer {
    Answer::of(server.request(Method::GET, path)).await
}

#[tokio::test]
async fn the_api_is_as_its_snapshot_says() {
    let server = start_server().await;
    let served = open(&server, "/openapi.json").await.json();
    assert_eq!(served, serde_json::to_value(hub::api::openapi()).unwrap());
    insta::assert_json_snapshot!("openapi", served);
}

#[test]
fn every_operation_says_what_it_does_and_that_it_wants_a_key() {
    let document = serde_json::to_value(hub::api::openapi()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says nothing");
            assert!(operation["tags"][0].is_string(), "{method} {path} has no tag");
            let wants_key = operation["security"][0]["api_key"].is_array();
            assert_eq!(wants_key, path.starts_with("/v1/"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn the_page_of_the_api_asks_nobody_but_this_server() {
    let server = start_server().await;
    let page = open(&server, "/docs/").await;
    assert_eq!(page.status, 200, "{}", page.text);
    let policy = page.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'self'") && !policy.contains("http"),
        "{policy}"
    );
    let linked: Vec<&str> = ["src=\"", "href=\""]
        .iter()
        .flat_map(|mark| page.text.split(mark).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(linked.len() >= 3, "{}", page.text);
    for link in linked {
        assert!(!link.contains("//"), "{link} leads elsewhere");
        let part = open(&server, &format!("/docs/{}", link.trim_start_matches("./"))).await;
        assert_eq!(part.status, 200, "{link} comes from this server");
    }
    let initializer = open(&server, "/docs/swagger-initializer.js").await.text;
    assert!(initializer.contains("/openapi.json"), "{initializer}");
    assert!(
        initializer.contains("\"validatorUrl\": \"none\""),
        "{initializer}"
    );
    assert!(!initializer.contains("http"), "{initializer}");
}

#[tokio::test]
async fn watchers_need_no_key() {
    let server = start_server().await;
    for path in ["/healthz", "/readyz"] {
        let answer = open(&server, path).await;
        assert_eq!(answer.data()["status"], "ok");
    }
    let greeting = open(&server, "/").await;
    assert!(greeting.text.contains("/docs"), "{}", greeting.text);
}

#[tokio::test]
async fn counters_name_routes_and_never_ids() {
    let server = start_server().await;
    server.get("/v1/jobs/job_0123").await.failure(404, "not_found");
    open(&server, "/no/such/place").await;
    let counters = open(&server, "/metrics").await;
    assert!(counters.header("content-type").starts_with("text/plain"));
    let counted = counters.text.lines().any(|line| {
        line.starts_with("concord_http_requests_total{")
            && line.contains("route=\"/v1/jobs/{id}\"")
            && line.contains("status=\"404\"")
    });
    assert!(counted, "{}", counters.text);
    assert!(counters.text.contains("route=\"unmatched\""));
    assert!(!counters.text.contains("job_0123") && !counters.text.contains("such/place"));
    for gauge in [
        "concord_feed_seq{",
        "concord_jobs_overdue_seconds ",
        "concord_quarantined_objects ",
    ] {
        assert!(counters.text.contains(gauge), "{gauge} is missing");
    }
}

#[tokio::test]
async fn connectors_say_what_they_can_do() {
    let server = start_server().await;
    let connectors = server.get("/v1/connectors").await.data();
    let ids: Vec<&Value> = connectors
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["id"])
        .collect();
    assert_eq!(ids, ["caldav", "google", "imap"]);
    assert_eq!(connectors[0]["kinds"][0]["kind"], "event");
    assert_eq!(connectors[0]["kinds"][0]["capability"]["read"], true);
}

/// Every file below a folder with one of these endings, as one text.
fn texts(folder: &str, endings: &[&str]) -> String {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)];
    let mut text = String::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

/// The names in a text that begin so.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let of_a_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
    let found = text.match_indices(prefix).map(|(at, _)| &text[at..]);
    found
        .map(|rest| rest.split(|char| !of_a_name(char)).next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_what_is_counted_and_name_runbooks_that_exist() {
    let code = texts("hub/src", &[".rs"]) + &texts("connectors/sdk/src", &[".rs"]);
    let asked = texts("deploy", &[".json", "alerts.yml"]);
    let wanted = names(&asked, "concord_");
    assert!(wanted.len() > 8, "{wanted:?}");
    for name in wanted {
        let counted = format!("\"{}\"", name.strip_suffix("_bucket").unwrap_or(&name));
        assert!(
            code.contains(&counted),
            "{name} is asked for, and nothing counts it"
        );
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for line in asked
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "))
    {
        assert!(root.join(line).exists(), "{line} is not there");
    }
}
