//! Mirrors between Google and CalDAV: how much is written, what stays where it is, and what is refused.

use serde_json::{Value, json};
use simulators::caldav::Quirks;

use crate::scene::{
    ADA, Scene, caldav_server, eventually, google_event, google_series, google_server, ics, path_of, sync,
    work,
};

#[tokio::test]
async fn a_mirror_brings_each_event_to_the_other_side_once() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_event("From Google")).unwrap();
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:From CalDAV"]))]).await;
    let scene = Scene::connected(google, caldav).await;
    let marks = scene.marks();
    scene.mirror(json!({})).await;
    assert_eq!(scene.writes_since(&marks), (1, 1));
    assert!(scene.at_google("From CalDAV").is_some());
    assert!(scene.at_caldav("From Google").is_some());
    scene.round().await;
    let events = scene.server.get("/v1/events").await.data();
    assert_eq!(events.as_array().unwrap().len(), 2, "{events}");
    let links = events[0]["links"].as_array().unwrap();
    assert_eq!(links.len(), 2, "{events}");
}

#[tokio::test]
async fn one_edit_on_one_side_is_one_write_on_the_other() {
    let google = google_server().await;
    let made = google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let scene = Scene::mirrored(google, caldav_server(&[]).await).await;

    let marks = scene.marks();
    let edit = json!({"summary": "Planning at Google"});
    scene
        .google
        .calendar(ADA)
        .patch(made["id"].as_str().unwrap(), edit)
        .unwrap();
    scene.round().await;
    scene.round().await;
    assert_eq!(scene.writes_since(&marks), (0, 1));
    assert!(scene.at_caldav("Planning at Google").is_some());

    let marks = scene.marks();
    let name = work(&scene.caldav).list()[0].name.clone();
    work(&scene.caldav)
        .edit(&name, |ics| {
            ics.replace("Planning at Google", "Planning at CalDAV")
        })
        .unwrap();
    scene.round().await;
    scene.round().await;
    assert_eq!(scene.writes_since(&marks), (1, 0));
    assert!(scene.at_google("Planning at CalDAV").is_some());

    let marks = scene.marks();
    let event = scene.event("Planning at CalDAV").await;
    scene
        .server
        .patch(&path_of(&event), json!({"location": "Room 1"}))
        .await
        .data();
    scene.settle().await;
    scene.round().await;
    assert_eq!(
        scene.writes_since(&marks),
        (1, 1),
        "an edit here is one write on each side"
    );
    assert!(scene.google.notifications().is_empty(), "nobody is mailed");
}

#[tokio::test]
async fn a_series_split_is_the_two_writes_that_it_needs_on_each_side() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_series("Standup")).unwrap();
    let scene = Scene::mirrored(google, caldav_server(&[]).await).await;
    let series = scene.event("Standup").await;
    let marks = scene.marks();
    let path = format!(
        "{}/occurrences/2026-03-06T09:00:00?scope=following",
        path_of(&series)
    );
    scene
        .server
        .patch(&path, json!({"title": "Standup, new"}))
        .await
        .data();
    scene.settle().await;
    scene.round().await;
    scene.round().await;
    assert_eq!(scene.writes_since(&marks), (2, 2));
    assert_eq!(work(&scene.caldav).list().len(), 2);
    assert!(scene.at_google("Standup, new").is_some() && scene.at_caldav("Standup, new").is_some());
}

#[tokio::test]
async fn ten_idle_rounds_write_nothing_and_mail_nobody() {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    let series = calendar.insert(google_series("Standup")).unwrap();
    calendar
        .cancel_instance(series["id"].as_str().unwrap(), "20260304T080000Z")
        .unwrap();
    let mut meeting = google_event("With guests");
    meeting["attendees"] = json!([{"email": "grace@example.com", "responseStatus": "accepted"}]);
    meeting["reminders"] = json!({"useDefault": false, "overrides": [{"method": "popup", "minutes": 5}]});
    calendar.insert(meeting).unwrap();
    let day = [
        "SUMMARY:Day",
        "DTSTART;VALUE=DATE:20260302",
        "DTEND;VALUE=DATE:20260304",
    ];
    let alarmed = [
        "SUMMARY:Alarmed",
        "DESCRIPTION:Line one\\nline two",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "DESCRIPTION:x",
        "TRIGGER:-PT15M",
        "END:VALARM",
    ];
    let caldav = caldav_server(&[("1.ics", ics("u1", &day)), ("2.ics", ics("u2", &alarmed))]).await;
    let scene = Scene::mirrored(google, caldav).await;
    scene.round().await;
    let marks = scene.marks();
    for _ in 0..10 {
        scene.round().await;
    }
    assert_eq!(scene.writes_since(&marks), (0, 0));
    assert!(scene.google.notifications().is_empty());
    assert_eq!(work(&scene.caldav).list().len(), 4);
    assert_eq!(scene.google.event_count(ADA), 4);
}

#[tokio::test]
async fn a_provider_that_renames_zones_is_not_argued_with() {
    let google = google_server().await;
    google.rewrite_zone("Asia/Kolkata", "Asia/Calcutta");
    let caldav = caldav_server(&[]).await;
    caldav.set_quirks(Quirks {
        rewrite_zones: [("Asia/Kolkata".to_owned(), "Asia/Calcutta".to_owned())].into(),
        ..Quirks::default()
    });
    let scene = Scene::mirrored(google, caldav).await;
    let kolkata = |wall: &str| json!({"kind": "zoned", "wall": wall, "zone": "Asia/Kolkata"});
    let body = json!({
        "calendar_id": scene.ada,
        "title": "Handover",
        "start": kolkata("2026-03-02T11:00:00"),
        "end": kolkata("2026-03-02T11:30:00"),
        "recurrence": {"rules": ["FREQ=WEEKLY;COUNT=5"]},
    });
    scene.server.post("/v1/events", body).await.data();
    scene.settle().await;
    scene.round().await;
    assert!(
        scene.at_caldav("Handover").unwrap().contains("Asia/Calcutta"),
        "the quirk is in force"
    );
    let marks = scene.marks();
    for _ in 0..3 {
        scene.round().await;
    }
    assert_eq!(scene.writes_since(&marks), (0, 0));
    assert_eq!(
        scene.event("Handover").await["start"],
        kolkata("2026-03-02T11:00:00")
    );
}

#[tokio::test]
async fn reminders_and_my_response_stay_on_their_own_account() {
    let google = google_server().await;
    let mut meeting = google_event("Meeting");
    meeting["attendees"] =
        json!([{"email": ADA, "self": true, "responseStatus": "accepted"}, {"email": "grace@example.com"}]);
    meeting["reminders"] = json!({"useDefault": false, "overrides": [{"method": "popup", "minutes": 42}]});
    let made = google.calendar(ADA).insert(meeting).unwrap();
    let scene = Scene::mirrored(google, caldav_server(&[]).await).await;
    let there = scene.at_caldav("Meeting").unwrap();
    assert!(!there.contains("VALARM") && !there.contains("PT42M"), "{there}");

    let name = work(&scene.caldav).list()[0].name.clone();
    let alarm =
        "BEGIN:VALARM\r\nACTION:DISPLAY\r\nDESCRIPTION:x\r\nTRIGGER:-PT7M\r\nEND:VALARM\r\nEND:VEVENT";
    let alarmed = |ics: &str| {
        ics.replacen("END:VEVENT", alarm, 1)
            .replace("SUMMARY:Meeting", "SUMMARY:Meeting!")
    };
    work(&scene.caldav).edit(&name, alarmed).unwrap();
    scene.round().await;
    let at_google = scene
        .google
        .calendar(ADA)
        .event(made["id"].as_str().unwrap())
        .unwrap();
    assert_eq!(at_google["summary"], "Meeting!");
    assert_eq!(
        at_google["reminders"]["overrides"],
        json!([{"method": "popup", "minutes": 42}])
    );
    assert_eq!(
        at_google["attendees"][0]["responseStatus"], "accepted",
        "{at_google}"
    );
    let shown = scene.event("Meeting!").await;
    assert_eq!(
        shown["reminders"]["items"][0]["minutes_before"], 42,
        "those of the account it came from"
    );

    scene
        .server
        .patch(
            &path_of(&shown),
            json!({"reminders": {"items": [{"minutes_before": 3, "method": "popup"}]}}),
        )
        .await
        .data();
    scene.settle().await;
    let at_google = scene
        .google
        .calendar(ADA)
        .event(made["id"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        at_google["reminders"]["overrides"],
        json!([{"method": "popup", "minutes": 3}])
    );
    let there = scene.at_caldav("Meeting!").unwrap();
    assert!(there.contains("-PT7M") && !there.contains("PT3M"), "{there}");
}

#[tokio::test]
async fn deletes_travel_through_a_mirror_from_either_side() {
    let google = google_server().await;
    let made = google.calendar(ADA).insert(google_event("First")).unwrap();
    google.calendar(ADA).insert(google_event("Second")).unwrap();
    let scene = Scene::mirrored(google, caldav_server(&[]).await).await;
    scene
        .google
        .calendar(ADA)
        .delete(made["id"].as_str().unwrap())
        .unwrap();
    scene.round().await;
    eventually("the copy to go", || scene.at_caldav("First").is_none()).await;

    let name = work(&scene.caldav).list()[0].name.clone();
    work(&scene.caldav).delete(&name).unwrap();
    scene.round().await;
    eventually("the original to go", || scene.at_google("Second").is_none()).await;
    scene.round().await;
    assert_eq!(
        (work(&scene.caldav).list().len(), scene.google.event_count(ADA)),
        (0, 0)
    );
    assert!(scene.google.notifications().is_empty(), "nobody is mailed");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_written_and_writes_nothing() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let scene = Scene::connected(google, caldav_server(&[]).await).await;
    let marks = scene.marks();
    let body = json!({
        "name": "Both",
        "members": [{"collection_id": scene.ada, "role": "source"}, {"collection_id": scene.work, "role": "target"}],
    });
    let planned = scene.server.post("/v1/mirrors?dry_run=true", body).await.data();
    assert_eq!(planned.as_array().unwrap().len(), 1, "{planned}");
    assert_eq!(
        (&planned[0]["action"], &planned[0]["title"]),
        (&json!("create"), &json!("Planning"))
    );
    scene.settle().await;
    assert_eq!(scene.writes_since(&marks), (0, 0));
    assert_eq!(scene.server.get("/v1/mirrors").await.data(), json!([]));
}

#[tokio::test]
async fn a_deleted_mirror_leaves_its_copies() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let scene = Scene::connected(google, caldav_server(&[]).await).await;
    let mirror = scene.mirror(json!({"name": "Both ways"})).await;
    let path = format!("/v1/mirrors/{}", mirror["id"].as_str().unwrap());
    assert_eq!(scene.server.get(&path).await.data()["name"], "Both ways");
    let renamed = scene.server.patch(&path, json!({"name": "Renamed"})).await.data();
    assert_eq!(
        (&renamed["name"], &renamed["members"]),
        (&json!("Renamed"), &mirror["members"])
    );
    assert_eq!(scene.server.delete(&path).await.status, 204);
    scene.server.get(&path).await.failure(404, "not_found");
    scene.round().await;
    assert!(scene.at_caldav("Planning").is_some());
    scene.google.calendar(ADA).insert(google_event("New")).unwrap();
    scene.round().await;
    assert!(scene.at_caldav("New").is_none(), "a new event stays where it is");
}

#[tokio::test]
async fn the_copies_of_a_deleted_mirror_no_longer_hear_of_each_other() {
    let google = google_server().await;
    let made = google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let scene = Scene::connected(google, caldav_server(&[]).await).await;
    let mirror = scene.mirror(json!({})).await;
    let path = format!("/v1/mirrors/{}", mirror["id"].as_str().unwrap());
    assert_eq!(scene.server.delete(&path).await.status, 204);
    scene
        .google
        .calendar(ADA)
        .patch(made["id"].as_str().unwrap(), json!({"summary": "Apart"}))
        .unwrap();
    scene.round().await;
    assert!(scene.at_google("Apart").is_some() && scene.at_caldav("Apart").is_none());
    assert!(scene.at_caldav("Planning").is_some(), "the copy stays as it was");
}

#[tokio::test]
async fn mirrors_that_cannot_work_are_refused_with_the_reason() {
    let scene = Scene::connected(google_server().await, caldav_server(&[]).await).await;
    let (ada, work) = (scene.ada.as_str(), scene.work.as_str());
    let members = |roles: &[(&str, &str)]| -> Value {
        roles
            .iter()
            .map(|(id, role)| json!({"collection_id": id, "role": role}))
            .collect()
    };
    let body = |members: Value| json!({"name": "M", "members": members});
    for (body, code, path) in [
        (body(json!([])), "invalid_field", "members"),
        (body(members(&[(ada, "both")])), "invalid_field", "members"),
        (
            body(members(&[(ada, "source"), (work, "source")])),
            "invalid_field",
            "members",
        ),
        (
            body(members(&[(ada, "target"), (work, "target")])),
            "invalid_field",
            "members",
        ),
        (
            body(members(&[(ada, "both"), (ada, "both")])),
            "invalid_field",
            "members",
        ),
        (
            body(members(&[
                (ada, "both"),
                ("coll_01jd3m8y6q0000000000000000", "both"),
            ])),
            "invalid_field",
            "members",
        ),
        (
            body(members(&[(ada, "both"), (work, "boss")])),
            "invalid_field",
            "members[1].role",
        ),
        (
            json!({"name": "", "members": members(&[(ada, "both"), (work, "both")])}),
            "invalid_field",
            "name",
        ),
        (
            json!({"name": "M", "members": members(&[(ada, "both"), (work, "both")]), "field_owners": {"titel": "hub"}}),
            "invalid_field",
            "field_owners.titel",
        ),
        (json!({"members": []}), "missing_field", "name"),
    ] {
        let error = scene
            .server
            .post("/v1/mirrors", body.clone())
            .await
            .failure(422, code);
        assert_eq!(error["details"]["path"], path, "{body}: {error}");
        let error = scene
            .server
            .post("/v1/mirrors?dry_run=true", body.clone())
            .await
            .failure(422, code);
        assert_eq!(error["details"]["path"], path, "dry run of {body}: {error}");
    }
    simulators::caldav::CalendarHandle::set_read_only(&crate::scene::work(&scene.caldav), true).unwrap();
    let discovered = format!("/v1/connections/{}/sync?discover=true", scene.caldav_connection);
    let job = scene.server.post(&discovered, json!({})).await.data();
    scene.server.ended_job(job["id"].as_str().unwrap()).await;
    let body = body(members(&[(ada, "source"), (work, "target")]));
    scene
        .server
        .post("/v1/mirrors", body)
        .await
        .failure(403, "read_only");
}

#[tokio::test]
async fn two_mirrors_of_one_calendar_must_not_contradict_each_other() {
    let scene = Scene::connected(google_server().await, caldav_server(&[]).await).await;
    scene.mirror(json!({"policy": "hub_wins"})).await;
    let body = json!({
        "name": "Other",
        "policy": "remote_wins",
        "members": [{"collection_id": scene.ada, "role": "both"}, {"collection_id": scene.work, "role": "both"}],
    });
    let error = scene
        .server
        .post("/v1/mirrors", body)
        .await
        .failure(422, "invalid_field");
    assert!(
        error["message"].as_str().unwrap().contains("contradict"),
        "{error}"
    );
}

#[tokio::test]
async fn an_edit_on_a_pure_target_is_undone_where_the_mirror_says_so() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_event("Planning")).unwrap();
    let scene = Scene::connected(google, caldav_server(&[]).await).await;
    let members = json!([{"collection_id": scene.ada, "role": "source"}, {"collection_id": scene.work, "role": "target"}]);
    scene
        .mirror(json!({"members": members, "target_edits": "revert"}))
        .await;
    let name = work(&scene.caldav).list()[0].name.clone();
    work(&scene.caldav)
        .edit(&name, |ics| ics.replace("SUMMARY:Planning", "SUMMARY:Vandalism"))
        .unwrap();
    sync(&scene.server, &scene.caldav_connection).await;
    scene.settle().await;
    assert!(scene.at_caldav("Planning").is_some() && scene.at_caldav("Vandalism").is_none());
    assert!(scene.at_google("Planning").is_some());
}
