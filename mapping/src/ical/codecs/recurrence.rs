//! `RRULE` and `RDATE` (RFC 5545 sections 3.8.5.3 and 3.8.5.2). Rules are kept as they are written, `UNTIL` included.

use std::collections::VecDeque;

use model::canonical;
use model::event::Recurrence;
use model::{EventTime, PartKey};
use serde_json::Value;

use super::time;
use crate::engine::{Problem, typed};
use crate::error::Reason;
use crate::ical::event::Event;
use crate::ical::line::Line;
use crate::ical::tree::Item;

/// One rule in the model's canonical form.
pub(crate) fn canonical_rule(rule: &str) -> Option<String> {
    let recurrence = Recurrence {
        rules: vec![rule.to_owned()],
        dates: Vec::new(),
    };
    canonical::Canonical::canonical(recurrence)?.rules.pop()
}

/// The key of one value of a line of dates, in a series that starts at `start`. A bare day in a timed series means
/// the occurrence of that day.
pub(crate) fn key(event: &Event, line: &Line, value: &str, start: &EventTime) -> Result<PartKey, Problem> {
    // A period says how long too; the occurrence is told by where it begins.
    let begin = value.split('/').next().unwrap_or_default();
    let time = time::read(line, begin, &event.zones)?;
    Ok(key_of(&time, start))
}

/// The key of the occurrence that an object names by this time.
pub(crate) fn key_of(time: &EventTime, start: &EventTime) -> PartKey {
    match (time, start) {
        (EventTime::Date { date }, EventTime::Zoned { .. } | EventTime::Floating { .. }) => start
            .with_wall(date.to_datetime(start.wall().time()))
            .part_key(start),
        (EventTime::Date { .. } | EventTime::Zoned { .. } | EventTime::Floating { .. }, _) => {
            time.part_key(start)
        }
    }
}

pub(crate) fn recurrence(event: &Event) -> Result<Option<Value>, Problem> {
    if event.component.first("EXRULE").is_some() {
        return Err(Problem::new(
            Reason::Unsupported,
            "an exclusion rule (EXRULE) is not supported: occurrences would appear that were excluded",
        ));
    }
    let rules: Vec<String> = event
        .component
        .all("RRULE")
        .map(|line| line.value().to_owned())
        .collect();
    let mut dates = Vec::new();
    if event.component.first("RDATE").is_some()
        && let Some(start) = time::start_of(event)?
    {
        for line in event.component.all("RDATE") {
            for value in values(line) {
                dates.push(key(event, line, value, &start)?.as_str().to_owned());
            }
        }
    }
    Ok(canonical::to_value(Recurrence { rules, dates }))
}

/// The values of a line of dates.
pub(crate) fn values(line: &Line) -> impl Iterator<Item = &str> {
    line.value().split(',').filter(|value| !value.trim().is_empty())
}

pub(crate) fn set_recurrence(event: &mut Event, value: Option<&Value>) -> Result<(), Problem> {
    let wanted: Recurrence = value.map(typed).transpose()?.unwrap_or_default();
    set_rules(event, wanted.rules);
    let Some(start) = time::start_of(event)? else {
        return Ok(());
    };
    let mut missing = wanted.dates;
    retain_keys(event, "RDATE", &start, |key| {
        let at = missing.iter().position(|date| date == key.as_str());
        at.map(|at| missing.swap_remove(at)).is_some()
    })?;
    missing.sort();
    for date in missing {
        add_date(event, "RDATE", &PartKey::occurrence(date), &start);
    }
    Ok(())
}

fn set_rules(event: &mut Event, wanted: Vec<String>) {
    let known: Vec<Option<String>> = event
        .component
        .all("RRULE")
        .map(|line| canonical_rule(line.value()))
        .collect();
    let is_known = |rule: &String| known.iter().any(|known| known.as_ref() == Some(rule));
    let mut new: VecDeque<String> = wanted.iter().filter(|rule| !is_known(rule)).cloned().collect();
    event.component.items.retain_mut(|item| {
        let Item::Line(line) = item else { return true };
        if line.name() != "RRULE" {
            return true;
        }
        let stays = canonical_rule(line.value()).is_some_and(|rule| wanted.contains(&rule));
        match (stays, if stays { None } else { new.pop_front() }) {
            (false, Some(rule)) => {
                line.set_value(rule);
                true
            }
            (stays, _) => stays,
        }
    });
    for rule in new {
        event.component.insert(Line::new("RRULE", rule));
    }
}

/// Keeps of the lines of dates with this name the values whose key the predicate accepts. Lines of which nothing
/// goes are not touched.
pub(crate) fn retain_keys(
    event: &mut Event,
    name: &str,
    start: &EventTime,
    mut keep: impl FnMut(&PartKey) -> bool,
) -> Result<(), Problem> {
    let mut left = Vec::new();
    for line in event.component.all(name) {
        let mut kept = Vec::new();
        for value in values(line) {
            if keep(&key(event, line, value, start)?) {
                kept.push(value);
            }
        }
        left.push((kept.len() == values(line).count(), kept.join(",")));
    }
    let mut left = left.into_iter();
    event.component.items.retain_mut(|item| {
        let Item::Line(line) = item else { return true };
        if line.name() != name {
            return true;
        }
        match left.next() {
            Some((true, _)) | None => true,
            Some((false, kept)) => {
                let keep = !kept.is_empty();
                line.set_value(kept);
                keep
            }
        }
    });
    Ok(())
}

/// Adds a line with one date, in the form of the event's start.
pub(crate) fn add_date(event: &mut Event, name: &str, key: &PartKey, start: &EventTime) {
    let Some(time) = EventTime::from_part_key(key, start) else {
        return;
    };
    let zones = std::sync::Arc::clone(&event.zones);
    let known = time::Naming::of(&event.component, &zones);
    let mut line = Line::new(name, "");
    let introduced = time::write(&mut line, &time, &known);
    event.introduced.extend(introduced);
    event.component.insert(line);
}
