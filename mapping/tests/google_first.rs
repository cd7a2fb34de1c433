//! Google's events read and written: what the connector relies on first.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;

use mapping::google::{insert, patch, project, read, read_calendar, support};
use model::content::{Content, Fields, PartKey};
use model::{EventTime, Kind, series};
use serde_json::{Value, json};

fn series_event() -> Value {
    json!({
        "kind": "calendar#event", "etag": "\"33\"", "id": "abc", "status": "confirmed",
        "htmlLink": "https://www.google.com/calendar/event?eid=x",
        "created": "2026-01-01T10:00:00.000Z", "updated": "2026-01-02T10:00:00.123Z",
        "summary": "Standup", "description": "<p>Bring &amp; tell</p>", "colorId": "11",
        "creator": {"email": "me@example.org", "self": true},
        "organizer": {"email": "Boss@example.org", "displayName": "The boss"},
        "start": {"dateTime": "2026-01-05T03:00:00-05:00", "timeZone": "Europe/Berlin"},
        "end": {"dateTime": "2026-01-05T03:15:00-05:00", "timeZone": "Europe/Berlin"},
        "recurrence": ["EXDATE;TZID=Europe/Berlin:20260119T090000", "RRULE:FREQ=WEEKLY;UNTIL=20270101T000000Z"],
        "transparency": "transparent", "iCalUID": "abc@google.com", "sequence": 3,
        "attendees": [
            {"email": "me@example.org", "self": true, "responseStatus": "tentative", "comment": "late"},
            {"email": "Room@example.org", "resource": true, "responseStatus": "accepted", "id": "17"},
        ],
        "reminders": {"useDefault": false, "overrides": [{"method": "popup", "minutes": 10}]},
        "hangoutLink": "https://meet.google.com/abc",
        "extendedProperties": {"private": {"concord.uid": "s1@example.org", "concord.x.cost": "7", "other": "x"},
                               "shared": {"y": "z"}},
        "futureMember": {"a": [1]},
    })
}

fn content() -> Content {
    let event = read(&series_event(), None).unwrap();
    Content {
        fields: event.fields,
        overrides: event.exdates,
    }
}

fn names(fields: &[&str]) -> BTreeSet<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

#[test]
fn an_event_is_read_whole() {
    let event = read(&series_event(), None).unwrap();
    let fields = &event.fields;
    assert_eq!(
        fields["start"],
        json!({"kind": "zoned", "wall": "2026-01-05T09:00:00", "zone": "Europe/Berlin"})
    );
    assert_eq!(
        fields["description"],
        json!({"text": "Bring & tell", "html": "<p>Bring &amp; tell</p>"})
    );
    assert_eq!(fields["color"], "#dc2127");
    assert_eq!(fields["my_response"], "tentative");
    assert_eq!(fields["attendees"][1]["role"], "resource");
    assert_eq!(fields["uid"], "s1@example.org");
    assert_eq!(fields["custom"], json!({"cost": 7}));
    assert_eq!(fields["busy"], false);
    assert_eq!(fields["visibility"], "default");
    assert_eq!(fields["conferencing"]["uri"], "https://meet.google.com/abc");
    assert_eq!(fields["updated_at"], "2026-01-02T10:00:00.123Z");
    assert_eq!(
        event.exdates.keys().map(PartKey::as_str).collect::<Vec<_>>(),
        ["2026-01-19T09:00:00"]
    );
    assert_eq!(Kind::Event.schema().canonical(fields.clone()).unwrap(), *fields);
}

#[test]
fn an_event_that_says_it_already_is_not_patched() {
    let content = content();
    let all: BTreeSet<String> = support().iter().map(|support| support.field.to_owned()).collect();
    let body = patch(Some(&series_event()), &content, &PartKey::MASTER, &all, "UTC").unwrap();
    assert_eq!(body, json!({}));
}

#[test]
fn a_patch_says_only_what_changed() {
    let mut content = content();
    content.fields.insert("title".to_owned(), json!("Retro"));
    content.fields.remove("color");
    content
        .fields
        .insert("location".to_owned(), json!("not named as changed"));
    let changed = names(&["title", "color"]);
    let body = patch(Some(&series_event()), &content, &PartKey::MASTER, &changed, "UTC").unwrap();
    assert_eq!(body, json!({"summary": "Retro", "colorId": null}));
}

#[test]
fn attendees_keep_what_is_not_mapped() {
    let mut content = content();
    content.fields.insert(
        "attendees".to_owned(),
        json!([
            {"address": "me@example.org", "role": "participant", "response": "accepted", "optional": false},
            {"address": "new@example.org", "name": "N", "role": "participant", "response": "needs_action", "optional": true},
        ]),
    );
    let body = patch(
        Some(&series_event()),
        &content,
        &PartKey::MASTER,
        &names(&["attendees"]),
        "UTC",
    )
    .unwrap();
    assert_eq!(
        body,
        json!({"attendees": [
            {"email": "me@example.org", "self": true, "responseStatus": "accepted", "comment": "late"},
            {"email": "new@example.org", "displayName": "N", "optional": true},
        ]})
    );
}

#[test]
fn switching_to_all_day_clears_the_other_form() {
    let mut content = content();
    content
        .fields
        .insert("start".to_owned(), json!({"kind": "date", "date": "2026-01-06"}));
    content
        .fields
        .insert("end".to_owned(), json!({"kind": "date", "date": "2026-01-07"}));
    content.overrides.clear();
    content
        .overrides
        .insert(PartKey::occurrence("2026-01-20"), series::cancelled());
    let changed = names(&["start", "end"]);
    let body = patch(Some(&series_event()), &content, &PartKey::MASTER, &changed, "UTC").unwrap();
    assert_eq!(
        body,
        json!({
            "start": {"date": "2026-01-06", "dateTime": null, "timeZone": null},
            "end": {"date": "2026-01-07", "dateTime": null, "timeZone": null},
            "recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20270101T000000Z", "EXDATE;VALUE=DATE:20260120"],
        })
    );
    let unseen = patch(
        None,
        &content,
        &PartKey::MASTER,
        &names(&["start", "location"]),
        "UTC",
    )
    .unwrap();
    assert_eq!(
        unseen,
        json!({"start": {"date": "2026-01-06", "dateTime": null, "timeZone": null}, "location": null})
    );
}

#[test]
fn an_occurrence_brought_back_leaves_the_excluded_dates() {
    let mut content = content();
    content.overrides.clear();
    let body = patch(
        Some(&series_event()),
        &content,
        &PartKey::MASTER,
        &names(&["recurrence"]),
        "UTC",
    )
    .unwrap();
    assert_eq!(
        body,
        json!({"recurrence": ["RRULE:FREQ=WEEKLY;UNTIL=20270101T000000Z"]})
    );
}

#[test]
fn deleted_things_need_no_more_than_their_names() {
    let gone = read(&json!({"id": "x", "status": "cancelled"}), None).unwrap();
    assert!(gone.cancelled && gone.series.is_none());
    let occurrence = json!({
        "id": "x_20260112T080000Z", "status": "cancelled", "recurringEventId": "x",
        "originalStartTime": {"dateTime": "2026-01-12T09:00:00+01:00", "timeZone": "Europe/Berlin"},
    });
    let read = read(&occurrence, None).unwrap();
    let (series, original) = read.series.unwrap();
    assert_eq!(
        (series.as_str(), original.wall().to_string().as_str()),
        ("x", "2026-01-12T09:00:00")
    );
    assert_eq!(read.fields, series::cancelled());
    let mut content = content();
    let key = PartKey::occurrence("2026-01-12T09:00:00");
    content.overrides.insert(key.clone(), series::cancelled());
    let body = patch(None, &content, &key, &names(&["status"]), "UTC").unwrap();
    assert_eq!(body, json!({"status": "cancelled"}));
}

#[test]
fn a_new_series_names_its_deleted_occurrences_and_reads_back_as_projected() {
    let mut content = content();
    let key = PartKey::occurrence("2026-01-12T09:00:00");
    content.overrides.insert(
        key.clone(),
        Fields::from([("title".to_owned(), json!("Long standup"))]),
    );
    content.fields.insert("color".to_owned(), json!("teal"));
    let body = insert(&content, &PartKey::MASTER, "Europe/Berlin").unwrap();
    assert_eq!(
        body["start"],
        json!({"dateTime": "2026-01-05T09:00:00+01:00", "timeZone": "Europe/Berlin"})
    );
    assert_eq!(body["recurrence"][1], "EXDATE;TZID=Europe/Berlin:20260119T090000");
    assert_eq!(
        body["extendedProperties"]["private"]["concord.uid"],
        "s1@example.org"
    );
    assert!(body.get("id").is_none() && body.get("iCalUID").is_none() && body.get("organizer").is_none());
    let projection = project(&content, "Europe/Berlin");
    assert!(!projection.fields.contains_key("color"));
    assert_eq!(projection.overrides, content.overrides);
    assert_eq!(project(&projection, "Europe/Berlin"), projection);
    let occurrence = insert(&content, &key, "Europe/Berlin").unwrap();
    assert_eq!(occurrence["start"]["dateTime"], "2026-01-12T09:00:00+01:00");
    assert!(occurrence.get("recurrence").is_none());
}

#[test]
fn a_floating_time_becomes_one_of_the_calendars_zone() {
    let mut fields = Fields::new();
    for field in ["start", "end"] {
        fields.insert(
            field.to_owned(),
            json!({"kind": "floating", "wall": "2026-07-01T09:00:00"}),
        );
    }
    let projection = project(&Content::new(fields), "Asia/Kolkata");
    let start = series::time_field(&projection.fields, "start").unwrap();
    assert_eq!(
        start,
        EventTime::zoned("2026-07-01T09:00:00".parse().unwrap(), "Asia/Kolkata").unwrap()
    );
}

#[test]
fn an_unknown_zone_and_wrong_types_are_named() {
    let mut event = series_event();
    event["end"]["timeZone"] = json!("Mars/Olympus");
    let error = read(&event, None).unwrap_err();
    assert_eq!(
        (error.field.as_str(), error.reason),
        ("end", mapping::Reason::UnknownZone)
    );
    let mut event = series_event();
    event["summary"] = json!(["x"]);
    let error = read(&event, None).unwrap_err();
    assert_eq!((error.field.as_str(), error.path.as_str()), ("title", "summary"));
}

#[test]
fn a_calendar_list_entry_is_a_calendar() {
    let fields = read_calendar(&json!({
        "id": "c", "summary": "Work", "summaryOverride": "My work", "timeZone": "Asia/Calcutta",
        "backgroundColor": "#9fe1e7", "accessRole": "reader", "primary": true,
    }))
    .unwrap();
    assert_eq!(
        json!(fields),
        json!({"name": "My work", "zone": "Asia/Kolkata", "color": "#9fe1e7", "read_only": true, "primary": true})
    );
}
