//! A mirror between a real CalDAV server and a simulated Google: what is edited once is written once, and nothing is
//! written while nothing happens.

use serde_json::{Value, json};
use simulators::faults::{Fault, Match};
use testkit::corpus;

use crate::hub::{Hub, path_of};
use crate::scene::{ADA, Dav, Scene, google, google_body, ics};
use crate::size;

const IDLE_ROUNDS: usize = 10;

async fn assert_idle(scene: &Scene) {
    let counting = scene.count();
    for _ in 0..IDLE_ROUNDS {
        scene.round().await;
    }
    scene.assert_writes(&counting, (0, 0), "nobody edited anything");
    assert_eq!(scene.google.notifications(), [], "nobody was mailed");
}

async fn assert_no_refusals(hub: &Hub) {
    let rejected = hub.all("/v1/links?state=rejected").await;
    assert!(rejected.is_empty(), "{rejected:#?}");
    let quarantined = hub.all("/v1/quarantine").await;
    assert!(quarantined.is_empty(), "{quarantined:#?}");
}

/// Masters and single events at Google that are not deleted.
fn whole_events(scene: &Scene) -> Vec<Value> {
    let mut events = scene.google.calendar(ADA).living_events();
    events.retain(|event| event["recurringEventId"].is_null());
    events
}

#[tokio::test]
async fn a_new_mirror_brings_everything_over_and_then_rests() {
    // Each kind of time with each kind of rule, attendees and moved occurrences among them.
    let mut resources = corpus::small_events(98, 23);
    let mut number = 0..;
    resources.retain(|resource| {
        let number: usize = number.next().unwrap();
        // Google makes no event that is cancelled already.
        !is_cancelled(&resource.ics) && (number + number / 7) % 7 < size(3, 7)
    });
    let count = resources.len();
    let dav = Dav::with(resources.iter().map(|resource| (&resource.name, &resource.ics))).await;
    let google = google().await;
    for number in 0..5 {
        let mut event = google_body(&format!("At Google {number}"));
        event["attendees"] = json!([{"email": "grace@example.com"}]);
        google.calendar(ADA).insert(event).unwrap();
    }
    let scene = Scene::mirrored(Hub::start().await, dav, google).await;

    assert_no_refusals(&scene.hub).await;
    assert_eq!(scene.dav.items().len(), count + 5);
    assert_eq!(whole_events(&scene).len(), count + 5);
    let counted = scene.hub.events().await;
    assert_eq!(counted.len(), count + 5);
    for event in counted {
        assert_eq!(event["links"].as_array().unwrap().len(), 2, "{event:#}");
    }
    assert_idle(&scene).await;
}

/// Whether an event or a whole series is cancelled.
fn is_cancelled(ics: &str) -> bool {
    let calendar = corpus::semantics::parse(ics).unwrap();
    let mut masters = calendar
        .all("VEVENT")
        .filter(|event| event.property("RECURRENCE-ID").is_none());
    masters.any(|event| event.value("STATUS") == Some("CANCELLED"))
}

async fn small_scene() -> Scene {
    let lines = [
        "SUMMARY:From Radicale",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "DESCRIPTION:Reminder",
        "TRIGGER:-PT10M",
        "X-FOREIGN:kept",
        "END:VALARM",
    ];
    let dav = Dav::with([("a.ics", ics("a", &lines))]).await;
    let google = google().await;
    let mut event = google_body("From Google");
    event["reminders"] = json!({"useDefault": false, "overrides": [{"method": "popup", "minutes": 45}]});
    google.calendar(ADA).insert(event).unwrap();
    Scene::mirrored(Hub::start().await, dav, google).await
}

#[tokio::test]
async fn one_edit_on_either_side_is_one_write_on_the_other() {
    let scene = small_scene().await;
    let (name, _) = scene.dav.with_line("SUMMARY:From Google").expect("it came over");
    assert!(scene.google_event("From Radicale").is_some(), "it came over");

    let counting = scene.count();
    scene
        .dav
        .edit(&name, "SUMMARY:From Google", "SUMMARY:Edited at Radicale")
        .await;
    scene.round().await;
    scene.assert_writes(&counting, (0, 1), "one edit at Radicale");
    let event = scene.google_event("Edited at Radicale").unwrap();

    let counting = scene.count();
    let id = event["id"].as_str().unwrap();
    scene
        .google
        .calendar(ADA)
        .patch(id, json!({"location": "Room 7"}))
        .unwrap();
    scene.round().await;
    scene.assert_writes(&counting, (1, 0), "one edit at Google");
    assert!(scene.dav.item(&name).contains("LOCATION:Room 7\r\n"));

    let counting = scene.count();
    let event = scene.hub.titled("Edited at Radicale").await;
    scene
        .hub
        .patch(&path_of(&event), json!({"title": "Edited here"}))
        .await
        .data();
    scene.hub.settle().await;
    scene.assert_writes(&counting, (1, 1), "one edit through the API");
    assert!(scene.google_event("Edited here").is_some());
    assert!(scene.dav.item(&name).contains("SUMMARY:Edited here\r\n"));

    let counting = scene.count();
    scene.dav.delete(&name).await;
    scene.round().await;
    scene.assert_writes(&counting, (0, 1), "one delete at Radicale");
    assert!(scene.google_event("Edited here").is_none());

    let counting = scene.count();
    let id = scene.google_event("From Radicale").unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    scene.google.calendar(ADA).delete(&id).unwrap();
    scene.round().await;
    scene.assert_writes(&counting, (1, 0), "one delete at Google");
    assert!(scene.dav.items().is_empty());

    let counting = scene.count();
    scene.dav.put("new.ics", &ics("new", &["SUMMARY:New"])).await;
    scene.round().await;
    scene.assert_writes(&counting, (0, 1), "one new event at Radicale");
    scene.google.calendar(ADA).insert(google_body("Newer")).unwrap();
    let counting = scene.count();
    scene.round().await;
    scene.assert_writes(&counting, (1, 0), "one new event at Google");
    assert_idle(&scene).await;
}

#[tokio::test]
async fn an_event_that_is_cancelled_at_one_side_is_not_lost_there() {
    let scene = small_scene().await;
    scene
        .dav
        .edit("a.ics", "SUMMARY:", "STATUS:CANCELLED\r\nSUMMARY:")
        .await;
    for _ in 0..3 {
        scene.round().await;
    }
    let there = scene.dav.item("a.ics");
    assert!(there.contains("STATUS:CANCELLED\r\n"), "{there}");
    assert_idle(&scene).await;
}

#[tokio::test]
async fn a_copy_whose_making_was_not_confirmed_counts_for_no_edit() {
    let scene = small_scene().await;
    let counting = scene.count();
    let create = Match::method(reqwest::Method::POST).with_path("/events");
    scene.google.faults().next(create, Fault::LoseResponse);
    scene.dav.put("new.ics", &ics("new", &["SUMMARY:New"])).await;
    scene.round().await;
    scene.assert_writes(&counting, (0, 1), "it was made, and nobody else edited");

    // So a delete finds nothing that it would undo.
    scene.dav.delete("new.ics").await;
    scene.round().await;
    assert!(scene.google_event("New").is_none());
    assert!(scene.dav.with_line("SUMMARY:New").is_none());
    assert!(scene.hub.all("/v1/conflicts?state=all").await.is_empty());
    assert_idle(&scene).await;
}

#[tokio::test]
async fn reminders_stay_on_their_own_account() {
    let scene = small_scene().await;
    for title in ["From Google", "From Radicale"] {
        let event = scene.hub.titled(title).await;
        scene
            .hub
            .patch(&path_of(&event), json!({"location": "Room 3"}))
            .await
            .data();
    }
    scene.hub.settle().await;
    scene.round().await;

    let (_, native) = scene.dav.with_line("SUMMARY:From Radicale").unwrap();
    assert!(
        native.contains("LOCATION:Room 3\r\n") && native.contains("TRIGGER:-PT10M\r\n"),
        "{native}"
    );
    assert!(native.contains("X-FOREIGN:kept\r\n"), "{native}");
    let (_, copy) = scene.dav.with_line("SUMMARY:From Google").unwrap();
    assert!(!copy.contains("VALARM"), "{copy}");
    let native = scene.google_event("From Google").unwrap();
    assert_eq!(
        native["reminders"]["overrides"],
        json!([{"method": "popup", "minutes": 45}]),
        "{native}"
    );
    let copy = scene.google_event("From Radicale").unwrap();
    assert!(!copy["reminders"].to_string().contains("10"), "{copy}");
    assert_idle(&scene).await;
}

/// Every day from 2026-03-02, 09:00 in Berlin, ten times.
async fn series_scene(at_google: bool) -> Scene {
    let google = google().await;
    let lines = [
        "SUMMARY:Standup",
        "DTSTART;TZID=Europe/Berlin:20260302T090000",
        "DTEND;TZID=Europe/Berlin:20260302T100000",
        "RRULE:FREQ=DAILY;COUNT=10",
        "EXDATE;TZID=Europe/Berlin:20260303T090000",
    ];
    let mut items = Vec::new();
    if at_google {
        let mut series = google_body("Standup");
        series["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=10"]);
        let made = google.calendar(ADA).insert(series).unwrap();
        let id = made["id"].as_str().unwrap();
        google
            .calendar(ADA)
            .cancel_instance(id, "20260303T080000Z")
            .unwrap();
    } else {
        items.push(("s.ics", ics("s", &lines)));
    }
    Scene::mirrored(Hub::start().await, Dav::with(items).await, google).await
}

#[tokio::test]
async fn a_series_that_is_split_costs_two_writes_on_each_side() {
    for at_google in [false, true] {
        let scene = series_scene(at_google).await;
        let series = scene.hub.titled("Standup").await;
        let counting = scene.count();
        let path = format!(
            "{}/occurrences/2026-03-06T09:00:00?scope=following",
            path_of(&series)
        );
        let both = scene
            .hub
            .patch(&path, json!({"title": "Standup, new"}))
            .await
            .data();
        assert_eq!(both.as_array().unwrap().len(), 2, "{both}");
        scene.hub.settle().await;
        scene.round().await;
        scene.assert_writes(
            &counting,
            (2, 2),
            "a split makes one series shorter and another new",
        );

        assert_eq!(scene.dav.items().len(), 2);
        assert_eq!(whole_events(&scene).len(), 2);
        for title in ["Standup", "Standup, new"] {
            assert!(scene.google_event(title).is_some(), "{title} is at Google");
            let line = format!("SUMMARY:{}", title.replace(',', "\\,"));
            assert!(scene.dav.with_line(&line).is_some(), "{title} is at Radicale");
        }
        assert_idle(&scene).await;
    }
}

/// The starts of the occurrences in the hub, as wall times.
async fn occurrences(scene: &Scene) -> Vec<String> {
    let window = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z&expand=true";
    let listed = scene.hub.all(&format!("/v1/events?{window}")).await;
    let key = |item: &Value| item["occurrence"].as_str().unwrap().to_owned();
    listed.iter().map(key).collect()
}

/// Days of deleted occurrences at Google: cancelled, or excluded by the series.
fn deleted_at_google(scene: &Scene) -> Vec<String> {
    let mut events = scene.google.calendar(ADA).events();
    events.retain(|event| event["status"] == "cancelled" && event["recurringEventId"].is_string());
    let day = |event: &Value| event["originalStartTime"]["dateTime"].as_str().unwrap()[..10].to_owned();
    let mut days: Vec<_> = events.iter().map(day).collect();
    let series = scene.google_event("Standup").unwrap();
    for line in series["recurrence"].as_array().unwrap() {
        let line = line.as_str().unwrap();
        if let Some((_, times)) = line
            .split_once(':')
            .filter(|(name, _)| name.starts_with("EXDATE"))
        {
            days.extend(times.split(',').map(day_of));
        }
    }
    days.sort();
    days
}

/// `2026-03-04` of `20260304T090000`.
fn day_of(time: &str) -> String {
    format!("{}-{}-{}", &time[..4], &time[4..6], &time[6..8])
}

/// Days of deleted occurrences at Radicale.
fn excluded_at_radicale(scene: &Scene) -> Vec<String> {
    let (_, ics) = scene.dav.with_line("SUMMARY:Standup").unwrap();
    let calendar = corpus::semantics::parse(&ics).unwrap();
    let event = calendar.all("VEVENT").next().unwrap();
    let mut days: Vec<_> = event
        .properties
        .iter()
        .filter(|property| property.name == "EXDATE")
        .flat_map(|property| property.value.split(','))
        .map(day_of)
        .collect();
    days.sort();
    days
}

#[tokio::test]
async fn deleted_occurrences_stay_deleted() {
    for at_google in [false, true] {
        let scene = series_scene(at_google).await;
        // One was deleted before the mirror, one is deleted at Google, one at Radicale, one here.
        let master = scene.google_event("Standup").unwrap();
        let id = master["id"].as_str().unwrap();
        scene
            .google
            .calendar(ADA)
            .cancel_instance(id, "20260304T080000Z")
            .unwrap();
        scene.round().await;
        let (name, there) = scene.dav.with_line("SUMMARY:Standup").unwrap();
        let excluded = "RRULE:FREQ=DAILY;COUNT=10\r\nEXDATE;TZID=Europe/Berlin:20260305T090000\r\n";
        let edited = there.replace("RRULE:FREQ=DAILY;COUNT=10\r\n", excluded);
        assert_ne!(edited, there, "the rule is written as expected: {there}");
        scene.dav.put(&name, &edited).await;
        scene.round().await;
        let series = scene.hub.titled("Standup").await;
        let path = format!("{}/occurrences/2026-03-06T09:00:00", path_of(&series));
        assert_eq!(scene.hub.delete(&path).await.status, 204);
        scene.hub.settle().await;

        for _ in 0..2 {
            scene.round().await;
            let deleted = ["2026-03-03", "2026-03-04", "2026-03-05", "2026-03-06"];
            assert_eq!(deleted_at_google(&scene), deleted);
            assert_eq!(excluded_at_radicale(&scene), deleted);
            let left = occurrences(&scene).await;
            assert_eq!(left.len(), 6, "{left:?}");
            assert!(
                deleted
                    .iter()
                    .all(|day| left.iter().all(|at| !at.starts_with(day))),
                "{left:?}"
            );
        }
        assert_idle(&scene).await;
    }
}
