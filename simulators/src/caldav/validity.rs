//! What may be stored: the rules of RFC 4791 section 4.1 for calendar object resources, and as much of RFC 5545 as
//! servers commonly insist on.

use std::collections::BTreeSet;

use super::content_lines::{Component, Property};
use super::occurrences::When;

/// An object that may be stored.
#[derive(Debug)]
pub(crate) struct CheckedObject {
    /// The one UID of its components.
    pub(crate) uid: String,
    pub(crate) calendar: Component,
}

/// Why an object may not be stored: each is a precondition of RFC 4791 section 5.3.2.1.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// `valid-calendar-data`
    CalendarData(String),
    /// `valid-calendar-object-resource`
    ObjectResource(String),
    /// `supported-calendar-component`
    ComponentType(String),
}

/// Checks an object against the rules and the calendar's component types.
pub(crate) fn check(
    text: &str,
    allowed: &[String],
    require_vtimezone: bool,
) -> Result<CheckedObject, Invalid> {
    let calendar = Component::read(text).map_err(Invalid::CalendarData)?;
    if calendar
        .first("VERSION")
        .is_none_or(|version| version.value != "2.0")
        || calendar.first("PRODID").is_none()
    {
        return Err(Invalid::CalendarData(
            "VERSION:2.0 and PRODID are required".to_owned(),
        ));
    }
    if calendar.first("METHOD").is_some() {
        return Err(Invalid::ObjectResource("METHOD is not allowed".to_owned()));
    }
    let mains: Vec<&Component> = calendar
        .components
        .iter()
        .filter(|inner| inner.name != "VTIMEZONE")
        .collect();
    let types: BTreeSet<&str> = mains.iter().map(|main| main.name.as_str()).collect();
    let kind = match types.iter().copied().collect::<Vec<_>>().as_slice() {
        [kind] => (*kind).to_owned(),
        _ => {
            return Err(Invalid::ObjectResource(
                "exactly one type of component is required".to_owned(),
            ));
        }
    };
    if !allowed.contains(&kind) {
        return Err(Invalid::ComponentType(kind));
    }
    let uid = single_uid(&mains)?;
    let mut keys = BTreeSet::new();
    for main in &mains {
        let key = main.first("RECURRENCE-ID").map(|property| property.value.clone());
        if !keys.insert(key) {
            return Err(Invalid::ObjectResource(
                "two components for the same occurrence".to_owned(),
            ));
        }
        if kind == "VEVENT" {
            check_event(main).map_err(Invalid::CalendarData)?;
        }
    }
    if require_vtimezone {
        check_zones(&calendar, &mains)?;
    }
    Ok(CheckedObject { uid, calendar })
}

fn single_uid(mains: &[&Component]) -> Result<String, Invalid> {
    let uids: BTreeSet<Option<&str>> = mains
        .iter()
        .map(|main| main.first("UID").map(|uid| uid.value.as_str()))
        .collect();
    match uids.into_iter().collect::<Vec<_>>().as_slice() {
        [Some(uid)] if !uid.is_empty() => Ok((*uid).to_owned()),
        _ => Err(Invalid::ObjectResource(
            "one UID for all components is required".to_owned(),
        )),
    }
}

/// RFC 5545 section 3.6.1.
fn check_event(event: &Component) -> Result<(), String> {
    for name in [
        "DTSTAMP",
        "DTSTART",
        "DTEND",
        "DURATION",
        "RECURRENCE-ID",
        "SUMMARY",
        "DESCRIPTION",
        "STATUS",
    ] {
        if event.all(name).count() > 1 {
            return Err(format!("{name} occurs more than once"));
        }
    }
    for required in ["DTSTAMP", "DTSTART"] {
        if event.first(required).is_none() {
            return Err(format!("{required} is required"));
        }
    }
    if event.first("DTEND").is_some() && event.first("DURATION").is_some() {
        return Err("DTEND and DURATION exclude each other".to_owned());
    }
    let start = event.first("DTSTART").and_then(When::of);
    for name in ["DTSTAMP", "DTSTART", "DTEND", "RECURRENCE-ID"] {
        if let Some(property) = event.first(name)
            && When::of(property).is_none()
        {
            return Err(format!("{name} is not a date or date-time"));
        }
    }
    let end = event.first("DTEND").and_then(When::of);
    if let (Some(start), Some(end)) = (start, end)
        && start.is_date() != end.is_date()
    {
        return Err("DTSTART and DTEND are of different types".to_owned());
    }
    match event
        .all("RRULE")
        .find(|rule| !rule.value.to_ascii_uppercase().contains("FREQ="))
    {
        Some(_) => Err("RRULE has no FREQ".to_owned()),
        None => Ok(()),
    }
}

fn check_zones(calendar: &Component, mains: &[&Component]) -> Result<(), Invalid> {
    let known: BTreeSet<&str> = calendar
        .inner("VTIMEZONE")
        .filter_map(|zone| zone.first("TZID"))
        .map(|tzid| tzid.value.as_str())
        .collect();
    let used = mains
        .iter()
        .flat_map(|main| &main.properties)
        .filter_map(|property: &Property| property.parameter("TZID"));
    match used.into_iter().find(|zone| !known.contains(zone)) {
        Some(zone) => Err(Invalid::CalendarData(format!("no VTIMEZONE for {zone}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(inner: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{inner}END:VCALENDAR\r\n").replace('|', "\r\n")
    }

    const EVENT: &str = "BEGIN:VEVENT|UID:1|DTSTAMP:20260101T000000Z|DTSTART:20260101T090000Z|END:VEVENT|";

    #[test]
    fn rules_are_refused_under_the_precondition_that_names_them() {
        let allowed = ["VEVENT".to_owned()];
        assert_eq!(check(&object(EVENT), &allowed, false).unwrap().uid, "1");
        let two_uids = format!(
            "{EVENT}{}",
            EVENT.replace("UID:1", "UID:2|RECURRENCE-ID:20260102T090000Z")
        );
        let two_masters = format!("{EVENT}{EVENT}");
        let both_ends = EVENT.replace("UID:1", "UID:1|DTEND:20260101T100000Z|DURATION:PT1H");
        let todo = EVENT.replace("VEVENT", "VTODO");
        let no_start = EVENT.replace("DTSTART:20260101T090000Z|", "");
        let method = format!("METHOD:REQUEST|{EVENT}");
        for (inner, expected) in [
            (two_uids.as_str(), "ObjectResource"),
            (&two_masters, "ObjectResource"),
            (&method, "ObjectResource"),
            ("", "ObjectResource"),
            (&both_ends, "CalendarData"),
            (&no_start, "CalendarData"),
            (&todo, "ComponentType"),
        ] {
            let wrong = format!("{:?}", check(&object(inner), &allowed, false).unwrap_err());
            assert!(wrong.starts_with(expected), "{inner}: {wrong}");
        }
        let zoned = EVENT.replace(
            "DTSTART:20260101T090000Z",
            "DTSTART;TZID=Europe/Berlin:20260101T090000",
        );
        assert!(check(&object(&zoned), &allowed, false).is_ok());
        assert!(matches!(
            check(&object(&zoned), &allowed, true),
            Err(Invalid::CalendarData(_))
        ));
    }
}
