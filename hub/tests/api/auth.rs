//! Who may call, and what of a key is kept.

use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, PASSWORD, calendar_server, start_server};
use crate::tenants::operations;

#[tokio::test]
async fn every_route_under_v1_wants_a_key() {
    let server = start_server().await;
    for (method, path) in operations() {
        if !path.starts_with("/v1/") {
            continue;
        }
        let path = path.replace("{id}", "x_1").replace(['{', '}'], "");
        let answer = Answer::of(server.request(method.clone(), &path)).await;
        let error = answer.failure(401, "unauthorized");
        assert!(
            error["message"].as_str().unwrap().contains("Bearer ck_"),
            "{method} {path}: {error}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn unknown_and_malformed_keys_open_nothing() {
    let server = start_server().await;
    let unknown = format!("ck_{}", "0".repeat(52));
    for value in [
        format!("Bearer {unknown}"),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        format!("Basic {}", server.key),
        server.key.clone(),
    ] {
        let request = server
            .request(Method::GET, "/v1/jobs")
            .header("authorization", &value);
        Answer::of(request).await.failure(401, "unauthorized");
    }
}

#[tokio::test]
async fn a_key_made_through_the_api_works_until_it_is_revoked() {
    let server = start_server().await;
    let made = server.post("/v1/api-keys", json!({"name": "calendar app"})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.data();
    let secret = made["secret"].as_str().unwrap();
    let path = format!("/v1/api-keys/{}", made["id"].as_str().unwrap());

    let listed = server.send(Method::GET, "/v1/api-keys", None, secret).await;
    let names: Vec<_> = listed
        .data()
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key["name"].clone())
        .collect();
    assert_eq!(names, ["first key", "calendar app"]);
    assert!(!listed.text.contains(secret), "a secret is shown once");

    assert_eq!(server.delete(&path).await.status, 204);
    let refused = server.send(Method::GET, "/v1/api-keys", None, secret).await;
    refused.failure(401, "unauthorized");
    server.delete(&path).await.failure(404, "not_found");
}

#[tokio::test]
async fn neither_keys_nor_passwords_stand_readable_in_the_database() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    server.connect(&calendars).await;
    let (key, folder) = (server.key, server.folder);
    server.server.shutdown().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        for secret in [key.as_str(), PASSWORD] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", path.display());
        }
    }
}
