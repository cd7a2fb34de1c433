//! Events and occurrences as clients see them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::expand::Occurrence;
use model::{CollectionId, Content, Event, Fields, RecordId};
use serde::Serialize;
use store::RecordView;
use sync::plan;
use sync::state::Link;
use utoipa::ToSchema;

use crate::api::envelope::moment;
use crate::api::error::{ApiError, Code};
use crate::api::links::LinkBrief;

/// An event, or a whole series.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct EventOut {
    /// Its id.
    pub id: RecordId,
    /// Rises by one with every change; send it as `If-Match` when editing.
    #[schema(example = 3)]
    pub version: i64,
    /// The calendar it was first seen or made in. What belongs to one account (reminders, my response, colour) is
    /// shown as it is there.
    pub calendar_id: Option<CollectionId>,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
    /// Occurrences that differ from the series, by original start: only what differs, `null` where it lacks what the
    /// series has. A deleted one has `"status": "cancelled"`.
    #[schema(value_type = BTreeMap<String, Event>)]
    pub overrides: BTreeMap<String, Fields>,
    /// How it stands at each provider.
    pub links: Vec<LinkBrief>,
    /// When the hub first saw or made it.
    pub first_seen_at: String,
    /// When it last changed in the hub; `updated_after` compares with this.
    pub changed_at: String,
    /// Why its occurrences cannot be listed; only with `expand=true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expansion_error: Option<String>,
}

/// One occurrence of a series, or a single event, at its time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OccurrenceOut {
    /// The id of the event or series.
    pub id: RecordId,
    /// Its version.
    pub version: i64,
    /// The calendar it was first seen or made in.
    pub calendar_id: Option<CollectionId>,
    /// The occurrence's original start: `/v1/events/{id}/occurrences/{occurrence}` edits it. `null` for an event that
    /// does not repeat.
    #[schema(example = "2026-01-05T09:00:00")]
    pub occurrence: Option<String>,
    /// Whether it differs from its series.
    pub is_override: bool,
    /// Its first moment.
    #[schema(value_type = String, example = "2026-01-05T08:00:00Z")]
    pub starts_at: Timestamp,
    /// The moment after it.
    #[schema(value_type = String, example = "2026-01-05T09:00:00Z")]
    pub ends_at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
    /// How the event or series stands at each provider.
    pub links: Vec<LinkBrief>,
}

/// An element of a list of events: with `expand=true` an occurrence, else an event. A series that cannot be expanded
/// is listed once, as an event with `expansion_error`.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum EventItem {
    /// An occurrence at its time.
    Occurrence(Box<OccurrenceOut>),
    /// An event or a whole series.
    Event(Box<EventOut>),
}

/// A record's fields and those that belong to the account of its home link.
#[must_use]
pub fn content(view: &RecordView) -> Content {
    home(view).map_or_else(
        || view.record.content.clone(),
        |link| plan::hub_side(&view.record, link),
    )
}

/// The link whose own fields are shown: that which the record came from, or another once that is gone.
#[must_use]
pub fn home(view: &RecordView) -> Option<&Link> {
    let home = view
        .links
        .iter()
        .find(|link| Some(&link.id) == view.record.home.as_ref());
    home.or_else(|| view.links.first())
}

fn typed(fields: &Fields) -> Result<Event, ApiError> {
    Event::from_fields(fields).map_err(|error| {
        tracing::error!(%error, "a stored event cannot be shown");
        ApiError::new(Code::Internal, "a stored event cannot be read")
    })
}

fn links(view: &RecordView) -> Vec<LinkBrief> {
    view.links.iter().map(LinkBrief::of).collect()
}

impl EventOut {
    /// An event as clients see it.
    ///
    /// # Errors
    /// When a stored field cannot be read.
    pub fn of(view: &RecordView) -> Result<Self, ApiError> {
        let content = content(view);
        let overrides = content.overrides.into_iter();
        Ok(Self {
            id: view.record.id.clone(),
            version: view.record.version,
            calendar_id: home(view).map(|link| link.collection.clone()),
            event: typed(&content.fields)?,
            overrides: overrides
                .map(|(key, fields)| (key.as_str().to_owned(), fields))
                .collect(),
            links: links(view),
            first_seen_at: moment(view.record.created_at),
            changed_at: moment(view.record.updated_at),
            expansion_error: None,
        })
    }
}

impl OccurrenceOut {
    /// An occurrence as clients see it.
    ///
    /// # Errors
    /// When a stored field cannot be read.
    pub fn of(view: &RecordView, occurrence: Occurrence) -> Result<Self, ApiError> {
        let Occurrence {
            key,
            fields,
            starts_at,
            ends_at,
        } = occurrence;
        Ok(Self {
            id: view.record.id.clone(),
            version: view.record.version,
            calendar_id: home(view).map(|link| link.collection.clone()),
            is_override: !key.is_master() && content(view).overrides.contains_key(&key),
            occurrence: (!key.is_master()).then(|| key.as_str().to_owned()),
            starts_at,
            ends_at,
            event: typed(&fields)?,
            links: links(view),
        })
    }
}

/// Whether the text, in lower case already, is in one of an event's texts.
#[must_use]
pub(super) fn mentions(content: &Content, lower: &str) -> bool {
    let mut parts = std::iter::once(&content.fields).chain(content.overrides.values());
    parts.any(|fields| {
        let texts = ["title", "location", "description"]
            .into_iter()
            .filter_map(|name| fields.get(name));
        texts
            .map(|value| value.get("text").unwrap_or(value))
            .any(|value| {
                value
                    .as_str()
                    .is_some_and(|text| text.to_lowercase().contains(lower))
            })
    })
}
