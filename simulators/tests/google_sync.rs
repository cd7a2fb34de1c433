//! What a client of the Google stand-in sees when it lists: sync tokens, tombstones, paging, series and their
//! exceptions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail anywhere, helpers included"
)]

mod google;

use google::{ADA, Api, TEAM, at, builder, daily, ids, meeting, reason, start};
use http::Method;
use jiff::SignedDuration;
use serde_json::json;
use simulators::google_calendar::{GoogleCalendar, ManualClock};

#[tokio::test]
async fn an_incremental_list_holds_only_what_changed_and_deletions_as_bare_tombstones() {
    let (google, api) = start().await;
    let kept = api.insert(meeting("Kept")).await;
    let gone = api.insert(meeting("Gone")).await;
    let full = api.ok(Method::GET, "/events", None).await;
    assert_eq!(
        ids(&full),
        [kept["id"].as_str().unwrap(), gone["id"].as_str().unwrap()]
    );
    let token = full["nextSyncToken"].as_str().unwrap();

    let idle = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!(idle["items"], json!([]));

    let gone_id = gone["id"].as_str().unwrap();
    google.calendar(ADA).delete(gone_id).unwrap();
    let token = idle["nextSyncToken"].as_str().unwrap();
    let changed = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    let tombstone = changed["items"][0].as_object().unwrap();
    assert_eq!(
        tombstone.keys().collect::<Vec<_>>(),
        ["etag", "id", "kind", "status"]
    );
    assert_eq!(
        (&tombstone["id"], &tombstone["status"]),
        (&json!(gone_id), &json!("cancelled"))
    );

    // "The get method always returns them", and on the organizer's calendar with details.
    let restored = api.ok(Method::GET, &format!("/events/{gone_id}"), None).await;
    assert_eq!(
        (&restored["status"], &restored["summary"]),
        (&json!("cancelled"), &json!("Gone"))
    );
    let list = api.ok(Method::GET, "/events", None).await;
    assert_eq!(ids(&list).len(), 1, "a full list leaves deleted events out");
    let list = api.ok(Method::GET, "/events?showDeleted=true", None).await;
    assert_eq!(ids(&list).len(), 2);
}

#[tokio::test]
async fn an_expired_sync_token_asks_for_a_full_sync_and_a_foreign_one_is_invalid() {
    let (google, api) = start().await;
    let token = api.sync_token().await;
    google.expire_sync_tokens();
    let (status, answer) = api
        .send(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!((status, reason(&answer)), (410, "fullSyncRequired"));
    assert_eq!(answer["error"]["code"], 410);
    assert_eq!(answer["error"]["errors"][0]["location"], "syncToken");

    let fresh = api.sync_token().await;
    let other = api.on(TEAM);
    let (status, answer) = other
        .send(Method::GET, &format!("/events?syncToken={fresh}"), None)
        .await;
    assert_eq!((status, reason(&answer)), (400, "invalid"));
}

#[tokio::test]
async fn a_sync_token_also_expires_with_age() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let lifetime = SignedDuration::from_hours(24);
    let config = builder(&clock).sync_token_lifetime(lifetime);
    let server = GoogleCalendar::start(config).await.unwrap();
    let api = Api::new(&server, ADA);
    let token = api.sync_token().await;
    clock.advance(lifetime);
    assert_eq!(
        api.send(Method::GET, &format!("/events?syncToken={token}"), None)
            .await
            .0,
        200
    );
    clock.advance(SignedDuration::from_secs(1));
    assert_eq!(
        api.send(Method::GET, &format!("/events?syncToken={token}"), None)
            .await
            .0,
        410
    );
}

#[tokio::test]
async fn a_sync_token_refuses_the_parameters_that_the_reference_names() {
    let (_google, api) = start().await;
    let token = api.sync_token().await;
    for parameter in [
        "iCalUID=a",
        "orderBy=updated",
        "privateExtendedProperty=a%3Db",
        "q=a",
        "sharedExtendedProperty=a%3Db",
        "timeMin=2026-01-01T00:00:00Z",
        "timeMax=2026-01-01T00:00:00Z",
        "updatedMin=2026-01-01T00:00:00Z",
        "showDeleted=false",
    ] {
        let (status, _) = api
            .send(
                Method::GET,
                &format!("/events?syncToken={token}&{parameter}"),
                None,
            )
            .await;
        assert_eq!(status, 400, "{parameter}");
    }
    let (status, _) = api
        .send(
            Method::GET,
            &format!("/events?syncToken={token}&showDeleted=true"),
            None,
        )
        .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn pages_give_a_page_token_or_a_sync_token_and_miss_nothing_that_changes_meanwhile() {
    let (google, api) = start().await;
    for number in 0..5 {
        api.insert(meeting(&format!("{number}"))).await;
    }
    let first = api.ok(Method::GET, "/events?maxResults=2", None).await;
    assert!(first.get("nextSyncToken").is_none());
    let edited = first["items"][0]["id"].as_str().unwrap().to_owned();
    google
        .calendar(ADA)
        .patch(&edited, json!({"summary": "edited while paging"}))
        .unwrap();

    let mut seen = ids(&first).len();
    let mut page = first.clone();
    while let Some(token) = page["nextPageToken"].as_str() {
        page = api
            .ok(
                Method::GET,
                &format!("/events?maxResults=2&pageToken={token}"),
                None,
            )
            .await;
        seen += ids(&page).len();
    }
    assert_eq!(seen, 5);
    let token = page["nextSyncToken"].as_str().unwrap();
    let changed = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!(ids(&changed), [edited]);

    let token = first["nextPageToken"].as_str().unwrap();
    let (status, _) = api
        .send(
            Method::GET,
            &format!("/events?showDeleted=true&pageToken={token}"),
            None,
        )
        .await;
    assert_eq!(status, 400, "a page token is good for its own query only");
    google.set_page_size_cap(1);
    assert_eq!(
        ids(&api.ok(Method::GET, "/events?maxResults=2", None).await).len(),
        1
    );
}

#[tokio::test]
async fn occurrences_have_ids_by_original_start_and_become_exceptions_when_changed() {
    let (_google, api) = start().await;
    let master = api.insert(daily()).await;
    let instances = api.ok(Method::GET, "/events/standup/instances", None).await;
    assert_eq!(ids(&instances)[0], "standup_20260302T080000Z");
    assert_eq!(ids(&instances).len(), 5);
    let second = &instances["items"][1];
    assert_eq!(second["recurringEventId"], "standup");
    assert_eq!(
        second["originalStartTime"]["dateTime"],
        "2026-03-03T09:00:00+01:00"
    );
    assert!(second.get("recurrence").is_none());
    assert_eq!(second["iCalUID"], master["iCalUID"]);

    let token = api.sync_token().await;
    let moved = json!({"start": {"dateTime": "2026-03-03T15:00:00+01:00"}, "end": {"dateTime": "2026-03-03T16:00:00+01:00"}});
    let moved = api
        .ok(Method::PATCH, "/events/standup_20260303T080000Z", Some(moved))
        .await;
    assert_eq!(moved["start"]["timeZone"], "Europe/Berlin");
    assert_eq!(moved["originalStartTime"], second["originalStartTime"]);
    assert_eq!(
        api.send(Method::DELETE, "/events/standup_20260304T080000Z", None)
            .await
            .0,
        204
    );

    let changed = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!(
        ids(&changed),
        ["standup_20260303T080000Z", "standup_20260304T080000Z"]
    );
    let cancelled = &changed["items"][1];
    assert_eq!(cancelled["status"], "cancelled");
    assert_eq!(cancelled["recurringEventId"], "standup");
    assert_eq!(
        cancelled["originalStartTime"]["dateTime"],
        "2026-03-04T09:00:00+01:00"
    );
    assert!(cancelled.get("summary").is_none());

    // A full list still holds the cancelled exception: without it a client would show the occurrence again.
    let full = api.ok(Method::GET, "/events", None).await;
    assert_eq!(ids(&full).len(), 3);
    let single = api
        .ok(Method::GET, "/events?singleEvents=true&orderBy=startTime", None)
        .await;
    assert_eq!(ids(&single).len(), 4);
    assert_eq!(
        api.send(Method::GET, "/events/standup_20260401T080000Z", None)
            .await
            .0,
        404
    );
    assert_eq!(
        api.send(Method::DELETE, "/events/standup_20260304T080000Z", None)
            .await
            .0,
        410
    );
}

#[tokio::test]
async fn deleting_a_series_buries_its_exceptions_and_shortening_it_those_beyond_the_end() {
    let (_google, api) = start().await;
    api.insert(daily()).await;
    for day in ["02", "05"] {
        let path = format!("/events/standup_202603{day}T080000Z");
        api.ok(Method::PATCH, &path, Some(json!({"summary": "changed"})))
            .await;
    }
    let token = api.sync_token().await;
    let shorter = json!({"recurrence": ["RRULE:FREQ=DAILY;UNTIL=20260303T225959Z"]});
    let shorter = api.ok(Method::PATCH, "/events/standup", Some(shorter)).await;
    assert_eq!(shorter["sequence"], 1);
    let changed = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!(ids(&changed), ["standup", "standup_20260305T080000Z"]);
    assert_eq!(changed["items"][1]["status"], "cancelled");

    let token = api.sync_token().await;
    api.send(Method::DELETE, "/events/standup", None).await;
    let changed = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!(ids(&changed), ["standup", "standup_20260302T080000Z"]);
    assert!(
        changed["items"]
            .as_array()
            .unwrap()
            .iter()
            .all(|item| item["status"] == "cancelled")
    );
    assert_eq!(ids(&api.ok(Method::GET, "/events", None).await).len(), 0);
}

#[tokio::test]
async fn all_day_series_have_dates_in_their_instance_ids_and_respect_exdate_and_rdate() {
    let (_google, api) = start().await;
    let series = json!({
        "id": "vacation", "summary": "Off", "start": {"date": "2026-03-02"}, "end": {"date": "2026-03-04"},
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3", "EXDATE;VALUE=DATE:20260309", "RDATE;VALUE=DATE:20260401"],
    });
    api.insert(series).await;
    let instances = api.ok(Method::GET, "/events/vacation/instances", None).await;
    assert_eq!(
        ids(&instances),
        ["vacation_20260302", "vacation_20260316", "vacation_20260401"]
    );
    assert_eq!(instances["items"][2]["end"], json!({"date": "2026-04-03"}));
    let late = api
        .ok(
            Method::GET,
            "/events?timeMin=2026-03-20T00:00:00Z&singleEvents=true",
            None,
        )
        .await;
    assert_eq!(ids(&late), ["vacation_20260401"]);
}

#[tokio::test]
async fn occurrences_keep_their_wall_time_across_a_clock_change() {
    let (_google, api) = start().await;
    let mut series = daily();
    series["start"] = json!({"dateTime": "2026-03-28T09:00:00+01:00", "timeZone": "Europe/Berlin"});
    series["end"] = json!({"dateTime": "2026-03-28T10:00:00+01:00", "timeZone": "Europe/Berlin"});
    api.insert(series).await;
    let instances = api.ok(Method::GET, "/events/standup/instances", None).await;
    assert_eq!(
        ids(&instances)[..2],
        ["standup_20260328T080000Z", "standup_20260329T070000Z"]
    );
}

#[tokio::test]
async fn a_moved_event_leaves_a_tombstone_and_changes_its_organizer() {
    let (_google, api) = start().await;
    let event = api.insert(meeting("Travels")).await;
    let token = api.sync_token().await;
    let id = event["id"].as_str().unwrap();
    let moved = api
        .ok(
            Method::POST,
            &format!("/events/{id}/move?destination={TEAM}"),
            None,
        )
        .await;
    assert_eq!(
        (&moved["id"], &moved["organizer"]["email"]),
        (&json!(id), &json!(TEAM))
    );
    let left = api
        .ok(Method::GET, &format!("/events?syncToken={token}"), None)
        .await;
    assert_eq!(left["items"][0]["status"], "cancelled");
    assert_eq!(ids(&api.on(TEAM).ok(Method::GET, "/events", None).await), [id]);
}

#[tokio::test]
async fn calendars_come_and_go_on_the_list_and_its_sync_token_tells() {
    let (_google, api) = start().await;
    let list = api.at("/users/me/calendarList").await;
    assert_eq!(list["items"][0]["primary"], true);
    let token = list["nextSyncToken"].as_str().unwrap();
    let body = json!({"summary": "New", "timeZone": "Europe/Berlin"});
    let (status, created) = api.post_root("/calendars", body).await;
    assert_eq!(status, 200);
    let changed = api.at(&format!("/users/me/calendarList?syncToken={token}")).await;
    assert_eq!(ids(&changed), [created["id"].as_str().unwrap()]);
    let on_new = api.on(created["id"].as_str().unwrap());
    assert_eq!(on_new.send(Method::DELETE, "", None).await.0, 204);
    let token = changed["nextSyncToken"].as_str().unwrap();
    let changed = api.at(&format!("/users/me/calendarList?syncToken={token}")).await;
    assert_eq!(changed["items"][0]["deleted"], true);
    assert_eq!(on_new.send(Method::GET, "/events", None).await.0, 404);
}

#[tokio::test]
async fn a_hostile_rule_is_expanded_only_so_far() {
    let (_google, api) = start().await;
    let mut series = daily();
    series["start"]["dateTime"] = json!("1926-01-01T00:00:00Z");
    series["end"]["dateTime"] = json!("1926-01-01T00:00:01Z");
    series["recurrence"] = json!(["RRULE:FREQ=SECONDLY"]);
    let (status, answer) = api.send(Method::POST, "/events", Some(series.clone())).await;
    assert_eq!(
        (status, reason(&answer)),
        (400, "invalid"),
        "Google repeats at most daily"
    );
    series["recurrence"] =
        json!(["RRULE:FREQ=DAILY;BYHOUR=0,1,2,3,4,5,6,7,8;BYMINUTE=0,15,30,45;BYSECOND=0,20,40"]);
    api.insert(series).await;
    let first = api
        .ok(Method::GET, "/events/standup/instances?maxResults=3", None)
        .await;
    assert_eq!(ids(&first).len(), 3);
    api.ok(
        Method::GET,
        "/events?timeMin=2026-01-01T00:00:00Z&singleEvents=true",
        None,
    )
    .await;
    let mut broken = daily();
    broken["id"] = json!("broken");
    broken["recurrence"] = json!(["RRULE:FREQ=SOMETIMES"]);
    assert_eq!(api.send(Method::POST, "/events", Some(broken)).await.0, 400);
}
