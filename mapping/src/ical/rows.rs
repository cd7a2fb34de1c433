//! The mapping of iCalendar events (RFC 5545, RFC 7986) as data.
//!
//! `my_response` has no row: an object does not say which attendee the account is. Cancelled overrides, whole
//! overrides and `EXDATE` are the affair of `parts.rs`.

use crate::engine::{Choice, Codec, Direction, Flag, Row};

/// RFC 5545 section 3.8.1.11. An event that says nothing takes place.
static STATUS: Choice = Choice {
    words: &[
        ("confirmed", "CONFIRMED"),
        ("tentative", "TENTATIVE"),
        ("cancelled", "CANCELLED"),
    ],
    absent: "confirmed",
    unknown: "confirmed",
};

/// RFC 5545 section 3.8.1.3: "Applications MUST treat x-name and iana-token values they don't recognize the same
/// way as they would the PRIVATE value".
static CLASS: Choice = Choice {
    words: &[
        ("public", "PUBLIC"),
        ("private", "PRIVATE"),
        ("confidential", "CONFIDENTIAL"),
    ],
    absent: "default",
    unknown: "private",
};

/// RFC 5545 section 3.8.2.7.
static TRANSP: Flag = Flag {
    yes: "OPAQUE",
    no: "TRANSPARENT",
    absent: true,
};

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

/// The rows, in the order in which they are written: the start before everything that is told relative to it.
pub static EVENT_ROWS: &[Row] = &[
    Row {
        field: "uid",
        path: "UID",
        codec: Codec::Text,
        direction: Direction::Create,
    },
    row("start", "DTSTART", Codec::Time),
    row("end", "DTEND", Codec::EndTime),
    row("recurrence", "RRULE", Codec::Recurrence),
    row("title", "SUMMARY", Codec::Text),
    row("description", "DESCRIPTION", Codec::Description),
    row("location", "LOCATION", Codec::Text),
    row("status", "STATUS", Codec::Choice(&STATUS)),
    row("visibility", "CLASS", Codec::Choice(&CLASS)),
    row("busy", "TRANSP", Codec::Flag(&TRANSP)),
    row("organizer", "ORGANIZER", Codec::Person),
    row("attendees", "ATTENDEE", Codec::Attendees),
    row("categories", "CATEGORIES", Codec::Labels),
    row("color", "COLOR", Codec::Text),
    row("url", "URL", Codec::Uri),
    row("attachments", "ATTACH", Codec::Attachments),
    row("conferencing", "CONFERENCE", Codec::Conferencing),
    row("reminders", "VALARM", Codec::Reminders),
    read_only("sequence", "SEQUENCE", Codec::Number),
    read_only("created_at", "CREATED", Codec::Moment),
    read_only("updated_at", "LAST-MODIFIED", Codec::Moment),
];
