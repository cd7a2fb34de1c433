//! How the Google stand-in takes writes: ids, preconditions, patches, reminders, zones, mails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail anywhere, helpers included"
)]

mod google;

use google::{ADA, Api, GRACE, TEAM, at, builder, ids, meeting, reason, start};
use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use simulators::google_calendar::{GoogleCalendar, ManualClock, NotificationKind};

#[tokio::test]
async fn a_write_with_a_stale_etag_fails_and_changes_nothing() {
    let (google, api) = start().await;
    let event = api.insert(meeting("Mine")).await;
    let id = event["id"].as_str().unwrap();
    let path = format!("/events/{id}");
    let stale = event["etag"].as_str().unwrap();
    assert!(stale.starts_with('"') && stale.ends_with('"'));
    google
        .calendar(ADA)
        .patch(id, json!({"location": "Elsewhere"}))
        .unwrap();
    for (method, body) in [
        (Method::PATCH, Some(json!({"summary": "Late"}))),
        (Method::PUT, Some(meeting("Late"))),
        (Method::DELETE, None),
    ] {
        let (status, answer) = api.conditional(method, &path, body, stale).await;
        assert_eq!((status, reason(&answer)), (412, "conditionNotMet"));
    }
    let now = google.calendar(ADA).event(id).unwrap();
    assert_eq!(
        (&now["summary"], &now["location"]),
        (&json!("Mine"), &json!("Elsewhere"))
    );
    let (status, _) = api
        .conditional(Method::DELETE, &path, None, now["etag"].as_str().unwrap())
        .await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn chosen_ids_follow_the_rules_and_stay_taken_after_deletion() {
    let (_google, api) = start().await;
    for bad in ["abcd", "with-dash", "UPPER", "wxyz0", ""] {
        let mut event = meeting("Bad id");
        event["id"] = json!(bad);
        assert_eq!(
            api.send(Method::POST, "/events", Some(event)).await.0,
            400,
            "{bad}"
        );
    }
    let mut event = meeting("Mine");
    event["id"] = json!("mine0");
    let stored = api.insert(event.clone()).await;
    assert_eq!(stored["iCalUID"], "mine0@google.com");
    let (status, answer) = api.send(Method::POST, "/events", Some(event.clone())).await;
    assert_eq!((status, reason(&answer)), (409, "duplicate"));
    api.send(Method::DELETE, "/events/mine0", None).await;
    assert_eq!(api.send(Method::POST, "/events", Some(event)).await.0, 409);
    let (status, answer) = api.send(Method::DELETE, "/events/mine0", None).await;
    assert_eq!((status, reason(&answer)), (410, "deleted"));

    let mut both = meeting("Both");
    both["id"] = json!("both0");
    both["iCalUID"] = json!("uid@elsewhere");
    assert_eq!(api.send(Method::POST, "/events", Some(both)).await.0, 400);
}

#[tokio::test]
async fn importing_the_same_uid_twice_updates_one_private_copy() {
    let (google, api) = start().await;
    assert_eq!(
        api.send(Method::POST, "/events/import", Some(meeting("No uid")))
            .await
            .0,
        400
    );
    let mut event = meeting("First");
    event["iCalUID"] = json!("uid@elsewhere");
    event["organizer"] = json!({"email": "boss@elsewhere.example"});
    event["attendees"] = json!([{"email": ADA}]);
    let first = api.ok(Method::POST, "/events/import", Some(event.clone())).await;
    assert_eq!(first["organizer"]["email"], "boss@elsewhere.example");
    assert_eq!(first["attendees"][0]["self"], true);
    event["summary"] = json!("Second");
    let second = api.ok(Method::POST, "/events/import", Some(event)).await;
    assert_eq!(
        (&second["id"], &second["summary"]),
        (&first["id"], &json!("Second"))
    );
    let found = api.ok(Method::GET, "/events?iCalUID=uid@elsewhere", None).await;
    assert_eq!(ids(&found).len(), 1);
    assert!(google.notifications().is_empty());
}

#[tokio::test]
async fn a_patch_merges_objects_replaces_lists_and_clears_with_null() {
    let (_google, api) = start().await;
    let mut event = meeting("Patched");
    event["description"] = json!("text");
    event["attendees"] =
        json!([{"email": "a@x.example"}, {"email": "b@x.example", "responseStatus": "accepted"}]);
    event["extendedProperties"] = json!({"private": {"keep": "1", "drop": "2"}});
    event["unheardOf"] = json!({"anything": 1});
    let stored = api.insert(event).await;
    assert!(stored.get("unheardOf").is_none(), "unknown fields are ignored");
    let path = format!("/events/{}", stored["id"].as_str().unwrap());
    let patch = json!({
        "description": null,
        "attendees": [{"email": "c@x.example"}],
        "extendedProperties": {"private": {"drop": null, "new": "3"}},
    });
    let patched = api.ok(Method::PATCH, &path, Some(patch)).await;
    assert!(patched.get("description").is_none());
    assert_eq!(
        patched["attendees"],
        json!([{"email": "c@x.example", "responseStatus": "needsAction"}])
    );
    assert_eq!(
        patched["extendedProperties"],
        json!({"private": {"keep": "1", "new": "3"}})
    );
    assert_eq!(patched["summary"], "Patched");
    assert_eq!(patched["sequence"], 0);

    let replaced = api.ok(Method::PUT, &path, Some(meeting("Replaced"))).await;
    assert!(replaced.get("attendees").is_none() && replaced.get("extendedProperties").is_none());
    assert_eq!(replaced["iCalUID"], stored["iCalUID"]);
    let all_day = json!({"start": {"date": "2026-03-02"}, "end": {"date": "2026-03-03"}});
    assert_eq!(
        api.send(Method::PATCH, &path, Some(all_day)).await.0,
        400,
        "the old dateTime has to be cleared"
    );
    let all_day = json!({"start": {"date": "2026-03-02", "dateTime": null, "timeZone": null},
                         "end": {"date": "2026-03-03", "dateTime": null, "timeZone": null}});
    let all_day = api.ok(Method::PATCH, &path, Some(all_day)).await;
    assert_eq!(
        (&all_day["start"], &all_day["sequence"]),
        (&json!({"date": "2026-03-02"}), &json!(1))
    );
    for wrong in [
        json!({"summary": 5}),
        json!({"attendees": {}}),
        json!({"status": "perhaps"}),
        json!([1]),
    ] {
        assert_eq!(api.send(Method::PATCH, &path, Some(wrong)).await.0, 400);
    }
}

#[tokio::test]
async fn reminders_are_each_accounts_own_and_do_not_count_as_an_update() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let server = GoogleCalendar::start(builder(&clock)).await.unwrap();
    let ada = Api::new(&server, ADA).on(TEAM);
    let grace = Api::new(&server, GRACE).on(TEAM);
    let event = ada.insert(meeting("Ours")).await;
    let path = format!("/events/{}", event["id"].as_str().unwrap());
    clock.advance(SignedDuration::from_secs(60));
    let reminders =
        json!({"reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": 7}]}});
    let patched = ada.ok(Method::PATCH, &path, Some(reminders.clone())).await;
    assert_eq!(patched["reminders"], reminders["reminders"]);
    assert_eq!(patched["updated"], event["updated"]);
    let seen = grace.ok(Method::GET, &path, None).await;
    assert_eq!(seen["reminders"], json!({"useDefault": true}));
}

#[tokio::test]
async fn mail_goes_out_only_when_asked_for() {
    let (google, api) = start().await;
    let mut event = meeting("Party");
    event["id"] = json!("feast");
    event["attendees"] = json!([{"email": GRACE}, {"email": "guest@elsewhere.example"}, {"email": ADA}]);
    api.insert(event).await;
    api.ok(
        Method::PATCH,
        "/events/feast?sendUpdates=none",
        Some(json!({"location": "Here"})),
    )
    .await;
    assert!(google.notifications().is_empty());
    api.ok(
        Method::PATCH,
        "/events/feast?sendUpdates=externalOnly",
        Some(json!({"location": "There"})),
    )
    .await;
    let mails = google.notifications();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].recipient.as_str(), mails[0].kind),
        ("guest@elsewhere.example", NotificationKind::Update)
    );
    api.send(Method::DELETE, "/events/feast?sendUpdates=all", None)
        .await;
    let mails = google.notifications();
    assert_eq!(mails.len(), 3);
    assert!(
        mails[1..]
            .iter()
            .all(|mail| mail.kind == NotificationKind::Cancellation)
    );
    assert_eq!(
        api.send(Method::DELETE, "/events/feast?sendUpdates=some", None)
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn zones_are_kept_shown_in_the_calendars_offset_and_rewritten_when_told_to() {
    let (google, api) = start().await;
    let mut event = meeting("Abroad");
    event["start"] = json!({"dateTime": "2026-03-02T09:00:00", "timeZone": "Asia/Kolkata"});
    event["end"] = json!({"dateTime": "2026-03-02T10:00:00", "timeZone": "Asia/Kolkata"});
    let stored = api.insert(event.clone()).await;
    assert_eq!(
        stored["start"],
        json!({"dateTime": "2026-03-02T04:30:00+01:00", "timeZone": "Asia/Kolkata"})
    );
    google.rewrite_zone("Asia/Kolkata", "Asia/Calcutta");
    assert_eq!(
        api.insert(event.clone()).await["start"]["timeZone"],
        "Asia/Calcutta"
    );
    event["start"] = json!({"dateTime": "2026-03-02T09:00:00"});
    let (status, answer) = api.send(Method::POST, "/events", Some(event.clone())).await;
    assert_eq!((status, reason(&answer)), (400, "required"));
    event["start"] = json!({"dateTime": "2026-03-02T09:00:00", "timeZone": "Mars/Olympus"});
    assert_eq!(
        api.send(Method::POST, "/events", Some(event.clone())).await.0,
        400
    );
    event["start"] = json!({"date": "2026-03-02"});
    assert_eq!(api.send(Method::POST, "/events", Some(event)).await.0, 400);
}

#[tokio::test]
async fn conference_data_attachments_and_labels_need_their_version_parameters() {
    let (_google, api) = start().await;
    let mut event = meeting("Call");
    event["conferenceData"] = json!({"createRequest": {"requestId": "r1"}});
    event["attachments"] = json!([{"fileUrl": "https://drive.example/f", "title": "F"}]);
    event["colorId"] = json!("5");
    event["eventLabelId"] = json!("label");
    let without = api.insert(event.clone()).await;
    assert_eq!(
        (&without["colorId"], without.get("eventLabelId")),
        (&json!("5"), None)
    );
    let labelled = api
        .ok(Method::POST, "/events?eventLabelVersion=1", Some(event.clone()))
        .await;
    assert_eq!(
        (labelled.get("colorId"), &labelled["eventLabelId"]),
        (None, &json!("label"))
    );
    assert!(without.get("conferenceData").is_none() && without.get("attachments").is_none());
    let path = "/events?conferenceDataVersion=1&supportsAttachments=true";
    let with = api.ok(Method::POST, path, Some(event)).await;
    assert_eq!(
        with["hangoutLink"],
        with["conferenceData"]["entryPoints"][0]["uri"]
    );
    assert_eq!(with["attachments"][0]["title"], "F");
    let path = format!("/events/{}", with["id"].as_str().unwrap());
    let patched = api
        .ok(Method::PATCH, &path, Some(json!({"conferenceData": null})))
        .await;
    assert_eq!(patched["conferenceData"], with["conferenceData"]);
}
