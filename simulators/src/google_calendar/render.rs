//! Events as one account sees them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::config::Role;
use super::state::{Calendar, Event};
use super::times::When;

/// Who looks, and in which zone times are shown.
pub(crate) struct Viewer<'a> {
    pub email: &'a str,
    pub role: Role,
    pub tz: TimeZone,
    pub max_attendees: Option<usize>,
}

/// Fields that stay visible when the details of a private event are hidden.
const PUBLIC_FIELDS: &[&str] = &[
    "id",
    "status",
    "created",
    "updated",
    "start",
    "end",
    "recurrence",
    "recurringEventId",
    "originalStartTime",
    "iCalUID",
    "sequence",
    "visibility",
    "eventType",
    "transparency",
];

/// The resource.
pub(crate) fn event(calendar: &Calendar, event: &Event, viewer: &Viewer<'_>) -> Value {
    let hidden =
        viewer.role < Role::Writer && matches!(event.text("visibility"), Some("private" | "confidential"));
    let mut shown = base(event);
    for (name, value) in &event.body {
        if hidden && !PUBLIC_FIELDS.contains(&name.as_str()) {
            continue;
        }
        let value = match name.as_str() {
            "start" | "end" | "originalStartTime" => shown_time(value, &viewer.tz),
            _other => value.clone(),
        };
        shown.insert(name.clone(), value);
    }
    if hidden {
        return Value::Object(shown);
    }
    let key = format!("{} {}", event.text("id").unwrap_or_default(), calendar.id);
    let link = format!(
        "https://www.google.com/calendar/event?eid={}",
        STANDARD_NO_PAD.encode(key)
    );
    shown.insert("htmlLink".to_owned(), json!(link));
    for role in ["creator", "organizer"] {
        mark_self(shown.get_mut(role), &calendar.id);
    }
    show_attendees(&mut shown, calendar, viewer);
    let reminders = event.reminders.get(viewer.email).cloned();
    shown.insert(
        "reminders".to_owned(),
        reminders.unwrap_or_else(|| json!({"useDefault": true})),
    );
    Value::Object(shown)
}

/// A deleted event, or a cancelled exception: "only guaranteed to have values for the id, recurringEventId and
/// originalStartTime fields".
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events#status>
pub(crate) fn tombstone(event: &Event, tz: &TimeZone) -> Value {
    let mut shown = base(event);
    for name in ["id", "status", "recurringEventId", "originalStartTime"] {
        if let Some(value) = event.body.get(name) {
            let value = if name == "originalStartTime" {
                shown_time(value, tz)
            } else {
                value.clone()
            };
            shown.insert(name.to_owned(), value);
        }
    }
    Value::Object(shown)
}

fn base(event: &Event) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), json!("calendar#event"));
    shown.insert("etag".to_owned(), json!(event.etag()));
    shown
}

fn shown_time(stored: &Value, tz: &TimeZone) -> Value {
    When::stored(stored).map_or_else(|| stored.clone(), |when| when.shown(tz))
}

fn mark_self(person: Option<&mut Value>, calendar_id: &str) {
    if let Some(Value::Object(person)) = person
        && person.get("email").and_then(Value::as_str) == Some(calendar_id)
    {
        person.insert("self".to_owned(), json!(true));
    }
}

fn show_attendees(shown: &mut Map<String, Value>, calendar: &Calendar, viewer: &Viewer<'_>) {
    let Some(Value::Array(attendees)) = shown.get_mut("attendees") else {
        return;
    };
    for attendee in attendees.iter_mut() {
        mark_self(Some(attendee), &calendar.id);
    }
    // "If there are more than the specified number of attendees, only the participant is returned."
    if viewer.max_attendees.is_some_and(|most| attendees.len() > most) {
        attendees.retain(|attendee| attendee.get("self").is_some());
        shown.insert("attendeesOmitted".to_owned(), json!(true));
    }
}
