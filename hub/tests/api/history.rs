//! Why each field has its value: one record's whole story, told by its history.

use reqwest::Method;
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};

use crate::scene::{
    ADA, Scene, caldav_server, event_titled, google_event, google_server, ics, path_of, settle, sync,
    with_caldav, work,
};
use crate::server::TestServer;

async fn history(server: &TestServer, event: &Value, query: &str) -> Vec<Value> {
    let id = event["id"].as_str().unwrap();
    let answer = server
        .get(&format!("/v1/records/{id}/history?limit=200{query}"))
        .await;
    answer.data().as_array().unwrap().clone()
}

/// What an entry says in short: action, field, before, after.
fn brief(entry: &Value) -> (String, String, Value, Value) {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    (
        text("action"),
        text("field"),
        entry["before"].clone(),
        entry["after"].clone(),
    )
}

fn said(action: &str, field: &str, before: &str, after: &str) -> (String, String, Value, Value) {
    let value = |text: &str| match text {
        "" => Value::Null,
        text => json!(text),
    };
    (action.to_owned(), field.to_owned(), value(before), value(after))
}

async fn patch(scene: &Scene, event: &Value, title: &str) -> String {
    let answer = scene.server.patch(&path_of(event), json!({"title": title})).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.header("x-request-id").to_owned()
}

#[tokio::test]
async fn a_records_whole_story_can_be_read_backwards() {
    let google = google_server().await;
    let made = google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let remote = made["id"].as_str().unwrap();
    let caldav = caldav_server(&[]).await;
    // The answer to the copy's creation gets lost: it is found again by a probe.
    caldav
        .faults()
        .next(Match::method(Method::PUT), Fault::LoseResponse);
    let scene = Scene::mirrored(google, caldav).await;
    let event = scene.event("Planning").await;

    let api_edit = patch(&scene, &event, "From the API").await;
    scene.settle().await;

    let name = work(&scene.caldav).list().remove(0).name;
    let at_caldav = |from: &'static str, to: &'static str| {
        let edited = work(&scene.caldav).edit(&name, move |ics| {
            ics.replace(&format!("SUMMARY:{from}\r\n"), &format!("SUMMARY:{to}\r\n"))
        });
        edited.unwrap();
    };
    at_caldav("From the API", "From CalDAV");
    scene.round().await;

    // Two sides edit the same title; Google's edit is received last.
    scene
        .google
        .calendar(ADA)
        .patch(remote, json!({"summary": "Theirs"}))
        .unwrap();
    let here = patch(&scene, &event, "Ours").await;
    scene.settle().await;
    scene.round().await;
    let conflicts = scene.server.get("/v1/conflicts").await.data();
    let clash = &conflicts[0];
    assert_eq!(
        (&clash["winner"], &clash["rule"]),
        (&json!("remote"), &json!("last_writer")),
        "{conflicts}"
    );
    let path = format!("/v1/conflicts/{}/resolve", clash["id"].as_str().unwrap());
    let resolved = scene.server.post(&path, json!({"take": "hub"})).await;
    let resolving = resolved.header("x-request-id").to_owned();
    scene.settle().await;

    let deleted = scene.server.delete(&path_of(&event)).await;
    assert_eq!(deleted.status, 204);
    scene.settle().await;

    let story = history(&scene.server, &event, "").await;
    let told: Vec<_> = story.iter().rev().map(brief).collect();
    assert_eq!(
        told,
        [
            said("created", "", "", ""),
            said("joined", "", "", ""),
            said("updated", "title", "Planning", "From the API"),
            said("updated", "title", "From the API", "From CalDAV"),
            said("updated", "title", "From CalDAV", "Ours"),
            said("updated", "title", "Ours", "Theirs"),
            said("resolved", "title", "Theirs", "Ours"),
            said("deleted", "", "", ""),
        ],
        "{story:#?}"
    );
    let told: Vec<&Value> = story.iter().rev().collect();
    tells_where_it_came_from(&scene, &told);
    tells_who_won(&told, clash, &here);
    assert_eq!(told[2]["cause"]["request_id"], json!(api_edit));
    assert_eq!(
        (&told[6]["cause"]["request_id"], &told[6]["origin"]),
        (&json!(resolving), &json!({"type": "conflict", "id": clash["id"]}))
    );
    let versions: Vec<i64> = told
        .iter()
        .map(|entry| entry["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [1, 1, 2, 3, 4, 5, 6, 7]);
}

fn tells_where_it_came_from(scene: &Scene, told: &[&Value]) {
    let at = |calendar: &str, connection: &str, provider: &str| json!({"collection_id": calendar, "connection_id": connection, "provider": provider});
    let google = at(&scene.ada, &scene.google_connection, "google");
    let caldav = at(&scene.work, &scene.caldav_connection, "caldav");
    let place = |entry: &Value, name: &str| {
        let mut place = match name {
            "" => entry["place"].clone(),
            name => entry[name]["place"].clone(),
        };
        place.as_object_mut().map(|place| place.remove("link_id"));
        place
    };
    let via = |entry: &Value| entry["cause"]["via"].clone();
    assert_eq!(
        (place(told[0], ""), via(told[0])),
        (google.clone(), json!("pull")),
        "{:#}",
        told[0]
    );
    assert!(told[0]["cause"]["job_id"].is_string());
    assert_eq!(
        (place(told[1], ""), via(told[1])),
        (caldav.clone(), json!("probe")),
        "the copy whose creation was in doubt: {:#}",
        told[1]
    );
    assert!(told[1]["cause"]["intent_id"].is_string());
    assert_eq!(
        (&told[2]["replaced"]["version"], place(told[2], "replaced")),
        (&json!(1), google.clone())
    );
    assert_eq!(
        (via(told[3]), place(told[3], "")),
        (json!("pull"), caldav.clone())
    );
    assert_eq!(
        (
            &told[3]["replaced"]["version"],
            &told[3]["replaced"]["origin"]["type"]
        ),
        (&json!(2), &json!("api"))
    );
    assert_eq!(place(told[4], "replaced"), caldav);
    assert_eq!(
        (via(told[5]), place(told[5], "")),
        (json!("pull"), google),
        "{:#}",
        told[5]
    );
}

fn tells_who_won(told: &[&Value], clash: &Value, request: &str) {
    assert_eq!(
        told[5]["decision"],
        json!({"conflict_id": clash["id"], "rule": "last_writer", "winner": "remote", "lost": "Ours"})
    );
    assert_eq!(
        (&told[4]["cause"]["request_id"], &told[5]["replaced"]["version"]),
        (&json!(request), &told[4]["version"])
    );
    assert_eq!(told[6]["replaced"]["version"], told[5]["version"]);
}

#[tokio::test]
async fn a_field_has_its_own_history_in_pieces() {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:0", "LOCATION:Here"]))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "0").await;
    for number in 1..=5 {
        let body = json!({"title": number.to_string(), "location": format!("Room {number}")});
        server.patch(&path_of(&event), body).await.data();
    }
    settle(&server).await;
    let titles = history(&server, &event, "&field=title").await;
    let after: Vec<&Value> = titles.iter().map(|entry| &entry["after"]).collect();
    assert_eq!(
        after,
        [
            &json!("5"),
            &json!("4"),
            &json!("3"),
            &json!("2"),
            &json!("1"),
            &Value::Null
        ],
        "the creation is the first value's"
    );
    let id = event["id"].as_str().unwrap();
    let (mut pieces, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/records/{id}/history?field=title&limit=2{cursor}");
        let piece = server.get(&path).await.json();
        pieces.extend(piece["data"].as_array().unwrap().clone());
        match piece["page"]["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pieces, titles);
    let path = format!("/v1/records/{id}/history");
    for wrong in ["?field=titel", "?cursor=eA", "?limit=0"] {
        server
            .get(&format!("{path}{wrong}"))
            .await
            .failure(400, "invalid_query");
    }
    server
        .get("/v1/records/rec_01/history")
        .await
        .failure(404, "not_found");
}

#[tokio::test]
async fn an_occurrence_and_what_belongs_to_one_account_have_a_history_too() {
    let lines = ["SUMMARY:Standup", "RRULE:FREQ=DAILY;COUNT=5"];
    let caldav = caldav_server(&[("1.ics", ics("u1", &lines))]).await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Standup").await;
    let occurrence = format!("{}/occurrences/2026-03-03T09:00:00", path_of(&event));
    server
        .patch(&occurrence, json!({"title": "Long standup"}))
        .await
        .data();
    let reminders =
        json!({"reminders": {"use_default": false, "items": [{"minutes_before": 5, "method": "popup"}]}});
    let answer = server.patch(&path_of(&event), reminders).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    settle(&server).await;
    sync(&server, &connection).await;
    let of_occurrence = history(&server, &event, "&field=overrides.2026-03-03T09:00:00").await;
    assert_eq!(
        brief(&of_occurrence[0]),
        said(
            "updated",
            "overrides.2026-03-03T09:00:00.title",
            "",
            "Long standup"
        )
    );
    let own = history(&server, &event, "&field=reminders").await;
    assert_eq!(
        (&own[0]["action"], &own[0]["place"]["provider"]),
        (&json!("updated"), &json!("caldav")),
        "{own:#?}"
    );
}

#[tokio::test]
async fn a_long_value_is_shown_by_its_beginning_and_its_length() {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Minutes"]))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Minutes").await;
    let body = json!({"location": "x".repeat(20_000)});
    server.patch(&path_of(&event), body).await.data();
    let told = history(&server, &event, "&field=location").await;
    assert_eq!(told[0]["after"]["size_bytes"], 20_000, "{told:#?}");
    assert_eq!(told[0]["after"]["$truncated"], "x".repeat(200));
}

#[tokio::test]
async fn an_edit_that_lost_is_in_the_history_of_the_value_that_stayed() {
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
    patch(&scene, &event, "Here").await;
    scene.settle().await;
    scene.round().await;
    let told = history(&scene.server, &event, "&field=title").await;
    assert_eq!(brief(&told[0]), said("held", "title", "Here", "Here"));
    assert_eq!(told[0]["decision"]["lost"], "At Google", "{told:#?}");
    assert_eq!(told[0]["decision"]["winner"], Value::Null);
}
