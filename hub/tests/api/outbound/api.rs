//! `/v1/webhook-endpoints` over HTTP.

use ::sync::ports::{Effect, Store as _};
use ::sync::state::{FeedAction, FeedEntry, Origin};
use serde_json::{Value, json};
use testkit::harness::until;

use super::receiver::Receiver;
use crate::server::{LIMIT, TestServer, start_server, start_server_with};

const LOOPBACK: &str = "egress_allow = \"127.0.0.0/8\"\negress_ports = \"1-65535\"";

async fn commit(server: &TestServer, kind: &str, action: FeedAction) {
    let store = server.server.state().unscoped_store();
    let organization = store.organizations().await.unwrap().remove(0).id;
    let entry = FeedEntry {
        action,
        subject: "rec_1".to_owned(),
        kind: kind.to_owned(),
        version: 1,
        changed: Vec::new(),
        origin: Origin::Hub,
        at: 1_780_000_000_000,
    };
    store
        .commit(&organization, None, vec![Effect::Feed(entry)])
        .await
        .unwrap();
}

async fn make(server: &TestServer, body: Value) -> (String, String) {
    let made = server.post("/v1/webhook-endpoints", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = |field: &str| made.data()[field].as_str().unwrap().to_owned();
    assert_eq!(
        made.header("location"),
        format!("/v1/webhook-endpoints/{}", text("id"))
    );
    (format!("/v1/webhook-endpoints/{}", text("id")), text("secret"))
}

async fn arrived(receiver: &Receiver, count: usize) {
    until("the delivery", LIMIT, async || {
        (receiver.count() >= count).then_some(())
    })
    .await
    .unwrap();
}

async fn delivery(server: &TestServer, path: &str, id: &str, state: &str) -> Value {
    let path = format!("{path}/deliveries/{id}");
    until("the delivery's end", LIMIT, async || {
        let delivery = server.get(&path).await.data();
        (delivery["state"] == state).then_some(delivery)
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_change_arrives_signed_with_every_live_secret_and_stands_in_the_log() {
    let server = start_server_with(LOOPBACK).await;
    let receiver = Receiver::start().await;
    let (path, first) = make(
        &server,
        json!({"url": receiver.url, "kinds": ["event"], "actions": ["updated"]}),
    )
    .await;
    commit(&server, "task", FeedAction::Updated).await;
    commit(&server, "event", FeedAction::Created).await;
    commit(&server, "event", FeedAction::Updated).await;
    arrived(&receiver, 1).await;
    let one = receiver.received().remove(0);
    assert!(one.is_signed_with(&first) && one.signatures.len() == 1);
    let body = one.json();
    assert_eq!(
        (&body["type"], &body["data"]["id"]),
        (&json!("event.updated"), &json!("rec_1"))
    );
    assert_eq!(body["timestamp"], "2026-05-28T20:26:40Z");
    let told = delivery(&server, &path, &one.id, "delivered").await;
    assert_eq!(told["seq"], one.seq());
    assert_eq!(told["attempt_log"][0]["status"], 204, "{told}");
    assert_eq!(told["attempts"], 1);
    let listed = server
        .get(&format!("{path}/deliveries?state=delivered"))
        .await
        .data();
    assert_eq!(
        listed.as_array().unwrap().len(),
        1,
        "what was not asked for was not made: {listed}"
    );

    let rotated = server
        .post(&format!("{path}/rotate-secret"), json!({}))
        .await
        .data();
    let second = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    commit(&server, "event", FeedAction::Updated).await;
    arrived(&receiver, 2).await;
    let two = receiver.received().remove(1);
    assert!(
        two.is_signed_with(&first) && two.is_signed_with(&second),
        "{two:?}"
    );
    let again = server
        .post(
            &format!("{path}/rotate-secret"),
            json!({"keep_old_for_seconds": 0}),
        )
        .await
        .data();
    commit(&server, "event", FeedAction::Updated).await;
    arrived(&receiver, 3).await;
    let three = receiver.received().remove(2);
    assert!(three.is_signed_with(again["secret"].as_str().unwrap()));
    assert!(!three.is_signed_with(&first) && !three.is_signed_with(&second));

    // No secret is shown again, and none lies in the database as it is.
    for shown in [path.as_str(), "/v1/webhook-endpoints", "/v1/changes"] {
        let text = server.get(shown).await.text;
        assert!(!text.contains("whsec_"), "{text}");
    }
    for file in ["concord.db", "concord.db-wal"] {
        let bytes = std::fs::read(server.folder.path().join(file)).unwrap_or_default();
        let secret = second.trim_start_matches("whsec_").as_bytes();
        assert!(
            !bytes.windows(secret.len()).any(|window| window == secret),
            "{file}"
        );
    }
}

#[tokio::test]
async fn tests_and_replays_are_sent_at_once_under_their_own_ids() {
    let server = start_server_with(LOOPBACK).await;
    let receiver = Receiver::start().await;
    let (path, _) = make(&server, json!({"url": receiver.url, "kinds": ["event"]})).await;
    let test = server.post(&format!("{path}/test"), json!({})).await;
    assert_eq!(test.status, 202, "{}", test.text);
    arrived(&receiver, 1).await;
    let one = receiver.received().remove(0);
    assert_eq!(one.json()["type"], "webhook_endpoint.test");
    assert_eq!(test.data()["id"], one.id.as_str());
    delivery(&server, &path, &one.id, "delivered").await;

    receiver.answer_status(500);
    let failing = server.post(&format!("{path}/test"), json!({})).await.data();
    let failed = delivery(&server, &path, failing["id"].as_str().unwrap(), "dead").await;
    assert_eq!(failed["attempts"], 1, "a test is sent once: {failed}");
    receiver.answer_status(200);

    commit(&server, "event", FeedAction::Updated).await;
    arrived(&receiver, 3).await;
    let two = receiver.received().remove(2);
    delivery(&server, &path, &two.id, "delivered").await;
    let replay = |body: Value| {
        let (server, path) = (&server, format!("{path}/replay"));
        async move { server.post(&path, body).await }
    };
    let replayed = replay(json!({"delivery_ids": [two.id]})).await;
    assert_eq!(replayed.data()["replayed"], 1, "{}", replayed.text);
    arrived(&receiver, 4).await;
    let again = receiver.received().remove(3);
    assert_eq!((&again.id, &again.body), (&two.id, &two.body));
    delivery(&server, &path, &two.id, "delivered").await;
    let all = json!({"from": "2000-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", "states": ["delivered"]});
    assert_eq!(replay(all).await.data()["replayed"], 2);
    arrived(&receiver, 6).await;
    for body in [
        json!({}),
        json!({"delivery_ids": []}),
        json!({"from": "2026-01-01T00:00:00Z"}),
        json!({"from": "2027-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}),
        json!({"delivery_ids": [two.id], "from": "2026-01-01T00:00:00Z", "to": "2027-01-01T00:00:00Z"}),
    ] {
        replay(body).await.failure(422, "invalid_field");
    }
}

#[tokio::test]
async fn a_disabled_endpoint_is_told_what_it_missed_or_not_as_asked() {
    let server = start_server_with(LOOPBACK).await;
    let receiver = Receiver::start().await;
    let (path, _) = make(&server, json!({"url": receiver.url, "kinds": ["event"]})).await;
    let set = |body: Value| {
        let (server, path) = (&server, &path);
        async move { server.patch(path, body).await.data() }
    };
    let disabled = set(json!({"state": "disabled"})).await;
    assert_eq!(disabled["reason"], "somebody asked for it");
    server
        .post(&format!("{path}/test"), json!({}))
        .await
        .failure(409, "conflict");
    commit(&server, "event", FeedAction::Created).await;
    let active = set(json!({"state": "active", "name": "Again"})).await;
    assert_eq!(
        (&active["reason"], &active["name"]),
        (&Value::Null, &json!("Again"))
    );
    arrived(&receiver, 1).await;
    assert_eq!(receiver.received()[0].json()["type"], "event.created");

    set(json!({"state": "disabled"})).await;
    commit(&server, "event", FeedAction::Updated).await;
    set(json!({"state": "active", "skip_missed": true, "rate_per_second": 50})).await;
    commit(&server, "event", FeedAction::Deleted).await;
    arrived(&receiver, 2).await;
    assert_eq!(receiver.received()[1].json()["type"], "event.deleted");
    assert_eq!(
        set(json!({"rate_per_second": 0})).await["rate_per_second"],
        Value::Null
    );

    assert_eq!(server.delete(&path).await.status, 204);
    server.get(&path).await.failure(404, "not_found");
    server.delete(&path).await.failure(404, "not_found");
    let told = server.get("/v1/changes?kind=webhook_endpoint").await.json();
    let actions: Vec<&Value> = told["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| &change["action"])
        .collect();
    assert_eq!(
        (actions.first().unwrap(), actions.last().unwrap()),
        (&&json!("created"), &&json!("deleted"))
    );
}

#[tokio::test]
async fn endpoints_that_make_no_sense_are_refused_with_the_field() {
    let server = start_server().await;
    let post = |body: Value| {
        let server = &server;
        async move { server.post("/v1/webhook-endpoints", body).await }
    };
    for url in [
        "http://127.0.0.1:8080/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://localhost/",
        "http://93.184.215.14/",
        "https://93.184.215.14:22/",
        "https://user:hunter2@93.184.215.14/",
        "not an address",
    ] {
        let error = post(json!({"url": url})).await.failure(422, "invalid_field");
        assert_eq!(error["details"]["path"], "url", "{url}");
        assert!(!error.to_string().contains("hunter2"));
    }
    let good = "https://93.184.215.14/hook";
    for (field, value) in [
        ("rate_per_second", json!(0)),
        ("rate_per_second", json!(10_001)),
        ("kinds", json!([""])),
        ("connection_ids", json!(["conn_01"])),
        ("name", json!("x".repeat(201))),
    ] {
        let mut body = json!({"url": good});
        body[field] = value;
        let error = post(body).await.failure(422, "invalid_field");
        assert_eq!(error["details"]["path"], field);
    }
    post(json!({})).await.failure(422, "missing_field");
    post(json!({"url": good, "secret": "mine"}))
        .await
        .failure(422, "unknown_field");
    assert_eq!(server.get("/v1/webhook-endpoints").await.data(), json!([]));
}
