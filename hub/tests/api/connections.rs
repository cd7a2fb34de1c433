//! A connection's life: made, synced, paused, changed, removed.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, TestServer, calendar_server, connection_to, event, start_server};

fn path_of(connection: &Value) -> String {
    format!("/v1/connections/{}", connection["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_new_connection_shows_its_collections_and_syncs_at_once() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let answer = server
        .post("/v1/connections", connection_to(calendars.base_url()))
        .await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let made = answer.data();
    assert_eq!(answer.header("location"), path_of(&made));
    assert_eq!(made["collections"][0]["name"], "Work", "{made}");
    assert!(
        !answer.text.contains("correct horse"),
        "credentials are never shown"
    );

    let job = server.ended_job(made["job_id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
    let read = server.get(&path_of(&made)).await.data();
    assert_eq!(read["health"], "active", "{read}");
    assert_eq!(read["collections"][0]["records"], 2, "{read}");
    assert!(read["synced_at"].is_string(), "{read}");
}

#[tokio::test]
async fn a_sync_on_request_takes_in_what_changed() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let made = server.connect(&calendars).await;
    calendars
        .calendar("ada", "work")
        .put("3.ics", event("3", "Retrospective"))
        .unwrap();

    let path = path_of(&made);
    let planned = server
        .post(&format!("{path}/sync?dry_run=true"), json!({}))
        .await
        .data();
    assert_eq!(planned.as_array().unwrap().len(), 1, "{planned}");
    let before = server.get(&path).await.data();
    assert_eq!(before["collections"][0]["records"], 2, "a dry run stores nothing");

    let answer = server.post(&format!("{path}/sync"), json!({})).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let job = server.ended_job(answer.data()["id"].as_str().unwrap()).await;
    assert_eq!(job["state"], "done", "{job}");
    let after = server.get(&path).await.data();
    assert_eq!(after["collections"][0]["records"], 3, "{after}");
}

#[tokio::test]
async fn a_paused_connection_rests_until_it_is_woken() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let made = server.connect(&calendars).await;
    let path = path_of(&made);

    let paused = server
        .patch(&path, json!({"paused": true, "name": "At rest"}))
        .await
        .data();
    assert_eq!(
        (&paused["health"], &paused["name"]),
        (&json!("paused"), &json!("At rest"))
    );
    server
        .post(&format!("{path}/sync"), json!({}))
        .await
        .failure(409, "conflict");

    calendars
        .calendar("ada", "work")
        .put("3.ics", event("3", "Retrospective"))
        .unwrap();
    let woken = server.patch(&path, json!({"paused": false})).await.data();
    assert_eq!(woken["health"], "active", "{woken}");
    let jobs = server.get("/v1/jobs?limit=1").await.data();
    server.ended_job(jobs[0]["id"].as_str().unwrap()).await;
    let read = server.get(&path).await.data();
    assert_eq!(read["collections"][0]["records"], 3, "waking syncs: {read}");
}

#[tokio::test]
async fn new_credentials_are_tried_before_they_replace_the_old_ones() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let made = server.connect(&calendars).await;
    let path = path_of(&made);
    calendars.set_password("ada", Some("new password")).unwrap();

    let wrong = json!({"credentials": {"username": "ada", "password": "guess"}});
    server
        .patch(&path, wrong)
        .await
        .failure(422, "provider_unauthorized");

    let sync = server.post(&format!("{path}/sync"), json!({})).await.data();
    let job = server.ended_job(sync["id"].as_str().unwrap()).await;
    assert_eq!(
        (&job["state"], &job["error"]["code"]),
        (&json!("failed"), &json!("provider_unauthorized"))
    );
    let read = server.get(&path).await.data();
    assert_eq!(read["health"], "needs_reauth", "{read}");

    let right = json!({"credentials": {"username": "ada", "password": "new password"}});
    let healed = server.patch(&path, right).await.data();
    assert_eq!(healed["health"], "active", "{healed}");
}

#[tokio::test]
async fn a_collection_can_be_left_out_and_an_unknown_one_cannot() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let made = server.connect(&calendars).await;
    let path = path_of(&made);
    let collection = made["collections"][0]["id"].as_str().unwrap();
    let changed = server
        .patch(&path, json!({"collections": {collection: {"enabled": false}}}))
        .await
        .data();
    assert_eq!(changed["collections"][0]["enabled"], false, "{changed}");
    let unknown = json!({"collections": {"coll_1": {"enabled": false}}});
    server.patch(&path, unknown).await.failure(422, "invalid_field");
}

#[tokio::test]
async fn a_removed_connection_is_gone_and_its_provider_untouched() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let made = server.connect(&calendars).await;
    assert_eq!(server.delete(&path_of(&made)).await.status, 204);
    server.get(&path_of(&made)).await.failure(404, "not_found");
    server.delete(&path_of(&made)).await.failure(404, "not_found");
    assert_eq!(calendars.log().writes(), 0);
    assert_eq!(calendars.calendar("ada", "work").list().len(), 2);
}

async fn create_with_key(server: &TestServer, key: &str, body: &Value) -> Answer {
    let request = server
        .request(Method::POST, "/v1/connections")
        .bearer_auth(&server.key);
    Answer::of(request.header("idempotency-key", key).json(body)).await
}

#[tokio::test]
async fn a_create_that_is_sent_twice_with_one_key_happens_once() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let body = connection_to(calendars.base_url());
    let first = create_with_key(&server, "k-1", &body).await;
    let second = create_with_key(&server, "k-1", &body).await;
    assert_eq!((first.status, second.status), (201, 201), "{}", second.text);
    assert_eq!(first.data()["id"], second.data()["id"]);
    assert_eq!(second.header("idempotent-replayed"), "true");
    let listed = server.get("/v1/connections").await.data();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");

    let mut other = body.clone();
    other["name"] = json!("another");
    create_with_key(&server, "k-1", &other)
        .await
        .failure(422, "idempotency_key_reused");
    create_with_key(&server, &"k".repeat(300), &body)
        .await
        .failure(400, "invalid_header");
}

#[tokio::test]
async fn a_failed_create_leaves_its_key_free_for_another_try() {
    let server = start_server().await;
    let calendars = calendar_server().await;
    let body = connection_to(calendars.base_url());
    calendars.set_password("ada", Some("not yet this")).unwrap();
    create_with_key(&server, "k-2", &body)
        .await
        .failure(422, "provider_unauthorized");
    calendars
        .set_password("ada", Some(crate::server::PASSWORD))
        .unwrap();
    assert_eq!(create_with_key(&server, "k-2", &body).await.status, 201);
}
