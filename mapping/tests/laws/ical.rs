//! The laws for iCalendar.

use std::collections::BTreeSet;

use mapping::ical::{Stamp, project, read, write};
use model::content::{Content, FieldPath, PartKey};
use model::series;
use proptest::prelude::*;
use serde_json::json;

use crate::config;
use crate::generate::{Vendor, content, without_provider_fields};

fn stamp() -> Stamp {
    Stamp {
        now: "2026-02-01T12:00:00Z".parse().unwrap(),
    }
}

fn create(content: &Content) -> String {
    String::from_utf8(write(None, content, &BTreeSet::new(), stamp()).unwrap()).unwrap()
}

/// The object as another program may have written it: folded elsewhere, with properties, parameters, alarms and
/// components that no row maps.
pub(crate) fn decorated(text: &str, width: usize, line_end: &str) -> String {
    let unfolded = text.replace("\r\n ", "");
    let mut out = Vec::new();
    for line in unfolded.lines() {
        if line == "END:VEVENT" {
            out.extend([
                "BEGIN:VALARM",
                "ACTION:DISPLAY",
                "TRIGGER;VALUE=DATE-TIME:20260105T070000Z",
            ]);
            out.extend([
                "X-FOREIGN:1",
                "END:VALARM",
                "BEGIN:X-BOX",
                "x-inner:1",
                "END:X-BOX",
            ]);
        }
        match line.strip_prefix("SUMMARY:") {
            Some(title) => out.extend(["summary;X-P=\"a:b\";LANGUAGE=en:", title]),
            None => out.extend([line, ""]),
        }
        if line == "BEGIN:VEVENT" {
            out.extend([
                "X-ODD;A=\"x;y\":q\\,r",
                "RELATED-TO:other",
                "ATTACH;ENCODING=BASE64;VALUE=BINARY:AAEC",
            ]);
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut parts = out.into_iter().peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            continue;
        }
        if part.starts_with("summary;") {
            lines.push(format!("{part}{}", parts.next().unwrap_or_default()));
        } else {
            lines.push(part.to_owned());
        }
    }
    let folded = lines.iter().map(|line| {
        let chars: Vec<char> = line.chars().collect();
        let pieces: Vec<String> = chars.chunks(width).map(|piece| piece.iter().collect()).collect();
        pieces.join(&format!("{line_end} "))
    });
    folded.map(|line| line + line_end).collect()
}

/// The object's lines that stand for something, outside of time zone definitions.
fn lines(text: &str) -> Vec<String> {
    let unfolded = text.replace("\r\n", "\n").replace("\n ", "");
    let mut in_zone = false;
    let mut lines = Vec::new();
    for line in unfolded.lines() {
        in_zone |= line == "BEGIN:VTIMEZONE";
        if !in_zone {
            lines.push(line.to_owned());
        }
        in_zone &= line != "END:VTIMEZONE";
    }
    lines
}

/// Names of the properties whose lines the two objects do not share.
fn names_touched(before: &str, after: &str) -> BTreeSet<String> {
    let (before, mut after) = (lines(before), lines(after));
    let mut lost = Vec::new();
    for line in before {
        match after.iter().position(|other| *other == line) {
            Some(at) => drop(after.swap_remove(at)),
            None => lost.push(line),
        }
    }
    let name = |line: &String| {
        line.split([':', ';'])
            .next()
            .unwrap_or_default()
            .to_ascii_uppercase()
    };
    lost.iter().chain(&after).map(name).collect()
}

/// The properties that a field lives in.
fn properties(field: &str) -> &'static [&'static str] {
    match field {
        "title" => &["SUMMARY"],
        "description" => &["DESCRIPTION", "X-ALT-DESC"],
        "location" => &["LOCATION"],
        "status" => &["STATUS"],
        "visibility" => &["CLASS"],
        "busy" => &["TRANSP"],
        "organizer" => &["ORGANIZER"],
        "attendees" => &["ATTENDEE"],
        "categories" => &["CATEGORIES"],
        "color" => &["COLOR"],
        "url" => &["URL"],
        "attachments" => &["ATTACH"],
        "conferencing" => &["CONFERENCE"],
        "reminders" => &[
            "BEGIN",
            "END",
            "ACTION",
            "TRIGGER",
            "DESCRIPTION",
            "SUMMARY",
            "ATTENDEE",
        ],
        "end" => &["DTEND", "DURATION"],
        "recurrence" => &["RRULE", "RDATE"],
        other => panic!("{other} has no properties"),
    }
}

const STAMPS: [&str; 3] = ["DTSTAMP", "LAST-MODIFIED", "SEQUENCE"];

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn what_was_written_reads_back_as_it_was(content in content(Vendor::ICalendar)) {
        let text = create(&content);
        let again = without_provider_fields(read(text.as_bytes()).unwrap());
        prop_assert_eq!(&again, &content, "{}", text);
        prop_assert_eq!(&project(&content), &content);
        prop_assert!(text.split("\r\n").all(|line| line.len() <= 75));
    }

    #[test]
    fn what_cannot_be_said_is_lost_once_and_as_projected(content in content(Vendor::Any)) {
        let again = without_provider_fields(read(create(&content).as_bytes()).unwrap());
        let projection = project(&content);
        prop_assert_eq!(&again, &projection);
        prop_assert_eq!(&project(&projection), &projection);
    }

    #[test]
    fn writing_back_what_was_read_changes_not_a_byte(
        content in content(Vendor::ICalendar), width in 1usize..90, plain in any::<bool>(),
    ) {
        let raw = decorated(&create(&content), width, if plain { "\n" } else { "\r\n" });
        let read_content = read(raw.as_bytes()).unwrap();
        prop_assert_eq!(&without_provider_fields(read_content.clone()), &content);
        let nothing = write(Some(raw.as_bytes()), &read_content, &BTreeSet::new(), stamp()).unwrap();
        prop_assert_eq!(std::str::from_utf8(&nothing).unwrap(), &raw);
        let all: BTreeSet<FieldPath> = read_content.paths().collect();
        let same = write(Some(raw.as_bytes()), &read_content, &all, stamp()).unwrap();
        prop_assert_eq!(std::str::from_utf8(&same).unwrap(), &raw);
    }

    #[test]
    fn an_edit_of_one_field_touches_its_properties_only(
        before in content(Vendor::ICalendar), other in content(Vendor::ICalendar), width in 20usize..90,
        pick in any::<proptest::sample::Index>(),
    ) {
        let raw = decorated(&create(&before), width, "\r\n");
        let old = read(raw.as_bytes()).unwrap();
        let fields: Vec<&str> = ["title", "description", "location", "status", "visibility", "busy", "organizer",
            "attendees", "categories", "color", "url", "attachments", "conferencing", "reminders"].to_vec();
        let field = fields[pick.index(fields.len())];
        let parts: Vec<PartKey> = std::iter::once(PartKey::MASTER)
            .chain(old.overrides.iter().filter(|(_, fields)| !series::is_cancelled(fields)).map(|(key, _)| key.clone()))
            .collect();
        let path = FieldPath { part: parts[pick.index(parts.len())].clone(), field: field.to_owned() };
        let mut target = old.clone();
        target.set(&path, other.fields.get(field).cloned());
        let written = write(Some(raw.as_bytes()), &target, &[path].into(), stamp()).unwrap();
        let text = String::from_utf8(written.clone()).unwrap();
        let touched = names_touched(&raw, &text);
        let allowed: Vec<&str> = properties(field).iter().chain(&STAMPS).copied().collect();
        prop_assert!(touched.iter().all(|name| allowed.contains(&name.as_str())), "{field}: {touched:?}");
        for kept in ["X-ODD;A=\"x;y\":q\\,r", "X-FOREIGN:1", "x-inner:1", "RELATED-TO:other"] {
            let count = |text: &str| lines(text).iter().filter(|line| *line == kept).count();
            prop_assert_eq!(count(&raw), count(&text));
        }
        let again = without_provider_fields(read(&written).unwrap());
        prop_assert_eq!(again, project(&without_provider_fields(target)), "{}", text);
    }

    #[test]
    fn any_edit_reads_back_as_projected_and_keeps_the_rest(
        before in content(Vendor::ICalendar), other in content(Vendor::ICalendar), days in -40i32..40,
    ) {
        let raw = decorated(&create(&before), 60, "\r\n");
        let old = read(raw.as_bytes()).unwrap();
        let mut target = other;
        // Half of the time the same series, moved as a whole.
        if days % 2 == 0 {
            target = old.clone();
            for name in ["start", "end"] {
                let time = series::time_field(&old.fields, name).unwrap();
                target.fields.insert(name.to_owned(), json!(time.shifted(jiff::SignedDuration::from_hours(24) * days)));
            }
            target = Content { fields: target.fields.clone(), overrides: series::aligned(&old, &target).overrides };
        }
        let aligned = series::aligned(&old, &target);
        let changed: BTreeSet<FieldPath> = aligned.differences(&target).into_iter().collect();
        let written = write(Some(raw.as_bytes()), &target, &changed, stamp()).unwrap();
        let text = String::from_utf8(written.clone()).unwrap();
        let again = without_provider_fields(read(&written).unwrap());
        prop_assert_eq!(again, without_provider_fields(target), "{}\n---\n{}", raw, text);
        prop_assert!(lines(&text).iter().any(|line| line == "X-ODD;A=\"x;y\":q\\,r"));
    }
}

#[test]
fn every_field_that_is_said_to_be_writable_has_a_frame() {
    let writable = mapping::ical::support().iter().filter(|support| support.writable);
    assert_eq!(
        writable
            .filter(|support| support.field != "start")
            .map(|s| properties(s.field).len())
            .min(),
        Some(1)
    );
}
