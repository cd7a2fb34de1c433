//! Lists of events: all of them in order of id, or those of a window in order of time, their series expanded or not.

use jiff::tz::TimeZone;
use model::expand::{self, Occurrence};
use model::{CollectionId, ConnectionId, Kind};
use serde::Deserialize;
use store::{EventFilter, Page, Paging, RecordFilter, RecordView};
use utoipa::IntoParams;

use super::view::{EventItem, EventOut, OccurrenceOut, content, mentions};
use crate::api::envelope::List;
use crate::api::error::{ApiError, Code};
use crate::api::extract::{Caller, paging};
use crate::api::window::{Place, Window, moment, zone};

/// Events and series that one window may hold.
const MAX_EVENTS: u32 = 5_000;
/// Occurrences that one window may hold.
const MAX_ITEMS: usize = 50_000;

/// Which events, and in which form.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventParams {
    /// With a link on this connection.
    #[param(value_type = Option<String>)]
    connection_id: Option<ConnectionId>,
    /// In this calendar.
    #[param(value_type = Option<String>)]
    calendar_id: Option<CollectionId>,
    /// The same as `calendar_id`.
    #[param(value_type = Option<String>)]
    collection_id: Option<CollectionId>,
    /// Changed in the hub after this moment (RFC 3339).
    #[param(example = "2026-01-05T00:00:00Z")]
    updated_after: Option<String>,
    /// That contain this text, whatever its case.
    q: Option<String>,
    /// With an occurrence that ends after this moment (RFC 3339). Goes with `to`.
    #[param(example = "2026-01-05T00:00:00Z")]
    from: Option<String>,
    /// With an occurrence that begins before this moment, at most 366 days after `from`.
    #[param(example = "2026-01-12T00:00:00Z")]
    to: Option<String>,
    /// List the occurrences of series instead of the series. Needs `from` and `to`.
    expand: Option<bool>,
    /// The zone in which floating times and whole days are read: `UTC` unless given.
    #[param(example = "Europe/Berlin")]
    zone: Option<String>,
    /// At most so many, 1 to 200; 50 unless given.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// What of the events in a window is wanted, and how.
struct Wanted {
    window: Window,
    zone: TimeZone,
    expand: bool,
    updated_after: Option<i64>,
    q: Option<String>,
}

/// An element with its place in the order of time.
struct Placed {
    place: String,
    view: usize,
    form: Form,
}

/// In which form an element is shown.
enum Form {
    Event(Option<String>),
    Occurrence(Box<Occurrence>),
}

/// The piece of the list that the parameters ask for.
///
/// # Errors
/// When a parameter cannot be read or the window holds too much.
pub(super) async fn list(caller: &Caller, params: EventParams) -> Result<List<EventItem>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let window = Window::read(params.from.as_deref(), params.to.as_deref(), Place::Address)?;
    let zone = params
        .zone
        .as_deref()
        .map_or(Ok(TimeZone::UTC), |name| zone(name, Place::Address))?;
    let updated_after = params.updated_after.as_deref();
    let updated_after = updated_after
        .map(|text| moment("updated_after", text, Place::Address))
        .transpose()?
        .map(|at| at.as_millisecond());
    let collection = collection(&params)?;
    let expand = params.expand.unwrap_or(false);
    if let Some(window) = window {
        let filter = EventFilter {
            collections: collection.into_iter().collect(),
            connection: params.connection_id,
        };
        let q = params.q.map(|q| q.to_lowercase());
        let wanted = Wanted {
            window,
            zone,
            expand,
            updated_after,
            q,
        };
        return in_window(caller, filter, wanted, paging).await;
    }
    if expand {
        return Err(ApiError::new(
            Code::InvalidQuery,
            "`expand` needs `from` and `to`",
        ));
    }
    let filter = RecordFilter {
        connection: params.connection_id,
        collection,
        updated_after,
        q: params.q,
        ..RecordFilter::of_kind(Kind::Event)
    };
    let page = caller
        .store()
        .records(&caller.organization, &filter, &paging)
        .await?;
    let items = page
        .items
        .iter()
        .map(|view| Ok(EventItem::Event(Box::new(EventOut::of(view)?))));
    let items = items.collect::<Result<Vec<_>, ApiError>>()?;
    Ok(List::of(
        Page {
            items,
            next: page.next,
        },
        |item| item,
    ))
}

fn collection(params: &EventParams) -> Result<Option<CollectionId>, ApiError> {
    match (&params.calendar_id, &params.collection_id) {
        (Some(one), Some(other)) if one != other => Err(ApiError::new(
            Code::InvalidQuery,
            "`calendar_id` and `collection_id` are the same filter; give one",
        )),
        (one, other) => Ok(one.clone().or_else(|| other.clone())),
    }
}

async fn in_window(
    caller: &Caller,
    filter: EventFilter,
    wanted: Wanted,
    paging: Paging,
) -> Result<List<EventItem>, ApiError> {
    let (from_ms, to_ms) = (
        wanted.window.from.as_millisecond(),
        wanted.window.to.as_millisecond(),
    );
    let mut views = caller
        .store()
        .events_between(&caller.organization, from_ms, to_ms, &filter, MAX_EVENTS + 1)
        .await?;
    if views.len() > MAX_EVENTS as usize {
        return Err(too_much(&format!("more than {MAX_EVENTS} events")));
    }
    views.retain(|view| {
        wanted
            .updated_after
            .is_none_or(|after| view.record.updated_at > after)
    });
    // Up to 20,000 steps for each of up to 5,000 series: not on a thread that answers other requests.
    let listed = tokio::task::spawn_blocking(move || page(&views, &wanted, &paging));
    let page = listed
        .await
        .map_err(|error| ApiError::new(Code::Internal, error.to_string()))??;
    Ok(List::of(page, |item| item))
}

fn too_much(what: &str) -> ApiError {
    let message = format!("the window holds {what}; ask for a shorter one, or for one calendar");
    ApiError::new(Code::InvalidQuery, message)
}

fn page(views: &[RecordView], wanted: &Wanted, paging: &Paging) -> Result<Page<EventItem>, ApiError> {
    let mut placed = Vec::new();
    for (index, view) in views.iter().enumerate() {
        let content = content(view);
        if wanted.q.as_deref().is_some_and(|q| !mentions(&content, q)) {
            continue;
        }
        let id = &view.record.id;
        let found = expand::occurrences(&content, wanted.window.from, wanted.window.to, &wanted.zone);
        let mut place = |at_ms: i64, key: &str, form| {
            // Sorts as text as it does in time: milliseconds of the years -9999 to 9999 have at most 15 digits.
            let place = format!("{:016} {id} {key}", at_ms.saturating_add(1_000_000_000_000_000));
            placed.push(Placed {
                place,
                view: index,
                form,
            });
        };
        match found {
            Ok(found) if wanted.expand => {
                for occurrence in found {
                    let key = occurrence.key.as_str().to_owned();
                    let at = occurrence.starts_at.as_millisecond();
                    place(at, &key, Form::Occurrence(Box::new(occurrence)));
                }
            }
            Ok(found) => {
                if let Some(first) = found.first() {
                    place(first.starts_at.as_millisecond(), "", Form::Event(None));
                }
            }
            Err(error) => {
                let error = wanted.expand.then(|| error.to_string());
                place(wanted.window.from.as_millisecond(), "", Form::Event(error));
            }
        }
        if placed.len() > MAX_ITEMS {
            return Err(too_much(&format!("more than {MAX_ITEMS} occurrences")));
        }
    }
    placed.sort_by(|a, b| a.place.cmp(&b.place));
    let begun = paging.after.as_deref().map_or(0, |after| {
        placed.partition_point(|item| item.place.as_str() <= after)
    });
    let limit = paging.limit as usize;
    let more = placed.len() - begun > limit;
    let next = more
        .then(|| placed.get(begun + limit - 1))
        .flatten()
        .map(|last| last.place.clone());
    let items = placed
        .into_iter()
        .skip(begun)
        .take(limit)
        .map(|item| shown(views, item));
    Ok(Page {
        items: items.collect::<Result<_, _>>()?,
        next,
    })
}

fn shown(views: &[RecordView], item: Placed) -> Result<EventItem, ApiError> {
    let view = &views[item.view];
    Ok(match item.form {
        Form::Event(expansion_error) => EventItem::Event(Box::new(EventOut {
            expansion_error,
            ..EventOut::of(view)?
        })),
        Form::Occurrence(occurrence) => {
            EventItem::Occurrence(Box::new(OccurrenceOut::of(view, *occurrence)?))
        }
    })
}
