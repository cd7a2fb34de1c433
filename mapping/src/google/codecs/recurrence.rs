//! `recurrence`: "List of RRULE, EXRULE, RDATE and EXDATE lines for a recurring event, as specified in RFC5545". The
//! lines are iCalendar's, so iCalendar's codec reads and writes them, given the event's start.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::content::PartKey;
use serde_json::Value;

use super::time;
use crate::engine::Problem;
use crate::error::{Reason, quoted};
use crate::google::tree::{Json, text};
use crate::ical::codecs::recurrence as lines;
use crate::ical::codecs::time as ical_time;
use crate::ical::event::Event;
use crate::ical::line::Line;
use crate::ical::tree::Component;
use crate::ical::zones::Zones;

const PATH: &str = "recurrence";
const START: &str = "DTSTART";

/// The lines as an event of iCalendar that starts when this one does; `None` when there are none.
fn event(json: &Json) -> Result<Option<Event>, Problem> {
    let Some(start) = time::start_of(json)? else {
        return Ok(None);
    };
    let mut event = Event::new(Component::new("VEVENT"), Arc::new(Zones::default()));
    ical_time::write_line(&mut event, START, &start);
    for element in json.array(PATH)? {
        let line = text(Some(element))?.unwrap_or_default();
        let parsed = Line::parse(line).ok_or_else(|| {
            Problem::new(
                Reason::Malformed,
                format!("{} is no line of iCalendar", quoted(line)),
            )
        })?;
        event.component.insert(parsed);
    }
    Ok(Some(event))
}

/// Puts the lines back.
fn store(json: &mut Json, event: &Event) {
    let lines: Vec<Value> = event
        .component
        .lines()
        .filter(|line| line.name() != START)
        .map(|line| line.text().into())
        .collect();
    let repeats = event
        .component
        .lines()
        .any(|line| matches!(line.name(), "RRULE" | "RDATE"));
    json.set(PATH, repeats.then_some(Value::Array(lines)));
}

pub(in crate::google) fn recurrence(json: &Json) -> Result<Option<Value>, Problem> {
    if json.at(PATH).is_none() {
        return Ok(None);
    }
    match event(json)? {
        Some(event) => lines::recurrence(&event),
        None => Ok(None),
    }
}

pub(in crate::google) fn set_recurrence(json: &mut Json, value: Option<&Value>) -> Result<(), Problem> {
    if let Some(mut event) = event(json)? {
        lines::set_recurrence(&mut event, value)?;
        store(json, &event);
    }
    Ok(())
}

/// The occurrences that `EXDATE` lines take out.
pub(in crate::google) fn excluded(json: &Json) -> Result<BTreeSet<PartKey>, Problem> {
    if json.at(PATH).is_none() {
        return Ok(BTreeSet::new());
    }
    let (Some(event), Some(start)) = (event(json)?, time::start_of(json)?) else {
        return Ok(BTreeSet::new());
    };
    let all = event.component.all("EXDATE");
    all.flat_map(|line| lines::values(line).map(|value| lines::key(&event, line, value, &start)))
        .collect()
}

/// Brings the `EXDATE` lines to say exactly `wanted`; lines that stay are not touched.
pub(in crate::google) fn set_excluded(json: &mut Json, wanted: &BTreeSet<PartKey>) -> Result<(), Problem> {
    let (Some(mut event), Some(start)) = (event(json)?, time::start_of(json)?) else {
        return Ok(());
    };
    let mut missing = wanted.clone();
    lines::retain_keys(&mut event, "EXDATE", &start, |key| {
        missing.remove(key);
        wanted.contains(key)
    })?;
    for key in &missing {
        lines::add_date(&mut event, "EXDATE", key, &start);
    }
    store(json, &event);
    Ok(())
}
