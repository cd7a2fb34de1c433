//! Calendars of two vendors that hold the same events already: what a dry run says, what linking writes, and how it is
//! undone.

use serde_json::{Value, json};

use crate::scene::{
    ADA, Scene, caldav_server, events, google_event, google_server, ics, path_of, settle, work,
};

const NOBODY: &str = "rec_01jd3m8y6q0000000000000000";

/// Both vendors with an event of their own, one that is the same, and one that fits two.
async fn alike() -> Scene {
    let google = google_server().await;
    for title in ["Planning", "Double", "Only at Google"] {
        google.calendar(ADA).insert(google_event(title)).unwrap();
    }
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:Planning", "LOCATION:Room 1"])),
        ("2.ics", ics("u2", &["SUMMARY:Double"])),
        ("3.ics", ics("u3", &["SUMMARY:double"])),
    ];
    Scene::connected(google, caldav_server(&objects).await).await
}

fn both(scene: &Scene) -> Value {
    json!({
        "name": "Both",
        "members": [
            {"collection_id": scene.ada, "role": "both"},
            {"collection_id": scene.work, "role": "both"},
        ],
    })
}

fn of<'a>(planned: &'a Value, action: &str) -> Vec<&'a Value> {
    let all = planned.as_array().unwrap().iter();
    all.filter(|one| one["action"] == action).collect()
}

async fn titled(scene: &Scene, title: &str) -> Vec<Value> {
    let all = events(&scene.server).await.into_iter();
    all.filter(|event| event["title"] == title).collect()
}

#[tokio::test]
async fn a_dry_run_lists_what_would_be_linked_and_the_mirror_then_does_just_that() {
    let scene = alike().await;
    let planned = scene
        .server
        .post("/v1/mirrors?dry_run=true", both(&scene))
        .await
        .data();
    let links = of(&planned, "link");
    assert_eq!(links.len(), 1, "{planned:#}");
    assert_eq!(links[0]["title"], "Planning");
    assert_eq!(links[0]["matched_by"], "title_and_time");
    assert_eq!(links[0]["other_ids"].as_array().unwrap().len(), 1);
    assert!(
        links[0]["fields"]
            .as_array()
            .unwrap()
            .contains(&json!("location")),
        "{planned:#}"
    );
    assert_eq!(of(&planned, "ambiguous").len(), 3, "{planned:#}");
    assert_eq!(
        of(&planned, "create").len(),
        4,
        "three doubles and one of Google's own"
    );
    assert_eq!(events(&scene.server).await.len(), 6, "nothing was done");
    let marks = scene.marks();
    scene.mirror(json!({})).await;
    assert_eq!(titled(&scene, "Planning").await.len(), 1);
    assert_eq!(
        titled(&scene, "Double").await.len() + titled(&scene, "double").await.len(),
        3
    );
    assert_eq!(
        scene.google.event_count(ADA),
        5,
        "one of five was there, and two doubles came"
    );
    assert_eq!(work(&scene.caldav).list().len(), 5);
    assert_eq!(
        scene.at_google("Planning").unwrap()["location"],
        "Room 1",
        "what only one side said is on both"
    );
    let (at_google, at_caldav) = scene.writes_since(&marks);
    let updates = of(&planned, "update");
    assert_eq!(at_google + at_caldav, 4 + updates.len(), "{planned:#}");
    let marks = scene.marks();
    scene.round().await;
    scene.round().await;
    assert_eq!(scene.writes_since(&marks), (0, 0));
    assert!(scene.google.notifications().is_empty(), "nobody is mailed");
}

#[tokio::test]
async fn a_dry_run_says_whom_a_provider_would_mail_and_whose_value_would_stand() {
    let google = google_server().await;
    let mut meeting = google_event("Review");
    meeting["attendees"] = json!([{"email": "grace@example.com"}]);
    google.calendar(ADA).insert(meeting).unwrap();
    let mut other = google_event("Planning");
    other["description"] = json!("From Google");
    google.calendar(ADA).insert(other).unwrap();
    let lines = [
        "SUMMARY:Planning",
        "DESCRIPTION:From CalDAV",
        "ORGANIZER:mailto:boss@example.com",
        "ATTENDEE:mailto:grace@example.com",
    ];
    let objects = [("1.ics", ics("u1", &lines))];
    let scene = Scene::connected(google, caldav_server(&objects).await).await;
    let mut body = both(&scene);
    body["policy"] = json!("hub_wins");
    let planned = scene.server.post("/v1/mirrors?dry_run=true", body).await.data();
    let create = of(&planned, "create");
    assert_eq!(create.len(), 1, "{planned:#}");
    assert_eq!(
        create[0]["notifies"],
        Value::Null,
        "a copy there carries no guests"
    );
    assert_eq!(create[0]["collection_id"], scene.work);
    let updates = of(&planned, "update");
    let there = updates
        .iter()
        .find(|one| one["collection_id"] == scene.work)
        .unwrap();
    assert_eq!(
        there["notifies"],
        json!(["grace@example.com"]),
        "no CalDAV server can be told not to: {planned:#}"
    );
    let clashes = of(&planned, "link")[0]["clashes"].as_array().unwrap().clone();
    let clash = clashes
        .iter()
        .find(|clash| clash["field"] == "description")
        .unwrap();
    assert_eq!(
        (&clash["winner"], &clash["rule"]),
        (&json!("hub"), &json!("hub_wins"))
    );
    assert_eq!(clash["remote"]["text"], "From CalDAV", "{clash}");
}

#[tokio::test]
async fn a_link_is_undone_without_a_write_and_tied_again_by_hand() {
    let scene = alike().await;
    let before = titled(&scene, "Planning").await;
    scene.mirror(json!({})).await;
    scene.round().await;
    let event = titled(&scene, "Planning").await.remove(0);
    // The other one's id says where it went.
    let retired = before.iter().find(|one| one["id"] != event["id"]).unwrap();
    for answer in [
        scene.server.get(&path_of(retired)).await,
        scene.server.patch(&path_of(retired), json!({"title": "x"})).await,
        scene.server.delete(&path_of(retired)).await,
    ] {
        let error = answer.failure(404, "not_found");
        assert_eq!(error["details"]["merged_into"], event["id"], "{error}");
    }
    let marks = scene.marks();
    let links = event["links"].as_array().unwrap();
    let link = links
        .iter()
        .find(|link| link["collection_id"] == scene.work)
        .unwrap();
    let path = format!("/v1/links/{}", link["id"].as_str().unwrap());
    let undone = scene
        .server
        .post(&format!("{path}/unlink"), json!({}))
        .await
        .data();
    assert_ne!(undone["record_id"], event["id"]);
    scene.round().await;
    scene.round().await;
    let apart = titled(&scene, "Planning").await;
    assert_eq!(apart.len(), 2);
    assert_eq!(scene.writes_since(&marks), (0, 0));
    let again = scene.server.post(&format!("{path}/unlink"), json!({})).await;
    again.failure(409, "conflict");

    let body = json!({"record_id": event["id"], "other_id": undone["record_id"]});
    let tied = scene.server.post("/v1/links", body).await.data();
    assert_eq!(tied["record_id"], event["id"]);
    assert_eq!(tied["links"].as_array().unwrap().len(), 2);
    settle(&scene.server).await;
    scene
        .server
        .patch(&path_of(&event), json!({"title": "Planned"}))
        .await
        .data();
    settle(&scene.server).await;
    assert!(scene.at_google("Planned").is_some() && scene.at_caldav("Planned").is_some());
}

#[tokio::test]
async fn records_that_cannot_be_tied_are_refused_with_the_reason() {
    let scene = alike().await;
    let all = events(&scene.server).await;
    let at = |calendar: &str| -> Vec<Value> {
        let mut here = all
            .iter()
            .filter(|event| event["links"][0]["collection_id"] == calendar);
        let one = here.next().unwrap()["id"].clone();
        vec![one, here.next().unwrap()["id"].clone()]
    };
    let here = at(&scene.ada);
    for (body, status, code, path) in [
        (json!({"record_id": here[0]}), 422, "missing_field", "other_id"),
        (
            json!({"record_id": here[0], "other_id": NOBODY}),
            422,
            "invalid_field",
            "other_id",
        ),
        (
            json!({"record_id": "x", "other_id": here[0]}),
            422,
            "invalid_field",
            "record_id",
        ),
        (
            json!({"record_id": here[0], "other_id": here[1], "why": 1}),
            422,
            "unknown_field",
            "why",
        ),
    ] {
        let error = scene
            .server
            .post("/v1/links", body.clone())
            .await
            .failure(status, code);
        assert_eq!(error["details"]["path"], path, "{body}: {error}");
    }
    for other in [&here[0], &here[1]] {
        let body = json!({"record_id": here[0], "other_id": other});
        scene
            .server
            .post("/v1/links", body)
            .await
            .failure(409, "conflict");
    }
    let path = "/v1/links/link_01jd3m8y6q0000000000000000/unlink";
    scene.server.post(path, json!({})).await.failure(404, "not_found");
    assert_eq!(events(&scene.server).await.len(), 6, "nothing was changed");
}
