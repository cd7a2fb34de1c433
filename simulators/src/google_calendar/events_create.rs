//! How events come into being: insert and import.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/insert>
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/import>

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::channels;
use super::errors::ApiError;
use super::event_body::{Surroundings, settle, settle_conference, settle_reminders};
use super::events_write::{Edit, WriteOptions, edit};
use super::mailbox::{SendUpdates, notify};
use super::shape::{event_fields, without_nulls};
use super::state::{Calendar, Event, World, base32hex};
use super::times::rfc3339_ms;

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

fn with_reminders(mut event: Event, actor: &str, given: Option<Value>) -> Result<Event, ApiError> {
    if let Some(Value::Object(mut reminders)) = given {
        settle_reminders(&mut reminders)?;
        event.reminders.insert(actor.to_owned(), Value::Object(reminders));
    }
    Ok(event)
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

pub(crate) fn surroundings<'a>(world: &'a World, calendar: &'a Calendar) -> Surroundings<'a> {
    Surroundings {
        calendar_zone: calendar.time_zone(),
        zone_rewrites: &world.zone_rewrites,
    }
}

pub(crate) fn organizer(world: &World, calendar: &Calendar) -> Value {
    if calendar.is_primary() {
        return person(world, &calendar.owner);
    }
    json!({"email": calendar.id, "displayName": calendar.props.get("summary")})
}
