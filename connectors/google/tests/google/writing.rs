//! What is sent, on what condition, and what it leaves alone.

use connector_google::connector;
use connector_sdk::{Action, Applied, Change, ErrorKind, Push as _};
use http::Method;
use model::{Content, PartKey, series};
use serde_json::{Value, json};
use simulators::faults::{Fault, Match};
use simulators::google_calendar::{AccountConfig, CalendarConfig, Role};
use testkit::conformance::sample;

use super::{ADA, World, create, fixed_collection, implied, target, update, world, world_with, write};

const EDITED: &str = "2026-03-09T09:00:00";

fn titled(content: &Content, title: &str) -> Content {
    let mut content = content.clone();
    content.fields.insert("title".to_owned(), json!(title));
    content
}

/// A series' content with one override.
fn overridden(master: &Content, key: &str, fields: Value) -> Content {
    let mut content = master.clone();
    content
        .overrides
        .insert(PartKey::occurrence(key), serde_json::from_value(fields).unwrap());
    content
}

#[tokio::test]
async fn every_write_says_that_nobody_is_mailed() {
    let world = world().await;
    let made = world.store(create(sample::meeting("Quiet"))).await;
    let named = update(
        target(&made),
        PartKey::MASTER,
        titled(&made.content, "Still"),
        &["title"],
    );
    let changed = world.store(named).await;
    let action = Action::Delete {
        target: target(&changed),
    };
    world.apply(write(PartKey::MASTER, action)).await.unwrap();
    let log = world.google.log().entries();
    let writes: Vec<_> = log.iter().filter(|entry| entry.is_write).collect();
    let methods: Vec<_> = writes.iter().map(|entry| entry.method.clone()).collect();
    assert_eq!(methods, [Method::POST, Method::PATCH, Method::DELETE]);
    assert!(
        writes
            .iter()
            .all(|entry| entry.query.contains("sendUpdates=none"))
    );
    assert!(
        writes[1..]
            .iter()
            .all(|entry| entry.headers.contains_key("if-match"))
    );
    assert_eq!(world.google.notifications(), []);
}

#[tokio::test]
async fn an_edit_is_one_request_and_leaves_what_we_do_not_map_alone() {
    let world = world().await;
    let id = world.put_json(json!({
        "summary": "Before",
        "guestsCanModify": true,
        "extendedProperties": {"shared": {"theirs": "kept"}},
        "attendees": [{"email": "zoe@example.net", "comment": "late", "additionalGuests": 2}],
    }));
    let read = world.fetch(&id).await;
    let mark = world.google.log().mark();
    let named = update(
        target(&read),
        PartKey::MASTER,
        titled(&read.content, "After"),
        &["title"],
    );
    world.store(named).await;
    assert_eq!(world.google.log().since(mark).len(), 1);
    let event = world.calendar().event(&id).unwrap();
    assert_eq!(event["summary"], "After");
    assert_eq!(event["guestsCanModify"], true);
    assert_eq!(event["extendedProperties"]["shared"]["theirs"], "kept");
    assert_eq!(event["attendees"][0]["comment"], "late");
}

#[tokio::test]
async fn attachments_are_written_only_with_the_word_that_they_are_supported() {
    let world = world().await;
    let mut content = sample::event("With a file");
    content.fields.insert(
        "attachments".to_owned(),
        json!([{"uri": "https://drive.google.com/open?id=1", "name": "Agenda"}]),
    );
    let made = world.store(create(content)).await;
    assert_eq!(made.content.fields["attachments"][0]["name"], "Agenda");
    let entries = world.google.log().entries();
    assert!(
        entries[0].query.contains("supportsAttachments=true"),
        "{}",
        entries[0].query
    );
}

#[tokio::test]
async fn an_edit_that_came_first_is_a_version_conflict() {
    let world = world().await;
    let id = world.put("Before");
    let read = world.fetch(&id).await;
    let (handle, theirs) = (world.calendar(), id.clone());
    world.google.faults().next(
        Match::method(Method::PATCH),
        Fault::before(move || {
            handle.patch(&theirs, json!({"location": "Theirs"})).unwrap();
        }),
    );
    let named = update(
        target(&read),
        PartKey::MASTER,
        titled(&read.content, "Ours"),
        &["title"],
    );
    let error = world.apply(named).await.unwrap_err();
    assert_eq!(
        (error.kind, error.status),
        (ErrorKind::VersionConflict, Some(412))
    );
    let event = world.calendar().event(&id).unwrap();
    assert_eq!(
        (&event["summary"], &event["location"]),
        (&json!("Before"), &json!("Theirs"))
    );
}

#[tokio::test]
async fn a_create_that_was_deleted_since_is_neither_found_nor_revived() {
    let world = world().await;
    let made = world.store(create(sample::event("Once"))).await;
    assert!(
        made.id
            .0
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'v' | b'0'..=b'9')),
        "{}",
        made.id
    );
    world.calendar().delete(&made.id.0).unwrap();
    let again = create(sample::event("Once"));
    let found = connector()
        .probe(&world.ctx, &fixed_collection(), &again)
        .await
        .unwrap();
    assert!(matches!(found, Some(Applied::Gone)));
    let error = world.apply(again).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AlreadyExists);
    assert_eq!(world.google.event_count(ADA), 0);
}

#[tokio::test]
async fn a_new_series_takes_its_cancelled_occurrences_with_it_in_one_request() {
    let world = world().await;
    let made = world.store(create(sample::series("Standup"))).await;
    assert_eq!(
        made.content.overrides.keys().collect::<Vec<_>>(),
        [&sample::cancelled()]
    );
    assert_eq!(world.google.log().entries().len(), 1);
}

async fn standup(world: &World) -> (String, Content) {
    let id = world.put_series("Standup");
    let content = world.fetch(&id).await.content;
    (id, content)
}

#[tokio::test]
async fn the_first_write_to_an_occurrence_is_one_write_and_gives_it_an_id() {
    let world = world().await;
    let (id, master) = standup(&world).await;
    let key = PartKey::occurrence(EDITED);
    let content = overridden(&master, EDITED, json!({"title": "Long standup"}));
    let writes = world.google.log().writes();
    let stored = world
        .store(update(
            implied(&id, EDITED),
            key.clone(),
            content.clone(),
            &["title"],
        ))
        .await;
    assert_eq!(world.google.log().writes(), writes + 1);
    assert_eq!(stored.series.as_ref().unwrap().series.0, id);
    assert_eq!(stored.content.fields["title"], "Long standup");

    let again = overridden(&master, EDITED, json!({"title": "Longer standup"}));
    let mark = world.google.log().mark();
    let stored = world
        .store(update(target(&stored), key.clone(), again, &["title"]))
        .await;
    assert_eq!(world.google.log().since(mark).len(), 1, "now its id is known");

    let stored = world
        .store(update(target(&stored), key, master.clone(), &["title"]))
        .await;
    assert_eq!(
        stored.content.fields["title"], "Standup",
        "the override is taken back"
    );
    assert_eq!(world.calendar().event(&id).unwrap()["summary"], "Standup");
}

#[tokio::test]
async fn an_occurrence_that_someone_else_changed_first_is_not_overwritten() {
    let world = world().await;
    let (id, master) = standup(&world).await;
    let theirs = format!("{id}_20260309T080000Z");
    world
        .calendar()
        .patch(&theirs, json!({"summary": "Theirs"}))
        .unwrap();
    let content = overridden(&master, EDITED, json!({"title": "Ours"}));
    let ours = update(
        implied(&id, EDITED),
        PartKey::occurrence(EDITED),
        content,
        &["title"],
    );
    let error = world.apply(ours).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::VersionConflict);
    assert_eq!(world.calendar().event(&theirs).unwrap()["summary"], "Theirs");
}

#[tokio::test]
async fn a_cancelled_occurrence_comes_back_with_all_that_it_says() {
    let world = world().await;
    let (id, master) = standup(&world).await;
    let key = PartKey::occurrence(EDITED);
    let mut content = master.clone();
    content.overrides.insert(key.clone(), series::cancelled());
    let stored = world
        .store(update(implied(&id, EDITED), key.clone(), content, &["status"]))
        .await;
    assert_eq!(stored.content.fields, series::cancelled());

    let (changes, _) = world.changes(None).await;
    let tombstone = changes.into_iter().find_map(|change| match change {
        Change::Present(object) if object.series.is_some() => Some(*object),
        _ => None,
    });
    let tombstone = tombstone.unwrap();
    assert_eq!(tombstone.version, stored.version);
    let content = overridden(&master, EDITED, json!({"title": "Back"}));
    let back = world
        .store(update(target(&tombstone), key, content, &["status", "title"]))
        .await;
    assert_eq!(back.content.fields["title"], "Back");
    assert_eq!(
        back.content.fields["start"],
        json!({"kind": "zoned", "wall": EDITED, "zone": "Europe/Berlin"})
    );
    assert!(!series::is_cancelled(&back.content.fields));
}

#[tokio::test]
async fn an_occurrence_that_the_series_never_had_is_not_found() {
    let world = world().await;
    let (id, master) = standup(&world).await;
    let never = "2026-03-10T09:00:00";
    let content = overridden(&master, never, json!({"title": "Never"}));
    let ours = update(
        implied(&id, never),
        PartKey::occurrence(never),
        content,
        &["title"],
    );
    assert_eq!(world.apply(ours).await.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn days_are_occurrences_too() {
    let world = world().await;
    let event = world
        .calendar()
        .insert(json!({
            "summary": "Sprint",
            "start": {"date": "2026-03-02"},
            "end": {"date": "2026-03-03"},
            "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=6"],
        }))
        .unwrap();
    let id = event["id"].as_str().unwrap();
    let master = world.fetch(id).await.content;
    let content = overridden(&master, "2026-03-09", json!({"title": "Long sprint"}));
    let mut to = implied(id, "2026-03-09T00:00:00");
    if let Some(part) = &mut to.series {
        part.original_start = model::EventTime::Date {
            date: "2026-03-09".parse().unwrap(),
        };
    }
    let stored = world
        .store(update(to, PartKey::occurrence("2026-03-09"), content, &["title"]))
        .await;
    assert_eq!(
        stored.content.fields["start"],
        json!({"kind": "date", "date": "2026-03-09"})
    );
    assert_eq!(stored.content.fields["title"], "Long sprint");
}

#[tokio::test]
async fn a_calendar_out_of_sight_is_an_error_and_not_a_delete() {
    let world = world_with(|config| {
        let shared = CalendarConfig::new("team@example.org", "grace@example.org");
        config
            .account(AccountConfig::new("grace@example.org"))
            .calendar(shared.shared_with(ADA, Role::Writer))
    })
    .await;
    let mut collection = fixed_collection();
    collection.id.0 = "team@example.org".to_owned();
    let outcome = connector()
        .apply(&world.ctx, &collection, &[create(sample::event("Shared"))])
        .await;
    let Ok(Applied::Stored(made)) = &outcome[0] else {
        panic!("{outcome:?}")
    };
    let delete = write(PartKey::MASTER, Action::Delete { target: target(made) });
    world.google.set_role("team@example.org", ADA, Role::Reader);
    let outcome = connector()
        .apply(&world.ctx, &collection, std::slice::from_ref(&delete))
        .await;
    assert_eq!(outcome[0].as_ref().unwrap_err().kind, ErrorKind::PermissionDenied);
    world.google.set_role("team@example.org", ADA, None);
    let outcome = connector().apply(&world.ctx, &collection, &[delete]).await;
    assert_eq!(outcome[0].as_ref().unwrap_err().kind, ErrorKind::NotFound);
    let probed = connector()
        .probe(&world.ctx, &collection, &create(sample::event("Shared")))
        .await;
    assert_eq!(probed.unwrap_err().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn what_google_cannot_hold_is_refused_before_anything_is_sent() {
    let world = world().await;
    let without_start: Content = serde_json::from_value(json!({"fields": {"title": "When?"}})).unwrap();
    let error = world.apply(create(without_start)).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert_eq!(world.google.log().entries().len(), 0);
}
