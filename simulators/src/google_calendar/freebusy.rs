//! `freebusy.query`: when calendars are busy.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/freebusy/query>

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::config::Role;
use super::errors::ApiError;
use super::occurrences::occurrence;
use super::recurrence::Series;
use super::state::{Calendar, Event, World};
use super::times::{When, rfc3339_in, zone_or_utc};

/// Answers a query.
pub(crate) fn query(world: &World, email: &str, body: &Map<String, Value>) -> Result<Value, ApiError> {
    let moment = |name: &str| -> Result<Timestamp, ApiError> {
        let text = body.get(name).and_then(Value::as_str);
        let text = text.ok_or_else(|| ApiError::required(format!("Missing {name} parameter.")))?;
        text.parse()
            .map_err(|_| ApiError::invalid_parameter(name, "Bad Request"))
    };
    let (from, to) = (moment("timeMin")?, moment("timeMax")?);
    if to <= from {
        return Err(ApiError::time_range_empty());
    }
    let tz = match body.get("timeZone").and_then(Value::as_str) {
        Some(name) => TimeZone::get(name).map_err(|_| ApiError::invalid("Invalid time zone."))?,
        None => TimeZone::UTC,
    };
    let mut calendars = Map::new();
    for item in body.get("items").and_then(Value::as_array).into_iter().flatten() {
        let Some(asked) = item.get("id").and_then(Value::as_str) else {
            continue;
        };
        let answer = match world.open(email, asked, Role::FreeBusyReader) {
            Ok((id, _role)) => {
                let busy = busy(world.calendar(&id)?, from, to)?;
                let period = |(start, end): &(Timestamp, Timestamp)| json!({"start": rfc3339_in(*start, &tz), "end": rfc3339_in(*end, &tz)});
                json!({"busy": busy.iter().map(period).collect::<Vec<_>>()})
            }
            Err(_) => json!({"errors": [{"domain": "global", "reason": "notFound"}], "busy": []}),
        };
        calendars.insert(asked.to_owned(), answer);
    }
    Ok(json!({
        "kind": "calendar#freeBusy",
        "timeMin": rfc3339_in(from, &TimeZone::UTC),
        "timeMax": rfc3339_in(to, &TimeZone::UTC),
        "calendars": calendars,
    }))
}

fn busy(
    calendar: &Calendar,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, Timestamp)>, ApiError> {
    let tz = zone_or_utc(calendar.time_zone());
    let mut periods = Vec::new();
    let mut add = |event: &Event| {
        if !blocks(event, &calendar.id) {
            return;
        }
        if let (Some(start), Some(end)) = (When::of(&event.body, "start"), When::of(&event.body, "end")) {
            let (start, end) = (start.instant(&tz).max(from), end.instant(&tz).min(to));
            if start < end {
                periods.push((start, end));
            }
        }
    };
    for (id, event) in &calendar.events {
        if !event.is_series() || event.is_cancelled() {
            add(event);
            continue;
        }
        let series = Series::read(&event.body)?;
        let earliest = from.checked_sub(series.length(&tz)).unwrap_or(Timestamp::MIN);
        for start in series.starts(Some((earliest, to))) {
            let implied = occurrence(id, event, &series, &start);
            let overridden = implied
                .text("id")
                .is_some_and(|id| calendar.events.contains_key(id));
            if !overridden {
                add(&implied);
            }
        }
    }
    Ok(merged(periods))
}

/// A declined or "available" event does not block time.
fn blocks(event: &Event, calendar_id: &str) -> bool {
    let attendees = event.body.get("attendees").and_then(Value::as_array);
    let declined = attendees.into_iter().flatten().any(|attendee| {
        attendee.get("email").and_then(Value::as_str) == Some(calendar_id)
            && attendee.get("responseStatus").and_then(Value::as_str) == Some("declined")
    });
    !event.is_cancelled() && !declined && event.text("transparency") != Some("transparent")
}

fn merged(mut periods: Vec<(Timestamp, Timestamp)>) -> Vec<(Timestamp, Timestamp)> {
    periods.sort();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (start, end) in periods {
        match joined.last_mut() {
            Some((_, last)) if start <= *last => *last = end.max(*last),
            Some(_) | None => joined.push((start, end)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn touching_periods_become_one() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let joined = merged(vec![(at(10), at(20)), (at(0), at(10)), (at(30), at(40))]);
        assert_eq!(joined, vec![(at(0), at(20)), (at(30), at(40))]);
    }
}
