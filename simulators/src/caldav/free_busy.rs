//! The `free-busy-query` report (RFC 4791 section 7.10).

use http::StatusCode;
use jiff::Timestamp;

use super::answer::{Answer, Refusal, failed_condition};
use super::content_lines::{Component, Property};
use super::element::{CALDAV, Element};
use super::filter::time_range;
use super::occurrences::{Range, in_range};
use super::reports::Reported;

/// Answers with a VFREEBUSY: busy periods merged, tentative ones apart.
pub(crate) fn free_busy(of: Reported<'_>, request: &Element) -> Result<Answer, Refusal> {
    let invalid = || failed_condition(StatusCode::FORBIDDEN, Element::caldav("valid-filter"));
    let range = time_range(request.child(CALDAV, "time-range").ok_or_else(invalid)?)?;
    if range.start == i64::MIN || range.end == i64::MAX {
        return Err(invalid());
    }
    let (mut busy, mut tentative) = (Vec::new(), Vec::new());
    for object in of.calendar.objects.values() {
        let Ok(calendar) = Component::read(&object.ics) else {
            continue;
        };
        for occurrence in in_range(&calendar, range, &of.floating_zone()).found {
            let value = |name: &str| {
                occurrence
                    .event
                    .first(name)
                    .map(|property| property.value.as_str())
            };
            let period = (occurrence.start.max(range.start), occurrence.end.min(range.end));
            match (value("TRANSP"), value("STATUS")) {
                (Some("TRANSPARENT"), _) | (_, Some("CANCELLED")) => {}
                _ if period.0 >= period.1 => {}
                (_, Some("TENTATIVE")) => tentative.push(period),
                _ => busy.push(period),
            }
        }
    }
    let mut answer = Component::new("VFREEBUSY")
        // The simulator has no clock: an answer is stamped with the start of what was asked.
        .property("DTSTAMP", utc(range.start))
        .property("UID", format!("free-busy-{}-{}", range.start, range.end))
        .property("DTSTART", utc(range.start))
        .property("DTEND", utc(range.end));
    answer.properties.extend(periods("BUSY", busy));
    answer.properties.extend(periods("BUSY-TENTATIVE", tentative));
    let mut object = Component::new("VCALENDAR")
        .property("VERSION", "2.0")
        .property("PRODID", "-//Concord//CalDAV simulator//EN");
    object.components.push(answer);
    Ok(Answer::text(
        StatusCode::OK,
        "text/calendar; charset=utf-8",
        object.to_text(),
    ))
}

fn periods(kind: &str, mut periods: Vec<(i64, i64)>) -> Vec<Property> {
    periods.sort_unstable();
    let mut merged: Vec<Range> = Vec::new();
    for (start, end) in periods {
        match merged.last_mut() {
            Some(last) if start <= last.end => last.end = last.end.max(end),
            Some(_) | None => merged.push(Range { start, end }),
        }
    }
    let property = |period: Range| Property {
        name: "FREEBUSY".to_owned(),
        parameters: vec![("FBTYPE".to_owned(), kind.to_owned())],
        value: format!("{}/{}", utc(period.start), utc(period.end)),
    };
    merged.into_iter().map(property).collect()
}

fn utc(second: i64) -> String {
    Timestamp::from_second(second)
        .map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string())
        .unwrap_or_default()
}
