//! Events: made, edited and deleted, here and at the provider.

use reqwest::Method;
use serde_json::{Value, json};
use simulators::caldav::CalendarConfig;

use crate::scene::{
    ADA, caldav_server, event_titled, event_when, events, eventually, google_series, google_server, ics,
    path_of, settle, sync, with_caldav, with_google, work,
};
use crate::server::{Answer, TestServer, USER};

const WEEK: &str = "from=2026-03-02T00:00:00%2B01:00&to=2026-03-09T00:00:00%2B01:00";

fn zoned(wall: &str) -> Value {
    json!({"kind": "zoned", "wall": wall, "zone": "Europe/Berlin"})
}

fn new_event(calendar: &str, title: &str) -> Value {
    json!({
        "calendar_id": calendar,
        "title": title,
        "start": zoned("2026-03-03T14:00:00"),
        "end": zoned("2026-03-03T15:00:00"),
    })
}

async fn patch_if(server: &TestServer, path: &str, version: i64, body: Value) -> Answer {
    let request = server
        .request(Method::PATCH, path)
        .bearer_auth(&server.key)
        .json(&body);
    Answer::of(request.header("if-match", format!("\"{version}\""))).await
}

#[tokio::test]
async fn an_event_read_from_a_provider_shows_what_it_says_and_how_it_stands() {
    let lines = ["SUMMARY:Planning", "LOCATION:Room 1", "STATUS:CONFIRMED"];
    let caldav = caldav_server(&[("1.ics", ics("u1", &lines))]).await;
    let (server, connection, calendar) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    assert_eq!(event["location"], "Room 1");
    assert_eq!(event["start"], zoned("2026-03-02T09:00:00"));
    assert_eq!(event["uid"], "u1");
    assert_eq!(event["calendar_id"], calendar.as_str());
    let link = &event["links"][0];
    assert_eq!(
        (&link["state"], &link["connection_id"]),
        (&json!("synced"), &json!(connection))
    );
    assert!(link["remote_id"].as_str().unwrap().ends_with("1.ics"), "{link}");
    let answer = server.get(&path_of(&event)).await;
    assert_eq!(answer.header("etag"), format!("\"{}\"", event["version"]));
}

#[tokio::test]
async fn an_edit_here_reaches_the_server_and_changes_only_that() {
    let lines = [
        "SUMMARY:Planning",
        "X-CUSTOM;X-P=1:kept as it is",
        "LOCATION:Café am Ufer",
        "ATTENDEE;CN=Grace;PARTSTAT=ACCEPTED;X-NUM=7:mailto:grace@example.com",
        "BEGIN:VALARM",
        "ACTION:AUDIO",
        "TRIGGER;RELATED=END:-PT5M",
        "ATTACH;FMTTYPE=audio/basic:https://example.com/bell.aud",
        "X-FOREIGN:yes",
        "END:VALARM",
    ];
    let caldav = caldav_server(&[("1.ics", ics("u1", &lines))]).await;
    let before = work(&caldav).get("1.ics").unwrap().ics;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;

    let patched = server
        .patch(&path_of(&event), json!({"title": "Planning, again"}))
        .await
        .data();
    assert_eq!(patched["title"], "Planning, again");
    assert_eq!(patched["version"], event["version"].as_i64().unwrap() + 1);
    settle(&server).await;

    let after = work(&caldav).get("1.ics").unwrap().ics;
    let significant = |text: &str| -> Vec<String> {
        let bookkeeping = ["SUMMARY", "DTSTAMP", "LAST-MODIFIED", "SEQUENCE"];
        let mut lines: Vec<String> = text
            .replace("\r\n ", "")
            .lines()
            .filter(|line| !bookkeeping.iter().any(|name| line.starts_with(name)))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert!(
        after
            .replace("\r\n ", "")
            .contains("SUMMARY:Planning\\, again\r\n"),
        "{after}"
    );
    assert_eq!(significant(&after), significant(&before));
    let event = server.get(&path_of(&event)).await.data();
    assert_eq!(event["links"][0]["state"], "synced", "{event}");
}

#[tokio::test]
async fn an_event_made_here_appears_at_the_provider() {
    for provider in ["caldav", "google"] {
        let (caldav, google) = (caldav_server(&[]).await, google_server().await);
        let (server, connection, calendar) = match provider {
            "caldav" => with_caldav(&caldav).await,
            _ => with_google(&google).await,
        };
        let answer = server.post("/v1/events", new_event(&calendar, "Made here")).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let made = answer.data();
        assert_eq!(answer.header("location"), path_of(&made));
        let made = event_when(&server, &made, |event| event["links"][0]["state"] == "synced").await;
        assert!(made["links"][0]["remote_id"].is_string(), "{made}");
        sync(&server, &connection).await;
        assert_eq!(
            events(&server).await.len(),
            1,
            "{provider}: it is not taken in once more"
        );
        match provider {
            "caldav" => assert_eq!(work(&caldav).list().len(), 1),
            _ => assert_eq!(google.calendar(ADA).living_events()[0]["summary"], "Made here"),
        }
        assert!(google.notifications().is_empty(), "nobody is mailed");
    }
}

#[tokio::test]
async fn the_same_idempotency_key_makes_one_event() {
    let caldav = caldav_server(&[]).await;
    let (server, _, calendar) = with_caldav(&caldav).await;
    let make = || {
        let request = server
            .request(Method::POST, "/v1/events")
            .bearer_auth(&server.key);
        Answer::of(
            request
                .header("idempotency-key", "once")
                .json(&new_event(&calendar, "Once")),
        )
    };
    let (first, second) = (make().await, make().await);
    assert_eq!((first.status, second.status), (201, 201), "{}", second.text);
    assert_eq!(first.data()["id"], second.data()["id"]);
    settle(&server).await;
    assert_eq!(work(&caldav).list().len(), 1);
}

#[tokio::test]
async fn deletes_travel_both_ways() {
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:Here"])),
        ("2.ics", ics("u2", &["SUMMARY:There"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, connection, _) = with_caldav(&caldav).await;
    let here = event_titled(&server, "Here").await;
    let there = event_titled(&server, "There").await;

    assert_eq!(server.delete(&path_of(&here)).await.status, 204);
    eventually("the delete to arrive", || work(&caldav).get("1.ics").is_none()).await;
    server.get(&path_of(&here)).await.failure(404, "not_found");

    work(&caldav).delete("2.ics").unwrap();
    sync(&server, &connection).await;
    server.get(&path_of(&there)).await.failure(404, "not_found");
    assert!(events(&server).await.is_empty());
}

#[tokio::test]
async fn each_wrong_event_is_refused_by_code_and_field() {
    let caldav = caldav_server(&[]).await;
    let (server, _, calendar) = with_caldav(&caldav).await;
    let with = |name: &str, value: Value| {
        let mut event = new_event(&calendar, "Wrong");
        event[name] = value;
        event
    };
    let berlin = |wall: &str| zoned(wall);
    for (body, status, code, path) in [
        (with("titel", json!("x")), 422, "unknown_field", "titel"),
        (with("title", json!(7)), 422, "wrong_type", "title"),
        (with("busy", json!("yes")), 422, "wrong_type", "busy"),
        (with("status", json!("perhaps")), 422, "invalid_field", "status"),
        (
            with("end", berlin("2026-03-03T13:00:00")),
            422,
            "invalid_field",
            "end",
        ),
        (
            with("end", json!({"kind": "date", "date": "2026-03-04"})),
            422,
            "invalid_field",
            "end",
        ),
        (
            with(
                "start",
                json!({"kind": "zoned", "wall": "2026-03-03T14:00:00", "zone": "Mars/Olympus"}),
            ),
            422,
            "invalid_field",
            "start",
        ),
        (with("start", Value::Null), 422, "missing_field", "start"),
        (
            with("recurrence", json!({"rules": ["FREQ=NEVER"]})),
            422,
            "invalid_field",
            "recurrence",
        ),
        (
            with(
                "recurrence",
                json!({"rules": ["FREQ=SECONDLY;UNTIL=21260101T000000Z"]}),
            ),
            422,
            "invalid_field",
            "recurrence",
        ),
        (with("uid", json!("mine")), 403, "read_only", "uid"),
        (with("version", json!(4)), 403, "read_only", "version"),
        (with("overrides", json!({})), 403, "read_only", "overrides"),
        (
            with("calendar_id", json!("work")),
            422,
            "invalid_field",
            "calendar_id",
        ),
        (
            with("calendar_id", json!("coll_01jd3m8y6q0000000000000000")),
            422,
            "invalid_field",
            "calendar_id",
        ),
    ] {
        let error = server
            .post("/v1/events", body.clone())
            .await
            .failure(status, code);
        assert_eq!(error["details"]["path"], path, "{body}: {error}");
    }
    server
        .post("/v1/events", json!([1]))
        .await
        .failure(422, "wrong_type");
    server
        .get("/v1/events/rec_01jd3m8y6q0000000000000000")
        .await
        .failure(404, "not_found");
    server.get("/v1/events/nonsense").await.failure(404, "not_found");
    assert!(events(&server).await.is_empty());
    assert!(work(&caldav).list().is_empty());
}

#[tokio::test]
async fn a_read_only_calendar_takes_no_edit() {
    let caldav = caldav_server(&[]).await;
    let birthdays = CalendarConfig::new("birthdays")
        .read_only()
        .object("1.ics", ics("u1", &["SUMMARY:Emmy"]));
    caldav.add_calendar(USER, birthdays).unwrap();
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Emmy").await;
    let path = path_of(&event);
    server
        .patch(&path, json!({"title": "Emmy!"}))
        .await
        .failure(403, "read_only");
    server.delete(&path).await.failure(403, "read_only");
    let calendar = event["calendar_id"].as_str().unwrap();
    server
        .post("/v1/events", new_event(calendar, "x"))
        .await
        .failure(403, "read_only");
    assert_eq!(
        server.get(&format!("/v1/calendars/{calendar}")).await.data()["access"],
        "read_only"
    );
}

#[tokio::test]
async fn an_edit_based_on_an_old_version_is_refused_only_where_it_clashes() {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Planning"]))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    let (path, base) = (path_of(&event), event["version"].as_i64().unwrap());
    patch_if(&server, &path, base, json!({"title": "First"}))
        .await
        .data();

    let clash = patch_if(&server, &path, base, json!({"title": "Second"})).await;
    let error = clash.failure(412, "version_mismatch");
    assert_eq!(
        error["details"],
        json!({"current_version": base + 1, "fields": ["title"]})
    );
    let beside = patch_if(&server, &path, base, json!({"location": "Room 2"}))
        .await
        .data();
    assert_eq!(
        (&beside["title"], &beside["location"]),
        (&json!("First"), &json!("Room 2"))
    );
    let request = server.request(Method::DELETE, &path).bearer_auth(&server.key);
    Answer::of(request.header("if-match", format!("\"{base}\"")))
        .await
        .failure(412, "version_mismatch");
    settle(&server).await;
    let there = work(&caldav).get("1.ics").unwrap().ics;
    assert!(
        there.contains("SUMMARY:First") && there.contains("LOCATION:Room 2"),
        "{there}"
    );
}

#[tokio::test]
async fn a_patch_merges_members_and_clears_with_null() {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Planning", "LOCATION:Room 1"]))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    let body = json!({"location": null, "end": {"wall": "2026-03-02T11:30:00"}});
    let patched = server.patch(&path_of(&event), body).await.data();
    assert!(patched["location"].is_null(), "{patched}");
    assert_eq!(patched["end"], zoned("2026-03-02T11:30:00"));
    settle(&server).await;
    let there = work(&caldav).get("1.ics").unwrap().ics;
    assert!(
        !there.contains("LOCATION") && there.contains("T113000"),
        "{there}"
    );
}

#[tokio::test]
async fn one_occurrence_is_changed_and_deleted_by_itself() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_series("Standup")).unwrap();
    let (server, connection, _) = with_google(&google).await;
    let series = event_titled(&server, "Standup").await;
    let at = |start: &str| format!("{}/occurrences/{start}", path_of(&series));

    let shown = server.get(&at("2026-03-04T09:00:00")).await.data();
    assert_eq!(shown["starts_at"], "2026-03-04T08:00:00Z");
    server
        .get(&at("2026-04-04T09:00:00"))
        .await
        .failure(404, "not_found");
    server
        .get(&at("2026-03-04T10:00:00"))
        .await
        .failure(404, "not_found");
    server.get(&at("wednesday")).await.failure(404, "not_found");

    let changed = server
        .patch(&at("2026-03-04T09:00:00"), json!({"title": "Standup, long"}))
        .await
        .data();
    assert_eq!(changed.as_array().unwrap().len(), 1);
    assert_eq!(
        changed[0]["overrides"]["2026-03-04T09:00:00"],
        json!({"title": "Standup, long"})
    );
    assert_eq!(server.delete(&at("2026-03-05T09:00:00")).await.status, 204);
    settle(&server).await;

    let there = google.calendar(ADA).events();
    let by_start = |start: &str| {
        let found = there.iter().find(|event| {
            event["originalStartTime"]["dateTime"]
                .as_str()
                .is_some_and(|time| time.starts_with(start))
        });
        found.unwrap_or_else(|| panic!("{start} in {there:#?}")).clone()
    };
    assert_eq!(by_start("2026-03-04")["summary"], "Standup, long");
    assert_eq!(by_start("2026-03-05")["status"], "cancelled");
    sync(&server, &connection).await;
    let series = server.get(&path_of(&series)).await.data();
    assert_eq!(series["overrides"].as_object().unwrap().len(), 2, "{series}");
    server
        .get(&at("2026-03-05T09:00:00"))
        .await
        .failure(404, "not_found");
}

#[tokio::test]
async fn this_and_following_makes_two_series_of_one() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_series("Standup")).unwrap();
    let (server, ..) = with_google(&google).await;
    let series = event_titled(&server, "Standup").await;
    let path = format!(
        "{}/occurrences/2026-03-06T09:00:00?scope=following",
        path_of(&series)
    );
    let both = server.patch(&path, json!({"title": "Standup, new"})).await.data();
    assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
    assert_eq!(both[1]["split_from"], series["id"]);
    settle(&server).await;
    let there = google.calendar(ADA).living_events();
    let titles: Vec<_> = there
        .iter()
        .map(|event| event["summary"].as_str().unwrap())
        .collect();
    assert_eq!(titles, ["Standup", "Standup, new"]);
    let week = server.get(&format!("/v1/events?{WEEK}&expand=true")).await.data();
    let titles: Vec<_> = week
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        titles.iter().filter(|title| **title == "Standup").count(),
        4,
        "{titles:?}"
    );
    assert_eq!(
        titles.iter().filter(|title| **title == "Standup, new").count(),
        3,
        "{titles:?}"
    );
}

#[tokio::test]
async fn an_edit_of_all_occurrences_through_one_of_them_shifts_the_series() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_series("Standup")).unwrap();
    let (server, ..) = with_google(&google).await;
    let series = event_titled(&server, "Standup").await;
    let path = format!("{}/occurrences/2026-03-04T09:00:00?scope=all", path_of(&series));
    let body = json!({"start": zoned("2026-03-04T09:30:00"), "end": zoned("2026-03-04T10:00:00")});
    let shifted = server.patch(&path, body).await.data();
    assert_eq!(shifted[0]["start"], zoned("2026-03-02T09:30:00"), "{shifted}");
    assert_eq!(shifted[0]["end"], zoned("2026-03-02T10:00:00"), "{shifted}");
}

#[tokio::test]
async fn a_calendar_that_is_switched_off_rests() {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Planning"]))]).await;
    let (server, connection, calendar) = with_caldav(&caldav).await;
    let path = format!("/v1/calendars/{calendar}");
    let shown = server.get(&path).await.data();
    assert_eq!(
        (&shown["name"], &shown["provider"]),
        (&json!("Work"), &json!("caldav"))
    );
    assert_eq!(
        (&shown["zone"], &shown["counts"]["events"]),
        (&json!("Europe/Berlin"), &json!(1))
    );
    assert_eq!(
        server.patch(&path, json!({"enabled": false})).await.data()["enabled"],
        false
    );
    work(&caldav)
        .put("2.ics", ics("u2", &["SUMMARY:Unseen"]))
        .unwrap();
    sync(&server, &connection).await;
    assert_eq!(events(&server).await.len(), 1);
    server.patch(&path, json!({"enabled": true})).await.data();
    event_titled(&server, "Unseen").await;
    server
        .patch(&path, json!({"name": "x"}))
        .await
        .failure(422, "unknown_field");
    let listed = server.get("/v1/calendars").await.data();
    assert_eq!(listed.as_array().unwrap().len(), 1, "{listed}");
}
