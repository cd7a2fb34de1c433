//! Events that every calendar can hold.

use model::{Content, Fields, PartKey, series};
use serde_json::{Value, json};

/// A single event.
#[must_use]
pub fn event(title: &str) -> Content {
    Content::new(fields(json!({
        "title": title,
        "location": "Room 1",
        "description": {"text": "Bring coffee"},
        "start": {"kind": "zoned", "wall": "2026-03-02T09:00:00", "zone": "Europe/Berlin"},
        "end": {"kind": "zoned", "wall": "2026-03-02T09:30:00", "zone": "Europe/Berlin"},
    })))
}

/// A single event with guests.
#[must_use]
pub fn meeting(title: &str) -> Content {
    let mut meeting = event(title);
    let guests = json!([
        {"address": "grace@example.org", "role": "participant", "response": "needs_action", "optional": false},
        {"address": "zoe@example.net", "role": "participant", "response": "needs_action", "optional": false},
    ]);
    meeting.fields.insert("attendees".to_owned(), guests);
    meeting
}

/// The occurrence of [`series()`] that says something else.
#[must_use]
pub fn edited() -> PartKey {
    PartKey::occurrence("2026-03-09T09:00:00")
}

/// The occurrence of [`series()`] that is cancelled.
#[must_use]
pub fn cancelled() -> PartKey {
    PartKey::occurrence("2026-03-16T09:00:00")
}

/// A weekly series with one occurrence that is moved and renamed, and one that is cancelled.
#[must_use]
pub fn series(title: &str) -> Content {
    let mut series = event(title);
    series.fields.insert(
        "recurrence".to_owned(),
        json!({"rules": ["FREQ=WEEKLY;COUNT=8"], "dates": []}),
    );
    let moved = fields(json!({
        "title": format!("{title}, longer"),
        "start": {"kind": "zoned", "wall": "2026-03-09T11:00:00", "zone": "Europe/Berlin"},
        "end": {"kind": "zoned", "wall": "2026-03-09T12:00:00", "zone": "Europe/Berlin"},
    }));
    series.overrides.insert(edited(), moved);
    series.overrides.insert(cancelled(), series::cancelled());
    series
}

fn fields(json: Value) -> Fields {
    serde_json::from_value(json).unwrap_or_default()
}
