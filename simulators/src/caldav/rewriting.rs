//! Servers that store something else than they were sent: zones renamed, texts cut, properties dropped or sorted.

use super::content_lines::{Component, Property};
use super::quirks::Quirks;

/// Texts that a server may cut short.
const TEXTS: &[&str] = &["SUMMARY", "DESCRIPTION", "LOCATION"];

/// Component names of RFC 5545.
const COMPONENTS: &[&str] = &[
    "VCALENDAR",
    "VEVENT",
    "VTODO",
    "VJOURNAL",
    "VFREEBUSY",
    "VTIMEZONE",
    "STANDARD",
    "DAYLIGHT",
    "VALARM",
];

/// Property names of RFC 5545 section 3.7 and 3.8.
const PROPERTIES: &[&str] = &[
    "CALSCALE",
    "METHOD",
    "PRODID",
    "VERSION",
    "ATTACH",
    "CATEGORIES",
    "CLASS",
    "COMMENT",
    "DESCRIPTION",
    "GEO",
    "LOCATION",
    "PERCENT-COMPLETE",
    "PRIORITY",
    "RESOURCES",
    "STATUS",
    "SUMMARY",
    "COMPLETED",
    "DTEND",
    "DUE",
    "DTSTART",
    "DURATION",
    "FREEBUSY",
    "TRANSP",
    "TZID",
    "TZNAME",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "TZURL",
    "ATTENDEE",
    "CONTACT",
    "ORGANIZER",
    "RECURRENCE-ID",
    "RELATED-TO",
    "URL",
    "UID",
    "EXDATE",
    "RDATE",
    "RRULE",
    "ACTION",
    "REPEAT",
    "TRIGGER",
    "CREATED",
    "DTSTAMP",
    "LAST-MODIFIED",
    "SEQUENCE",
    "REQUEST-STATUS",
];

/// What the server stores instead; none when the quirks change nothing, and the octets are kept as sent.
pub(crate) fn rewritten(calendar: &Component, quirks: &Quirks) -> Option<String> {
    let mut changed = calendar.clone();
    rewrite(&mut changed, quirks);
    (changed != *calendar).then(|| changed.to_text())
}

fn rewrite(component: &mut Component, quirks: &Quirks) {
    if quirks.drop_unknown_properties {
        component
            .components
            .retain(|inner| COMPONENTS.contains(&inner.name.as_str()));
        component
            .properties
            .retain(|property| PROPERTIES.contains(&property.name.as_str()));
        for property in &mut component.properties {
            property.parameters.retain(|(name, _)| !name.starts_with("X-"));
        }
    }
    for property in &mut component.properties {
        rename_zone(property, quirks);
        if let Some(limit) = quirks.truncate_text
            && TEXTS.contains(&property.name.as_str())
        {
            property.value = cut(&property.value, limit);
        }
    }
    if quirks.resort_properties {
        component.properties.sort_by(|a, b| a.name.cmp(&b.name));
    }
    for inner in &mut component.components {
        rewrite(inner, quirks);
    }
}

fn rename_zone(property: &mut Property, quirks: &Quirks) {
    if property.name == "TZID" || property.name == "X-LIC-LOCATION" {
        if let Some(new) = quirks.rewrite_zones.get(&property.value) {
            property.value.clone_from(new);
        }
        return;
    }
    for (name, value) in &mut property.parameters {
        if name == "TZID"
            && let Some(new) = quirks.rewrite_zones.get(value.trim_matches('"'))
        {
            value.clone_from(new);
        }
    }
}

/// Cuts an escaped text after so many characters, an escape sequence counting as one.
fn cut(value: &str, limit: usize) -> String {
    let mut out = String::new();
    let mut characters = value.chars();
    for _ in 0..limit {
        let Some(character) = characters.next() else { break };
        out.push(character);
        if character == '\\' {
            out.extend(characters.next());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const OBJECT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\nBEGIN:VTIMEZONE\r\nTZID:Asia/Kolkata\r\n\
        END:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1\r\nX-OWN;X-P=1:keep\r\nDTSTART;TZID=\"Asia/Kolkata\":20260101T090000\r\n\
        SUMMARY:ab\\,cd\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

    #[test]
    fn without_quirks_nothing_is_rewritten() {
        assert_eq!(
            rewritten(&Component::read(OBJECT).unwrap(), &Quirks::default()),
            None
        );
    }

    #[test]
    fn zones_are_renamed_texts_cut_unknown_dropped_and_properties_sorted() {
        let quirks = Quirks {
            rewrite_zones: BTreeMap::from([("Asia/Kolkata".to_owned(), "Asia/Calcutta".to_owned())]),
            truncate_text: Some(3),
            drop_unknown_properties: true,
            resort_properties: true,
            ..Quirks::default()
        };
        let text = rewritten(&Component::read(OBJECT).unwrap(), &quirks).unwrap();
        let expected = "BEGIN:VCALENDAR\r\nPRODID:x\r\nVERSION:2.0\r\nBEGIN:VTIMEZONE\r\nTZID:Asia/Calcutta\r\n\
            END:VTIMEZONE\r\nBEGIN:VEVENT\r\nDTSTART;TZID=Asia/Calcutta:20260101T090000\r\n\
            SUMMARY:ab\\,\r\nUID:1\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
        assert_eq!(text, expected);
        assert_eq!(
            rewritten(&Component::read(&text).unwrap(), &quirks),
            None,
            "rewriting settles"
        );
    }
}
