//! The mapping of Google Calendar events as data.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events>
//!
//! Paths are members of the event's JSON, separated by `/`.

use crate::engine::{Choice, Codec, Direction, Flag, Row};

static STATUS: Choice = Choice {
    words: &[
        ("confirmed", "confirmed"),
        ("tentative", "tentative"),
        ("cancelled", "cancelled"),
    ],
    absent: "confirmed",
    unknown: "confirmed",
};

static VISIBILITY: Choice = Choice {
    words: &[
        ("default", "default"),
        ("public", "public"),
        ("private", "private"),
        ("confidential", "confidential"),
    ],
    absent: "default",
    unknown: "private",
};

static TRANSPARENCY: Flag = Flag {
    yes: "opaque",
    no: "transparent",
    absent: true,
};

/// The palette that the `colors` resource publishes for events; only these can be set.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/colors>
static EVENT_COLORS: &[(&str, &str)] = &[
    ("1", "#a4bdfc"),
    ("2", "#7ae7bf"),
    ("3", "#dbadff"),
    ("4", "#ff887c"),
    ("5", "#fbd75b"),
    ("6", "#ffb878"),
    ("7", "#46d6db"),
    ("8", "#e1e1e1"),
    ("9", "#5484ed"),
    ("10", "#51b749"),
    ("11", "#dc2127"),
];

const fn row(field: &'static str, path: &'static str, codec: Codec) -> Row {
    Row {
        field,
        path,
        codec,
        direction: Direction::Both,
    }
}

const fn read_only(field: &'static str, path: &'static str, codec: Codec) -> Row {
    Row {
        field,
        path,
        codec,
        direction: Direction::ReadOnly,
    }
}

/// The rows, in the order in which they are written: the start before what is told relative to it, the attendees
/// before the account's own answer among them.
pub static EVENT_ROWS: &[Row] = &[
    Row {
        field: "uid",
        path: "iCalUID",
        codec: Codec::Uid,
        direction: Direction::Create,
    },
    row("start", "start", Codec::Time),
    row("end", "end", Codec::EndTime),
    row("recurrence", "recurrence", Codec::Recurrence),
    row("title", "summary", Codec::Text),
    row("description", "description", Codec::Description),
    row("location", "location", Codec::Text),
    row("status", "status", Codec::Choice(&STATUS)),
    row("visibility", "visibility", Codec::Choice(&VISIBILITY)),
    row("busy", "transparency", Codec::Flag(&TRANSPARENCY)),
    // "To change the organizer, use the move operation. Read-only, except when importing an event."
    read_only("organizer", "organizer", Codec::Person),
    row("attendees", "attendees", Codec::Attendees),
    row("my_response", "attendees", Codec::MyResponse),
    row("reminders", "reminders", Codec::Reminders),
    row("color", "colorId", Codec::Palette(EVENT_COLORS)),
    row("url", "source/url", Codec::Uri),
    row("attachments", "attachments", Codec::Attachments),
    // Making a conference is an act with effects of its own, not an edit.
    read_only("conferencing", "conferenceData", Codec::Conferencing),
    row(
        "categories",
        "extendedProperties/private/concord.categories",
        Codec::Labels,
    ),
    row("custom", "extendedProperties/private", Codec::Custom),
    read_only("sequence", "sequence", Codec::Number),
    read_only("created_at", "created", Codec::Moment),
    read_only("updated_at", "updated", Codec::Moment),
];

/// The rows of a calendar list entry.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList>
pub static CALENDAR_ROWS: &[Row] = &[
    read_only("name", "summaryOverride", Codec::Text),
    read_only("name", "summary", Codec::Text),
    read_only("description", "description", Codec::Text),
    read_only("color", "backgroundColor", Codec::Text),
];
