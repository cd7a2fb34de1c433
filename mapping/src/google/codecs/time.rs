//! `start`, `end` and `originalStartTime`: `{date}` or `{dateTime, timeZone}`.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events#start>

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use model::EventTime;
use model::zone;
use serde_json::{Map, Value, json};

use crate::engine::{Problem, typed};
use crate::error::{Reason, quoted};
use crate::google::tree::{Json, expected, text};

/// A time as Google writes it.
pub(in crate::google) fn read(value: &Value) -> Result<EventTime, Problem> {
    let Value::Object(members) = value else {
        return Err(expected("an object with a time", value));
    };
    if let Some(day) = text(members.get("date"))? {
        let date: Date = day
            .parse()
            .map_err(|_| Problem::invalid(format!("{} is no date", quoted(day))))?;
        return Ok(EventTime::Date { date });
    }
    let Some(moment) = text(members.get("dateTime"))? else {
        return Err(Problem::new(
            Reason::Missing,
            "neither `date` nor `dateTime` is there",
        ));
    };
    let name = text(members.get("timeZone"))?;
    let zone = name
        .map(|name| {
            zone::canonical(name).map_err(|error| Problem::new(Reason::UnknownZone, error.to_string()))
        })
        .transpose()?;
    let unreadable = || Problem::invalid(format!("{} is no date-time", quoted(moment)));
    // "A time zone offset is required unless a time zone is explicitly specified in timeZone."
    match (moment.parse::<Timestamp>(), zone) {
        (Ok(instant), Some(zone)) => {
            let rules = zone::time_zone(zone).ok_or_else(unreadable)?;
            Ok(EventTime::Zoned {
                wall: rules.to_datetime(instant),
                zone: zone.to_owned(),
            })
        }
        (Ok(instant), None) => Ok(EventTime::Zoned {
            wall: TimeZone::UTC.to_datetime(instant),
            zone: "UTC".to_owned(),
        }),
        (Err(_), Some(zone)) => {
            let wall: DateTime = moment.parse().map_err(|_| unreadable())?;
            Ok(EventTime::Zoned {
                wall,
                zone: zone.to_owned(),
            })
        }
        (Err(_), None) => Err(unreadable()),
    }
}

pub(in crate::google) fn time(json: &Json, path: &str) -> Result<Option<Value>, Problem> {
    Ok(json.at(path).map(read).transpose()?.map(|time| json!(time)))
}

/// The start, for what is told relative to it.
pub(in crate::google) fn start_of(json: &Json) -> Result<Option<EventTime>, Problem> {
    json.at("start").map(read).transpose()
}

pub(in crate::google) fn set_time(json: &mut Json, path: &str, value: Option<&Value>) -> Result<(), Problem> {
    let Some(value) = value else {
        return Err(Problem::new(
            Reason::Missing,
            "an event cannot be written without it",
        ));
    };
    let time: EventTime = typed(value)?;
    say(json, path, &time)
}

/// An end must be said at Google: without one it is that of an event without length, or of one day.
pub(in crate::google) fn set_end(json: &mut Json, path: &str, value: Option<&Value>) -> Result<(), Problem> {
    let time = match (value, start_of(json)?) {
        (Some(value), _) => typed(value)?,
        (None, Some(day @ EventTime::Date { .. })) => day.shifted(SignedDuration::from_hours(24)),
        (None, Some(start)) => start,
        (None, None) => return Ok(()),
    };
    say(json, path, &time)
}

fn say(json: &mut Json, path: &str, time: &EventTime) -> Result<(), Problem> {
    let mut members = json.object(path)?.cloned().unwrap_or_default();
    let (wall, zone) = match time {
        EventTime::Date { date } => {
            members.remove("dateTime");
            members.remove("timeZone");
            members.insert("date".to_owned(), Value::from(date.to_string()));
            json.set(path, Some(Value::Object(members)));
            return Ok(());
        }
        EventTime::Zoned { wall, zone } => (*wall, zone.clone()),
        // Google knows no floating times: it becomes the same wall time in the calendar's zone.
        EventTime::Floating { wall } => (
            *wall,
            json.calendar_zone.clone().unwrap_or_else(|| "UTC".to_owned()),
        ),
    };
    members.remove("date");
    members.insert("dateTime".to_owned(), Value::from(with_offset(wall, &zone)?));
    if !names(&members, &zone) {
        members.insert("timeZone".to_owned(), Value::from(zone));
    }
    json.set(path, Some(Value::Object(members)));
    Ok(())
}

/// Whether the members name the zone already, perhaps by another name of it.
fn names(members: &Map<String, Value>, zone: &str) -> bool {
    let named = members.get("timeZone").and_then(Value::as_str);
    named.and_then(|name| zone::canonical(name).ok()) == Some(zone)
}

/// The wall time with the offset that the zone has then, as RFC 3339 asks.
fn with_offset(wall: DateTime, zone: &str) -> Result<String, Problem> {
    let unknown = || {
        Problem::new(
            Reason::UnknownZone,
            format!("the time zone {} is unknown", quoted(zone)),
        )
    };
    let rules = zone::time_zone(zone).ok_or_else(unknown)?;
    let zoned = rules
        .to_ambiguous_zoned(wall)
        .compatible()
        .map_err(|_| Problem::invalid(format!("{wall} is out of range")))?;
    Ok(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// An instant of Google's clock. These are shown, never written: one that cannot be read says nothing.
pub(in crate::google) fn moment(json: &Json, path: &str) -> Option<Value> {
    let instant: Timestamp = json.at(path)?.as_str()?.parse().ok()?;
    Some(Value::from(instant.to_string()))
}
