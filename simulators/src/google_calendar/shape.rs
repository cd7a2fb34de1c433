//! Which fields a client may set on an event, and their types. What is not named here is ignored, as Google does
//! with unknown and read-only fields; a wrong type is refused.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events#resource>

use serde_json::{Map, Value};

use super::errors::ApiError;

enum Shape {
    Text,
    Flag,
    Whole,
    OneOf(&'static [&'static str]),
    Object(&'static [(&'static str, Shape)]),
    TextMap,
    List(&'static Shape),
    Anything,
}

use Shape::{Anything, Flag, List, Object, OneOf, Text, TextMap, Whole};

const WHEN: Shape = Object(&[("date", Text), ("dateTime", Text), ("timeZone", Text)]);

const ATTENDEE: Shape = Object(&[
    ("email", Text),
    ("displayName", Text),
    ("id", Text),
    ("optional", Flag),
    ("resource", Flag),
    (
        "responseStatus",
        OneOf(&["needsAction", "declined", "tentative", "accepted"]),
    ),
    ("comment", Text),
    ("additionalGuests", Whole),
]);

const REMINDER: Shape = Object(&[("method", OneOf(&["email", "popup"])), ("minutes", Whole)]);

const ENTRY_POINT: Shape = Object(&[
    ("entryPointType", Text),
    ("uri", Text),
    ("label", Text),
    ("pin", Text),
    ("accessCode", Text),
    ("meetingCode", Text),
    ("passcode", Text),
    ("password", Text),
    ("regionCode", Text),
    ("entryPointFeatures", List(&Text)),
]);

const SOLUTION_KEY: Shape = Object(&[("type", Text)]);

const CONFERENCE: Shape = Object(&[
    ("conferenceId", Text),
    (
        "conferenceSolution",
        Object(&[("iconUri", Text), ("key", SOLUTION_KEY), ("name", Text)]),
    ),
    (
        "createRequest",
        Object(&[("requestId", Text), ("conferenceSolutionKey", SOLUTION_KEY)]),
    ),
    ("entryPoints", List(&ENTRY_POINT)),
    ("notes", Text),
    ("signature", Text),
    (
        "parameters",
        Object(&[("addOnParameters", Object(&[("parameters", TextMap)]))]),
    ),
]);

const ATTACHMENT: Shape = Object(&[
    ("fileUrl", Text),
    ("title", Text),
    ("mimeType", Text),
    ("iconLink", Text),
    ("fileId", Text),
]);

const EVENT_TYPES: &[&str] = &[
    "birthday",
    "default",
    "focusTime",
    "fromGmail",
    "outOfOffice",
    "workingLocation",
];

const EVENT: &[(&str, Shape)] = &[
    ("id", Text),
    ("iCalUID", Text),
    ("status", OneOf(&["confirmed", "tentative", "cancelled"])),
    ("summary", Text),
    ("description", Text),
    ("location", Text),
    ("colorId", Text),
    ("eventLabelId", Text),
    ("start", WHEN),
    ("end", WHEN),
    ("endTimeUnspecified", Flag),
    ("recurrence", List(&Text)),
    ("originalStartTime", WHEN),
    ("recurringEventId", Text),
    ("transparency", OneOf(&["opaque", "transparent"])),
    (
        "visibility",
        OneOf(&["default", "public", "private", "confidential"]),
    ),
    ("sequence", Whole),
    ("attendees", List(&ATTENDEE)),
    ("attendeesOmitted", Flag),
    (
        "organizer",
        Object(&[("id", Text), ("email", Text), ("displayName", Text)]),
    ),
    (
        "extendedProperties",
        Object(&[("private", TextMap), ("shared", TextMap)]),
    ),
    ("conferenceData", CONFERENCE),
    ("gadget", Anything),
    ("anyoneCanAddSelf", Flag),
    ("guestsCanInviteOthers", Flag),
    ("guestsCanModify", Flag),
    ("guestsCanSeeOtherGuests", Flag),
    ("privateCopy", Flag),
    (
        "reminders",
        Object(&[("useDefault", Flag), ("overrides", List(&REMINDER))]),
    ),
    ("source", Object(&[("url", Text), ("title", Text)])),
    ("attachments", List(&ATTACHMENT)),
    ("eventType", OneOf(EVENT_TYPES)),
    ("workingLocationProperties", Anything),
    ("outOfOfficeProperties", Anything),
    ("focusTimeProperties", Anything),
    ("birthdayProperties", Anything),
];

/// The known, writable fields of a request body; explicit nulls are kept, for the caller knows what they mean.
pub(crate) fn event_fields(body: &Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    known_fields(EVENT, body, "")
}

fn known_fields(
    fields: &[(&str, Shape)],
    given: &Map<String, Value>,
    path: &str,
) -> Result<Map<String, Value>, ApiError> {
    let mut kept = Map::new();
    for (name, value) in given {
        if let Some((_, shape)) = fields.iter().find(|(known, _)| known == name) {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            kept.insert(name.clone(), checked(shape, value, &path)?);
        }
    }
    Ok(kept)
}

fn checked(shape: &Shape, value: &Value, path: &str) -> Result<Value, ApiError> {
    let wrong = || ApiError::invalid(format!("Invalid value for: {path}"));
    if value.is_null() {
        return Ok(Value::Null);
    }
    match shape {
        Text if value.is_string() => Ok(value.clone()),
        Flag if value.is_boolean() => Ok(value.clone()),
        Whole => whole(value).ok_or_else(wrong),
        OneOf(allowed) => match value.as_str() {
            Some(text) if allowed.contains(&text) => Ok(value.clone()),
            Some(_) | None => Err(wrong()),
        },
        Object(fields) => Ok(Value::Object(known_fields(
            fields,
            value.as_object().ok_or_else(wrong)?,
            path,
        )?)),
        TextMap => {
            let map = value.as_object().ok_or_else(wrong)?;
            if map.values().all(|value| value.is_string() || value.is_null()) {
                Ok(value.clone())
            } else {
                Err(wrong())
            }
        }
        List(item) => {
            let items = value.as_array().ok_or_else(wrong)?;
            let items = items.iter().filter(|item| !item.is_null());
            let items: Result<Vec<_>, _> = items.map(|value| checked(item, value, path)).collect();
            Ok(Value::Array(items?))
        }
        Anything => Ok(value.clone()),
        Text | Flag => Err(wrong()),
    }
}

/// Google reads int32 fields from numbers and from decimal text.
fn whole(value: &Value) -> Option<Value> {
    let number = match value {
        Value::String(text) => text.parse::<i32>().ok(),
        Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.map(Value::from)
}

/// Merge patch: null removes, objects merge, arrays and everything else replace.
/// <https://developers.google.com/workspace/calendar/api/guides/performance#patch>
pub(crate) fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(&name);
            }
            Value::Object(changes) => {
                // An object that the client empties on purpose stays: `"homeOffice": {}` says something.
                let says_empty = changes.is_empty();
                let slot = target
                    .entry(name.clone())
                    .or_insert_with(|| Value::Object(Map::new()));
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(inner) = slot {
                    merge(inner, changes);
                    if inner.is_empty() && !says_empty {
                        target.remove(&name);
                    }
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                target.insert(name, value);
            }
        }
    }
}

/// The same body with every null taken out: in a creation or replacement null says nothing.
pub(crate) fn without_nulls(body: Map<String, Value>) -> Map<String, Value> {
    let mut clean = Map::new();
    merge(&mut clean, body);
    clean
}
