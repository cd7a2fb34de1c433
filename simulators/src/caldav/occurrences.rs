//! When an event takes place, for `time-range` filters (RFC 4791 section 9.9) and free-busy answers.
//!
//! Known gaps: a TZID outside the IANA database counts as UTC whatever its VTIMEZONE says, and
//! `RANGE=THISANDFUTURE` counts for its own occurrence only.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use rrule::RRuleSet;

use super::content_lines::{Component, Property};

/// Candidates looked at per rule. Hostile rules (every second, for a century) end here.
const MAX_CANDIDATES: usize = 50_000;

/// A value of type DATE or DATE-TIME.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Date(Date),
    Floating(DateTime),
    Utc(DateTime),
    Zoned(DateTime, String),
}

impl When {
    /// Reads a property's (first) value; none when it is neither type.
    pub(crate) fn of(property: &Property) -> Option<Self> {
        Self::read(property.value.split(',').next()?, property.parameter("TZID"))
    }

    fn read(value: &str, zone: Option<&str>) -> Option<Self> {
        if value.len() == 8 {
            return Date::strptime("%Y%m%d", value).ok().map(Self::Date);
        }
        let wall = |text: &str| {
            (text.len() == 15)
                .then(|| DateTime::strptime("%Y%m%dT%H%M%S", text).ok())
                .flatten()
        };
        match (value.strip_suffix('Z'), zone) {
            (Some(utc), _) => wall(utc).map(Self::Utc),
            (None, Some(zone)) => wall(value).map(|wall| Self::Zoned(wall, zone.to_owned())),
            (None, None) => wall(value).map(Self::Floating),
        }
    }

    pub(crate) fn is_date(&self) -> bool {
        matches!(self, Self::Date(_))
    }

    fn wall(&self) -> DateTime {
        match self {
            Self::Date(date) => date.to_datetime(jiff::civil::Time::midnight()),
            Self::Floating(wall) | Self::Utc(wall) | Self::Zoned(wall, _) => *wall,
        }
    }

    fn zone(&self, floating: &TimeZone) -> TimeZone {
        match self {
            Self::Date(_) | Self::Floating(_) => floating.clone(),
            Self::Utc(_) => TimeZone::UTC,
            Self::Zoned(_, name) => TimeZone::get(name).unwrap_or(TimeZone::UTC),
        }
    }

    fn instant(&self, floating: &TimeZone) -> i64 {
        instant(self.wall(), &self.zone(floating))
    }
}

fn instant(wall: DateTime, zone: &TimeZone) -> i64 {
    zone.to_timestamp(wall).map_or(i64::MAX, Timestamp::as_second)
}

/// Seconds since 1970: from `start` up to but without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

impl Range {
    /// RFC 4791 section 9.9: something without length lies in a range that starts no later than it.
    fn overlaps(self, start: i64, end: i64) -> bool {
        let begins_in_time = if start == end {
            self.start <= start
        } else {
            self.start < end
        };
        begins_in_time && self.end > start
    }
}

/// One occurrence, in seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occurrence<'a> {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) event: &'a Component,
}

/// What was found in a range.
#[derive(Debug, Default)]
pub(crate) struct Occurrences<'a> {
    pub(crate) found: Vec<Occurrence<'a>>,
    /// A rule was given up: there may be more.
    pub(crate) incomplete: bool,
}

/// The occurrences of an object's events that overlap the range; floating times are taken in `floating`.
pub(crate) fn in_range<'a>(calendar: &'a Component, range: Range, floating: &TimeZone) -> Occurrences<'a> {
    let mut result = Occurrences::default();
    let mut overridden = BTreeSet::new();
    for event in calendar.inner("VEVENT") {
        if let Some(original) = event.first("RECURRENCE-ID").and_then(When::of) {
            overridden.insert(original.instant(floating));
            add_single(event, range, floating, &mut result);
        }
    }
    for master in calendar
        .inner("VEVENT")
        .filter(|event| event.first("RECURRENCE-ID").is_none())
    {
        add_series(master, &overridden, range, floating, &mut result);
    }
    result
        .found
        .sort_by_key(|occurrence| (occurrence.start, occurrence.end));
    result
}

fn add_single<'a>(event: &'a Component, range: Range, floating: &TimeZone, result: &mut Occurrences<'a>) {
    let Some(start) = event.first("DTSTART").and_then(When::of) else {
        return;
    };
    let begins = start.instant(floating);
    let ends = end_of(event, &start, start.wall(), floating);
    if range.overlaps(begins, ends) {
        result.found.push(Occurrence {
            start: begins,
            end: ends,
            event,
        });
    }
}

fn add_series<'a>(
    master: &'a Component,
    overridden: &BTreeSet<i64>,
    range: Range,
    floating: &TimeZone,
    result: &mut Occurrences<'a>,
) {
    let Some(start) = master.first("DTSTART").and_then(When::of) else {
        return;
    };
    let zone = start.zone(floating);
    let excluded: BTreeSet<i64> = dates(master, "EXDATE")
        .map(|when| when.instant(floating))
        .collect();
    let mut walls: BTreeMap<i64, DateTime> = BTreeMap::from([(instant(start.wall(), &zone), start.wall())]);
    for when in dates(master, "RDATE") {
        let at = when.instant(floating);
        let wall = Timestamp::from_second(at).map_or(when.wall(), |at| zone.to_datetime(at));
        walls.insert(at, wall);
    }
    for rule in master.all("RRULE") {
        let complete = expand(&rule.value, &start, &zone, range.end, &mut walls);
        result.incomplete |= !complete;
    }
    for (begins, wall) in walls {
        if excluded.contains(&begins) || overridden.contains(&begins) {
            continue;
        }
        let ends = end_of(master, &start, wall, floating);
        if range.overlaps(begins, ends) {
            result.found.push(Occurrence {
                start: begins,
                end: ends,
                event: master,
            });
        }
    }
}

fn dates<'a>(event: &'a Component, name: &'a str) -> impl Iterator<Item = When> + 'a {
    event.all(name).flat_map(|property| {
        let zone = property.parameter("TZID");
        // A PERIOD counts from its start; its own length is not looked at.
        property
            .value
            .split(',')
            .filter_map(move |value| When::read(value.split('/').next()?, zone))
    })
}

/// Adds a rule's occurrences that start before `until`; false when it was given up. The rule is expanded in wall
/// time, so that a weekly meeting stays at its hour when summer time begins.
fn expand(
    rule: &str,
    start: &When,
    zone: &TimeZone,
    until: i64,
    walls: &mut BTreeMap<i64, DateTime>,
) -> bool {
    let rule = rule.split(';').map(|part| match part.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("UNTIL") => {
            format!("UNTIL={}", wall_until(value, zone))
        }
        Some(_) | None => part.to_owned(),
    });
    let rule = rule.collect::<Vec<_>>().join(";");
    let text = format!(
        "DTSTART:{}Z\nRRULE:{rule}",
        start.wall().strftime("%Y%m%dT%H%M%S")
    );
    let Ok(set) = text.parse::<RRuleSet>() else {
        return false;
    };
    let mut candidates = 0;
    for candidate in set.limit().into_iter().take(MAX_CANDIDATES) {
        candidates += 1;
        let Ok(at) = Timestamp::from_second(candidate.timestamp()) else {
            return false;
        };
        let wall = TimeZone::UTC.to_datetime(at);
        let begins = instant(wall, zone);
        if begins >= until {
            return true;
        }
        walls.insert(begins, wall);
    }
    candidates < MAX_CANDIDATES
}

fn wall_until(value: &str, zone: &TimeZone) -> String {
    let wall = match When::read(value, None) {
        Some(When::Utc(utc)) => match TimeZone::UTC.to_timestamp(utc) {
            Ok(at) => zone.to_datetime(at),
            Err(_) => utc,
        },
        Some(When::Date(date)) => date.at(23, 59, 59, 0),
        Some(When::Floating(wall) | When::Zoned(wall, _)) => wall,
        None => return value.to_owned(),
    };
    format!("{}Z", wall.strftime("%Y%m%dT%H%M%S"))
}

/// When an occurrence that starts at `wall` ends.
fn end_of(event: &Component, start: &When, wall: DateTime, floating: &TimeZone) -> i64 {
    let zone = start.zone(floating);
    let begins = instant(wall, &zone);
    let end = event.first("DTEND").and_then(When::of);
    let span: Option<Span> = match (&end, start) {
        (Some(When::Date(end)), When::Date(start)) => start.until(*end).ok(),
        (Some(end), _) => {
            let seconds = end.instant(floating).saturating_sub(start.instant(floating));
            return begins.saturating_add(seconds.max(0));
        }
        (None, _) => match event.first("DURATION") {
            Some(duration) => duration.value.parse().ok(),
            None if start.is_date() => Some(1.day()),
            None => None,
        },
    };
    let ends = span
        .and_then(|span| wall.checked_add(span).ok())
        .map_or(begins, |wall| instant(wall, &zone));
    ends.max(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(event: &str, from: &str, to: &str) -> (Vec<String>, bool) {
        let text = format!("BEGIN:VCALENDAR|{event}END:VCALENDAR|").replace('|', "\r\n");
        let calendar = Component::read(&text).unwrap();
        let second = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let found = in_range(
            &calendar,
            Range {
                start: second(from),
                end: second(to),
            },
            &berlin,
        );
        let starts = found
            .found
            .iter()
            .map(|o| Timestamp::from_second(o.start).unwrap().to_string())
            .collect();
        (starts, found.incomplete)
    }

    #[test]
    fn a_weekly_meeting_keeps_its_wall_time_over_summer_time_without_its_exceptions() {
        let series = "BEGIN:VEVENT|UID:1|DTSTART;TZID=Europe/Berlin:20260316T090000|DURATION:PT1H|\
            RRULE:FREQ=WEEKLY;UNTIL=20260420T070000Z|EXDATE;TZID=Europe/Berlin:20260323T090000|END:VEVENT|\
            BEGIN:VEVENT|UID:1|RECURRENCE-ID;TZID=Europe/Berlin:20260406T090000|\
            DTSTART;TZID=Europe/Berlin:20260407T100000|DTEND;TZID=Europe/Berlin:20260407T110000|END:VEVENT|";
        let (found, incomplete) = starts(series, "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z");
        let expected = [
            "2026-03-16T08:00:00Z",
            "2026-03-30T07:00:00Z",
            "2026-04-07T08:00:00Z",
            "2026-04-13T07:00:00Z",
            "2026-04-20T07:00:00Z",
        ];
        assert_eq!((found, incomplete), (expected.map(str::to_owned).to_vec(), false));
    }

    #[test]
    fn ends_are_exclusive_and_an_instant_counts_at_the_start_of_a_range() {
        let hour = "BEGIN:VEVENT|DTSTART:20260101T090000Z|DTEND:20260101T100000Z|END:VEVENT|";
        assert!(
            starts(hour, "2026-01-01T10:00:00Z", "2026-01-01T11:00:00Z")
                .0
                .is_empty()
        );
        assert!(
            starts(hour, "2026-01-01T08:00:00Z", "2026-01-01T09:00:00Z")
                .0
                .is_empty()
        );
        assert_eq!(
            starts(hour, "2026-01-01T09:30:00Z", "2026-01-01T09:40:00Z")
                .0
                .len(),
            1
        );
        let point = "BEGIN:VEVENT|DTSTART:20260101T090000Z|END:VEVENT|";
        assert_eq!(
            starts(point, "2026-01-01T09:00:00Z", "2026-01-01T09:40:00Z")
                .0
                .len(),
            1
        );
        let day = "BEGIN:VEVENT|DTSTART;VALUE=DATE:20260102|END:VEVENT|";
        assert_eq!(
            starts(day, "2026-01-01T22:00:00Z", "2026-01-01T23:30:00Z").0,
            ["2026-01-01T23:00:00Z"]
        );
    }

    #[test]
    fn a_hostile_rule_is_given_up_and_says_so() {
        let hostile = "BEGIN:VEVENT|DTSTART:20000101T000000Z|RRULE:FREQ=SECONDLY|END:VEVENT|";
        let (found, incomplete) = starts(hostile, "2090-01-01T00:00:00Z", "2090-02-01T00:00:00Z");
        assert!(found.is_empty() && incomplete);
    }
}
