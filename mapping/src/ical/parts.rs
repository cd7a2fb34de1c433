//! Writing into a whole CalDAV resource: master, overrides, excluded dates.
//!
//! A deleted occurrence is written as `EXDATE`, and the override's component, if there was one, goes: that is what
//! clients show as deleted. A component that was already `STATUS:CANCELLED` stays as it is. Un-deleting removes the
//! `EXDATE`, or gives the cancelled component its fields back.

use std::collections::BTreeSet;
use std::sync::Arc;

use model::content::{Content, FieldPath, Fields, PartKey};
use model::{EventTime, Kind, series};
use serde_json::Value;

use super::Stamp;
use super::codecs::{recurrence, time};
use super::event::Event;
use super::resource::{Resource, Slot};
use super::rows::EVENT_ROWS;
use crate::engine;
use crate::error::{MappingError, Problem};

/// Properties that say how a series repeats: no override has them.
const OF_SERIES: [&str; 5] = ["RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID"];

/// Fields whose change is a new revision to the people invited (RFC 5546 section 2.1.4).
const SIGNIFICANT: [&str; 4] = ["start", "end", "recurrence", "status"];

impl Resource {
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
                    self.add_override(key, &target.fields, fields, stamp)?;
                }
                (_, true) => {}
            }
        }
        let cancelled =
            |content: &Content, key: &PartKey| content.overrides.get(key).is_some_and(series::is_cancelled);
        excluded.retain(|key| cancelled(target, key) || !cancelled(&old, key));
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
