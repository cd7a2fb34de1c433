//! Every way in which an event changes: insert, import, update, patch, delete, move, and the exceptions of a series.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events>

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::channels;
use super::errors::ApiError;
use super::event_body::{Surroundings, settle, settle_conference, settle_reminders};
use super::mailbox::{SendUpdates, notify};
use super::recurrence::{Series, instance_id};
use super::shape::{event_fields, merge, without_nulls};
use super::state::{Calendar, Event, World, base32hex};
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
    /// `conferenceDataVersion=1`; without it, conference data in the body is ignored.
    pub conference: bool,
    /// `supportsAttachments=true`; without it, attachments in the body are ignored.
    pub attachments: bool,
    pub if_match: Option<String>,
}

impl WriteOptions {
    /// A write that accepts everything and tells nobody.
    pub(crate) fn silent() -> Self {
        Self {
            send: SendUpdates::Nobody,
            conference: true,
            attachments: true,
            if_match: None,
        }
    }

    fn gate(&self, body: &mut Map<String, Value>) {
        if !self.conference {
            body.remove("conferenceData");
        }
        if !self.attachments {
            body.remove("attachments");
        }
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

/// The event with this id: stored, or an occurrence that its series implies. The second part says where it came
/// from: for an implied occurrence the etag is its master's.
pub(crate) fn find(calendar: &Calendar, event_id: &str) -> Result<Event, ApiError> {
    if let Some(event) = calendar.events.get(event_id) {
        return Ok(event.clone());
    }
    let (master_id, suffix) = event_id.rsplit_once('_').ok_or_else(ApiError::not_found)?;
    let master = calendar.events.get(master_id).ok_or_else(ApiError::not_found)?;
    if !master.is_series() || master.is_cancelled() {
        return Err(ApiError::not_found());
    }
    let series = Series::read(&master.body)?;
    let start = series.start_from_suffix(suffix).filter(|start| series.has(start));
    Ok(occurrence(
        master_id,
        master,
        &series,
        &start.ok_or_else(ApiError::not_found)?,
    ))
}

/// One occurrence of a series as an event of its own.
pub(crate) fn occurrence(master_id: &str, master: &Event, series: &Series, start: &When) -> Event {
    let mut event = master.clone();
    event.body.remove("recurrence");
    event
        .body
        .insert("id".to_owned(), json!(instance_id(master_id, start)));
    event.body.insert("recurringEventId".to_owned(), json!(master_id));
    event
        .body
        .insert("originalStartTime".to_owned(), start.to_stored());
    event.body.insert("start".to_owned(), start.to_stored());
    event
        .body
        .insert("end".to_owned(), series.end_of(start).to_stored());
    event
}

/// Creates an event and answers its id. `import` adds a private copy of an event that exists elsewhere, keyed by its
/// iCalendar UID: importing the same UID again updates the copy.
pub(crate) fn insert(
    world: &mut World,
    actor: &str,
    calendar_id: &str,
    given: &Map<String, Value>,
    options: &WriteOptions,
    import: bool,
) -> Result<String, ApiError> {
    let mut body = without_nulls(event_fields(given)?);
    options.gate(&mut body);
    body.remove("recurringEventId");
    body.remove("originalStartTime");
    let uid = body.get("iCalUID").and_then(Value::as_str).map(str::to_owned);
    if import && uid.is_none() {
        return Err(ApiError::required("Missing iCalUID."));
    }
    if body.get("status").and_then(Value::as_str) == Some("cancelled") {
        return Err(ApiError::invalid("A new event cannot be cancelled."));
    }
    let calendar = world.calendar(calendar_id)?;
    let same_uid = uid.as_deref().and_then(|uid| with_uid(calendar, uid));
    if let (true, Some(existing)) = (import, &same_uid) {
        return edit(
            world,
            actor,
            (calendar_id, existing),
            given,
            options,
            Edit::Update,
        );
    }
    let id = new_event_id(world, calendar_id, &body, uid.as_deref())?;
    if same_uid.is_some() || world.calendar(calendar_id)?.events.contains_key(&id) {
        // Deleted events keep their ids: https://stackoverflow.com/questions/27542721
        return Err(ApiError::duplicate());
    }
    let reminders = body.remove("reminders");
    let event = new_event(world, actor, calendar_id, &id, body, import)?;
    let event = with_reminders(event, actor, reminders)?;
    let send = if import { SendUpdates::Nobody } else { options.send };
    notify(world, actor, calendar_id, None, &event, send);
    world.store(calendar_id, &id, event)?;
    channels::announce(world, calendar_id);
    Ok(id)
}

fn with_uid(calendar: &Calendar, uid: &str) -> Option<String> {
    let holds = |event: &&Event| event.text("iCalUID") == Some(uid) && event.master_id().is_none();
    calendar
        .events
        .values()
        .find(holds)
        .and_then(|event| event.text("id").map(str::to_owned))
}

/// "The iCalUID and the id are not identical and only one of them should be supplied at event creation time."
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events#iCalUID>
fn new_event_id(
    world: &mut World,
    calendar_id: &str,
    body: &Map<String, Value>,
    uid: Option<&str>,
) -> Result<String, ApiError> {
    let given = body.get("id").and_then(Value::as_str);
    match (given, uid) {
        (Some(id), Some(uid)) if uid != format!("{id}@google.com") => Err(ApiError::invalid(
            "Only one of id and iCalUID should be supplied at event creation time.",
        )),
        (Some(id), _) => {
            let fits = (5..=1024).contains(&id.len());
            if fits && id.bytes().all(|byte| matches!(byte, b'a'..=b'v' | b'0'..=b'9')) {
                Ok(id.to_owned())
            } else {
                Err(ApiError::invalid("Invalid resource id value."))
            }
        }
        (None, Some(uid)) => Ok(format!("_{}", base32hex(uid.as_bytes()))),
        (None, None) => loop {
            let id = world.mint_event_id();
            if !world.calendar(calendar_id)?.events.contains_key(&id) {
                break Ok(id);
            }
        },
    }
}

fn new_event(
    world: &World,
    actor: &str,
    calendar_id: &str,
    id: &str,
    mut body: Map<String, Value>,
    import: bool,
) -> Result<Event, ApiError> {
    let calendar = world.calendar(calendar_id)?;
    let now = rfc3339_ms(world.now());
    body.insert("id".to_owned(), json!(id));
    body.entry("iCalUID")
        .or_insert_with(|| json!(format!("{id}@google.com")));
    body.insert("created".to_owned(), json!(now));
    body.insert("updated".to_owned(), json!(now));
    body.entry("sequence").or_insert_with(|| json!(0));
    body.insert("creator".to_owned(), person(world, actor));
    if !import || !body.contains_key("organizer") {
        body.insert("organizer".to_owned(), organizer(world, calendar));
    }
    settle(&mut body, &surroundings(world, calendar))?;
    settle_conference(&mut body);
    Ok(Event {
        body,
        reminders: BTreeMap::new(),
        revision: 0,
        deleted: false,
    })
}

fn surroundings<'a>(world: &'a World, calendar: &'a Calendar) -> Surroundings<'a> {
    Surroundings {
        calendar_zone: calendar.time_zone(),
        zone_rewrites: &world.zone_rewrites,
    }
}

fn person(world: &World, email: &str) -> Value {
    let name = world
        .accounts
        .get(email)
        .and_then(|account| account.display_name.as_deref());
    match name {
        Some(name) => json!({"email": email, "displayName": name}),
        None => json!({"email": email}),
    }
}

fn organizer(world: &World, calendar: &Calendar) -> Value {
    if calendar.is_primary() {
        return person(world, &calendar.owner);
    }
    json!({"email": calendar.id, "displayName": calendar.props.get("summary")})
}

fn with_reminders(mut event: Event, actor: &str, given: Option<Value>) -> Result<Event, ApiError> {
    if let Some(Value::Object(mut reminders)) = given {
        settle_reminders(&mut reminders)?;
        event.reminders.insert(actor.to_owned(), Value::Object(reminders));
    }
    Ok(event)
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
    for (name, ignored) in [
        ("conferenceData", !options.conference),
        ("attachments", !options.attachments),
    ] {
        if let (true, Some(value)) = (ignored, old.get(name)) {
            body.insert(name.to_owned(), value.clone());
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
