//! Reading: everything or what changed since a cursor, page by page.

use std::collections::BTreeSet;

use async_trait::async_trait;
use connector_sdk::{
    Change, Context, Cursor, Error, ErrorKind, Known, Listing, Page, Pull, PullRequest, RemoteCollection,
    RemoteId,
};
use futures::stream::{self, BoxStream, StreamExt as _};

use crate::connector::MemoryConnector;
use crate::fault::Operation;
use crate::provider::{State, remote_collection};

/// What is left to read of one pull.
struct Reading {
    /// Ids still to be read, in order.
    left: BTreeSet<RemoteId>,
    /// The moment behind which this is a delta; `None` for everything.
    since: Option<u64>,
    /// Where the next pull goes on: the end of history when this one began.
    next: Option<Cursor>,
}

/// How far a stream of pages is.
enum Progress {
    Asked,
    Reading(Reading),
    Over,
}

#[async_trait]
impl Pull for MemoryConnector {
    async fn collections(&self, _ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        self.provider
            .read(Operation::Collections, "collections", |state| {
                let collections = state.collections.iter();
                Ok(collections
                    .map(|(id, collection)| remote_collection(id, &collection.name))
                    .collect())
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
            let page = self.provider.read(Operation::Page, "pull", |state| {
                let mut reading = match begun {
                    Some(reading) => reading,
                    None => begin_reading(state, request)?,
                };
                let page = next_page(state, request, &mut reading)?;
                Ok((page, reading))
            });
            Some(match page {
                Ok((page, reading)) if reading.left.is_empty() => (Ok(page), Progress::Over),
                Ok((page, reading)) => (Ok(page), Progress::Reading(reading)),
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
            let versions = state.options.versions;
            let held = state.collection(collection, "fetch")?;
            Ok(ids.iter().map(|id| held.change(id, versions)).collect())
        })
    }
}

fn begin_reading(state: &mut State, request: PullRequest<'_>) -> Result<Reading, Error> {
    let options = state.options;
    let next = options
        .incremental
        .then(|| Cursor(format!("{}:{}", state.epoch, state.clock)));
    let since = match request.cursor {
        Some(cursor) if options.incremental => Some(parse(cursor, state.epoch)?),
        Some(_) | None => None,
    };
    let held = state.collection(request.collection, "pull")?;
    let left = match since {
        None => held.objects.keys().cloned().collect(),
        Some(since) => {
            let changed = held.objects.iter().map(|(id, object)| (id, object.changed));
            let gone = held.tombstones.iter().map(|(id, when)| (id, *when));
            let gone = gone.filter(|_| options.reports_deletes);
            let all = changed.chain(gone).filter(|(_, when)| *when > since);
            all.map(|(id, _)| id.clone()).collect()
        }
    };
    Ok(Reading { left, since, next })
}

/// Reads the state of the next ids as it is now: what changes after its page was read is in the next delta,
/// because the new cursor is older than the first page.
fn next_page(state: &mut State, request: PullRequest<'_>, reading: &mut Reading) -> Result<Page, Error> {
    let options = state.options;
    let held = state.collection(request.collection, "pull")?;
    let mut changes = Vec::new();
    while changes.len() < options.page_size {
        let Some(id) = reading.left.pop_first() else {
            break;
        };
        match held.change(&id, options.versions) {
            Change::Present(object) if is_known(request.known, &object.id, object.version.as_ref()) => {
                changes.push(Change::Unchanged(id));
            }
            Change::Deleted(_) if reading.since.is_none() => {}
            Change::Present(object) if options.sparse_deltas => {
                let object = match reading.since {
                    Some(since) => held.sparse(*object, since),
                    None => *object,
                };
                changes.push(Change::Present(Box::new(object)));
            }
            change @ (Change::Present(_)
            | Change::Unchanged(_)
            | Change::Deleted(_)
            | Change::Unreadable { .. }) => changes.push(change),
        }
    }
    let last = reading.left.is_empty();
    Ok(Page {
        changes,
        cursor: reading.next.clone().filter(|_| last),
        listing: match (reading.since, last) {
            (Some(_), _) => Listing::Delta,
            (None, false) => Listing::Partial,
            (None, true) => Listing::Complete,
        },
    })
}

fn is_known(known: &Known, id: &RemoteId, version: Option<&connector_sdk::RemoteVersion>) -> bool {
    version.is_some() && known.get(id).is_some_and(|held| held.as_ref() == version)
}

fn parse(cursor: &Cursor, epoch: u64) -> Result<u64, Error> {
    let parts = cursor.0.split_once(':');
    match parts.map(|(epoch, clock)| (epoch.parse::<u64>(), clock.parse::<u64>())) {
        Some((Ok(given), Ok(clock))) if given == epoch => Ok(clock),
        Some(_) | None => Err(Error::new(
            ErrorKind::CursorExpired,
            "pull",
            "the cursor is too old",
        )),
    }
}
