//! Changes of a calendar as a stream of pages. While the hub stores a page, the next two are on their way.

use std::collections::VecDeque;
use std::sync::Arc;

use async_stream::try_stream;
use async_trait::async_trait;
use connector_sdk::{
    Change, Context, Error, ErrorKind, Known, Listing, Page, Pull, PullRequest, RemoteCollection, RemoteId,
};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio_util::task::AbortOnDropHandle;

use crate::cursor::Place;
use crate::dav::Dav;
use crate::discovery;
use crate::enumerate::{self, Member, Plan, Round};
use crate::hrefs::Collection;
use crate::multiget::{self, BatchSize, Wanted};

const OPERATION: &str = "pull";
const IN_FLIGHT: usize = 2;

#[derive(Debug)]
pub(crate) struct CaldavPull;

#[async_trait]
impl Pull for CaldavPull {
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        discovery::collections(ctx).await
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        let pages = pages(ctx, request);
        // Work that is stopped ends early: without its last page, so without a cursor.
        pages.take_until(ctx.cancel.cancelled()).boxed()
    }

    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        let collection = Collection::new(&ctx.base_url, &collection.id, "fetch")?;
        multiget::fetch(ctx, "fetch", &collection, ids).await
    }
}

fn pages<'a>(
    ctx: &'a Context,
    request: PullRequest<'a>,
) -> impl futures::Stream<Item = Result<Page, Error>> + Send + 'a {
    try_stream! {
        let dav = Dav::new(ctx, OPERATION);
        let collection = Collection::new(&ctx.base_url, &request.collection.id, OPERATION)?;
        let mut rounds = Rounds::begin(&dav, &collection, request.cursor).await?;
        let sizes = BatchSize::new();
        while let Some((round, place, is_last)) = rounds.next(&dav, &collection).await? {
            let (before, at_end) = rounds.listings(is_last);
            // In a delta every round ends at a token of its own; an enumeration counts only as a whole.
            let cursor = (is_last || at_end == Listing::Delta).then(|| place.cursor());
            let (mut changes, stale) = compare(round, request.known);
            if at_end != Listing::Delta {
                // Some servers list what was deleted long ago in a full enumeration too; RFC 6578 section 3.4 says
                // that they must not, and to a hub that never held it, it says nothing.
                changes.retain(|change| {
                    !matches!(change, Change::Deleted(id) if !request.known.contains_key(id))
                });
            }
            let mut batches = Batches::new(ctx, &collection, stale, &sizes);
            while let Some(read) = batches.next().await? {
                changes.extend(read);
                if !batches.is_empty() {
                    yield Page { changes: std::mem::take(&mut changes), cursor: None, listing: before };
                }
            }
            yield Page { changes, cursor, listing: at_end };
        }
    }
}

/// What is asked, round by round.
struct Rounds {
    plan: Plan,
    first: bool,
    done: bool,
}

impl Rounds {
    async fn begin(
        dav: &Dav<'_>,
        collection: &Collection,
        cursor: Option<&connector_sdk::Cursor>,
    ) -> Result<Self, Error> {
        let place = cursor.map(|cursor| Place::read(cursor, OPERATION)).transpose()?;
        let plan = enumerate::plan(dav, collection, place).await?;
        Ok(Self {
            plan,
            first: true,
            done: false,
        })
    }

    /// What a round's pages stand for: those before its last, and the last.
    fn listings(&self, is_last: bool) -> (Listing, Listing) {
        match &self.plan {
            Plan::Nothing { .. } | Plan::Changes { initial: false, .. } => (Listing::Delta, Listing::Delta),
            Plan::Changes { initial: true, .. } | Plan::Compare { .. } if is_last => {
                (Listing::Partial, Listing::Complete)
            }
            Plan::Changes { initial: true, .. } | Plan::Compare { .. } => {
                (Listing::Partial, Listing::Partial)
            }
        }
    }

    /// The next round, the place after it, and whether it is the last.
    async fn next(
        &mut self,
        dav: &Dav<'_>,
        collection: &Collection,
    ) -> Result<Option<(Round, Place, bool)>, Error> {
        if self.done {
            return Ok(None);
        }
        let first = std::mem::replace(&mut self.first, false);
        if let Plan::Changes { token, initial } = &self.plan {
            let asked = enumerate::changes(dav, collection, token).await;
            match asked {
                // It is advertised and yet not there: compare instead.
                Err(error) if first && *initial && is_missing_report(&error) => {
                    self.plan = enumerate::comparison(dav, collection).await?;
                }
                Err(error) => return Err(error),
                Ok((round, next, truncated)) => {
                    if truncated && next == *token {
                        let message = "the server keeps cutting its list short at the same place";
                        return Err(dav.error(ErrorKind::Unexpected, message));
                    }
                    self.done = !truncated;
                    let place = Place::Sync { token: next.clone() };
                    self.plan = Plan::Changes {
                        token: next,
                        initial: *initial,
                    };
                    return Ok(Some((round, place, self.done)));
                }
            }
        }
        self.done = true;
        match &self.plan {
            Plan::Nothing { place } => Ok(Some((Round::default(), place.clone(), true))),
            Plan::Compare { ctag } => {
                let round = enumerate::members(dav, collection).await?;
                Ok(Some((round, Place::Compare { ctag: ctag.clone() }, true)))
            }
            Plan::Changes { .. } => Ok(None),
        }
    }
}

fn is_missing_report(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::Unsupported | ErrorKind::PermissionDenied | ErrorKind::Invalid | ErrorKind::CursorExpired
    )
}

/// What needs no look, and what does.
fn compare(round: Round, known: &Known) -> (Vec<Change>, Vec<Wanted>) {
    let mut changes: Vec<Change> = round.settled;
    let mut stale = Vec::new();
    for Member { id, version } in round.members {
        let held = known.get(&id);
        match (held, &version) {
            (Some(Some(held)), Some(version)) if held == version => changes.push(Change::Unchanged(id)),
            _ => stale.push(Wanted {
                version: held.cloned().flatten(),
                must_report: held.is_some(),
                id,
            }),
        }
    }
    (changes, stale)
}

type Reading = AbortOnDropHandle<Result<Vec<Change>, Error>>;

/// Objects being read, in order, a few requests ahead of who asks for them.
struct Batches<'a> {
    ctx: &'a Context,
    collection: &'a Collection,
    waiting: VecDeque<Wanted>,
    reading: VecDeque<Reading>,
    sizes: &'a Arc<BatchSize>,
}

impl<'a> Batches<'a> {
    fn new(
        ctx: &'a Context,
        collection: &'a Collection,
        stale: Vec<Wanted>,
        sizes: &'a Arc<BatchSize>,
    ) -> Self {
        Self {
            ctx,
            collection,
            waiting: stale.into(),
            reading: VecDeque::new(),
            sizes,
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.reading.is_empty()
    }

    /// The next batch; another request is sent before it is given out.
    async fn next(&mut self) -> Result<Option<Vec<Change>>, Error> {
        self.fill();
        let Some(reading) = self.reading.pop_front() else {
            return Ok(None);
        };
        let changes = reading.await.map_err(|error| {
            let message = "reading an answer failed in the hub itself";
            Error::new(ErrorKind::Unexpected, OPERATION, message).with_source(error)
        })??;
        self.fill();
        Ok(Some(changes))
    }

    fn fill(&mut self) {
        while self.reading.len() < IN_FLIGHT && !self.waiting.is_empty() {
            let size = self.sizes.get().min(self.waiting.len());
            let batch: Vec<Wanted> = self.waiting.drain(..size).collect();
            let (ctx, collection, sizes) = (self.ctx.clone(), self.collection.clone(), self.sizes.clone());
            // A task of its own: it goes on while nobody polls the stream, and ends with it.
            let task =
                tokio::spawn(
                    async move { multiget::read(&ctx, OPERATION, &collection, batch, &sizes).await },
                );
            self.reading.push_back(AbortOnDropHandle::new(task));
        }
    }
}
