//! What is wrong with a request or with a provider is said with its own code, nothing is stored, and the server goes
//! on.

use reqwest::{Body, Method};
use serde_json::{Value, json};
use simulators::caldav::CaldavServer;
use testkit::harness::TlsIdentity;

use crate::server::{
    Answer, TestServer, account, calendar_server, connection_to, start_server, start_server_with,
};

async fn refused(server: &TestServer, body: Value, code: &str) -> Value {
    let error = server.post("/v1/connections", body).await.failure(422, code);
    let stored = server.get("/v1/connections").await.data();
    assert_eq!(stored, json!([]), "nothing is stored after {code}");
    error
}

fn with(member: &str, value: Value) -> Value {
    let mut body = connection_to("http://127.0.0.1:9/");
    body[member] = value;
    body
}

#[tokio::test]
async fn wrong_bodies_are_refused_with_the_place_of_the_mistake() {
    let server = start_server().await;
    for (body, code, path) in [
        (with("colour", json!("red")), "unknown_field", "colour"),
        (with("config", json!([])), "wrong_type", "config"),
        (with("name", json!(7)), "wrong_type", "name"),
        (json!({"config": {}}), "missing_field", "provider"),
        (with("provider", json!("paper")), "invalid_field", "provider"),
        (with("config", json!({})), "invalid_field", "config.base_url"),
        (
            with("config", json!({"base_url": "ftp://x"})),
            "invalid_field",
            "config.base_url",
        ),
        (with("credentials", json!({})), "invalid_field", "credentials"),
        (
            with("credentials", json!({"username": true})),
            "invalid_field",
            "credentials",
        ),
    ] {
        let error = refused(&server, body, code).await;
        assert_eq!(error["details"]["path"], path, "{error}");
    }
    for text in ["", "{", "{\"provider\": \"caldav\",}", "nonsense"] {
        let request = server
            .request(Method::POST, "/v1/connections")
            .bearer_auth(&server.key);
        let request = request.header("content-type", "application/json").body(text);
        Answer::of(request).await.failure(400, "invalid_json");
    }
}

#[tokio::test]
async fn ids_that_are_unknown_or_no_ids_are_not_found() {
    let server = start_server().await;
    for path in [
        "/v1/connections/conn_01",
        "/v1/connections/rec_01",
        "/v1/connections/%20",
        "/v1/jobs/job_01",
        "/v1/jobs/..%2Fapi-keys",
        "/v1/nothing",
    ] {
        server.get(path).await.failure(404, "not_found");
    }
}

#[tokio::test]
async fn an_oversized_body_is_refused_with_an_answer_that_arrives() {
    let server = start_server().await;
    let piece = vec![b' '; 1 << 20];
    let declared = vec![b' '; 3 << 20];
    let streamed = futures::stream::iter((0..200).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    for body in [Body::from(declared), Body::wrap_stream(streamed)] {
        let request = server
            .request(Method::POST, "/v1/connections")
            .bearer_auth(&server.key);
        let request = request.header("content-type", "application/json").body(body);
        Answer::of(request).await.failure(413, "payload_too_large");
    }
    assert_eq!(server.get("/v1/jobs").await.status, 200, "the server goes on");
}

#[tokio::test]
async fn an_address_where_nothing_listens_is_unreachable() {
    let server = start_server().await;
    let error = refused(
        &server,
        connection_to("http://127.0.0.1:9/"),
        "provider_unreachable",
    )
    .await;
    assert!(
        error["message"].as_str().unwrap().contains("127.0.0.1"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_password_is_told_apart_from_a_wrong_address() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let mut body = connection_to(calendars.base_url());
    body["credentials"]["password"] = json!("hunter2");
    let error = refused(&server, body, "provider_unauthorized").await;
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_caldav_is_not_supported() {
    let server = start_server().await;
    let other = start_server().await;
    refused(
        &server,
        connection_to(&other.server.base_url()),
        "provider_not_supported",
    )
    .await;
}

async fn behind_tls(identity: &TlsIdentity) -> CaldavServer {
    let mut config = simulators::caldav::Config::with_account(account());
    config.server.tls = Some(identity.server.clone());
    CaldavServer::start(config).await.unwrap()
}

fn localhost(calendars: &CaldavServer) -> String {
    calendars.base_url().replace("127.0.0.1", "localhost")
}

#[tokio::test]
async fn an_expired_certificate_is_named_and_an_untrusted_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    let (valid, expired) = (TlsIdentity::valid().unwrap(), TlsIdentity::expired().unwrap());
    let both = format!("{}\n{}", valid.authority_pem, expired.authority_pem);
    std::fs::write(&roots, both).unwrap();
    let trusting = start_server_with(&format!("extra_roots_file = \"{}\"", roots.display())).await;
    let plain = start_server().await;

    let calendars = behind_tls(&expired).await;
    let error = refused(
        &trusting,
        connection_to(&localhost(&calendars)),
        "provider_certificate",
    )
    .await;
    assert!(error["message"].as_str().unwrap().contains("expired"), "{error}");

    let calendars = behind_tls(&valid).await;
    let error = refused(
        &plain,
        connection_to(&localhost(&calendars)),
        "provider_certificate",
    )
    .await;
    assert!(
        error["message"].as_str().unwrap().contains("not trusted"),
        "{error}"
    );

    let answer = trusting
        .post("/v1/connections", connection_to(&localhost(&calendars)))
        .await;
    assert_eq!(
        answer.status, 201,
        "the extra authority is trusted: {}",
        answer.text
    );
}
