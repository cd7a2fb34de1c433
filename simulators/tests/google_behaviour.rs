//! What the Google Calendar stand-in does, asked over HTTP as a client would: sync tokens, tombstones, paging,
//! exceptions, preconditions, ids, patches, limits, channels, mails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail anywhere, helpers included"
)]

mod google;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use google::{ADA, Api, GRACE, TEAM, at, builder, start};
use http::{HeaderMap, Method};
use jiff::SignedDuration;
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{
    AccountConfig, Config, GoogleCalendar, ManualClock, NotificationKind, Quota, Role, Trouble,
};
use simulators::server::{ServerOptions, SimulatorServer};
use tokio::sync::mpsc;

fn meeting(summary: &str) -> Value {
    json!({
        "summary": summary,
        "start": {"dateTime": "2026-03-02T09:00:00+01:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-02T10:00:00+01:00", "timeZone": "Europe/Berlin"},
    })
}

fn daily() -> Value {
    let mut series = meeting("Stand-up");
    series["id"] = json!("standup");
    series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=5"]);
    series
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

fn reason(answer: &Value) -> &str {
    answer["error"]["errors"][0]["reason"].as_str().unwrap()
}

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
async fn a_reader_may_not_write_and_a_stranger_finds_nothing() {
    let (google, api) = start().await;
    let owner = api.on(TEAM);
    let mut secret = meeting("Secret");
    secret["visibility"] = json!("private");
    let secret = owner.insert(secret).await;
    google.set_role(TEAM, GRACE, Role::Reader);
    let grace = Api::new(&google, GRACE).on(TEAM);
    let (status, answer) = grace.send(Method::POST, "/events", Some(meeting("No"))).await;
    assert_eq!((status, reason(&answer)), (403, "requiredAccessLevel"));
    assert_eq!(
        answer["error"]["message"],
        "You need to have writer access to this calendar."
    );
    let seen = grace
        .ok(
            Method::GET,
            &format!("/events/{}", secret["id"].as_str().unwrap()),
            None,
        )
        .await;
    assert!(seen.get("summary").is_none());
    google.set_role(TEAM, GRACE, None);
    assert_eq!(grace.send(Method::GET, "/events", None).await.0, 404);
    let listed = Api::new(&google, GRACE).at("/users/me/calendarList").await;
    assert_eq!(ids(&listed), [GRACE]);
}

#[tokio::test]
async fn a_spent_quota_refuses_until_the_next_window_and_a_patch_costs_three() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let window = SignedDuration::from_secs(60);
    let quota = Quota {
        units: 5,
        window,
        refusal: Trouble::UserRateLimitExceeded,
    };
    let server = GoogleCalendar::start(builder(&clock).quota(quota)).await.unwrap();
    let api = Api::new(&server, ADA);
    let event = api.insert(meeting("One")).await;
    let path = format!("/events/{}", event["id"].as_str().unwrap());
    api.ok(Method::PATCH, &path, Some(json!({"summary": "Four"})))
        .await;
    api.ok(Method::GET, &path, None).await;
    let (status, answer) = api.send(Method::GET, &path, None).await;
    assert_eq!((status, reason(&answer)), (403, "userRateLimitExceeded"));
    assert_eq!(answer["error"]["errors"][0]["domain"], "usageLimits");
    clock.advance(window);
    api.ok(Method::GET, &path, None).await;
}

#[tokio::test]
async fn injected_troubles_look_like_googles_and_the_request_has_no_effect() {
    let (google, api) = start().await;
    for (trouble, status, name) in [
        (Trouble::RateLimitExceeded, 403, "rateLimitExceeded"),
        (Trouble::QuotaExceeded, 403, "quotaExceeded"),
        (Trouble::TooManyRequests, 429, "rateLimitExceeded"),
        (Trouble::BackendError, 500, "backendError"),
    ] {
        google
            .faults()
            .next(Match::path("/events").with_method(Method::POST), trouble.fault());
        let (got, answer) = api.send(Method::POST, "/events", Some(meeting("Never"))).await;
        assert_eq!((got, reason(&answer)), (status, name));
    }
    assert_eq!(google.event_count(ADA), 0);
}

#[tokio::test]
async fn a_lost_response_took_effect_and_a_dropped_request_did_not() {
    let (google, api) = start().await;
    google.faults().next(Match::any(), Fault::LoseResponse);
    assert!(
        api.try_send(Method::POST, "/events", Some(meeting("Lost")))
            .await
            .is_err()
    );
    assert_eq!(google.event_count(ADA), 1);
    google.faults().next(Match::any(), Fault::DropBeforeEffect);
    assert!(
        api.try_send(Method::POST, "/events", Some(meeting("Dropped")))
            .await
            .is_err()
    );
    assert_eq!(google.event_count(ADA), 1);
    assert_eq!(google.log().writes(), 2);
    assert!(google.log().entries().iter().all(|entry| entry.status.is_none()));
    let other = google.clone();
    google.faults().next(
        Match::path("/events/").with_method(Method::PATCH),
        Fault::before(move || {
            let id = other.calendar(ADA).events()[0]["id"].as_str().unwrap().to_owned();
            other
                .calendar(ADA)
                .patch(&id, json!({"location": "first"}))
                .unwrap();
        }),
    );
    let event = google.calendar(ADA).events().remove(0);
    let path = format!("/events/{}", event["id"].as_str().unwrap());
    let body = Some(json!({"summary": "second"}));
    let (status, _) = api
        .conditional(Method::PATCH, &path, body, event["etag"].as_str().unwrap())
        .await;
    assert_eq!(status, 412);
}

#[tokio::test]
async fn access_tokens_expire_and_the_token_endpoint_gives_new_ones_until_revoked() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let config = Config::new(clock.clock())
        .oauth_client("client", "secret")
        .account(AccountConfig::new(ADA).refresh_token("refresh"));
    let server = GoogleCalendar::start(config).await.unwrap();
    let refresh = |secret: &'static str| {
        let form =
            format!("grant_type=refresh_token&refresh_token=refresh&client_id=client&client_secret={secret}");
        let request = reqwest::Client::new().post(server.token_url()).body(form);
        async move {
            let answer = request.send().await.unwrap();
            (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
        }
    };
    assert_eq!(refresh("wrong").await.0, 401);
    let (status, answer) = refresh("secret").await;
    assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")));
    let api = Api::with_token(&server, ADA, answer["access_token"].as_str().unwrap());
    api.ok(Method::GET, "/events", None).await;
    clock.advance(SignedDuration::from_secs(answer["expires_in"].as_i64().unwrap()));
    let (status, answer) = api.send(Method::GET, "/events", None).await;
    assert_eq!((status, reason(&answer)), (401, "authError"));
    server.revoke(ADA);
    let (status, answer) = refresh("secret").await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    let logged = format!("{:?}", server.log().entries());
    assert!(!logged.contains("ya29"), "no credentials in the log");
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
async fn a_channel_reports_changes_until_it_expires_or_is_stopped() {
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let server = GoogleCalendar::start(builder(&clock)).await.unwrap();
    let api = Api::new(&server, ADA);
    let (sender, mut notices) = mpsc::unbounded_channel();
    let receive = |State(sender): State<mpsc::UnboundedSender<HeaderMap>>, headers: HeaderMap| async move {
        sender.send(headers).unwrap();
    };
    let hooks = Router::new().route("/hook", post(receive)).with_state(sender);
    let hooks = SimulatorServer::start(hooks, ServerOptions::default())
        .await
        .unwrap();
    let address = format!("{}/hook", hooks.base_url());
    let expiration = at("2026-01-02T00:00:00Z").as_millisecond();
    let body =
        json!({"id": "ch-1", "type": "web_hook", "address": address, "token": "t", "expiration": expiration});
    let channel = api.ok(Method::POST, "/events/watch", Some(body.clone())).await;
    assert_eq!(channel["expiration"], expiration.to_string());
    let (status, answer) = api.send(Method::POST, "/events/watch", Some(body)).await;
    assert_eq!((status, reason(&answer)), (400, "channelIdNotUnique"));

    let header = |headers: &HeaderMap, name: &str| headers[name].to_str().unwrap().to_owned();
    let first = notices.recv().await.unwrap();
    assert_eq!(header(&first, "x-goog-resource-state"), "sync");
    assert_eq!(header(&first, "x-goog-message-number"), "1");
    api.insert(meeting("News")).await;
    let second = notices.recv().await.unwrap();
    assert_eq!(header(&second, "x-goog-resource-state"), "exists");
    assert_eq!(header(&second, "x-goog-channel-id"), "ch-1");
    assert_eq!(header(&second, "x-goog-channel-token"), "t");
    assert_eq!(
        header(&second, "x-goog-resource-id"),
        channel["resourceId"].as_str().unwrap()
    );
    assert!(second.contains_key("x-goog-channel-expiration") && second.contains_key("x-goog-resource-uri"));

    clock.advance(SignedDuration::from_hours(24));
    assert!(server.open_channels().is_empty());
    api.insert(meeting("Unheard")).await;
    let again = json!({"id": "ch-2", "type": "web_hook", "address": address});
    let again = api.ok(Method::POST, "/events/watch", Some(again)).await;
    let third = notices.recv().await.unwrap();
    assert_eq!(
        header(&third, "x-goog-channel-id"),
        "ch-2",
        "the expired channel told nothing"
    );
    let stop = json!({"id": "ch-2", "resourceId": again["resourceId"]});
    assert_eq!(api.post_root("/channels/stop", stop.clone()).await.0, 204);
    assert_eq!(api.post_root("/channels/stop", stop).await.0, 404);
    assert!(server.open_channels().is_empty());
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
async fn free_busy_joins_overlaps_and_leaves_out_what_does_not_block() {
    let (google, api) = start().await;
    api.insert(daily()).await;
    let mut overlapping = meeting("Overlap");
    overlapping["end"]["dateTime"] = json!("2026-03-02T11:00:00+01:00");
    api.insert(overlapping).await;
    let mut free = meeting("Free");
    free["start"]["dateTime"] = json!("2026-03-02T12:00:00+01:00");
    free["end"]["dateTime"] = json!("2026-03-02T13:00:00+01:00");
    free["transparency"] = json!("transparent");
    api.insert(free).await;
    google
        .calendar(ADA)
        .cancel_instance("standup", "20260303T080000Z")
        .unwrap();
    let query = json!({"timeMin": "2026-03-02T00:00:00Z", "timeMax": "2026-03-05T00:00:00Z",
                       "items": [{"id": ADA}, {"id": "nobody@x.example"}]});
    let (status, answer) = api.post_root("/freeBusy", query).await;
    assert_eq!(status, 200);
    let expected = json!([
        {"start": "2026-03-02T08:00:00Z", "end": "2026-03-02T10:00:00Z"},
        {"start": "2026-03-04T08:00:00Z", "end": "2026-03-04T09:00:00Z"},
    ]);
    assert_eq!(answer["calendars"][ADA]["busy"], expected);
    assert_eq!(
        answer["calendars"]["nobody@x.example"]["errors"][0]["reason"],
        "notFound"
    );
    assert_eq!(google.log().writes(), 3, "a query is no write");
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

#[tokio::test]
async fn a_server_that_shuts_down_closes_its_port() {
    let (google, api) = start().await;
    api.ok(Method::GET, "/events", None).await;
    drop(api);
    let address = google.base_url().to_owned();
    google.shutdown().await;
    assert!(reqwest::get(address).await.is_err());
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

#[tokio::test]
async fn it_speaks_tls_with_the_certificate_that_it_is_given() {
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let clock = ManualClock::at(at("2026-01-01T00:00:00Z"));
    let server = GoogleCalendar::start(builder(&clock).tls(Arc::new(tls)))
        .await
        .unwrap();
    let url = server.api_url().replace("127.0.0.1", "localhost") + "users/me/calendarList";
    assert!(url.starts_with("https://"));
    assert!(
        reqwest::get(&url).await.is_err(),
        "nobody vouches for the certificate"
    );
    let trusted = reqwest::Certificate::from_der(issued.cert.der()).unwrap();
    let client = reqwest::Client::builder()
        .tls_certs_only([trusted])
        .build()
        .unwrap();
    let answer = client
        .get(&url)
        .bearer_auth(format!("token-of-{ADA}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}
