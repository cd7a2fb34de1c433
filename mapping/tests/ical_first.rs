//! iCalendar read and written: what the connectors rely on first.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::collections::BTreeSet;

use mapping::ical::{Stamp, project, read, write};
use model::content::{FieldPath, PartKey};
use serde_json::json;

const SERIES: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Somebody//Else//EN\r\nBEGIN:VTIMEZONE\r\nTZID:W. Europe\r\nX-LIC-LOCATION:Europe/Berlin\r\nBEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nTZOFFSETFROM:+0200\r\nTZOFFSETTO:+0100\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:s1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=W. Europe:20260105T090000\r\nDURATION:PT15M\r\nRRULE:FREQ=WEEKLY;UNTIL=20270101T000000Z\r\nEXDATE;TZID=W. Europe:20260119T090000,20260126T090000\r\nSUMMARY;LANGUAGE=en:Standup\r\nX-COLOR-OF-MOOD;A=b:blue\r\nATTENDEE;X-P=1;PARTSTAT=ACCEPTED;CN=\"Al, the\":mailto:Al@example.org\r\nSEQUENCE:2\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT10M\r\nDESCRIPTION:x\r\nEND:VALARM\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER;VALUE=DATE-TIME:20260105T070000Z\r\nX-FOREIGN:1\r\nEND:VALARM\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:s1\r\nDTSTAMP:20260101T000000Z\r\nRECURRENCE-ID:20260112T080000Z\r\nDTSTART;TZID=W. Europe:20260112T110000\r\nDURATION:PT15M\r\nSUMMARY:Standup\r\nATTENDEE;PARTSTAT=ACCEPTED;CN=\"Al, the\":mailto:Al@example.org\r\nBEGIN:VALARM\r\nACTION:DISPLAY\r\nTRIGGER:-PT10M\r\nDESCRIPTION:x\r\nEND:VALARM\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

fn stamp() -> Stamp {
    Stamp {
        now: "2026-02-01T12:00:00Z".parse().unwrap(),
    }
}

fn changed(paths: &[FieldPath]) -> BTreeSet<FieldPath> {
    paths.iter().cloned().collect()
}

/// The lines of one object that the other has not.
fn lines_lost(from: &str, to: &str) -> Vec<String> {
    let mut rest: Vec<&str> = to.lines().collect();
    let lost = from
        .lines()
        .filter(|line| match rest.iter().position(|other| other == line) {
            Some(at) => {
                rest.swap_remove(at);
                false
            }
            None => true,
        });
    lost.map(str::to_owned).collect()
}

#[test]
fn a_series_is_read_as_master_and_sparse_overrides() {
    let content = read(SERIES.as_bytes()).unwrap();
    assert_eq!(content.fields["title"], "Standup");
    assert_eq!(
        content.fields["end"],
        json!({"kind": "zoned", "wall": "2026-01-05T09:15:00", "zone": "Europe/Berlin"})
    );
    assert_eq!(content.fields["attendees"][0]["name"], "Al, the");
    assert_eq!(content.fields["reminders"]["items"].as_array().unwrap().len(), 1);
    let keys: Vec<&str> = content.overrides.keys().map(PartKey::as_str).collect();
    assert_eq!(
        keys,
        [
            "2026-01-12T09:00:00",
            "2026-01-19T09:00:00",
            "2026-01-26T09:00:00"
        ]
    );
    let moved = &content.overrides[&PartKey::occurrence("2026-01-12T09:00:00")];
    assert_eq!(moved.keys().collect::<Vec<_>>(), ["end", "start"]);
}

#[test]
fn a_title_edit_touches_the_titles_and_the_stamps_only() {
    let mut content = read(SERIES.as_bytes()).unwrap();
    let path = FieldPath::master("title");
    content.set(&path, Some(json!("Stand-up; long")));
    let written = write(Some(SERIES.as_bytes()), &content, &changed(&[path]), stamp()).unwrap();
    let text = String::from_utf8(written.clone()).unwrap();
    assert_eq!(
        lines_lost(SERIES, &text),
        [
            "DTSTAMP:20260101T000000Z",
            "SUMMARY;LANGUAGE=en:Standup",
            "DTSTAMP:20260101T000000Z",
            "SUMMARY:Standup"
        ]
    );
    assert!(text.contains("SUMMARY;LANGUAGE=en:Stand-up\\; long\r\n"));
    assert_eq!(read(&written).unwrap().fields["title"], "Stand-up; long");
}

#[test]
fn writing_nothing_gives_the_object_back() {
    let content = read(SERIES.as_bytes()).unwrap();
    let none = write(Some(SERIES.as_bytes()), &content, &BTreeSet::new(), stamp()).unwrap();
    assert_eq!(String::from_utf8(none).unwrap(), SERIES);
    let all: BTreeSet<FieldPath> = content.paths().collect();
    let same = write(Some(SERIES.as_bytes()), &content, &all, stamp()).unwrap();
    assert_eq!(String::from_utf8(same).unwrap(), SERIES);
}

#[test]
fn a_moved_master_takes_its_overrides_and_excluded_dates_along() {
    let before = read(SERIES.as_bytes()).unwrap();
    let mut content = before.clone();
    for (field, wall) in [("start", "2026-01-06T10:00:00"), ("end", "2026-01-06T10:15:00")] {
        let time = json!({"kind": "zoned", "wall": wall, "zone": "Europe/Berlin"});
        content.set(&FieldPath::master(field), Some(time));
    }
    let start = model::series::time_field(&before.fields, "start").unwrap();
    let new = model::series::time_field(&content.fields, "start").unwrap();
    content.overrides = model::series::rekeyed(before.overrides, &start, &new);
    let paths = changed(&[FieldPath::master("start"), FieldPath::master("end")]);
    let written = write(Some(SERIES.as_bytes()), &content, &paths, stamp()).unwrap();
    let text = String::from_utf8(written.clone()).unwrap();
    assert_eq!(read(&written).unwrap().overrides, content.overrides, "{text}");
    assert!(text.contains("DURATION:PT15M\r\n"), "{text}");
    assert!(text.contains("SEQUENCE:3\r\n"), "{text}");
    assert!(
        text.contains("RECURRENCE-ID;TZID=W. Europe:20260113T100000\r\n"),
        "{text}"
    );
}

#[test]
fn occurrences_are_deleted_and_brought_back() {
    let mut content = read(SERIES.as_bytes()).unwrap();
    let moved = PartKey::occurrence("2026-01-12T09:00:00");
    let deleted = PartKey::occurrence("2026-01-19T09:00:00");
    let new = PartKey::occurrence("2026-02-02T09:00:00");
    let before = content.clone();
    content.overrides.insert(moved, model::series::cancelled());
    content.overrides.remove(&deleted);
    content.overrides.insert(
        new,
        [
            ("title".to_owned(), json!("Retro")),
            ("reminders".to_owned(), json!(null)),
        ]
        .into(),
    );
    let paths: BTreeSet<FieldPath> = before.differences(&content).into_iter().collect();
    let written = write(Some(SERIES.as_bytes()), &content, &paths, stamp()).unwrap();
    let text = String::from_utf8(written.clone()).unwrap();
    assert_eq!(read(&written).unwrap().overrides, content.overrides, "{text}");
    assert!(
        text.contains("EXDATE;TZID=W. Europe:20260126T090000\r\n"),
        "{text}"
    );
    assert!(
        text.contains("EXDATE;TZID=W. Europe:20260112T090000\r\n"),
        "{text}"
    );
    assert!(
        text.contains("RECURRENCE-ID;TZID=W. Europe:20260202T090000\r\n"),
        "{text}"
    );
}

#[test]
fn a_new_object_defines_its_zones_and_reads_back_as_projected() {
    let mut content = read(SERIES.as_bytes()).unwrap();
    content.fields.insert("my_response".to_owned(), json!("accepted"));
    content.fields.insert(
        "description".to_owned(),
        json!({"text": "ü\nb", "html": "<b>ü</b>"}),
    );
    let written = write(None, &content, &BTreeSet::new(), stamp()).unwrap();
    let text = String::from_utf8(written.clone()).unwrap();
    assert!(text.contains("TZID:Europe/Berlin\r\n"), "{text}");
    assert!(
        text.contains("RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"),
        "{text}"
    );
    let mut again = read(&written).unwrap();
    for field in ["sequence", "created_at", "updated_at"] {
        again.fields.remove(field);
    }
    assert_eq!(again, project(&content), "{text}");
    assert_eq!(project(&project(&content)), project(&content));
}

#[test]
fn an_excluded_date_next_to_an_override_stays_where_it_is() {
    let both = SERIES.replace("20260119T090000,20260126T090000", "20260112T090000");
    let mut content = read(both.as_bytes()).unwrap();
    assert_eq!(content.overrides.len(), 1);
    let path = FieldPath::master("location");
    content.set(&path, Some(json!("Room 2")));
    let text = write(Some(both.as_bytes()), &content, &changed(&[path]), stamp()).unwrap();
    assert!(
        String::from_utf8(text)
            .unwrap()
            .contains("EXDATE;TZID=W. Europe:20260112T090000\r\n")
    );
}

#[test]
fn a_series_that_was_cancelled_and_taken_up_again_keeps_its_changed_occurrences() {
    let before = read(SERIES.as_bytes()).unwrap();
    let path = FieldPath::master("status");
    let mut content = before.clone();
    content.set(&path, Some(json!("cancelled")));
    let cancelled = write(
        Some(SERIES.as_bytes()),
        &content,
        &changed(std::slice::from_ref(&path)),
        stamp(),
    )
    .unwrap();
    assert_eq!(read(&cancelled).unwrap().overrides, before.overrides);
    content.set(&path, Some(json!("confirmed")));
    let again = write(Some(&cancelled), &content, &changed(&[path]), stamp()).unwrap();
    assert_eq!(read(&again).unwrap().overrides, before.overrides);
}
