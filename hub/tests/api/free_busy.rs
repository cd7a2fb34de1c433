//! Free and busy time: from the hub's records, and asked at the provider.

use serde_json::{Value, json};

use crate::scene::{ADA, Scene, caldav_server, google_event, google_series, google_server, ics};

fn question(calendars: &[&str], live: bool) -> Value {
    json!({
        "from": "2026-03-02T00:00:00Z",
        "to": "2026-03-04T00:00:00Z",
        "calendar_ids": calendars,
        "live": live,
    })
}

async fn scene() -> Scene {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    calendar.insert(google_series("Standup")).unwrap();
    let mut free = google_event("Free");
    free["transparency"] = json!("transparent");
    free["start"]["dateTime"] = json!("2026-03-02T12:00:00");
    free["end"]["dateTime"] = json!("2026-03-02T13:00:00");
    calendar.insert(free).unwrap();
    let overlapping = [
        "SUMMARY:A",
        "DTSTART;TZID=Europe/Berlin:20260302T090000",
        "DTEND;TZID=Europe/Berlin:20260302T103000",
    ];
    let touching = [
        "SUMMARY:B",
        "DTSTART;TZID=Europe/Berlin:20260302T103000",
        "DTEND;TZID=Europe/Berlin:20260302T110000",
    ];
    let cancelled = [
        "SUMMARY:C",
        "STATUS:CANCELLED",
        "DTSTART:20260302T180000Z",
        "DTEND:20260302T190000Z",
    ];
    let day = [
        "SUMMARY:D",
        "DTSTART;VALUE=DATE:20260303",
        "DTEND;VALUE=DATE:20260304",
    ];
    let objects = [
        ("1.ics", ics("u1", &overlapping)),
        ("2.ics", ics("u2", &touching)),
        ("3.ics", ics("u3", &cancelled)),
        ("4.ics", ics("u4", &day)),
    ];
    Scene::connected(google, caldav_server(&objects).await).await
}

#[tokio::test]
async fn the_hub_answers_from_its_records_with_overlaps_made_one() {
    let scene = scene().await;
    let answer = scene
        .server
        .post("/v1/free-busy", question(&[&scene.ada, &scene.work], false))
        .await
        .data();
    let calendars = &answer["calendars"];
    assert_eq!(
        (&calendars[0]["calendar_id"], &calendars[0]["source"]),
        (&json!(scene.ada), &json!("hub"))
    );
    assert_eq!(
        calendars[0]["busy"],
        json!([
            {"from": "2026-03-02T08:00:00Z", "to": "2026-03-02T09:00:00Z"},
            {"from": "2026-03-03T08:00:00Z", "to": "2026-03-03T09:00:00Z"},
        ])
    );
    let merged = json!({"from": "2026-03-02T08:00:00Z", "to": "2026-03-02T10:00:00Z"});
    assert_eq!(calendars[1]["busy"][0], merged);
    let day = &calendars[1]["busy"][1];
    assert!(
        day.is_null() || *day == json!({"from": "2026-03-02T23:00:00Z", "to": "2026-03-03T23:00:00Z"}),
        "a day begins at the calendar's own midnight: {day}"
    );
}

#[tokio::test]
async fn the_provider_answers_when_it_is_asked() {
    let scene = scene().await;
    let answer = scene
        .server
        .post("/v1/free-busy", question(&[&scene.ada, &scene.work], true))
        .await
        .data();
    let google = &answer["calendars"][0];
    assert_eq!(google["source"], "provider", "{google}");
    assert_eq!(
        google["busy"][0],
        json!({"from": "2026-03-02T08:00:00Z", "to": "2026-03-02T09:00:00Z"})
    );
    let caldav = &answer["calendars"][1];
    assert_eq!(
        caldav["busy"][0],
        json!({"from": "2026-03-02T08:00:00Z", "to": "2026-03-02T10:00:00Z"})
    );
}

#[tokio::test]
async fn a_provider_that_does_not_answer_is_named_and_the_hub_answers_instead() {
    let scene = scene().await;
    scene.google.expire_access_tokens();
    let answer = scene
        .server
        .post("/v1/free-busy", question(&[&scene.ada], true))
        .await
        .data();
    let google = &answer["calendars"][0];
    assert_eq!(
        (&google["source"], &google["problem"]["code"]),
        (&json!("hub"), &json!("provider_unauthorized"))
    );
    assert_eq!(google["busy"].as_array().unwrap().len(), 2, "{google}");
}

#[tokio::test]
async fn questions_that_make_no_sense_are_refused_by_field() {
    let scene = scene().await;
    let with = |name: &str, value: Value| {
        let mut body = question(&[&scene.ada], false);
        body[name] = value;
        body
    };
    for (body, code, path) in [
        (with("from", json!("monday")), "invalid_field", "from"),
        (with("to", json!("2026-03-01T00:00:00Z")), "invalid_field", "to"),
        (with("calendar_ids", json!([])), "invalid_field", "calendar_ids"),
        (
            with("calendar_ids", json!(["coll_01jd3m8y6q0000000000000000"])),
            "invalid_field",
            "calendar_ids[0]",
        ),
        (with("zone", json!("Mars/Olympus")), "invalid_field", "zone"),
        (with("colour", json!("red")), "unknown_field", "colour"),
        (with("live", json!("yes")), "wrong_type", "live"),
    ] {
        let error = scene
            .server
            .post("/v1/free-busy", body.clone())
            .await
            .failure(422, code);
        assert_eq!(error["details"]["path"], path, "{body}: {error}");
    }
}
