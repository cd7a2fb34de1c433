//! Reading: the account's calendars, their events behind sync tokens, single events.
//! <https://developers.google.com/workspace/calendar/api/guides/sync>

use std::collections::HashSet;

use async_trait::async_trait;
use connector_sdk::{
    Access, Change, Context, Cursor, Error, ErrorKind, Listing, Page, Pull, PullRequest, RemoteCollection,
    RemoteId,
};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _, iter};
use model::Kind;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::api::Api;
use crate::connector::GoogleConnector;
use crate::object::change;

/// Events per page. Google allows 2500; a page is held in memory and stored in one transaction.
const PAGE_SIZE: &str = "250";
/// Calendars per page, the most that is allowed.
const CALENDARS_PER_PAGE: &str = "250";
/// How many single events are asked for at the same time.
const FETCHED_AT_ONCE: usize = 4;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EventList {
    #[serde(default)]
    items: Vec<Box<RawValue>>,
    next_page_token: Option<String>,
    next_sync_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CalendarList {
    #[serde(default)]
    items: Vec<Value>,
    next_page_token: Option<String>,
}

#[async_trait]
impl Pull for GoogleConnector {
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        let api = Api::new(ctx, "collections");
        let mut collections = Vec::new();
        let mut token: Option<String> = None;
        loop {
            // A hidden calendar is one that the web page does not show; it is the account's all the same.
            let mut query = vec![("maxResults", CALENDARS_PER_PAGE), ("showHidden", "true")];
            query.extend(token.as_deref().map(|token| ("pageToken", token)));
            let url = api.url(&["users", "me", "calendarList"], &query)?;
            let list: CalendarList = api.get(url).await?;
            for item in &list.items {
                collections.extend(collection(&api, item)?);
            }
            token = following(&api, token, list.next_page_token)?;
            if token.is_none() {
                return Ok(collections);
            }
        }
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        async_stream::try_stream! {
            let api = Api::new(ctx, "pull");
            let mut token: Option<String> = None;
            let mut gone = HashSet::new();
            while !ctx.cancel.is_cancelled() {
                let list = list_events(&api, request, token.as_deref()).await?;
                token = following(&api, token, list.next_page_token)?;
                let last = token.is_none();
                yield Page {
                    changes: changes(request.collection, &list.items, &mut gone),
                    // The first request fixed what the list holds, and the token stands for that moment: what
                    // changed while we paged is in the next delta.
                    cursor: list.next_sync_token.filter(|_| last).map(Cursor),
                    listing: match (request.cursor, last) {
                        (Some(_), _) => Listing::Delta,
                        (None, false) => Listing::Partial,
                        (None, true) => Listing::Complete,
                    },
                };
                if last {
                    break;
                }
            }
        }
        .boxed()
    }

    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        let api = &Api::new(ctx, "fetch");
        let found: Vec<Option<Change>> = iter(ids.to_vec())
            .map(|id| async move { get_event(api, collection, &id).await })
            .buffered(FETCHED_AT_ONCE)
            .try_collect()
            .await?;
        if found.iter().any(Option::is_none) {
            check_calendar(api, collection).await?;
        }
        let changes = found.into_iter().zip(ids);
        Ok(changes
            .map(|(change, id)| change.unwrap_or_else(|| Change::Deleted(id.clone())))
            .collect())
    }
}

/// One page of a calendar's events. Without `showDeleted` and `singleEvents`, deleted events are left out of a
/// complete list, while the cancelled instances of living series are in it; behind a sync token both are in.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/events/list#showDeleted>
async fn list_events(
    api: &Api<'_>,
    request: PullRequest<'_>,
    token: Option<&str>,
) -> Result<EventList, Error> {
    let mut query = vec![("maxResults", PAGE_SIZE)];
    query.extend(request.cursor.map(|cursor| ("syncToken", cursor.0.as_str())));
    query.extend(token.map(|token| ("pageToken", token)));
    let url = api.url(&["calendars", &request.collection.id.0, "events"], &query)?;
    let listed = api.get(url).await;
    listed.map_err(|error: Error| match (error.status, request.cursor) {
        // "410: Gone ... the client must do a full sync", whatever the reason is called.
        (Some(410), Some(_)) => Error {
            kind: ErrorKind::CursorExpired,
            ..error
        },
        (Some(_) | None, _) => error,
    })
}

/// The changes of a page, masters before the overrides that name them. Overrides of a series that is deleted in the
/// same pull went with it.
fn changes(
    collection: &RemoteCollection,
    items: &[Box<RawValue>],
    gone: &mut HashSet<RemoteId>,
) -> Vec<Change> {
    let read: Vec<Change> = items.iter().map(|item| change(collection, item)).collect();
    gone.extend(read.iter().filter_map(|change| match change {
        Change::Deleted(id) => Some(id.clone()),
        Change::Present(_) | Change::Unchanged(_) | Change::Unreadable { .. } => None,
    }));
    let (overrides, masters): (Vec<Change>, Vec<Change>) = read.into_iter().partition(is_override);
    let overrides = overrides.into_iter().map(|change| match change {
        Change::Present(object)
            if model::series::is_cancelled(&object.content.fields)
                && object
                    .series
                    .as_ref()
                    .is_some_and(|part| gone.contains(&part.series)) =>
        {
            Change::Deleted(object.id)
        }
        change @ (Change::Present(_)
        | Change::Unchanged(_)
        | Change::Deleted(_)
        | Change::Unreadable { .. }) => change,
    });
    masters.into_iter().chain(overrides).collect()
}

fn is_override(change: &Change) -> bool {
    match change {
        Change::Present(object) => object.series.is_some(),
        Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => false,
    }
}

/// One event; `None` when Google knows no such event, or no such calendar.
pub(crate) async fn get_event(
    api: &Api<'_>,
    collection: &RemoteCollection,
    id: &RemoteId,
) -> Result<Option<Change>, Error> {
    let url = api.url(&["calendars", &collection.id.0, "events", &id.0], &[])?;
    match api.get::<Box<RawValue>>(url).await {
        Ok(raw) => Ok(Some(change(collection, &raw))),
        Err(error) if error.status == Some(410) => Ok(Some(Change::Deleted(id.clone()))),
        Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Tells an event that is not there from a calendar that is out of sight: for both, Google answers 404.
pub(crate) async fn check_calendar(api: &Api<'_>, collection: &RemoteCollection) -> Result<(), Error> {
    let url = api.url(&["calendars", &collection.id.0, "events"], &[("maxResults", "1")])?;
    api.get::<EventList>(url).await.map(drop)
}

/// The next page's token; an error when it is the one that led here, because such a list would never end.
fn following(api: &Api<'_>, before: Option<String>, next: Option<String>) -> Result<Option<String>, Error> {
    if next.is_some() && next == before {
        return Err(api.error(ErrorKind::Unexpected, "the list of pages goes round in a circle"));
    }
    Ok(next)
}

/// A calendar of the account's list; `None` for one that it has left.
/// <https://developers.google.com/workspace/calendar/api/v3/reference/calendarList>
fn collection(api: &Api<'_>, item: &Value) -> Result<Option<RemoteCollection>, Error> {
    let text = |name: &str| {
        item.get(name)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    if item.get("deleted") == Some(&Value::Bool(true)) {
        return Ok(None);
    }
    let id = text("id").ok_or_else(|| api.error(ErrorKind::Unexpected, "a calendar has no id"))?;
    let may_write = matches!(
        text("accessRole"),
        Some("owner" | "writer" | "writerWithoutPrivateAccess")
    );
    let (fields, understood) = match mapping::google::read_calendar(item) {
        Ok(fields) => (fields, true),
        // Without its zone nothing can be written to it without guessing.
        Err(error) => {
            tracing::warn!(%error, "a calendar's own settings cannot be read; it is taken as read-only");
            (model::Fields::new(), false)
        }
    };
    Ok(Some(RemoteCollection {
        id: RemoteId(id.to_owned()),
        kind: Kind::Event,
        name: text("summaryOverride")
            .or_else(|| text("summary"))
            .unwrap_or(id)
            .to_owned(),
        access: if may_write && understood {
            Access::ReadWrite
        } else {
            Access::ReadOnly
        },
        fields,
    }))
}
