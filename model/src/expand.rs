//! Occurrences of a series inside a window, so that a week can be drawn.
//!
//! Rules are expanded in wall time (RFC 5545 section 3.3.10) and only then put into the zone, so that a meeting
//! stays at nine when clocks change. The work per series is bounded: a hostile rule costs an error, not a core.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rrule::{RRule, RRuleSet, Unvalidated};

use crate::content::{Content, Fields, PartKey};
use crate::event::Recurrence;
use crate::kind::Kind;
use crate::series;
use crate::time::EventTime;
use crate::zone;

/// Steps that the expansion of one series may take before it is refused.
pub const MAX_STEPS: usize = 20_000;
/// Occurrences of one series that one window may hold.
pub const MAX_OCCURRENCES: usize = 1_000;

/// One occurrence of an event.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// The key of the part; the master's key for a single event.
    pub key: PartKey,
    /// The occurrence's full fields.
    pub fields: Fields,
    /// Its start as an instant.
    pub starts_at: Timestamp,
    /// Its end as an instant.
    pub ends_at: Timestamp,
}

/// Why a series was not expanded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The event has no start.
    #[error("the event has no start")]
    NoStart,
    /// The rule cannot be read.
    #[error("the recurrence rule cannot be read: {0}")]
    Rule(String),
    /// The rule repeats too often.
    #[error(
        "the series repeats too often to be listed: more than {MAX_OCCURRENCES} occurrences in the window, or more than {MAX_STEPS} before it"
    )]
    TooMany,
}

/// Whether the content is a series.
#[must_use]
pub fn is_series(content: &Content) -> bool {
    content
        .fields
        .get("recurrence")
        .is_some_and(|value| !value.is_null())
}

/// From when to when the event can have occurrences: first start, and last end if that is known. Instants in
/// epoch milliseconds; generous by a day on both sides where the time floats.
#[must_use]
pub fn span(content: &Content) -> Option<(i64, Option<i64>)> {
    let start = series::time_field(&content.fields, "start")?;
    let (starts_at, ends_at) = instants(&content.fields, &TimeZone::UTC)?;
    let slack = match start {
        EventTime::Zoned { .. } => 0,
        EventTime::Floating { .. } | EventTime::Date { .. } => 86_400_000,
    };
    let first = starts_at.as_millisecond() - slack;
    if is_series(content) {
        return Some((moved_before(content, first), None));
    }
    Some((first, Some(ends_at.as_millisecond() + slack)))
}

/// The earliest of `first` and the starts of moved occurrences.
fn moved_before(content: &Content, first: i64) -> i64 {
    content
        .overrides
        .values()
        .filter_map(|fields| series::time_field(fields, "start"))
        .map(|start| start.instant(&TimeZone::UTC).as_millisecond() - 86_400_000)
        .fold(first, i64::min)
}

/// The occurrences that overlap the window, in order of their start. Floating times and days are read in
/// `default_zone`. Cancelled occurrences are left out.
///
/// # Errors
/// A rule that cannot be read, or one that repeats too often.
pub fn occurrences(
    content: &Content,
    from: Timestamp,
    to: Timestamp,
    default_zone: &TimeZone,
) -> Result<Vec<Occurrence>, ExpandError> {
    let start = series::time_field(&content.fields, "start").ok_or(ExpandError::NoStart)?;
    let mut found = Vec::new();
    let mut take = |key: PartKey, fields: Fields| {
        if series::is_cancelled(&fields) {
            return;
        }
        if let Some((starts_at, ends_at)) = instants(&fields, default_zone)
            && starts_at < to
            && (ends_at > from || (ends_at == starts_at && starts_at >= from))
        {
            found.push(Occurrence {
                key,
                fields,
                starts_at,
                ends_at,
            });
        }
    };
    if !is_series(content) {
        take(PartKey::MASTER, content.fields.clone());
        return Ok(found);
    }
    let length =
        series::time_field(&content.fields, "end").map_or(SignedDuration::ZERO, |end| start.until(&end));
    // Two days of slack: wall time is compared here, the window is of instants, zones are at most 14 hours away.
    let slack = SignedDuration::from_hours(48);
    let first = TimeZone::UTC
        .to_datetime(from)
        .saturating_sub(slack)
        .saturating_sub(length.max(SignedDuration::ZERO));
    let last = TimeZone::UTC.to_datetime(to).saturating_add(slack);
    for wall in walls(content, &start, first, last)? {
        let key = start.with_wall(wall).part_key(&start);
        if !content.overrides.contains_key(&key) {
            take(key.clone(), series::inherited(Kind::Event, &content.fields, &key));
        }
    }
    for (key, sparse) in &content.overrides {
        take(
            key.clone(),
            series::full(Kind::Event, &content.fields, key, sparse),
        );
    }
    found.sort_by(|a, b| (a.starts_at, &a.key).cmp(&(b.starts_at, &b.key)));
    Ok(found)
}

/// Start and end of full fields as instants; the end is never before the start.
fn instants(fields: &Fields, default_zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let start = series::time_field(fields, "start")?;
    let starts_at = start.instant(default_zone);
    let ends_at = series::time_field(fields, "end").map_or(starts_at, |end| end.instant(default_zone));
    Some((starts_at, ends_at.max(starts_at)))
}

/// Original starts between two wall times, both included.
fn walls(
    content: &Content,
    start: &EventTime,
    first: DateTime,
    last: DateTime,
) -> Result<Vec<DateTime>, ExpandError> {
    let recurrence: Recurrence = content
        .fields
        .get("recurrence")
        .map(|value| serde_json::from_value(value.clone()))
        .transpose()
        .map_err(|error| ExpandError::Rule(error.to_string()))?
        .unwrap_or_default();
    let mut walls = Vec::new();
    for rule in &recurrence.rules {
        for wall in rule_walls(rule, start)? {
            let wall = wall?;
            if wall > last {
                break;
            }
            if wall >= first {
                walls.push(wall);
            }
            if walls.len() > MAX_OCCURRENCES {
                return Err(ExpandError::TooMany);
            }
        }
    }
    let dates = recurrence.dates.iter().filter_map(|date| {
        EventTime::from_part_key(&PartKey::occurrence(date.as_str()), start).map(|time| time.wall())
    });
    walls.extend(dates.filter(|wall| (first..=last).contains(wall)));
    let own = start.wall();
    if recurrence.rules.is_empty() && (first..=last).contains(&own) {
        walls.push(own);
    }
    walls.sort();
    walls.dedup();
    Ok(walls)
}

/// How many occurrences a rule makes before a wall time, whatever became of them: what its `COUNT` counts.
///
/// # Errors
/// A rule that cannot be read, or one that repeats too often.
pub fn count_before(rule: &str, start: &EventTime, wall: DateTime) -> Result<usize, ExpandError> {
    let mut count = 0;
    for made in rule_walls(rule, start)? {
        if made? >= wall {
            break;
        }
        count += 1;
    }
    Ok(count)
}

/// The first occurrences, at most so many, that a rule makes from a wall time on, whatever became of them. None where it
/// is over before.
///
/// # Errors
/// A rule that cannot be read, or one that repeats too often.
pub fn made_from(
    rule: &str,
    start: &EventTime,
    wall: DateTime,
    most: usize,
) -> Result<Vec<DateTime>, ExpandError> {
    rule_walls(rule, start)?
        .skip_while(|made| made.as_ref().is_ok_and(|made| *made < wall))
        .take(most)
        .collect()
}

/// The wall times that a rule makes, in order, ended by an error when there are too many.
fn rule_walls(
    rule: &str,
    start: &EventTime,
) -> Result<impl Iterator<Item = Result<DateTime, ExpandError>>, ExpandError> {
    let until = until_instant(rule);
    let series = start.clone();
    let dates = rule_set(rule, start)?.into_iter().enumerate();
    Ok(dates
        .map(|(step, date)| {
            (step < MAX_STEPS)
                .then(|| from_chrono(&date))
                .ok_or(ExpandError::TooMany)
        })
        // By instants too: a wall time that a clock change skips is earlier than its instant's wall time.
        .take_while(move |wall| match (wall, until) {
            (Ok(wall), Some(until)) => series.with_wall(*wall).instant(&TimeZone::UTC) <= until,
            (Ok(_), None) | (Err(_), _) => true,
        }))
}

/// The instant of an `UNTIL` in UTC; none for a day or a wall time.
fn until_instant(rule: &str) -> Option<Timestamp> {
    let until = rule.split(';').find_map(|part| part.strip_prefix("UNTIL="))?;
    let digits = until.strip_suffix('Z').filter(|digits| digits.len() > 8)?;
    TimeZone::UTC.to_timestamp(digits.parse::<DateTime>().ok()?).ok()
}

/// The rule as the library takes it, in wall time dressed as UTC.
fn rule_set(rule: &str, start: &EventTime) -> Result<RRuleSet, ExpandError> {
    let unreadable = |error: &dyn std::fmt::Display| ExpandError::Rule(error.to_string());
    let text = wall_until(rule, start);
    let rule: RRule<Unvalidated> = text
        .parse()
        .map_err(|error: rrule::RRuleError| unreadable(&error))?;
    let wall = start.wall();
    let naive = chrono::NaiveDate::from_ymd_opt(
        i32::from(wall.year()),
        u32::from(wall.month().unsigned_abs()),
        u32::from(wall.day().unsigned_abs()),
    )
    .and_then(|date| {
        date.and_hms_opt(
            u32::from(wall.hour().unsigned_abs()),
            u32::from(wall.minute().unsigned_abs()),
            u32::from(wall.second().unsigned_abs()),
        )
    })
    .ok_or_else(|| unreadable(&"the start is out of range"))?;
    let begin = naive.and_utc().with_timezone(&rrule::Tz::UTC);
    let rule = rule.validate(begin).map_err(|error| unreadable(&error))?;
    Ok(RRuleSet::new(begin).rrule(rule).limit())
}

/// The rule with `UNTIL` as wall time in the series' zone, marked `Z` as the library wants it.
fn wall_until(rule: &str, start: &EventTime) -> String {
    let part = |part: &str| -> String {
        let Some(until) = part.strip_prefix("UNTIL=") else {
            return part.to_owned();
        };
        let digits = until.trim_end_matches('Z');
        if digits.len() == 8 {
            return format!("UNTIL={digits}T235959Z");
        }
        let zone = match start {
            EventTime::Zoned { zone, .. } if until.ends_with('Z') => zone::time_zone(zone),
            EventTime::Zoned { .. } | EventTime::Floating { .. } | EventTime::Date { .. } => None,
        };
        let wall = zone.and_then(|zone| {
            let utc: DateTime = digits.parse().ok()?;
            Some(zone.to_datetime(TimeZone::UTC.to_timestamp(utc).ok()?))
        });
        match wall {
            Some(wall) => format!("UNTIL={}Z", wall.strftime("%Y%m%dT%H%M%S")),
            None => format!("UNTIL={digits}Z"),
        }
    };
    rule.split(';').map(part).collect::<Vec<_>>().join(";")
}

fn from_chrono(date: &chrono::DateTime<rrule::Tz>) -> DateTime {
    let seconds = date.timestamp();
    Timestamp::from_second(seconds).map_or(DateTime::MAX, |instant| TimeZone::UTC.to_datetime(instant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn series(rule: &str) -> Content {
        Content::new(
            serde_json::from_value(json!({
                "title": "Standup",
                "start": {"kind": "zoned", "wall": "2026-03-02T09:00:00", "zone": "Europe/Berlin"},
                "end": {"kind": "zoned", "wall": "2026-03-02T09:15:00", "zone": "Europe/Berlin"},
                "recurrence": {"rules": [rule], "dates": []},
            }))
            .unwrap(),
        )
    }

    fn starts(content: &Content, from: &str, to: &str) -> Vec<String> {
        occurrences(
            content,
            from.parse().unwrap(),
            to.parse().unwrap(),
            &TimeZone::UTC,
        )
        .unwrap()
        .iter()
        .map(|occurrence| occurrence.starts_at.to_string())
        .collect()
    }

    #[test]
    fn what_a_rule_makes_from_a_day_on_is_nothing_once_it_is_over() {
        let start = series::time_field(&series("").fields, "start").unwrap();
        let from = |wall: &str, most| {
            let made = made_from("FREQ=DAILY;COUNT=4", &start, wall.parse().unwrap(), most).unwrap();
            made.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            from("2026-03-04T09:00:00", 9),
            ["2026-03-04T09:00:00", "2026-03-05T09:00:00"]
        );
        assert_eq!(from("2026-03-03T12:00:00", 1), ["2026-03-04T09:00:00"]);
        assert!(from("2026-03-06T09:00:00", 9).is_empty());
    }

    #[test]
    fn a_meeting_stays_at_nine_when_clocks_change() {
        let found = starts(
            &series("FREQ=WEEKLY"),
            "2026-03-20T00:00:00Z",
            "2026-04-04T00:00:00Z",
        );
        assert_eq!(found, ["2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z"]);
    }

    #[test]
    fn until_in_utc_includes_the_occurrence_at_that_instant() {
        let found = starts(
            &series("FREQ=DAILY;UNTIL=20260304T080000Z"),
            "2026-03-01T00:00:00Z",
            "2026-03-10T00:00:00Z",
        );
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn moved_and_deleted_occurrences_stand_where_they_were_put() {
        let mut content = series("FREQ=DAILY;COUNT=4");
        content
            .overrides
            .insert(PartKey::occurrence("2026-03-03T09:00:00"), series::cancelled());
        content.overrides.insert(
            PartKey::occurrence("2026-03-04T09:00:00"),
            Fields::from([
                (
                    "start".to_owned(),
                    json!({"kind":"zoned","wall":"2026-03-08T10:00:00","zone":"Europe/Berlin"}),
                ),
                (
                    "end".to_owned(),
                    json!({"kind":"zoned","wall":"2026-03-08T11:00:00","zone":"Europe/Berlin"}),
                ),
            ]),
        );
        let found = starts(&content, "2026-03-01T00:00:00Z", "2026-03-10T00:00:00Z");
        assert_eq!(
            found,
            [
                "2026-03-02T08:00:00Z",
                "2026-03-05T08:00:00Z",
                "2026-03-08T09:00:00Z"
            ]
        );
    }

    #[test]
    fn a_hostile_rule_costs_an_error_and_not_a_core() {
        for rule in [
            "FREQ=SECONDLY;UNTIL=21260101T000000Z",
            "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
            "FREQ=MINUTELY",
        ] {
            let found = occurrences(
                &series(rule),
                "2060-01-01T00:00:00Z".parse().unwrap(),
                "2060-01-08T00:00:00Z".parse().unwrap(),
                &TimeZone::UTC,
            );
            assert!(
                !matches!(&found, Ok(list) if !list.is_empty()),
                "{rule}: {found:?}"
            );
        }
        let unreadable = occurrences(
            &series("FREQ=NEVER"),
            Timestamp::MIN,
            Timestamp::MAX,
            &TimeZone::UTC,
        );
        assert!(matches!(unreadable, Err(ExpandError::Rule(_))), "{unreadable:?}");
    }
}
