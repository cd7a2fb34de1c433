//! Reading: everything or what changed since a cursor, page by page, as the provider is able to tell.

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{
    Access, Change, Context, Cursor, Error, ErrorKind, Listing, Page, Pull, PullRequest, RemoteCollection,
    RemoteId, RemoteVersion,
};
use futures::stream::{self, BoxStream, StreamExt as _};
use model::{Fields, Kind};
use rand::Rng as _;

use super::connector::SimConnector;
use super::fault::{Operation, WITH_CURSOR};
use super::objects::Mark;
use super::quirks::{Deltas, Hiding};
use super::state::State;

/// How likely a cursor is dead on arrival, where cursors die.
const DEAD_CURSORS: f64 = 0.25;

/// A place in a list: its order, then the id.
type Place = (i64, RemoteId);

/// A pull on its way.
#[derive(Clone)]
struct Reading {
    /// The rows at or behind this order; `None` for everything.
    since: Option<i64>,
    /// The rows up to this order.
    until: i64,
    /// The last row that was given.
    last: Option<Place>,
    /// How many rows were given.
    count: usize,
    /// Where the next pull goes on.
    next: Option<Cursor>,
}

/// How far a stream of pages is.
enum Progress {
    Asked,
    Reading(Reading),
    Over,
}

#[async_trait]
impl Pull for SimConnector {
    async fn collections(&self, _ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        self.provider
            .read(Operation::Collections, "collections", |state| {
                let ids: Vec<String> = state.shelves.keys().cloned().collect();
                Ok(ids.iter().map(|id| listed(state, id)).collect())
            })
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        stream::unfold(Progress::Asked, move |progress| async move {
            if ctx.cancel.is_cancelled() {
                return None;
            }
            let begun = match progress {
                Progress::Asked => None,
                Progress::Reading(reading) => Some(reading),
                Progress::Over => return None,
            };
            let name = match begun {
                None if request.cursor.is_some() => WITH_CURSOR,
                None | Some(_) => "pull",
            };
            let page = self.provider.read(Operation::Page, name, |state| {
                let mut reading = match begun {
                    Some(reading) => reading,
                    None => begin(state, request)?,
                };
                let (page, over) = next_page(state, request, &mut reading)?;
                let progress = if over {
                    Progress::Over
                } else {
                    Progress::Reading(reading)
                };
                Ok((page, progress))
            });
            Some(match page {
                Ok((page, progress)) => (Ok(page), progress),
                Err(error) => (Err(error), Progress::Over),
            })
        })
        .boxed()
    }

    async fn fetch(
        &self,
        _ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        self.provider.read(Operation::Fetch, "fetch", |state| {
            is_there(state, collection, "fetch")?;
            let mut changes = Vec::with_capacity(ids.len());
            for id in ids {
                changes.push(present(state, &collection.id.0, id)?);
            }
            Ok(changes)
        })
    }
}

/// The collection as the account sees it.
fn listed(state: &State, id: &str) -> RemoteCollection {
    let hidden = state
        .shelves
        .get(id)
        .is_some_and(|shelf| shelf.notes.values().any(|notes| notes.hidden));
    RemoteCollection {
        id: RemoteId(id.to_owned()),
        kind: state.kind,
        name: id.to_owned(),
        access: if hidden && state.quirks.hiding == Hiding::NotFound {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        },
        fields: match state.kind {
            Kind::Event => Fields::from([("name".to_owned(), id.into())]),
            Kind::Contact | Kind::Calendar | Kind::Folder | Kind::Message => Fields::new(),
        },
    }
}

pub(super) fn is_there(
    state: &State,
    collection: &RemoteCollection,
    operation: &'static str,
) -> Result<(), Error> {
    if state.shelves.contains_key(&collection.id.0) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, operation, "there is no such collection").with_status(404))
}

/// The present state of one object, as a fetch answers it.
fn present(state: &mut State, collection: &str, id: &RemoteId) -> Result<Change, Error> {
    if is_hidden(state, collection, id) {
        return match state.quirks.hiding {
            Hiding::Denied => Err(Error::new(
                ErrorKind::PermissionDenied,
                "fetch",
                "the account may not see this object",
            )
            .with_status(403)),
            Hiding::NotFound => Ok(Change::Deleted(id.clone())),
        };
    }
    Ok(shown(state, collection, id))
}

/// The object as it is, shown to the connector.
fn shown(state: &mut State, collection: &str, id: &RemoteId) -> Change {
    if let Some(change) = unreadable(state, collection, id) {
        return change;
    }
    match state.show(collection, id) {
        Some(object) => Change::Present(Box::new(object)),
        None => Change::Deleted(id.clone()),
    }
}

pub(super) fn is_hidden(state: &State, collection: &str, id: &RemoteId) -> bool {
    let Some(shelf) = state.shelves.get(collection) else {
        return false;
    };
    let record = shelf.objects.get(id).map(|seen| &seen.record);
    let notes = record.and_then(|record| shelf.notes.get(record));
    notes.is_some_and(|notes| notes.hidden)
}

fn unreadable(state: &State, collection: &str, id: &RemoteId) -> Option<Change> {
    let shelf = state.shelves.get(collection)?;
    let seen = shelf.objects.get(id).filter(|_| shelf.poisoned.contains(id))?;
    Some(Change::Unreadable {
        id: id.clone(),
        version: seen.object.version.clone(),
        reason: "the body is cut off".to_owned(),
        raw: Bytes::from_static(b"{\"content\":"),
    })
}

/// The order of a row: its time where history is told by times, else its place.
fn order(state: &State, mark: &Mark) -> i64 {
    if state.quirks.timestamps.is_some() {
        mark.modified_ms
    } else {
        i64::try_from(mark.seq).unwrap_or(i64::MAX)
    }
}

fn begin(state: &mut State, request: PullRequest<'_>) -> Result<Reading, Error> {
    is_there(state, request.collection, "pull")?;
    let incremental = state.quirks.deltas != Deltas::None;
    let cursor = request.cursor.filter(|_| incremental);
    let since = cursor.map(|cursor| parse(cursor, state.epoch)).transpose()?;
    // Behind a counter is the next row; times are read again within what may still have appeared since.
    let (until, goes_on) = match state.quirks.timestamps {
        None => {
            let end = i64::try_from(state.seq).unwrap_or(i64::MAX);
            (end, end.saturating_add(1))
        }
        Some(times) => {
            let now = state.now_ms.div_euclid(times.granularity_ms.max(1)) * times.granularity_ms.max(1);
            (now, now - times.granularity_ms.max(1) - times.late_ms)
        }
    };
    let goes_on = goes_on.max(since.unwrap_or(i64::MIN));
    let dead = state.quirks.dying_cursors && !state.calm && state.rng.random_bool(DEAD_CURSORS);
    let epoch = if dead { 0 } else { state.epoch };
    Ok(Reading {
        since,
        until,
        last: None,
        count: 0,
        next: incremental.then(|| Cursor(format!("{epoch}:{goes_on}"))),
    })
}

fn parse(cursor: &Cursor, epoch: u64) -> Result<i64, Error> {
    let parts = cursor.0.split_once(':');
    match parts.map(|(epoch, place)| (epoch.parse::<u64>(), place.parse::<i64>())) {
        Some((Ok(given), Ok(place))) if given == epoch => Ok(place),
        Some(_) | None => Err(Error::new(
            ErrorKind::CursorExpired,
            "pull",
            "the cursor is too old",
        )),
    }
}

/// The rows behind the last page, in order: each as it is now. What changes after its page was read is in the next
/// delta, because the new cursor is older than the first page.
fn rows(state: &State, collection: &str, reading: &Reading) -> Vec<Place> {
    let Some(shelf) = state.shelves.get(collection) else {
        return Vec::new();
    };
    let in_sight = |record: &str| !shelf.notes.get(record).is_some_and(|notes| notes.hidden);
    let behind = |place: &Place| reading.last.as_ref().is_none_or(|last| place > last);
    let objects = shelf.objects.iter().filter(|(_, seen)| in_sight(&seen.record));
    let mut rows: Vec<Place> = match reading.since {
        None => objects
            .filter(|(_, seen)| seen.mark.known_before || seen.mark.visible_ms <= state.now_ms)
            .map(|(id, _)| (0, id.clone()))
            .filter(behind)
            .collect(),
        Some(since) => {
            // A row that changes while the pages are read would say in the next delta only what changed then.
            let sparse = state.quirks.sparse_deltas;
            let deletes = state.quirks.deltas == Deltas::Full;
            let gone = shelf.tombstones.iter().filter(|_| deletes);
            objects
                .map(|(id, seen)| (id, &seen.mark))
                .chain(gone)
                .filter(|(_, mark)| mark.visible_ms <= state.now_ms)
                .map(|(id, mark)| (order(state, mark), id.clone()))
                .filter(|(order, _)| since <= *order && (sparse || *order <= reading.until))
                .filter(behind)
                .collect()
        }
    };
    rows.sort_unstable();
    rows
}

fn next_page(
    state: &mut State,
    request: PullRequest<'_>,
    reading: &mut Reading,
) -> Result<(Page, bool), Error> {
    is_there(state, request.collection, "pull")?;
    let collection = request.collection.id.0.as_str();
    let everything = reading.since.is_none();
    let mut left = rows(state, collection, reading);
    let size = state.quirks.page_size.max(1);
    let cap = state.quirks.list_cap.filter(|_| everything && !state.calm);
    let room = cap.map_or(usize::MAX, |cap| cap.objects.saturating_sub(reading.count));
    let take = size.min(room).min(left.len());
    let rest = left.split_off(take);
    let cut = !rest.is_empty() && take == room;
    // Whoever holds them asks for them by name; whoever was shown them and does not hold them will not.
    for (_, id) in rest
        .iter()
        .filter(|(_, id)| cut && !request.known.contains_key(id))
    {
        state.conceal(collection, id);
    }
    let over = rest.is_empty() || cut;
    reading.count += take;
    if let Some(last) = left.last() {
        reading.last = Some(last.clone());
    }
    let mut changes = Vec::with_capacity(left.len());
    for (_, id) in left {
        changes.extend(row(state, request, &id, reading.since));
    }
    // Masters before what overrides them.
    changes.sort_by_key(|change| matches!(change, Change::Present(object) if object.series.is_some()));
    state.capped |= cut;
    let admits = cut && cap.is_some_and(|cap| cap.known);
    let page = Page {
        changes,
        cursor: reading.next.clone().filter(|_| over && !admits),
        listing: match (everything, over && !admits) {
            (false, _) => Listing::Delta,
            (true, false) => Listing::Partial,
            (true, true) => Listing::Complete,
        },
    };
    Ok((page, over))
}

/// What a page says of one row; nothing of one that lies in the overlap and that the hub has as it is.
fn row(state: &mut State, request: PullRequest<'_>, id: &RemoteId, since: Option<i64>) -> Option<Change> {
    let collection = request.collection.id.0.as_str();
    if let Some(change) = unreadable(state, collection, id) {
        return Some(change);
    }
    let seen = state.shelves.get(collection)?.objects.get(id);
    let version = seen.and_then(|seen| seen.object.version.clone());
    if is_known(request, id, version.as_ref()) {
        if since.is_none() {
            // With all that is there told, what is not named of a series is as the series says.
            state.show(collection, id);
        }
        return (since.is_none() || state.quirks.timestamps.is_none()).then(|| Change::Unchanged(id.clone()));
    }
    let change = shown(state, collection, id);
    let Some(since) = since.filter(|_| state.quirks.sparse_deltas) else {
        return Some(change);
    };
    let seen = state.shelves.get(collection)?.objects.get(id);
    let sparse = seen.map(|seen| seen.sparse(|mark| order(state, mark) >= since));
    Some(sparse.map_or(change, |object| Change::Present(Box::new(object))))
}

fn is_known(request: PullRequest<'_>, id: &RemoteId, version: Option<&RemoteVersion>) -> bool {
    version.is_some() && request.known.get(id).is_some_and(|held| held.as_ref() == version)
}
