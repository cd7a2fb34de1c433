//! Both sides edited: different fields both stand; of the same field one stands and the other can be had back.

use serde_json::{Value, json};

use crate::scene::{
    ADA, Scene, caldav_server, event_titled, event_when, google_event, google_server, ics, path_of, settle,
    sync, with_caldav, work,
};
use crate::server::TestServer;

/// An event that was edited at the server and then here, before the hub looked at the server again.
async fn both_edited(
    at_server: (&str, &str),
    here: Value,
) -> (TestServer, simulators::caldav::CaldavServer, Value) {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Planning", "LOCATION:Room 1"]))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    work(&caldav)
        .edit("1.ics", |ics| ics.replace(at_server.0, at_server.1))
        .unwrap();
    server.patch(&path_of(&event), here).await.data();
    settle(&server).await;
    (server, caldav, event)
}

#[tokio::test]
async fn edits_of_different_fields_on_both_sides_both_stand() {
    let (server, caldav, event) = both_edited(
        ("LOCATION:Room 1", "LOCATION:Room 9"),
        json!({"title": "Edited here"}),
    )
    .await;
    let here = server.get(&path_of(&event)).await.data();
    assert_eq!(
        (&here["title"], &here["location"]),
        (&json!("Edited here"), &json!("Room 9"))
    );
    let there = work(&caldav).get("1.ics").unwrap().ics;
    assert!(
        there.contains("SUMMARY:Edited here") && there.contains("LOCATION:Room 9"),
        "{there}"
    );
    assert_eq!(server.get("/v1/conflicts?state=all").await.data(), json!([]));
}

#[tokio::test]
async fn of_two_edits_of_one_field_the_loser_is_kept_and_can_be_had_back() {
    let (server, caldav, event) = both_edited(
        ("SUMMARY:Planning", "SUMMARY:At the server"),
        json!({"title": "Here"}),
    )
    .await;
    assert_eq!(
        server.get(&path_of(&event)).await.data()["title"],
        "At the server",
        "it was received last"
    );
    let listed = server.get("/v1/conflicts").await.data();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
    let conflict = &listed[0];
    assert_eq!(
        (&conflict["field"], &conflict["base"]),
        (&json!("title"), &json!("Planning"))
    );
    assert_eq!(
        (&conflict["hub"], &conflict["remote"]),
        (&json!("Here"), &json!("At the server"))
    );
    assert_eq!(
        (&conflict["winner"], &conflict["record_id"]),
        (&json!("remote"), &event["id"])
    );
    let path = format!("/v1/conflicts/{}", conflict["id"].as_str().unwrap());
    assert_eq!(&server.get(&path).await.data(), conflict);

    let resolved = server
        .post(&format!("{path}/resolve"), json!({"take": "hub"}))
        .await
        .data();
    assert_eq!(resolved["title"], "Here");
    settle(&server).await;
    assert!(
        work(&caldav)
            .get("1.ics")
            .unwrap()
            .ics
            .contains("SUMMARY:Here\r\n")
    );
    assert_eq!(server.get("/v1/conflicts").await.data(), json!([]));
    let all = server.get("/v1/conflicts?state=all").await.data();
    assert!(all[0]["resolved_at"].is_string(), "{all}");
}

#[tokio::test]
async fn a_conflict_can_be_resolved_to_a_third_value() {
    let (server, caldav, event) = both_edited(
        ("SUMMARY:Planning", "SUMMARY:At the server"),
        json!({"title": "Here"}),
    )
    .await;
    let conflict = server.get("/v1/conflicts").await.data()[0].clone();
    let path = format!("/v1/conflicts/{}/resolve", conflict["id"].as_str().unwrap());
    server.post(&path, json!({})).await.failure(422, "missing_field");
    server
        .post(&path, json!({"take": "hub", "value": "x"}))
        .await
        .failure(422, "invalid_field");
    server
        .post(&path, json!({"take": "me"}))
        .await
        .failure(422, "invalid_field");
    server
        .post(&path, json!({"value": 7}))
        .await
        .failure(422, "wrong_type");
    server
        .post("/v1/conflicts/conf_01/resolve", json!({"take": "hub"}))
        .await
        .failure(404, "not_found");
    server.post(&path, json!({"value": "Agreed"})).await.data();
    settle(&server).await;
    assert_eq!(server.get(&path_of(&event)).await.data()["title"], "Agreed");
    assert!(
        work(&caldav)
            .get("1.ics")
            .unwrap()
            .ics
            .contains("SUMMARY:Agreed\r\n")
    );
}

#[tokio::test]
async fn an_edit_at_the_server_between_our_read_and_our_write_is_not_overwritten() {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Planning", "LOCATION:Room 1"]))]).await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    let someone = work(&caldav);
    caldav.before_next_put(move || {
        someone
            .edit("1.ics", |ics| ics.replace("LOCATION:Room 1", "LOCATION:Room 9"))
            .unwrap();
    });
    server
        .patch(&path_of(&event), json!({"title": "Edited here"}))
        .await
        .data();
    settle(&server).await;
    let there = work(&caldav).get("1.ics").unwrap().ics;
    assert!(
        there.contains("SUMMARY:Edited here") && there.contains("LOCATION:Room 9"),
        "{there}"
    );
    sync(&server, &connection).await;
    let here = server.get(&path_of(&event)).await.data();
    assert_eq!(
        (&here["title"], &here["location"]),
        (&json!("Edited here"), &json!("Room 9"))
    );
}

#[tokio::test]
async fn where_a_person_is_asked_both_sides_keep_theirs_until_then() {
    let google = google_server().await;
    let made = google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let scene = Scene::connected(google, caldav_server(&[]).await).await;
    scene.mirror(json!({"policy": "ask"})).await;
    let event = scene.event("Planning").await;
    let id = made["id"].as_str().unwrap();
    scene
        .google
        .calendar(ADA)
        .patch(id, json!({"summary": "At Google"}))
        .unwrap();
    scene
        .server
        .patch(&path_of(&event), json!({"title": "Here"}))
        .await
        .data();
    scene.settle().await;
    scene.round().await;
    let open = scene.server.get("/v1/conflicts").await.data();
    assert_eq!(open.as_array().unwrap().len(), 1, "{open}");
    assert_eq!(
        (&open[0]["winner"], &open[0]["rule"]),
        (&Value::Null, &json!("ask"))
    );
    assert!(
        scene.at_google("At Google").is_some(),
        "the provider keeps its own"
    );
    assert_eq!(
        scene.server.get(&path_of(&event)).await.data()["title"],
        "Here",
        "and so does the hub"
    );

    let path = format!("/v1/conflicts/{}/resolve", open[0]["id"].as_str().unwrap());
    scene.server.post(&path, json!({"take": "remote"})).await.data();
    scene.settle().await;
    scene.round().await;
    event_when(&scene.server, &event, |event| event["title"] == "At Google").await;
    assert!(scene.at_google("At Google").is_some() && scene.at_caldav("At Google").is_some());
}
