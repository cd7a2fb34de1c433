//! Every way in which an event changes: update, patch, delete, move, and the exceptions of a series.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events>

use serde_json::{Map, Value, json};

use super::channels;
use super::errors::ApiError;
use super::event_body::{settle, settle_conference, settle_reminders};
use super::events_create::{organizer, surroundings};
use super::mailbox::{SendUpdates, notify};
use super::occurrences::find;
use super::recurrence::Series;
use super::shape::{event_fields, merge, without_nulls};
use super::state::{Event, World};
use super::times::{When, rfc3339_ms};

/// Fields that a replacement does not touch.
const LASTING: &[&str] = &[
    "id",
    "iCalUID",
    "created",
    "creator",
    "organizer",
    "recurringEventId",
    "originalStartTime",
    "eventType",
    "sequence",
    "hangoutLink",
];

/// What a write carries beside its body.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    pub send: SendUpdates,
    /// Fields of the body that this client does not count as its own: they are neither set nor cleared.
    pub ignored: Vec<&'static str>,
    pub if_match: Option<String>,
}

impl WriteOptions {
    /// A write that accepts everything and tells nobody.
    pub(crate) fn silent() -> Self {
        Self {
            send: SendUpdates::Nobody,
            ignored: Vec::new(),
            if_match: None,
        }
    }

    pub(crate) fn gate(&self, body: &mut Map<String, Value>) {
        body.retain(|name, _| !self.ignored.contains(&name.as_str()));
    }

    fn check(&self, etag: &str) -> Result<(), ApiError> {
        match self.if_match.as_deref() {
            Some("*") | None => Ok(()),
            Some(wanted) if wanted.split(',').any(|one| one.trim() == etag) => Ok(()),
            Some(_) => Err(ApiError::condition_not_met()),
        }
    }
}

/// Replace the whole, or merge a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Update,
    Patch,
}

/// Updates or patches an event, or one occurrence of a series, which makes an exception of it.
pub(crate) fn edit(
    world: &mut World,
    actor: &str,
    (calendar_id, event_id): (&str, &str),
    given: &Map<String, Value>,
    options: &WriteOptions,
    how: Edit,
) -> Result<String, ApiError> {
    let mut changes = event_fields(given)?;
    options.gate(&mut changes);
    let calendar = world.calendar(calendar_id)?;
    let before = find(calendar, event_id)?;
    options.check(&before.etag())?;
    check_organizer(&before, calendar_id, &changes)?;
    check_sequence(&before, &changes)?;
    let mut after = before.clone();
    let reminders = changes.remove("reminders");
    for name in LASTING.iter().filter(|name| **name != "sequence") {
        changes.remove(*name);
    }
    match how {
        Edit::Patch => {
            edit_reminders(&mut after, actor, reminders, true)?;
            merge(&mut after.body, changes);
        }
        Edit::Update => {
            edit_reminders(&mut after, actor, reminders, false)?;
            after.body = replaced(&before.body, changes, options);
        }
    }
    settle(&mut after.body, &surroundings(world, calendar))?;
    settle_conference(&mut after.body);
    if after.master_id().is_some() {
        after.body.remove("recurrence");
    }
    after
        .body
        .insert("sequence".to_owned(), json!(next_sequence(&before, &after)));
    if only_reminders_differ(&before, &after) {
        // "Changing reminders does not also change the updated property of the enclosing event."
    } else {
        after
            .body
            .insert("updated".to_owned(), json!(rfc3339_ms(world.now())));
    }
    after.deleted = after.is_cancelled() && after.master_id().is_none();
    notify(world, actor, calendar_id, Some(&before), &after, options.send);
    let series_changed = ["start", "recurrence"]
        .iter()
        .any(|name| before.body.get(*name) != after.body.get(*name));
    let is_master = before.is_series();
    world.store(calendar_id, event_id, after)?;
    if is_master && series_changed {
        drop_orphans(world, calendar_id, event_id)?;
    }
    channels::announce(world, calendar_id);
    Ok(event_id.to_owned())
}

fn replaced(
    old: &Map<String, Value>,
    given: Map<String, Value>,
    options: &WriteOptions,
) -> Map<String, Value> {
    let mut body = without_nulls(given);
    for name in LASTING {
        if let Some(value) = old.get(*name) {
            body.entry(*name).or_insert_with(|| value.clone());
        }
    }
    for name in &options.ignored {
        if let Some(value) = old.get(*name) {
            body.insert((*name).to_owned(), value.clone());
        }
    }
    body
}

fn edit_reminders(
    event: &mut Event,
    actor: &str,
    given: Option<Value>,
    is_patch: bool,
) -> Result<(), ApiError> {
    match given {
        Some(Value::Object(changes)) => {
            let mut reminders = Map::new();
            if let (true, Some(Value::Object(old))) = (is_patch, event.reminders.get(actor)) {
                reminders = old.clone();
            }
            merge(&mut reminders, changes);
            settle_reminders(&mut reminders)?;
            event.reminders.insert(actor.to_owned(), Value::Object(reminders));
        }
        None if is_patch => {}
        // Absent in a replacement, or cleared: the calendar's defaults apply again.
        Some(_) | None => {
            event.reminders.remove(actor);
        }
    }
    Ok(())
}

fn only_reminders_differ(before: &Event, after: &Event) -> bool {
    before.body == after.body && before.reminders != after.reminders
}

fn check_organizer(before: &Event, calendar_id: &str, changes: &Map<String, Value>) -> Result<(), ApiError> {
    let organizer = before
        .body
        .get("organizer")
        .and_then(|organizer| organizer.get("email"))
        .and_then(Value::as_str);
    let new = changes
        .get("extendedProperties")
        .and_then(|properties| properties.get("shared"));
    let old = before
        .body
        .get("extendedProperties")
        .and_then(|properties| properties.get("shared"));
    if organizer.is_some_and(|organizer| organizer != calendar_id) && new.is_some() && new != old {
        return Err(ApiError::forbidden_for_non_organizer());
    }
    Ok(())
}

fn sequence_of(body: &Map<String, Value>) -> i64 {
    body.get("sequence").and_then(Value::as_i64).unwrap_or_default()
}

fn check_sequence(before: &Event, changes: &Map<String, Value>) -> Result<(), ApiError> {
    if changes.contains_key("sequence") && sequence_of(changes) < sequence_of(&before.body) {
        let message = "Invalid sequence value. The specified sequence number is below the current sequence number \
                       of the resource. Re-fetch the resource and use its sequence number on the following request.";
        return Err(ApiError::invalid(message));
    }
    Ok(())
}

/// A change of time raises the sequence, as iCalendar (RFC 5546, section 2.1.4) asks.
fn next_sequence(before: &Event, after: &Event) -> i64 {
    let current = sequence_of(&before.body).max(sequence_of(&after.body));
    let moved = ["start", "end", "recurrence"]
        .iter()
        .any(|name| before.body.get(*name) != after.body.get(*name));
    if moved && current == sequence_of(&before.body) {
        current + 1
    } else {
        current
    }
}

/// Exceptions whose original start is no occurrence of the changed series any more are deleted with it.
fn drop_orphans(world: &mut World, calendar_id: &str, master_id: &str) -> Result<(), ApiError> {
    let calendar = world.calendar(calendar_id)?;
    let Some(master) = calendar.events.get(master_id) else {
        return Ok(());
    };
    let series = if master.is_series() && !master.is_cancelled() {
        Some(Series::read(&master.body)?)
    } else {
        None
    };
    let is_orphan = |event: &Event| match (&series, When::of(&event.body, "originalStartTime")) {
        (Some(series), Some(start)) => !series.has(&start),
        (Some(_), None) | (None, _) => true,
    };
    let exceptions = calendar
        .events
        .iter()
        .filter(|(_, event)| event.master_id() == Some(master_id));
    let orphans = exceptions.filter(|(_, event)| !event.deleted && is_orphan(event));
    let orphans: Vec<String> = orphans.map(|(id, _)| id.clone()).collect();
    for id in orphans {
        bury(world, calendar_id, &id)?;
    }
    Ok(())
}

fn bury(world: &mut World, calendar_id: &str, event_id: &str) -> Result<(), ApiError> {
    let updated = rfc3339_ms(world.now());
    let Some(event) = world.calendar(calendar_id)?.events.get(event_id) else {
        return Ok(());
    };
    let mut event = event.clone();
    event.deleted = true;
    event.body.insert("status".to_owned(), json!("cancelled"));
    event.body.insert("updated".to_owned(), json!(updated));
    world.store(calendar_id, event_id, event)
}

/// Deletes an event with its exceptions, or cancels one occurrence.
pub(crate) fn delete(
    world: &mut World,
    actor: &str,
    calendar_id: &str,
    event_id: &str,
    options: &WriteOptions,
) -> Result<(), ApiError> {
    let before = find(world.calendar(calendar_id)?, event_id)?;
    if before.is_cancelled() {
        return Err(ApiError::deleted());
    }
    options.check(&before.etag())?;
    let mut after = before.clone();
    after.body.insert("status".to_owned(), json!("cancelled"));
    after
        .body
        .insert("updated".to_owned(), json!(rfc3339_ms(world.now())));
    after.deleted = after.master_id().is_none();
    notify(world, actor, calendar_id, Some(&before), &after, options.send);
    let is_master = before.is_series();
    world.store(calendar_id, event_id, after)?;
    if is_master {
        drop_orphans(world, calendar_id, event_id)?;
    }
    channels::announce(world, calendar_id);
    Ok(())
}

/// Moves an event to another calendar, which becomes its organizer; a cancelled event stays behind.
pub(crate) fn relocate(
    world: &mut World,
    actor: &str,
    (from, event_id): (&str, &str),
    to: &str,
    send: SendUpdates,
) -> Result<(), ApiError> {
    let event = world
        .calendar(from)?
        .events
        .get(event_id)
        .cloned()
        .ok_or_else(ApiError::not_found)?;
    if event.is_cancelled() {
        return Err(ApiError::deleted());
    }
    if event.master_id().is_some() {
        let message = "Cannot change the organizer of an instance.";
        return Err(ApiError::new(
            400,
            "calendar",
            "cannotChangeOrganizerOfInstance",
            message,
        ));
    }
    if event.text("eventType") != Some("default") {
        return Err(ApiError::invalid("Only default events can be moved."));
    }
    let target = world.calendar(to)?;
    if target.events.get(event_id).is_some_and(|event| !event.deleted) {
        return Err(ApiError::duplicate());
    }
    let organizer = organizer(world, target);
    let exceptions = world
        .calendar(from)?
        .events
        .iter()
        .filter(|(_, one)| one.master_id() == Some(event_id));
    let mut moving: Vec<(String, Event)> = exceptions.map(|(id, one)| (id.clone(), one.clone())).collect();
    moving.insert(0, (event_id.to_owned(), event.clone()));
    for (id, mut one) in moving {
        bury(world, from, &id)?;
        one.body.insert("organizer".to_owned(), organizer.clone());
        one.body
            .insert("updated".to_owned(), json!(rfc3339_ms(world.now())));
        notify(world, actor, to, Some(&event), &one, send);
        world.store(to, &id, one)?;
    }
    channels::announce(world, from);
    channels::announce(world, to);
    Ok(())
}
