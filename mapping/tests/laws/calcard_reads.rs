//! An independent reader reads what we write; and what it would have changed, had it been our tree (ADR 0003).

use std::collections::BTreeSet;

use calcard::icalendar::{ICalendar, ICalendarProperty, ICalendarValue};
use calcard::{Entry, Parser};
use mapping::ical::{Stamp, read, write};
use proptest::prelude::*;

use crate::config;
use crate::generate::{Vendor, content};

fn parsed(text: &str) -> ICalendar {
    match Parser::new(text).entry() {
        Entry::ICalendar(calendar) => calendar,
        other => panic!("{other:?}\n{text}"),
    }
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn another_reader_finds_the_same_title_and_location(content in content(Vendor::ICalendar)) {
        let stamp = Stamp { now: "2026-02-01T12:00:00Z".parse().unwrap() };
        let text = String::from_utf8(write(None, &content, &BTreeSet::new(), stamp).unwrap()).unwrap();
        let calendar = parsed(&text);
        let master = calendar.components.iter().find(|component| {
            component.component_type == calcard::icalendar::ICalendarComponentType::VEvent
        });
        for (property, field) in [(ICalendarProperty::Summary, "title"), (ICalendarProperty::Location, "location")] {
            let entry = master.unwrap().entries.iter().find(|entry| entry.name == property);
            let found = entry.and_then(|entry| match entry.values.first() {
                Some(ICalendarValue::Text(text)) => Some(text.clone()),
                _ => None,
            });
            let wanted = content.fields.get(field).and_then(|value| value.as_str()).map(str::to_owned);
            prop_assert_eq!(found, wanted);
        }
    }
}

#[test]
fn what_another_tree_changes_on_the_way_through_is_what_ours_keeps() {
    let raw = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART;TZID=Europe/Berlin:20260105T090000\r\nsummary;X-Odd=\"q\":Lower\r\nRRULE:BYDAY=MO;FREQ=WEEKLY;INTERVAL=1\r\nDURATION:PT60M\r\nATTENDEE;partstat=accepted:MAILTO:A@example.org\r\nX-NOTE:a\\,b;c\r\nTRANSP:opaque\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    let through = parsed(raw).to_string();
    let kept: BTreeSet<&str> = through.lines().collect();
    let changed: Vec<&str> = raw.lines().filter(|line| !kept.contains(line)).collect();
    // Each still means the same; each would be a change on the server that nobody made, with a new ETag for everybody.
    assert_eq!(
        changed,
        [
            "summary;X-Odd=\"q\":Lower",
            "RRULE:BYDAY=MO;FREQ=WEEKLY;INTERVAL=1",
            "ATTENDEE;partstat=accepted:MAILTO:A@example.org",
            "TRANSP:opaque",
        ]
    );
    let content = read(raw.as_bytes()).unwrap();
    let stamp = Stamp {
        now: "2026-02-01T12:00:00Z".parse().unwrap(),
    };
    let all = content.paths().collect();
    assert_eq!(
        write(Some(raw.as_bytes()), &content, &all, stamp).unwrap(),
        raw.as_bytes()
    );
}
