//! A whole CalDAV resource: the master, its overrides, its excluded dates (RFC 4791 section 4.1).
//!
//! A deleted occurrence is written as `EXDATE`, and the override's component, if there was one, goes: that is what
//! clients show as deleted. A component that was already `STATUS:CANCELLED` stays as it is. Un-deleting removes the
//! `EXDATE`, or gives the cancelled component its fields back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::content::{Content, FieldPath, Fields, PartKey};
use model::{EventTime, Kind, series};
use serde_json::Value;

use super::Stamp;
use super::codecs::{recurrence, time};
use super::event::Event;
use super::line::Line;
use super::rows::EVENT_ROWS;
use super::tree::{Component, Document, Item};
use super::vtimezone;
use super::zones::Zones;
use crate::engine;
use crate::error::{MappingError, Problem, Reason};

/// Properties that say how a series repeats: no override has them.
const OF_SERIES: [&str; 5] = ["RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"];

/// Fields whose change is a new revision to the people invited (RFC 5546 section 2.1.4).
const SIGNIFICANT: [&str; 4] = ["start", "end", "recurrence", "status"];

/// A component and its place in the calendar.
struct Slot {
    at: usize,
    event: Event,
}

/// An object taken apart.
pub(super) struct Resource {
    document: Document,
    calendar: usize,
    master: Slot,
    /// Overrides by the key that their `RECURRENCE-ID` names.
    overrides: Vec<(PartKey, Slot)>,
    zones: Arc<Zones>,
}

fn whole(reason: Reason, problem: &str) -> MappingError {
    Problem::new(reason, problem).at("", "")
}

impl Resource {
    /// Takes an object apart.
    pub(super) fn open(raw: &[u8]) -> Result<Self, MappingError> {
        let document = Document::parse(raw).map_err(|problem| problem.at("", ""))?;
        Self::of(document)
    }

    pub(super) fn of(mut document: Document) -> Result<Self, MappingError> {
        let calendar = document
            .position("VCALENDAR")
            .ok_or_else(|| whole(Reason::Malformed, "this is not iCalendar: there is no VCALENDAR"))?;
        let Item::Component(vcalendar) = &mut document.items[calendar] else {
            return Err(whole(
                Reason::Malformed,
                "this is not iCalendar: there is no VCALENDAR",
            ));
        };
        let zones = Arc::new(Zones::of(vcalendar));
        let mut events = Vec::new();
        for (at, item) in vcalendar.items.iter_mut().enumerate() {
            if let Item::Component(component) = item
                && component.name == "VEVENT"
            {
                let component = std::mem::take(component);
                *item = Item::Gap(0..0);
                events.push(Slot {
                    at,
                    event: Event::new(component, Arc::clone(&zones)),
                });
            }
        }
        let (master, others) = sort(events)?;
        let overrides = keyed(&master, others)?;
        Ok(Self {
            document,
            calendar,
            master,
            overrides,
            zones,
        })
    }

    /// A new object around an event that says nothing yet.
    pub(super) fn blank(stamp: Stamp) -> Self {
        let calendar = Component::new("VCALENDAR")
            .with(Line::new("VERSION", "2.0"))
            .with(Line::new("PRODID", "-//Concord//Concord//EN"));
        let zones = Arc::new(Zones::default());
        let master = Slot {
            at: usize::MAX,
            event: Event::new(new_event(stamp), Arc::clone(&zones)),
        };
        Self {
            document: Document::new(calendar),
            calendar: 0,
            master,
            overrides: Vec::new(),
            zones,
        }
    }

    /// What the object says, in canonical sparse form.
    pub(super) fn content(&self) -> Result<Content, MappingError> {
        let fields = sound(engine::read(EVENT_ROWS, &self.master.event)?)?;
        let mut content = Content::new(fields);
        for (key, slot) in &self.overrides {
            let full = sound(engine::read(engine::override_rows(EVENT_ROWS), &slot.event)?)?;
            let sparse = series::sparse(Kind::Event, &content.fields, key, &full);
            if !sparse.is_empty() {
                content.overrides.insert(key.clone(), sparse);
            }
        }
        for key in self.excluded()? {
            content.overrides.entry(key).or_insert_with(series::cancelled);
        }
        Ok(content)
    }

    /// The occurrences that `EXDATE` takes out.
    fn excluded(&self) -> Result<BTreeSet<PartKey>, MappingError> {
        let event = &self.master.event;
        if event.component.first("EXDATE").is_none() {
            return Ok(BTreeSet::new());
        }
        let at = |problem: Problem| problem.at("status", "EXDATE");
        let Some(start) = time::start_of(event).map_err(at)? else {
            return Ok(BTreeSet::new());
        };
        let lines = event.component.all("EXDATE");
        let keys = lines.flat_map(|line| {
            recurrence::values(line).map(|value| recurrence::key(event, line, value, &start))
        });
        keys.collect::<Result<_, _>>().map_err(at)
    }

    /// Brings the object to say `target`, given what it says now.
    pub(super) fn apply(
        &mut self,
        old: &Content,
        target: &Content,
        stamp: Stamp,
        creating: bool,
    ) -> Result<(), MappingError> {
        let mut changed = engine::write(EVENT_ROWS, &mut self.master.event, &target.fields, creating)?;
        let starts = (
            series::time_field(&old.fields, "start"),
            series::time_field(&target.fields, "start"),
        );
        if let (Some(before), Some(after)) = &starts
            && before != after
        {
            self.move_keys(before, after)?;
        }
        let old = series::aligned(old, target);
        let mut excluded = self.excluded()?;
        let excluded_before = excluded.clone();
        self.apply_to_components(&old, target, stamp, &mut excluded)?;
        for (key, fields) in &target.overrides {
            let has_component = self.overrides.iter().any(|(known, _)| known == key);
            match (series::is_cancelled(fields), has_component) {
                (true, false) => {
                    excluded.insert(key.clone());
                }
                (false, false) => {
                    excluded.remove(key);
                    self.add_override(key, &target.fields, fields, stamp)?;
                }
                (_, true) => {}
            }
        }
        excluded.retain(|key| target.overrides.get(key).is_some_and(series::is_cancelled));
        if excluded != excluded_before {
            self.write_excluded(&excluded)?;
            changed.insert("recurrence");
        }
        if !changed.is_empty() && !creating {
            revise(&mut self.master.event, &changed, stamp);
        }
        Ok(())
    }

    /// The components that the object has already.
    fn apply_to_components(
        &mut self,
        old: &Content,
        target: &Content,
        stamp: Stamp,
        excluded: &mut BTreeSet<PartKey>,
    ) -> Result<(), MappingError> {
        let none = Fields::new();
        let mut gone = Vec::new();
        for (at, (key, slot)) in self.overrides.iter_mut().enumerate() {
            let now = target.overrides.get(key).unwrap_or(&none);
            let was_cancelled = old.overrides.get(key).is_some_and(series::is_cancelled);
            if series::is_cancelled(now) {
                if !was_cancelled {
                    gone.push(at);
                    excluded.insert(key.clone());
                }
                continue;
            }
            excluded.remove(key);
            let full = series::full(Kind::Event, &target.fields, key, now);
            let rows = engine::override_rows(EVENT_ROWS);
            let changed = engine::write(rows, &mut slot.event, &full, false)?;
            if !changed.is_empty() {
                revise(&mut slot.event, &changed, stamp);
            }
        }
        for at in gone.into_iter().rev() {
            self.overrides.remove(at);
        }
        Ok(())
    }

    /// A component for an occurrence that had none: the master's, so that it also inherits what is not mapped.
    fn add_override(
        &mut self,
        key: &PartKey,
        master: &Fields,
        sparse: &Fields,
        stamp: Stamp,
    ) -> Result<(), MappingError> {
        let mut event = Event::new(self.master.event.component.clone(), Arc::clone(&self.zones));
        event.component.remove(|line| OF_SERIES.contains(&line.name()));
        let start = series::time_field(master, "start");
        if let Some(time) = start.and_then(|start| EventTime::from_part_key(key, &start)) {
            time::write_line(&mut event, "RECURRENCE-ID", &time);
        }
        let full = series::full(Kind::Event, master, key, sparse);
        engine::write(engine::override_rows(EVENT_ROWS), &mut event, &full, false)?;
        dated(&mut event, stamp);
        self.overrides.push((
            key.clone(),
            Slot {
                at: usize::MAX,
                event,
            },
        ));
        Ok(())
    }

    /// Moves the keys of overrides and excluded dates along with the master.
    fn move_keys(&mut self, before: &EventTime, after: &EventTime) -> Result<(), MappingError> {
        for (key, slot) in &mut self.overrides {
            let moved = rekeyed(key, before, after);
            if let Some(time) = EventTime::from_part_key(&moved, after) {
                time::write_line(&mut slot.event, "RECURRENCE-ID", &time);
            }
            *key = moved;
        }
        let event = &mut self.master.event;
        let mut moved = Vec::new();
        for line in event.component.all("EXDATE") {
            for value in recurrence::values(line) {
                let key = recurrence::key(event, line, value, before);
                let key = key.map_err(|problem| problem.at("status", "EXDATE"))?;
                moved.push(rekeyed(&key, before, after));
            }
        }
        if moved.is_empty() {
            return Ok(());
        }
        event.component.remove(|line| line.name() == "EXDATE");
        for key in moved {
            recurrence::add_date(event, "EXDATE", &key, after);
        }
        Ok(())
    }

    /// Adds and removes excluded dates; those that stay keep the line they stand in.
    fn write_excluded(&mut self, wanted: &BTreeSet<PartKey>) -> Result<(), MappingError> {
        let event = &mut self.master.event;
        let at = |problem: Problem| problem.at("status", "EXDATE");
        let Some(start) = time::start_of(event).map_err(at)? else {
            return Ok(());
        };
        let mut missing = wanted.clone();
        recurrence::retain_keys(event, "EXDATE", &start, |key| {
            missing.remove(key);
            wanted.contains(key)
        })
        .map_err(at)?;
        for key in &missing {
            recurrence::add_date(event, "EXDATE", key, &start);
        }
        Ok(())
    }

    /// Puts the object together again.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let slots = std::iter::once(self.master).chain(self.overrides.into_iter().map(|(_, slot)| slot));
        let mut new = Vec::new();
        let mut introduced = BTreeMap::new();
        let Some(Item::Component(calendar)) = self.document.items.get_mut(self.calendar) else {
            return Vec::new();
        };
        let mut first = calendar.items.len();
        for slot in slots {
            let year = slot
                .event
                .component
                .first("DTSTART")
                .and_then(|line| line.value().get(..4)?.parse().ok());
            for zone in slot.event.introduced {
                introduced.entry(zone).or_insert(year.unwrap_or(1970));
            }
            match calendar.items.get_mut(slot.at) {
                Some(item) => {
                    first = first.min(slot.at);
                    *item = Item::Component(slot.event.component);
                }
                None => new.push(Item::Component(slot.event.component)),
            }
        }
        calendar.items.extend(new);
        let defined = introduced
            .iter()
            .filter(|(zone, _)| self.zones.id_of(zone).is_none())
            .filter_map(|(zone, year)| vtimezone::define(zone, *year));
        let defined: Vec<Item> = defined.map(Item::Component).collect();
        calendar.items.splice(first..first, defined);
        self.document.to_bytes()
    }
}

/// Fields that have a start, as every event must, and an end of the same sort (RFC 5545 section 3.8.2.2).
fn sound(fields: Fields) -> Result<Fields, MappingError> {
    let kind = |name: &str| Some(fields.get(name)?.get("kind")? == "date");
    match (kind("start"), kind("end")) {
        (None, _) => Err(engine::missing("start", "DTSTART", "the event has no start")),
        (Some(start), Some(end)) if start != end => {
            let problem = "the start is a day and the end is not, or the other way round";
            Err(Problem::invalid(problem).at("end", "DTEND"))
        }
        (Some(_), _) => Ok(fields),
    }
}

/// The master and the rest, or why there is no telling.
fn sort(events: Vec<Slot>) -> Result<(Slot, Vec<Slot>), MappingError> {
    if events.is_empty() {
        return Err(whole(Reason::NotAnEvent, "the object holds no event"));
    }
    let uid = |slot: &Slot| {
        slot.event
            .component
            .first("UID")
            .map(|line| line.value().trim().to_owned())
    };
    let first = events.first().and_then(uid);
    if first.as_ref().is_none_or(String::is_empty) {
        return Err(engine::missing("uid", "UID", "the event has no UID"));
    }
    if events.iter().any(|slot| uid(slot) != first) {
        return Err(whole(
            Reason::SeveralEvents,
            "one object holds events of several UIDs",
        ));
    }
    let is_override = |slot: &Slot| slot.event.component.first("RECURRENCE-ID").is_some();
    let (overrides, mut masters): (Vec<Slot>, Vec<Slot>) = events.into_iter().partition(is_override);
    match (masters.pop(), masters.is_empty()) {
        (Some(master), true) => Ok((master, overrides)),
        (Some(_), false) => Err(whole(
            Reason::SeveralEvents,
            "one object holds two events without RECURRENCE-ID",
        )),
        (None, _) => Err(whole(
            Reason::LoneOverride,
            "the object holds single occurrences without the series that they belong to",
        )),
    }
}

/// Overrides by their keys.
fn keyed(master: &Slot, others: Vec<Slot>) -> Result<Vec<(PartKey, Slot)>, MappingError> {
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let at = |problem: Problem| problem.at("start", "RECURRENCE-ID");
    let start = time::start_of(&master.event).map_err(at)?;
    let start = start.ok_or_else(|| engine::missing("start", "DTSTART", "the series has no start"))?;
    let mut keys = BTreeSet::new();
    let mut overrides = Vec::new();
    for slot in others {
        let Some(line) = slot.event.component.first("RECURRENCE-ID") else {
            continue;
        };
        if line.param("RANGE").is_some() {
            let problem = "a change of this and all following occurrences (RANGE) is not supported";
            return Err(at(Problem::new(Reason::Unsupported, problem)));
        }
        let named = time::read(line, line.value(), &slot.event.zones).map_err(at)?;
        let key = recurrence::key_of(&named, &start);
        if !keys.insert(key.clone()) {
            let problem = format!("two components for the occurrence of {key}");
            return Err(at(Problem::new(Reason::Invalid, problem)));
        }
        overrides.push((key, slot));
    }
    Ok(overrides)
}

/// One key after the master moved.
fn rekeyed(key: &PartKey, before: &EventTime, after: &EventTime) -> PartKey {
    let moved = series::rekeyed([(key.clone(), Fields::new())].into(), before, after);
    moved.into_keys().next().unwrap_or_else(|| key.clone())
}

/// Notes a change: when, and for a change of what people agreed to, the revision (RFC 5545 sections 3.8.7.2 to
/// 3.8.7.4).
fn revise(event: &mut Event, changed: &BTreeSet<&'static str>, stamp: Stamp) {
    dated(event, stamp);
    if SIGNIFICANT.iter().any(|field| changed.contains(field)) {
        event.component.upsert("SEQUENCE", |line| {
            let known: i64 = line.value().trim().parse().unwrap_or(0);
            line.set_value(known.saturating_add(1).to_string());
        });
    }
}

fn dated(event: &mut Event, stamp: Stamp) {
    for name in ["DTSTAMP", "LAST-MODIFIED"] {
        event
            .component
            .upsert(name, |line| line.set_value(time::stamp(stamp.now)));
    }
}

/// What the object shall say: what it says, with the changed paths as in `content`. Keys speak of the start that
/// the object will have.
pub(super) fn merged(old: &Content, content: &Content, changed: &BTreeSet<FieldPath>) -> Content {
    let mut target = Content::new(old.fields.clone());
    for path in changed.iter().filter(|path| path.part.is_master()) {
        target.set(path, content.get(path).cloned());
    }
    let given = series::aligned(content, &target);
    target.overrides = series::aligned(old, &target).overrides;
    let starts = (
        series::time_field(&content.fields, "start"),
        series::time_field(&target.fields, "start"),
    );
    for path in changed.iter().filter(|path| !path.part.is_master()) {
        let part = match &starts {
            (Some(before), Some(after)) if before != after => rekeyed(&path.part, before, after),
            _ => path.part.clone(),
        };
        let was_cancelled = target.overrides.get(&part).is_some_and(series::is_cancelled);
        let is_cancelled = given.overrides.get(&part).is_some_and(series::is_cancelled);
        if was_cancelled != is_cancelled {
            // Deleting and un-deleting is about the occurrence as a whole.
            match given.overrides.get(&part) {
                Some(fields) => target.overrides.insert(part, fields.clone()),
                None => target.overrides.remove(&part),
            };
            continue;
        }
        let value: Option<Value> = given
            .overrides
            .get(&part)
            .and_then(|fields| fields.get(&path.field))
            .cloned();
        target.set(
            &FieldPath {
                part,
                field: path.field.clone(),
            },
            value,
        );
    }
    target
}

/// An event that says nothing yet.
fn new_event(stamp: Stamp) -> Component {
    let now = time::stamp(stamp.now);
    Component::new("VEVENT")
        .with(Line::new("DTSTAMP", now.as_str()))
        .with(Line::new("CREATED", now.as_str()))
        .with(Line::new("LAST-MODIFIED", now))
        .with(Line::new("SEQUENCE", "0"))
}
