//! Mistakes in reading: lists, deltas, and objects by name.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use connector_sdk::{
    Applied, Change, Connector, Context, Error, ErrorKind, Listing, Page, Pull, PullRequest,
    RemoteCollection, RemoteId, Write,
};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::connector::{ConnectorFault, send};
use super::memory::Memory;

/// The last full list, until something is written or another list begins.
#[derive(Default)]
struct LastList(Mutex<(Option<RemoteId>, BTreeSet<RemoteId>)>);

impl LastList {
    fn begin(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }

    fn note(&self, collection: &RemoteId, page: &Page) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.1
            .extend(page.changes.iter().map(|change| change.id().clone()));
        if page.listing == Listing::Complete {
            list.0 = Some(collection.clone());
        }
    }

    /// What the list says of objects that the hub asks for, if there is one.
    fn answer(&self, collection: &RemoteId, ids: &[RemoteId]) -> Option<Vec<Change>> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, named) = &*list;
        let unnamed = |id: &RemoteId| !named.contains(id);
        (of.as_ref() == Some(collection) && ids.iter().all(unnamed))
            .then(|| ids.iter().cloned().map(Change::Deleted).collect())
    }
}

/// What a full list does not name is gone, and nobody asks.
#[derive(Default)]
pub(super) struct AbsenceIsDelete(LastList);

#[async_trait]
impl ConnectorFault for AbsenceIsDelete {
    fn pages<'a>(
        &'a self,
        honest: &'a dyn Pull,
        ctx: &'a Context,
        request: PullRequest<'a>,
    ) -> BoxStream<'a, Result<Page, Error>> {
        self.0.begin();
        let collection = &request.collection.id;
        let pages = honest.pages(ctx, request);
        pages
            .inspect(move |page| {
                if let Ok(page) = page {
                    self.0.note(collection, page);
                }
            })
            .boxed()
    }

    async fn fetch(
        &self,
        honest: &dyn Pull,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        match self.0.answer(&collection.id, ids) {
            Some(gone) => Ok(gone),
            None => honest.fetch(ctx, collection, ids).await,
        }
    }

    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        self.0.begin();
        send(honest, ctx, collection, write).await
    }
}

/// A list that broke off counts as the whole list, and what it did not name as gone.
#[derive(Default)]
pub(super) struct ErrorIsEnd(AbsenceIsDelete);

#[async_trait]
impl ConnectorFault for ErrorIsEnd {
    fn pages<'a>(
        &'a self,
        honest: &'a dyn Pull,
        ctx: &'a Context,
        request: PullRequest<'a>,
    ) -> BoxStream<'a, Result<Page, Error>> {
        let list = &self.0.0;
        list.begin();
        let enumerates = request.cursor.is_none();
        let collection = &request.collection.id;
        let pages = honest.pages(ctx, request);
        pages
            .map(move |page| match page {
                Err(error) if enumerates && error.kind != ErrorKind::Unauthorized => {
                    let page = Page {
                        changes: Vec::new(),
                        cursor: None,
                        listing: Listing::Complete,
                    };
                    list.note(collection, &page);
                    Ok(page)
                }
                Ok(page) => {
                    if page.listing != Listing::Complete {
                        list.note(collection, &page);
                    } else {
                        // A list that did come to its end is swept as it should be.
                        list.begin();
                    }
                    Ok(page)
                }
                Err(error) => Err(error),
            })
            .boxed()
    }

    async fn fetch(
        &self,
        honest: &dyn Pull,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        self.0.fetch(honest, ctx, collection, ids).await
    }

    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        self.0.apply(honest, ctx, collection, write).await
    }
}

/// The cursor comes with the first page already.
#[derive(Default)]
pub(super) struct CursorEarly;

impl ConnectorFault for CursorEarly {
    fn pages<'a>(
        &'a self,
        honest: &'a dyn Pull,
        ctx: &'a Context,
        request: PullRequest<'a>,
    ) -> BoxStream<'a, Result<Page, Error>> {
        let begun = (Some(honest.pages(ctx, request)), VecDeque::new());
        stream::unfold(begun, |(pages, mut read)| async move {
            if let Some(pages) = pages {
                let all: Vec<Result<Page, Error>> = pages.collect().await;
                let last = all.iter().rev().flatten().find_map(|page| page.cursor.clone());
                read.extend(all);
                for page in read.iter_mut().flatten() {
                    page.cursor.clone_from(&last);
                }
            }
            Some((read.pop_front()?, (None, read)))
        })
        .boxed()
    }
}

/// Deltas without what was deleted.
#[derive(Default)]
pub(super) struct NoDeletes;

impl ConnectorFault for NoDeletes {
    fn page(&self, _ctx: &Context, page: Result<Page, Error>) -> Result<Page, Error> {
        let mut page = page?;
        page.changes
            .retain(|change| !matches!(change, Change::Deleted(_)));
        Ok(page)
    }
}

/// One object that cannot be understood fails its page.
#[derive(Default)]
pub(super) struct PoisonStopsPage;

impl ConnectorFault for PoisonStopsPage {
    fn page(&self, _ctx: &Context, page: Result<Page, Error>) -> Result<Page, Error> {
        let page = page?;
        let poisoned = |change: &Change| matches!(change, Change::Unreadable { .. });
        if page.changes.iter().any(poisoned) {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "pull",
                "the page cannot be read",
            ));
        }
        Ok(page)
    }
}

/// An object that the account may not see counts as gone.
#[derive(Default)]
pub(super) struct ForbiddenIsGone;

#[async_trait]
impl ConnectorFault for ForbiddenIsGone {
    async fn fetch(
        &self,
        honest: &dyn Pull,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        match honest.fetch(ctx, collection, ids).await {
            Err(error) if matches!(error.kind, ErrorKind::PermissionDenied | ErrorKind::NotFound) => {
                Ok(ids.iter().cloned().map(Change::Deleted).collect())
            }
            answer => answer,
        }
    }
}

/// Objects by name come from a cache that only pages and answers fill.
#[derive(Default)]
pub(super) struct FetchFromCache(Memory<Change>);

impl FetchFromCache {
    fn note(&self, collection: &RemoteId, change: &Change) {
        match change {
            Change::Present(object) if object.coverage == connector_sdk::Coverage::Full => {
                self.0.keep(collection, &object.id, change.clone());
            }
            Change::Present(object) => self.0.forget(collection, &object.id),
            Change::Deleted(id) | Change::Unreadable { id, .. } => self.0.forget(collection, id),
            Change::Unchanged(_) => {}
        }
    }
}

#[async_trait]
impl ConnectorFault for FetchFromCache {
    fn pages<'a>(
        &'a self,
        honest: &'a dyn Pull,
        ctx: &'a Context,
        request: PullRequest<'a>,
    ) -> BoxStream<'a, Result<Page, Error>> {
        let collection = &request.collection.id;
        let pages = honest.pages(ctx, request);
        pages
            .inspect(move |page| {
                let changes = page.iter().flat_map(|page| &page.changes);
                changes.for_each(|change| self.note(collection, change));
            })
            .boxed()
    }

    async fn fetch(
        &self,
        honest: &dyn Pull,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        let cached: Option<Vec<Change>> = ids.iter().map(|id| self.0.get(&collection.id, id)).collect();
        match cached {
            Some(cached) => Ok(cached),
            None => honest.fetch(ctx, collection, ids).await,
        }
    }
}
