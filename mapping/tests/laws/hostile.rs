//! Bytes and JSON that nobody sound would send: an error or a reading, never a panic, in bounded time.

use std::collections::BTreeSet;

use mapping::ical::{Stamp, read, write};
use mapping::{Reason, google};
use model::content::{Content, FieldPath, PartKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::config;
use crate::rfc5545::{COMPLEX, JSON};

fn stamp() -> Stamp {
    Stamp {
        now: "2026-02-01T12:00:00Z".parse().unwrap(),
    }
}

/// Reads, and writes back what was read.
fn exercise(bytes: &[u8]) {
    if let Ok(mut content) = read(bytes) {
        let _ = write(Some(bytes), &content, &BTreeSet::new(), stamp());
        let paths: BTreeSet<FieldPath> = ["title", "start", "end", "reminders", "recurrence"]
            .into_iter()
            .map(FieldPath::master)
            .collect();
        content
            .fields
            .insert("start".to_owned(), json!({"kind": "date", "date": "2026-01-05"}));
        let _ = write(Some(bytes), &content, &paths, stamp());
        content.fields.clear();
        let _ = write(Some(bytes), &content, &paths, stamp());
    }
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn random_lines_in_an_event_never_panic(
        lines in proptest::collection::vec(
            "(DTSTART|DTEND|DURATION|RRULE|RDATE|EXDATE|RECURRENCE-ID|TRIGGER|ATTENDEE|CATEGORIES|UID)(;TZID=[A-Za-z/\"]{0,12})?:[-+0-9TZPWDHMS,/;:\\\\]{0,24}", 0..8),
    ) {
        let text = format!("BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:x\nDTSTART:20260101T000000Z\n{}\nEND:VEVENT\nEND:VCALENDAR\n", lines.join("\n"));
        exercise(text.as_bytes());
    }

    #[test]
    fn damaged_objects_never_panic(at in 0..COMPLEX.len(), byte in any::<u8>(), cut in 0..COMPLEX.len()) {
        let mut bytes = COMPLEX.as_bytes().to_vec();
        bytes[at] = byte;
        exercise(&bytes);
        bytes.drain(cut.min(at)..cut.max(at));
        exercise(&bytes);
    }
}

#[test]
fn every_truncation_is_an_error_and_no_reading() {
    let whole = COMPLEX.trim_end();
    for cut in (0..whole.len()).filter(|cut| whole.is_char_boundary(*cut)) {
        assert!(read(&whole.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn sizes_are_bounded() {
    let wrap = |inner: &str| {
        format!(
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:x\nDTSTART:20260101\n{inner}\nEND:VEVENT\nEND:VCALENDAR\n"
        )
    };
    let long = wrap(&format!("SUMMARY:{}", "x".repeat(10 << 20)));
    assert_eq!(read(long.as_bytes()).unwrap_err().reason, Reason::TooLarge);
    let huge = vec![b'x'; (16 << 20) + 1];
    assert_eq!(read(&huge).unwrap_err().reason, Reason::TooLarge);
    let deep = "BEGIN:VCALENDAR\n".repeat(50_000);
    assert_eq!(read(deep.as_bytes()).unwrap_err().reason, Reason::TooLarge);
    // Folded after every character, escaped everywhere, and a hundred thousand excluded dates: read in linear time.
    let folded = wrap(&format!("SUMMARY:{}", "\\,\n ".repeat(200_000)));
    assert_eq!(
        read(folded.as_bytes()).unwrap().fields["title"]
            .as_str()
            .unwrap()
            .len(),
        200_000
    );
    let dates = wrap(&format!(
        "RRULE:FREQ=DAILY\nEXDATE;VALUE=DATE:{}",
        "20260102,".repeat(100_000)
    ));
    assert_eq!(read(dates.as_bytes()).unwrap().overrides.len(), 1);
    let labels = wrap(&format!("CATEGORIES:{}", "a,".repeat(100_000)));
    assert_eq!(
        read(labels.as_bytes()).unwrap().fields["categories"],
        json!(["a"])
    );
}

#[test]
fn angle_brackets_without_end_are_read_in_linear_time() {
    let mut event = json!({"id": "x", "start": {"date": "2026-01-05"}, "end": {"date": "2026-01-06"}});
    event["description"] = Value::from(format!("<b>{}", "<b &am".repeat(300_000)));
    assert!(google::read(&event, None).is_ok());
}

/// Every value inside of a JSON value.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, inner) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(inner, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                pointers(inner, &format!("{at}/{index}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn json_of_other_types_never_panics_and_is_named_when_refused() {
    let sound: Value = serde_json::from_str(JSON).unwrap();
    let all: BTreeSet<String> = google::support()
        .iter()
        .map(|support| support.field.to_owned())
        .collect();
    let content = Content::new(google::read(&sound, None).unwrap().fields);
    let mut places = Vec::new();
    pointers(&sound, "", &mut places);
    let others = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!("\u{0}x"),
        json!([]),
        json!([[]]),
        json!({}),
        json!(true),
    ];
    for place in &places {
        for other in &others {
            let mut event = sound.clone();
            *event.pointer_mut(place).unwrap() = other.clone();
            if let Err(error) = google::read(&event, Some("me@example.org")) {
                assert!(
                    place.is_empty() || !error.path.is_empty() || error.reason == Reason::Missing,
                    "{place}: {error}"
                );
            }
            let _ = google::patch(Some(&event), &content, &PartKey::MASTER, &all, "UTC");
            let _ = google::read_calendar(&event);
        }
    }
}
