//! `DTSTART`, `DTEND` or `DURATION`, and the instants of the provider's clock.
//!
//! Reading always gives an explicit `end`: one that is left out is the day after an all-day start, and the start
//! itself otherwise (RFC 5545 section 3.6.1).

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::EventTime;
use model::zone;
use serde_json::{Value, json};

use super::duration::Duration;
use crate::engine::{Problem, typed};
use crate::error::{Reason, quoted};
use crate::ical::event::Event;
use crate::ical::line::Line;
use crate::ical::tree::Component;
use crate::ical::zones::Zones;

/// The zone of values that end with `Z`.
const UTC: &str = "UTC";

/// A DATE or DATE-TIME value before its zone is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basic {
    Day(Date),
    Local(DateTime),
    Utc(DateTime),
}

/// Reads `20260105`, `20260105T090000` or `20260105T090000Z`.
pub(crate) fn parse_basic(text: &str) -> Option<Basic> {
    let text = text.trim();
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        let digits = text.get(range)?;
        digits
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| digits.parse().ok())
            .flatten()
    };
    let small = |range| number(range).and_then(|n| i8::try_from(n).ok());
    let date = Date::new(number(0..4)?, small(4..6)?, small(6..8)?).ok()?;
    if text.len() == 8 {
        return Some(Basic::Day(date));
    }
    if !matches!(text.as_bytes().get(8), Some(b'T' | b't')) {
        return None;
    }
    // A leap second is the last moment of its minute here.
    let time = Time::new(small(9..11)?, small(11..13)?, small(13..15)?.min(59), 0).ok()?;
    let wall = date.to_datetime(time);
    match text.get(15..)? {
        "" => Some(Basic::Local(wall)),
        "Z" | "z" => Some(Basic::Utc(wall)),
        _ => None,
    }
}

/// Writes a wall time in the basic form.
pub(crate) fn basic(wall: DateTime) -> String {
    format!(
        "{}T{:02}{:02}{:02}",
        basic_day(wall.date()),
        wall.hour(),
        wall.minute(),
        wall.second()
    )
}

fn basic_day(date: Date) -> String {
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

/// One of a line's values as a time.
pub(crate) fn read(line: &Line, value: &str, zones: &Zones) -> Result<EventTime, Problem> {
    let basic = parse_basic(value)
        .ok_or_else(|| Problem::invalid(format!("{} is no date and no date-time", quoted(value))))?;
    let id = line.param("TZID");
    match (basic, id) {
        (Basic::Day(date), _) => Ok(EventTime::Date { date }),
        (Basic::Utc(wall), _) => Ok(EventTime::Zoned {
            wall,
            zone: UTC.to_owned(),
        }),
        (Basic::Local(wall), None) => Ok(EventTime::Floating { wall }),
        (Basic::Local(wall), Some(id)) => match zones.zone(&id) {
            Some(zone) => Ok(EventTime::Zoned { wall, zone }),
            None => Err(Problem::new(
                Reason::UnknownZone,
                format!(
                    "the time zone {} is in no table, and the object does not explain it",
                    quoted(&id)
                ),
            )),
        },
    }
}

/// Makes a line say a time. The name that the line has for the same zone stays.
pub(crate) fn write(line: &mut Line, time: &EventTime, known: &Naming<'_>) -> Option<String> {
    let mut introduced = None;
    match time {
        EventTime::Date { date } => {
            line.set_param("TZID", None);
            line.set_param("VALUE", Some("DATE"));
            line.set_value(basic_day(*date));
        }
        EventTime::Floating { wall } => {
            line.set_param("TZID", None);
            clear_date(line);
            line.set_value(basic(*wall));
        }
        EventTime::Zoned { wall, zone } => {
            clear_date(line);
            let own = line
                .param("TZID")
                .is_some_and(|id| known.zones.zone(&id).as_deref() == Some(zone));
            if own {
                line.set_value(basic(*wall));
            } else if zone == UTC {
                line.set_param("TZID", None);
                line.set_value(basic(*wall) + "Z");
            } else {
                let id = known.id_of(zone).unwrap_or_else(|| {
                    introduced = Some(zone.clone());
                    zone.clone()
                });
                line.set_param("TZID", Some(&id));
                line.set_value(basic(*wall));
            }
        }
    }
    introduced
}

fn clear_date(line: &mut Line) {
    if line.param_is("VALUE", "DATE") {
        line.set_param("VALUE", None);
    }
}

/// The names that an object has for zones.
pub(crate) struct Naming<'a> {
    pub(crate) zones: &'a Zones,
    /// The name on the event's `DTSTART`, which need not be defined in the object.
    pub(crate) start_id: Option<String>,
}

impl<'a> Naming<'a> {
    pub(crate) fn of(component: &Component, zones: &'a Zones) -> Self {
        let start_id = component.first("DTSTART").and_then(|line| line.param("TZID"));
        Self {
            zones,
            start_id: start_id.map(std::borrow::Cow::into_owned),
        }
    }

    fn id_of(&self, zone: &str) -> Option<String> {
        let of_start = self
            .start_id
            .clone()
            .filter(|id| self.zones.zone(id).as_deref() == Some(zone));
        of_start.or_else(|| self.zones.id_of(zone).map(str::to_owned))
    }
}

/// The event's start.
pub(crate) fn start_of(event: &Event) -> Result<Option<EventTime>, Problem> {
    let line = event.component.first("DTSTART");
    line.map(|line| read(line, line.value(), &event.zones))
        .transpose()
}

pub(crate) fn start(event: &Event) -> Result<Option<Value>, Problem> {
    Ok(start_of(event)?.map(|start| json!(start)))
}

pub(crate) fn set_start(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let Some(value) = value else {
        return Err(Problem::new(
            Reason::Missing,
            "an event cannot be written without a start",
        ));
    };
    let time: EventTime = typed(value)?;
    write_line(event, "DTSTART", &time);
    Ok(())
}

/// Writes a time into the first line with this name, made if there is none.
pub(crate) fn write_line(event: &mut Event, name: &str, time: &EventTime) {
    let zones = std::sync::Arc::clone(&event.zones);
    let known = Naming::of(&event.component, &zones);
    let mut introduced = None;
    event
        .component
        .upsert(name, |line| introduced = write(line, time, &known));
    event.introduced.extend(introduced);
}

pub(crate) fn end(event: &Event) -> Result<Option<Value>, Problem> {
    let Some(start) = start_of(event)? else {
        return Ok(None);
    };
    let end = if let Some(line) = event.component.first("DTEND") {
        read(line, line.value(), &event.zones)?
    } else if let Some(line) = event.component.first("DURATION") {
        let duration = Duration::parse(line.value())
            .ok_or_else(|| Problem::invalid(format!("{} is no duration", quoted(line.value()))))?;
        after(&start, duration)
    } else {
        default_end(&start)
    };
    Ok(Some(json!(end)))
}

fn default_end(start: &EventTime) -> EventTime {
    match start {
        EventTime::Date { .. } => start.shifted(SignedDuration::from_hours(24)),
        EventTime::Zoned { .. } | EventTime::Floating { .. } => start.clone(),
    }
}

/// The time a duration later: days by the calendar, then hours by the clock.
fn after(start: &EventTime, duration: Duration) -> EventTime {
    let days = start.shifted(SignedDuration::from_hours(duration.days.saturating_mul(24)));
    let passing = SignedDuration::from_secs(duration.seconds);
    let exact = match &days {
        EventTime::Zoned { zone, .. } => zone::time_zone(zone).and_then(|zone| {
            let instant = zone.to_ambiguous_timestamp(days.wall()).compatible().ok()?;
            Some(days.with_wall(zone.to_datetime(instant.checked_add(passing).ok()?)))
        }),
        EventTime::Floating { .. } | EventTime::Date { .. } => None,
    };
    match (exact, passing.is_zero()) {
        (Some(exact), false) => exact,
        _ => days.shifted(passing),
    }
}

pub(crate) fn set_end(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let Some(value) = value else {
        event
            .component
            .remove(|line| matches!(line.name(), "DTEND" | "DURATION"));
        return Ok(());
    };
    let end: EventTime = typed(value)?;
    let as_length = event.component.first("DURATION").is_some() && event.component.first("DTEND").is_none();
    if as_length && let Some(start) = start_of(event)? {
        if let Some(length) = length(&start, &end) {
            event
                .component
                .upsert("DURATION", |line| line.set_value(length.format()));
            return Ok(());
        }
        event.component.remove(|line| line.name() == "DURATION");
    }
    write_line(event, "DTEND", &end);
    Ok(())
}

/// The duration that leads from `start` to exactly `end`, if there is one that is not negative.
fn length(start: &EventTime, end: &EventTime) -> Option<Duration> {
    let elapsed = end
        .instant(&TimeZone::UTC)
        .duration_since(start.instant(&TimeZone::UTC))
        .as_secs();
    let length = match start {
        EventTime::Date { .. } => Duration {
            days: elapsed / 86_400,
            seconds: 0,
        },
        EventTime::Zoned { .. } | EventTime::Floating { .. } => Duration {
            days: 0,
            seconds: elapsed,
        },
    };
    (elapsed >= 0 && after(start, length) == *end).then_some(length)
}

/// An instant of the provider's clock. These are shown, never written: one that cannot be read says nothing.
pub(crate) fn moment(event: &Event, name: &str) -> Option<Value> {
    match parse_basic(event.component.first(name)?.value())? {
        Basic::Utc(wall) | Basic::Local(wall) => {
            let instant = TimeZone::UTC.to_timestamp(wall).ok()?;
            Some(Value::from(instant.to_string()))
        }
        Basic::Day(_) => None,
    }
}

/// An instant in the form of `DTSTAMP`.
pub(crate) fn stamp(instant: Timestamp) -> String {
    basic(TimeZone::UTC.to_datetime(instant)) + "Z"
}
