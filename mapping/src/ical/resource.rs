//! An object taken apart into its master and overrides, and put together again (RFC 4791 section 4.1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::content::{Content, Fields, PartKey};
use model::{Kind, series};

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

/// A component and its place in the calendar.
pub(super) struct Slot {
    pub(super) at: usize,
    pub(super) event: Event,
}

/// An object taken apart.
pub(super) struct Resource {
    pub(super) document: Document,
    pub(super) calendar: usize,
    pub(super) master: Slot,
    /// Overrides by the key that their `RECURRENCE-ID` names.
    pub(super) overrides: Vec<(PartKey, Slot)>,
    pub(super) zones: Arc<Zones>,
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
    pub(super) fn excluded(&self) -> Result<BTreeSet<PartKey>, MappingError> {
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

    /// Puts the object together again, with a definition of every zone that was brought in.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.put_together(true)
    }

    /// The same without definitions: enough for reading it back here, and much cheaper.
    pub(super) fn into_bytes_without_zones(self) -> Vec<u8> {
        self.put_together(false)
    }

    fn put_together(mut self, with_zones: bool) -> Vec<u8> {
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
            .filter(|(zone, _)| with_zones && self.zones.id_of(zone).is_none())
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

/// An event that says nothing yet.
fn new_event(stamp: Stamp) -> Component {
    let now = time::stamp(stamp.now);
    Component::new("VEVENT")
        .with(Line::new("DTSTAMP", now.as_str()))
        .with(Line::new("CREATED", now.as_str()))
        .with(Line::new("LAST-MODIFIED", now))
        .with(Line::new("SEQUENCE", "0"))
}
