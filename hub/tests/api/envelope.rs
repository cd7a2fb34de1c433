//! The form of every answer: envelope, request id, and the statuses that no handler makes.

use reqwest::Method;
use serde_json::json;

use crate::server::{Answer, start_server};

#[tokio::test]
async fn every_answer_carries_a_request_id_and_takes_the_clients_own() {
    let server = start_server().await;
    let answer = server.get("/v1/jobs").await;
    assert!(answer.header("x-request-id").starts_with("req_"), "{answer:?}");
    assert_eq!(answer.json()["page"], json!({"next": null}));

    let request = server
        .request(Method::GET, "/nowhere")
        .header("x-request-id", "my-id.7");
    let error = Answer::of(request).await.failure(404, "not_found");
    assert_eq!(error["request_id"], "my-id.7");

    let request = server
        .request(Method::GET, "/nowhere")
        .header("x-request-id", "no good\"id");
    let error = Answer::of(request).await.failure(404, "not_found");
    assert!(
        error["request_id"].as_str().unwrap().starts_with("req_"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_method_is_told_which_ones_there_are() {
    let server = start_server().await;
    let answer = server
        .send(Method::PUT, "/v1/connections", None, &server.key)
        .await;
    answer.failure(405, "method_not_allowed");
    let allowed = answer.header("allow");
    assert!(allowed.contains("GET") && allowed.contains("POST"), "{allowed}");
}

#[tokio::test]
async fn a_client_that_takes_no_json_is_refused() {
    let server = start_server().await;
    let ask = |accept: &str| {
        let request = server.request(Method::GET, "/v1/jobs").bearer_auth(&server.key);
        Answer::of(request.header("accept", accept))
    };
    ask("text/html").await.failure(406, "not_acceptable");
    assert_eq!(ask("text/html, */*;q=0.8").await.status, 200);
    assert_eq!(ask("application/json").await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_refused() {
    let server = start_server().await;
    let request = server
        .request(Method::POST, "/v1/api-keys")
        .bearer_auth(&server.key);
    let answer = Answer::of(
        request
            .header("content-type", "text/plain")
            .body("{\"name\": \"a\"}"),
    )
    .await;
    answer.failure(415, "unsupported_media_type");
}

#[tokio::test]
async fn limits_and_cursors_are_checked_and_lists_can_be_walked() {
    let server = start_server().await;
    for query in [
        "limit=0",
        "limit=201",
        "limit=many",
        "cursor=%25",
        "state=lost",
        "colour=red",
    ] {
        let answer = server.get(&format!("/v1/jobs?{query}")).await;
        answer.failure(400, "invalid_query");
    }
    for number in 0..3 {
        let body = json!({
            "provider": "caldav",
            "name": format!("connection {number}"),
            "config": {"base_url": "http://127.0.0.1:9/"},
            "credentials": {"username": "a", "password": "b"},
        });
        let answer = server.post("/v1/connections?verify=false", body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    let (mut names, mut path) = (Vec::new(), "/v1/connections?limit=2".to_owned());
    loop {
        let answer = server.get(&path).await.json();
        names.extend(
            answer["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|each| each["name"].clone()),
        );
        let Some(next) = answer["page"]["next"].as_str() else {
            break;
        };
        path = format!("/v1/connections?limit=2&cursor={next}");
    }
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["connection 0", "connection 1", "connection 2"]);
}
