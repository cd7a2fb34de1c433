//! Lists of events: narrowed, in windows of time, expanded into occurrences, page by page.

use serde_json::{Value, json};

use crate::scene::{
    ADA, caldav_server, event_titled, google_event, google_series, google_server, ics, path_of, with_caldav,
    with_google,
};

const WEEK: &str = "from=2026-03-02T00:00:00%2B01:00&to=2026-03-09T00:00:00%2B01:00";

fn starts(list: &Value) -> Vec<&str> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|item| item["starts_at"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_week_shows_each_occurrence_where_it_was_put_and_no_deleted_one() {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    let series = calendar.insert(google_series("Standup")).unwrap();
    let master = series["id"].as_str().unwrap();
    calendar.cancel_instance(master, "20260304T080000Z").unwrap();
    let late = json!({
        "summary": "Standup, late",
        "start": {"dateTime": "2026-03-05T11:00:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-03-05T12:00:00", "timeZone": "Europe/Berlin"},
    });
    calendar
        .patch(&format!("{master}_20260305T080000Z"), late)
        .unwrap();
    let (server, ..) = with_google(&google).await;

    let week = server.get(&format!("/v1/events?{WEEK}&expand=true")).await.data();
    assert_eq!(
        starts(&week),
        [
            "2026-03-02T08:00:00Z",
            "2026-03-03T08:00:00Z",
            "2026-03-05T10:00:00Z",
            "2026-03-06T08:00:00Z",
            "2026-03-07T08:00:00Z",
            "2026-03-08T08:00:00Z",
        ]
    );
    let late = &week[2];
    assert_eq!(
        (&late["title"], &late["is_override"]),
        (&json!("Standup, late"), &json!(true))
    );
    assert_eq!(late["occurrence"], "2026-03-05T09:00:00");

    let unexpanded = server.get(&format!("/v1/events?{WEEK}")).await.data();
    assert_eq!(unexpanded.as_array().unwrap().len(), 1, "a series is one event");
    assert_eq!(
        unexpanded[0]["overrides"]["2026-03-04T09:00:00"],
        json!({"status": "cancelled"})
    );
    let nothing = "/v1/events?from=2027-01-01T00:00:00Z&to=2027-01-02T00:00:00Z";
    assert!(server.get(nothing).await.data().as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_long_week_is_read_page_by_page_without_gaps() {
    let google = google_server().await;
    google.calendar(ADA).insert(google_series("Standup")).unwrap();
    google.calendar(ADA).insert(google_event("Once")).unwrap();
    let (server, ..) = with_google(&google).await;
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = server
            .get(&format!("/v1/events?{WEEK}&expand=true&limit=3{cursor}"))
            .await
            .json();
        seen.extend(starts(&page["data"]).into_iter().map(str::to_owned));
        match page["page"]["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen.len(), 8, "{seen:?}");
    assert!(seen.is_sorted(), "{seen:?}");
}

#[tokio::test]
async fn days_and_floating_times_are_read_in_the_zone_that_is_asked_for() {
    let day = [
        "SUMMARY:Day",
        "DTSTART;VALUE=DATE:20260302",
        "DTEND;VALUE=DATE:20260303",
    ];
    let floating = [
        "SUMMARY:Floating",
        "DTSTART:20260302T090000",
        "DTEND:20260302T100000",
    ];
    let caldav = caldav_server(&[("1.ics", ics("u1", &day)), ("2.ics", ics("u2", &floating))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let week = server
        .get(&format!("/v1/events?{WEEK}&expand=true&zone=Asia/Tokyo"))
        .await
        .data();
    // The window begins when Tokyo's Monday is eight hours old.
    assert_eq!(starts(&week), ["2026-03-01T15:00:00Z", "2026-03-02T00:00:00Z"]);
}

#[tokio::test]
async fn lists_are_narrowed_by_text_calendar_and_time_of_change() {
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:Müller meets Söhne"])),
        ("2.ics", ics("u2", &["SUMMARY:Lunch"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, connection, calendar) = with_caldav(&caldav).await;
    let titles = async |query: &str| -> Vec<String> {
        let list = server.get(&format!("/v1/events?{query}")).await.data();
        list.as_array()
            .unwrap()
            .iter()
            .map(|event| event["title"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(titles("q=lunch").await, ["Lunch"]);
    assert_eq!(titles(&format!("q=LUNCH&{WEEK}")).await, ["Lunch"]);
    assert_eq!(titles(&format!("calendar_id={calendar}")).await.len(), 2);
    assert_eq!(titles(&format!("connection_id={connection}")).await.len(), 2);
    let lunch = event_titled(&server, "Lunch").await;
    let changed_at = lunch["changed_at"].as_str().unwrap();
    let elsewhere = "calendar_id=coll_01jd3m8y6q0000000000000000";
    assert!(titles(elsewhere).await.is_empty());
    server
        .patch(&path_of(&lunch), json!({"location": "Canteen"}))
        .await
        .data();
    assert!(
        titles(&format!("updated_after={changed_at}"))
            .await
            .contains(&"Lunch".to_owned())
    );
    assert!(titles("updated_after=2999-01-01T00:00:00Z").await.is_empty());
}

#[tokio::test]
async fn windows_and_filters_that_make_no_sense_are_refused() {
    let caldav = caldav_server(&[]).await;
    let (server, ..) = with_caldav(&caldav).await;
    for query in [
        "from=2026-03-02T00:00:00Z",
        "from=2026-03-02&to=2026-03-09",
        "from=2026-03-02T00:00:00Z&to=2026-03-02T00:00:00Z",
        "from=2026-03-02T00:00:00Z&to=2027-03-09T00:00:00Z",
        "expand=true",
        "zone=Mars/Olympus",
        "limit=0",
        "limit=many",
        "calendar_id=work",
        "colour=red",
        "updated_after=yesterday",
    ] {
        server
            .get(&format!("/v1/events?{query}"))
            .await
            .failure(400, "invalid_query");
    }
}

#[tokio::test]
async fn a_series_that_repeats_too_often_is_listed_once_with_the_reason() {
    let hostile = ["SUMMARY:Endless", "RRULE:FREQ=SECONDLY;UNTIL=21260101T000000Z"];
    let objects = [
        ("1.ics", ics("u1", &hostile)),
        ("2.ics", ics("u2", &["SUMMARY:Harmless"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, ..) = with_caldav(&caldav).await;
    let week = server.get(&format!("/v1/events?{WEEK}&expand=true")).await.data();
    assert_eq!(week.as_array().unwrap().len(), 2, "{week}");
    let endless = week
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["title"] == "Endless")
        .unwrap();
    assert!(
        endless["expansion_error"].as_str().unwrap().contains("too often"),
        "{endless}"
    );
}
