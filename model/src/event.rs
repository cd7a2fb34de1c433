//! The kind `event`: one event, or a series with its overrides.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::canonical::{Canonical, already_canonical};
use crate::record::kind;
use crate::schema::MergeClass::{Instant, KeyedSet, Map as MapMerge, Reference, Scalar, Set, Text};
use crate::time::EventTime;

kind! {
    /// A calendar event: a single one, or the master of a series.
    Event, "event" {
        /// Title, plain text.
        title: String => Text, Shared;
        /// Description, plain and rich.
        description: Description => Text, Shared;
        /// When it starts.
        start: EventTime => Instant, Shared, group = "schedule";
        /// When it ends: the first moment, or day, that no longer belongs to it.
        end: EventTime => Instant, Shared, group = "schedule";
        /// Confirmed, tentative or cancelled.
        status: EventStatus => Scalar, Shared;
        /// Who may see the details.
        visibility: Visibility => Scalar, Shared;
        /// Whether it blocks time.
        busy: bool => Scalar, Shared;
        /// Place, plain text.
        location: String => Text, Shared;
        /// Where to join remotely.
        conferencing: Conferencing => Scalar, Shared;
        /// Who called the meeting.
        organizer: Person => Scalar, Shared;
        /// Who is invited, told apart by address.
        attendees: Vec<Attendee> => KeyedSet { key: "address" }, Shared;
        /// The answer of the account that this event was read with.
        my_response: Response => Scalar, PerLink;
        /// Alarms of this account.
        reminders: Reminders => Scalar, PerLink;
        /// How the event repeats; absent for a single event.
        recurrence: Recurrence => Scalar, Shared, group = "schedule", master_only;
        /// Revision counter of the provider (RFC 5545 section 3.8.7.4).
        sequence: i64 => Scalar, PerLink, master_only, read_only;
        /// iCalendar UID, the same for all copies of an event.
        uid: String => Scalar, Shared, master_only, read_only;
        /// Free labels.
        categories: Vec<String> => Set, Shared;
        /// Colour as `#rrggbb` or a CSS name, on this account.
        color: String => Scalar, PerLink;
        /// A page about the event.
        url: String => Scalar, Shared;
        /// Attached documents, told apart by address.
        attachments: Vec<Attachment> => KeyedSet { key: "uri" }, Shared;
        /// When the provider says it was created, RFC 3339 in UTC.
        created_at: String => Instant, PerLink, master_only, read_only;
        /// When the provider says it last changed, RFC 3339 in UTC. Shown, never compared between providers.
        updated_at: String => Instant, PerLink, master_only, read_only;
        /// The series that this one was split from by a "this and following" edit.
        split_from: String => Reference, Shared, master_only, read_only;
        /// The organization's own fields.
        custom: Map<String, Value> => MapMerge, Shared;
    }
}

/// Whether an event takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventStatus {
    /// It takes place.
    Confirmed,
    /// It may take place.
    Tentative,
    /// It does not take place.
    Cancelled,
}

/// Who may see an event's details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// As the calendar says.
    Default,
    /// Everyone who sees the calendar.
    Public,
    /// Only the guests.
    Private,
    /// Only the guests, and marked as confidential.
    Confidential,
}

/// An answer to an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// No answer yet.
    NeedsAction,
    /// Yes.
    Accepted,
    /// No.
    Declined,
    /// Perhaps.
    Tentative,
    /// Someone else was sent instead.
    Delegated,
}

/// What an attendee does at the meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Leads it.
    Chair,
    /// Takes part.
    Participant,
    /// Is told of it, does not take part.
    Informed,
    /// A room or a device.
    Resource,
}

already_canonical!(EventStatus, Visibility, Response);

/// A description. Rich text stays in the hub when a provider can hold only the plain one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Plain text.
    pub text: String,
    /// The same as HTML, where someone wrote it so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
}

impl Canonical for Description {
    fn canonical(self) -> Option<Self> {
        let html = self.html.and_then(Canonical::canonical);
        let text = self.text.canonical().unwrap_or_default();
        (html.is_some() || !text.is_empty()).then_some(Self { text, html })
    }
}

/// Where to join remotely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Conferencing {
    /// The address to open or dial.
    pub uri: String,
    /// What it is called, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
}

impl Canonical for Conferencing {
    fn canonical(self) -> Option<Self> {
        Some(Self {
            uri: self.uri.canonical()?,
            label: self.label.and_then(Canonical::canonical),
        })
    }
}

/// A person by address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Mail address in lower case, without `mailto:`.
    pub address: String,
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Canonical for Person {
    fn canonical(self) -> Option<Self> {
        Some(Self {
            address: self.address.trim().to_lowercase().canonical()?,
            name: self.name.and_then(Canonical::canonical),
        })
    }
}

/// Someone who is invited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attendee {
    /// Mail address in lower case, without `mailto:`.
    pub address: String,
    /// Display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What they do there.
    #[serde(default = "participant")]
    pub role: Role,
    /// Their answer.
    #[serde(default = "needs_action")]
    pub response: Response,
    /// Whether they may stay away.
    #[serde(default)]
    pub optional: bool,
}

const fn participant() -> Role {
    Role::Participant
}

const fn needs_action() -> Response {
    Response::NeedsAction
}

/// Sorted by address; of two entries with one address the first stays.
impl Canonical for Vec<Attendee> {
    fn canonical(mut self) -> Option<Self> {
        for attendee in &mut self {
            attendee.address = attendee.address.trim().to_lowercase();
            attendee.name = attendee.name.take().and_then(Canonical::canonical);
        }
        self.retain(|attendee| !attendee.address.is_empty());
        self.sort_by(|a, b| a.address.cmp(&b.address));
        self.dedup_by(|later, earlier| later.address == earlier.address);
        (!self.is_empty()).then_some(self)
    }
}

/// Alarms of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reminders {
    /// Whether the calendar's default alarms apply.
    #[serde(default)]
    pub use_default: bool,
    /// Alarms of this event alone.
    #[serde(default)]
    pub items: Vec<Reminder>,
}

/// One alarm.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reminder {
    /// Minutes before the start; negative after it.
    pub minutes_before: i64,
    /// How it reaches the person.
    pub method: ReminderMethod,
}

/// How an alarm reaches a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReminderMethod {
    /// On the screen.
    Popup,
    /// By mail.
    Email,
}

impl Canonical for Reminders {
    fn canonical(mut self) -> Option<Self> {
        self.items.sort();
        self.items.dedup();
        (self.use_default || !self.items.is_empty()).then_some(self)
    }
}

/// How an event repeats. Excluded dates are overrides whose status is `cancelled`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Recurrence {
    /// RFC 5545 RRULE values without the `RRULE:` prefix; parts in upper case, sorted by name with `FREQ` first.
    #[serde(default)]
    pub rules: Vec<String>,
    /// Further occurrences, as wall times in the series' zone or days (RDATE).
    #[serde(default)]
    pub dates: Vec<String>,
}

impl Canonical for Recurrence {
    fn canonical(self) -> Option<Self> {
        let mut rules: Vec<String> = self.rules.iter().map(|rule| canonical_rule(rule)).collect();
        rules.retain(|rule| !rule.is_empty());
        rules.sort();
        rules.dedup();
        let dates = self.dates.canonical().unwrap_or_default();
        (!rules.is_empty() || !dates.is_empty()).then_some(Self { rules, dates })
    }
}

/// One RRULE in canonical form: upper case, parts sorted with `FREQ` first, `INTERVAL=1` left out.
fn canonical_rule(rule: &str) -> String {
    let rule = rule.trim().to_uppercase();
    let rule = rule.strip_prefix("RRULE:").unwrap_or(&rule);
    let mut parts: Vec<&str> = rule
        .split(';')
        .map(str::trim)
        .filter(|part| !part.is_empty() && *part != "INTERVAL=1")
        .collect();
    parts.sort_by_key(|part| (!part.starts_with("FREQ="), *part));
    parts.dedup();
    parts.join(";")
}

/// An attached document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attachment {
    /// Where it is.
    pub uri: String,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its media type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
}

impl Canonical for Vec<Attachment> {
    fn canonical(mut self) -> Option<Self> {
        self.retain(|attachment| !attachment.uri.is_empty());
        self.sort_by(|a, b| a.uri.cmp(&b.uri));
        self.dedup_by(|later, earlier| later.uri == earlier.uri);
        (!self.is_empty()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kind::Kind;
    use serde_json::json;

    fn canonical(field: &str, value: Value) -> Value {
        let fields = [(field.to_owned(), value)].into();
        Kind::Event
            .schema()
            .canonical(fields)
            .unwrap()
            .remove(field)
            .unwrap()
    }

    #[test]
    fn attendees_are_a_set_by_address() {
        let read = canonical(
            "attendees",
            json!([{"address": "Zoe@Example.org"}, {"address": "al@example.org"}, {"address": "zoe@example.ORG"}]),
        );
        assert_eq!(read[0]["address"], "al@example.org");
        assert_eq!(read[1]["address"], "zoe@example.org");
        assert_eq!(read.as_array().unwrap().len(), 2);
    }

    #[test]
    fn the_same_rule_written_in_two_ways_is_one() {
        let a = canonical(
            "recurrence",
            json!({"rules": ["RRULE:INTERVAL=1;BYDAY=MO,WE;FREQ=weekly"]}),
        );
        let b = canonical(
            "recurrence",
            json!({"rules": ["FREQ=WEEKLY;BYDAY=MO,WE"], "dates": []}),
        );
        assert_eq!(a, b);
    }

    #[test]
    fn text_that_is_empty_says_nothing() {
        assert_eq!(canonical("title", json!("")), Value::Null);
        assert_eq!(canonical("title", json!("a\r\nb")), json!("a\nb"));
    }

    #[test]
    fn unknown_fields_and_wrong_types_are_named() {
        let schema = Kind::Event.schema();
        let unknown = schema
            .canonical([("titel".to_owned(), json!("x"))].into())
            .unwrap_err();
        assert_eq!(unknown.field, "titel");
        let wrong = schema
            .canonical([("busy".to_owned(), json!("yes"))].into())
            .unwrap_err();
        assert_eq!(wrong.field, "busy");
    }
}
