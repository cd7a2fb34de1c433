//! Records that every provider of their kind can hold.

use model::{Content, Fields, Kind, PartKey, series};
use serde_json::{Value, json};

/// The names of three optional fields of a kind: what a record is called, where it belongs, and what is noted of it.
#[must_use]
pub const fn names(kind: Kind) -> [&'static str; 3] {
    match kind {
        Kind::Event => ["title", "location", "description"],
        Kind::Contact => ["display_name", "company", "notes"],
        Kind::Calendar => ["name", "zone", "description"],
        Kind::Folder => ["name", "path", "role"],
        // What was sent does not change; what a reader notes of it does.
        Kind::Message => ["labels", "flags", "custom"],
    }
}

/// A record of a kind.
#[must_use]
pub fn plain(kind: Kind, title: &str) -> Content {
    match kind {
        Kind::Event => event(title),
        Kind::Contact => contact(title),
        Kind::Calendar => Content::new(fields(json!({"name": title, "description": "For coffee"}))),
        Kind::Folder => Content::new(fields(json!({"name": title}))),
        Kind::Message => message(title),
    }
}

/// A record of a kind in which people stand.
#[must_use]
pub fn with_people(kind: Kind, title: &str) -> Content {
    match kind {
        Kind::Event => meeting(title),
        Kind::Contact | Kind::Calendar | Kind::Folder | Kind::Message => plain(kind, title),
    }
}

/// A value of the first of a kind's [`names`].
#[must_use]
pub fn title(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Event | Kind::Contact | Kind::Calendar | Kind::Folder => json!(text),
        Kind::Message => json!([text]),
    }
}

/// A value of the second of a kind's [`names`], other than that of [`plain`].
#[must_use]
pub fn elsewhere(kind: Kind) -> Value {
    match kind {
        Kind::Event | Kind::Contact | Kind::Calendar | Kind::Folder => json!("Elsewhere"),
        Kind::Message => json!(["answered"]),
    }
}

/// A message.
#[must_use]
pub fn message(subject: &str) -> Content {
    Content::new(fields(json!({
        "subject": subject,
        "from": [{"address": "grace@example.org", "name": "Grace"}],
        "to": [{"address": "zoe@example.net"}],
        "sent_at": "2026-03-01T09:00:00Z",
        "message_id": format!("{subject}@example.org"),
        "thread": format!("{subject}@example.org"),
        "flags": ["flagged", "seen"],
        "labels": [subject],
        "body": {"text": "Bring coffee"},
    })))
}

/// A contact.
#[must_use]
pub fn contact(name: &str) -> Content {
    Content::new(fields(json!({
        "display_name": name,
        "company": "Room 1",
        "notes": {"text": "Bring coffee"},
        "emails": [{"address": "grace@example.org", "label": "work"}, {"address": "zoe@example.net"}],
        "phones": [{"number": "+49 30 1234", "label": "mobile"}],
        "birthday": "1985-04-01",
    })))
}

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
