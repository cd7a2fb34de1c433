//! What clients say of an event: any writable field, and nothing else.

use model::{CollectionId, Event, Fields};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::error::{ApiError, Code};

/// Members of an event's JSON that are no fields of it.
const SHOWN_ONLY: &[&str] = &[
    "id",
    "version",
    "links",
    "first_seen_at",
    "changed_at",
    "expansion_error",
    "occurrence",
    "is_override",
    "starts_at",
    "ends_at",
];

/// A new event.
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(example = json!({
    "calendar_id": "coll_01jd3m8y6q0000000000000000",
    "title": "Design review",
    "start": {"kind": "zoned", "wall": "2026-01-05T14:00:00", "zone": "Europe/Berlin"},
    "end": {"kind": "zoned", "wall": "2026-01-05T15:00:00", "zone": "Europe/Berlin"},
    "recurrence": {"rules": ["FREQ=WEEKLY;BYDAY=MO;COUNT=6"]},
    "attendees": [{"address": "grace@example.com", "name": "Grace"}]
}))]
pub struct NewEvent {
    /// The calendar to make it in.
    pub calendar_id: CollectionId,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
}

/// Changes to an event: fields that are absent stay, `null` clears (JSON Merge Patch, RFC 7396).
#[derive(Debug, serde::Serialize, ToSchema)]
#[schema(example = json!({"title": "Design review (moved)", "location": null}))]
pub struct EventPatch {
    /// What it shall say.
    #[serde(flatten)]
    pub event: Event,
}

/// Takes the calendar and the fields of a new event out of its body.
///
/// # Errors
/// When the calendar is missing, or a member is shown only.
pub(super) fn new_event(mut body: Map<String, Value>) -> Result<(CollectionId, Fields), ApiError> {
    let at = serde_json::json!({ "path": "calendar_id" });
    let calendar = match body.remove("calendar_id") {
        None | Some(Value::Null) => {
            let message = "`calendar_id` is missing: say in which calendar to make the event (`/v1/calendars` lists them)";
            return Err(ApiError::new(Code::MissingField, message).with_details(at));
        }
        Some(Value::String(id)) => id,
        Some(_) => {
            return Err(ApiError::new(Code::WrongType, "`calendar_id` must be text").with_details(at));
        }
    };
    let calendar = calendar
        .parse()
        .map_err(|_| ApiError::invalid_field("calendar_id", "is not the id of a calendar"))?;
    Ok((calendar, changes(body)?.into_iter().collect()))
}

/// Checks that a patch names fields of an event only; the engine checks their values.
///
/// # Errors
/// When a member is shown only.
pub(in crate::api) fn changes(body: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    for name in body.keys() {
        let problem = match name.as_str() {
            "overrides" => "is read-only here: edit an occurrence at /v1/events/{id}/occurrences/{start}",
            "calendar_id" => "is read-only: an event stays in its calendar; make it anew in the other one",
            shown if SHOWN_ONLY.contains(&shown) => "is set by the hub and cannot be written",
            _ => continue,
        };
        let at = serde_json::json!({ "path": name });
        return Err(ApiError::new(Code::ReadOnly, format!("`{name}` {problem}")).with_details(at));
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn body(value: Value) -> Map<String, Value> {
        let Value::Object(body) = value else {
            panic!("an object")
        };
        body
    }

    #[test]
    fn a_new_event_needs_a_calendar() {
        for (value, code) in [
            (json!({"title": "x"}), Code::MissingField),
            (json!({"calendar_id": 7}), Code::WrongType),
            (json!({"calendar_id": "conn_01"}), Code::InvalidField),
        ] {
            assert_eq!(new_event(body(value.clone())).unwrap_err().code, code, "{value}");
        }
        let (calendar, fields) = new_event(body(json!({"calendar_id": "coll_01", "title": "x"}))).unwrap();
        assert_eq!((calendar.as_str(), fields.len()), ("coll_01", 1));
    }

    #[test]
    fn what_is_shown_only_cannot_be_written() {
        for name in ["id", "version", "links", "overrides", "calendar_id", "changed_at"] {
            let error = changes(body(json!({ name: 1 }))).unwrap_err();
            assert_eq!(error.code, Code::ReadOnly, "{name}");
            assert_eq!(error.details.unwrap()["path"], name);
        }
    }
}
