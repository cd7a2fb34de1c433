//! What goes wrong at providers in practice, each by its name.

use http::Method;
use serde_json::json;
use simulators::faults::{Fault, Match};

use crate::scene::{
    ADA, caldav_server, connect_google, event_titled, events, google_event, google_series, google_server,
    ics, path_of, settle, sync, with_caldav, with_google, work,
};
use crate::server::start_server;

#[tokio::test]
async fn deleted_occurrences_stay_deleted_after_the_second_sync() {
    let google = google_server().await;
    let series = google.calendar(ADA).insert(google_series("Standup")).unwrap();
    google
        .calendar(ADA)
        .cancel_instance(series["id"].as_str().unwrap(), "20260304T080000Z")
        .unwrap();
    let (server, connection, _) = with_google(&google).await;
    let caldav = caldav_server(&[(
        "1.ics",
        ics(
            "u1",
            &[
                "SUMMARY:Choir",
                "RRULE:FREQ=DAILY;COUNT=10",
                "EXDATE;TZID=Europe/Berlin:20260304T090000",
            ],
        ),
    )])
    .await;
    let made = server.connect(&caldav).await;
    for _ in 0..2 {
        sync(&server, &connection).await;
        sync(&server, made["id"].as_str().unwrap()).await;
        settle(&server).await;
    }
    let day = "from=2026-03-04T00:00:00Z&to=2026-03-05T00:00:00Z&expand=true";
    assert_eq!(server.get(&format!("/v1/events?{day}")).await.data(), json!([]));
    for title in ["Standup", "Choir"] {
        let event = event_titled(&server, title).await;
        assert_eq!(
            event["overrides"],
            json!({"2026-03-04T09:00:00": {"status": "cancelled"}}),
            "{title}"
        );
    }
}

#[tokio::test]
async fn deletes_in_a_gap_that_ends_in_410_are_applied() {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    let gone = calendar.insert(google_event("Gone")).unwrap();
    calendar.insert(google_event("Stays")).unwrap();
    let (server, connection, _) = with_google(&google).await;
    assert_eq!(events(&server).await.len(), 2);
    calendar.delete(gone["id"].as_str().unwrap()).unwrap();
    google.purge_tombstones();
    let job = sync(&server, &connection).await;
    assert_eq!(job["state"], "done", "{job}");
    let left = events(&server).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["title"], "Stays");
}

#[tokio::test]
async fn deletes_in_a_gap_after_which_caldav_forgot_the_token_are_applied() {
    let objects = [
        ("1.ics", ics("u1", &["SUMMARY:Gone"])),
        ("2.ics", ics("u2", &["SUMMARY:Stays"])),
    ];
    let caldav = caldav_server(&objects).await;
    let (server, connection, _) = with_caldav(&caldav).await;
    work(&caldav).delete("1.ics").unwrap();
    work(&caldav).expire_sync_tokens().unwrap();
    sync(&server, &connection).await;
    let left = events(&server).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["title"], "Stays");
}

#[tokio::test]
async fn a_401_on_page_three_deletes_nothing() {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    for number in 0..10 {
        calendar.insert(google_event(&format!("Event {number}"))).unwrap();
    }
    let (server, connection, _) = with_google(&google).await;
    assert_eq!(events(&server).await.len(), 10);
    google.expire_sync_tokens();
    google.set_page_size_cap(2);
    // The first list request of the next sync is refused with 410; then page by page.
    google.faults().always(
        Match::path("/events").with_method(Method::GET).nth(4),
        Fault::answer(401, "{}"),
    );
    let answer = server
        .post(&format!("/v1/connections/{connection}/sync"), json!({}))
        .await
        .data();
    let job = server
        .job_when(answer["id"].as_str().unwrap(), |job| !job["error"].is_null())
        .await;
    assert_eq!(job["error"]["code"], "provider_unauthorized", "{job}");
    assert!(google.faults().fired() > 0);
    assert_eq!(
        events(&server).await.len(),
        10,
        "nothing is deleted by what was not seen"
    );
    let shown = server.get(&format!("/v1/connections/{connection}")).await.data();
    assert_eq!(shown["health"], "needs_reauth", "{shown}");
}

#[tokio::test]
async fn a_lost_answer_to_a_create_makes_no_second_object() {
    for provider in ["google", "caldav"] {
        let (google, caldav) = (google_server().await, caldav_server(&[]).await);
        let (server, connection, calendar) = match provider {
            "google" => with_google(&google).await,
            _ => with_caldav(&caldav).await,
        };
        google.faults().next(
            Match::path("/events").with_method(Method::POST),
            Fault::LoseResponse,
        );
        caldav
            .faults()
            .next(Match::method(Method::PUT), Fault::LoseResponse);
        let at = |wall: &str| json!({"kind": "zoned", "wall": wall, "zone": "UTC"});
        let body = json!({
            "calendar_id": calendar,
            "title": "Once",
            "start": at("2026-03-02T09:00:00"),
            "end": at("2026-03-02T10:00:00"),
        });
        server.post("/v1/events", body).await.data();
        settle(&server).await;
        sync(&server, &connection).await;
        settle(&server).await;
        let there = google.event_count(ADA) + work(&caldav).list().len();
        assert_eq!((there, events(&server).await.len()), (1, 1), "{provider}");
    }
}

#[tokio::test]
async fn a_title_edit_here_keeps_a_foreign_alarm_there() {
    let lines = [
        "SUMMARY:Planning",
        "BEGIN:VALARM",
        "ACTION:PROCEDURE",
        "TRIGGER;VALUE=DATE-TIME:20260302T070000Z",
        "X-OF-SOMEONE:else",
        "END:VALARM",
    ];
    let caldav = caldav_server(&[("1.ics", ics("u1", &lines))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    server
        .patch(&path_of(&event), json!({"title": "Planned"}))
        .await
        .data();
    settle(&server).await;
    let there = work(&caldav).get("1.ics").unwrap().ics;
    assert!(there.contains("SUMMARY:Planned\r\n"), "{there}");
    for line in &lines[1..] {
        assert!(there.contains(&format!("{line}\r\n")), "{line} in {there}");
    }
}

#[tokio::test]
async fn a_gap_in_which_most_events_vanish_stops_and_asks() {
    let google = google_server().await;
    let calendar = google.calendar(ADA);
    let mut ids = Vec::new();
    for number in 0..40 {
        let made = calendar.insert(google_event(&format!("Event {number}"))).unwrap();
        ids.push(made["id"].as_str().unwrap().to_owned());
    }
    let server = start_server().await;
    let made = connect_google(&server, &google).await;
    let connection = made["id"].as_str().unwrap();
    for id in &ids[..35] {
        calendar.delete(id).unwrap();
    }
    sync(&server, connection).await;
    let calendars = server.get("/v1/calendars").await.data();
    assert_eq!(calendars[0]["hold"]["deletes"], 35, "{calendars}");
    assert_eq!(calendars[0]["counts"]["events"], 40);
    let path = format!("/v1/connections/{connection}/sync?approve_deletes=true");
    let job = server.post(&path, json!({})).await.data();
    server.ended_job(job["id"].as_str().unwrap()).await;
    let calendars = server.get("/v1/calendars").await.data();
    assert_eq!(
        (&calendars[0]["hold"], &calendars[0]["counts"]["events"]),
        (&json!(null), &json!(5))
    );
}
