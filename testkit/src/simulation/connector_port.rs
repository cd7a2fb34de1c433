//! A provider's connector as the engine of a simulated node sees it: each call one turn, watched.

use std::sync::Arc;

use async_trait::async_trait;
use connector_sdk::{
    Actions, Applied, Auth, Capability, Change, Connector, ConnectorInfo, Context, Error, Page, Pull,
    PullRequest, Push, RemoteCollection, RemoteId, Webhooks, Write,
};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::{ConnectionId, Content, Kind};

use super::pages::Served;
use super::story;
use super::turn::Turn;
use super::watch::{Watch, place};

/// A connector behind a watch.
pub(crate) struct WatchedConnector {
    inner: Arc<dyn Connector>,
    connection: ConnectionId,
    watch: Arc<Watch>,
}

impl WatchedConnector {
    /// Watches the connector of this connection.
    #[must_use]
    pub(crate) fn new(inner: Arc<dyn Connector>, connection: ConnectionId, watch: Arc<Watch>) -> Self {
        Self {
            inner,
            connection,
            watch,
        }
    }

    /// What was shown since the stream began, and the cursor that says so.
    fn note(&self, collection: &RemoteId, page: &Page, shown: &mut Vec<Served>) {
        let place = place(&self.connection, collection);
        self.watch.notes().pages.show(&place, &page.changes);
        shown.extend(page.changes.iter().map(|change| match change {
            Change::Present(_) | Change::Unchanged(_) | Change::Unreadable { .. } => {
                Served::There(change.id().clone())
            }
            Change::Deleted(id) => Served::Gone(id.clone()),
        }));
        if let Some(cursor) = &page.cursor {
            // What was shown twice counts as it was shown last.
            let mut last = Vec::new();
            for (at, one) in shown.iter().enumerate() {
                if shown[at + 1..].iter().all(|later| later.id() != one.id()) {
                    last.push(one.clone());
                }
            }
            self.watch.notes().pages.serve(place, cursor.0.clone(), last);
        }
    }
}

impl Connector for WatchedConnector {
    fn info(&self) -> &ConnectorInfo {
        self.inner.info()
    }

    fn capability(&self, kind: Kind) -> Capability {
        self.inner.capability(kind)
    }

    fn auth(&self) -> &dyn Auth {
        self.inner.auth()
    }

    fn pull(&self) -> Option<&dyn Pull> {
        self.inner.pull().map(|_| self as &dyn Pull)
    }

    fn push(&self) -> Option<&dyn Push> {
        self.inner.push().map(|_| self as &dyn Push)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        self.inner.webhooks()
    }

    fn actions(&self) -> Option<&dyn Actions> {
        self.inner.actions()
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        self.inner.project(collection, content)
    }
}

#[async_trait]
impl Pull for WatchedConnector {
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        Turn::default().await;
        let Some(facet) = self.inner.pull() else {
            return Ok(Vec::new());
        };
        let answer = facet.collections(ctx).await;
        self.watch
            .answered(|| format!("{} collections -> {answer:?}", self.connection));
        answer
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        let Some(facet) = self.inner.pull() else {
            return stream::empty().boxed();
        };
        let (collection, from) = (&request.collection.id, request.cursor);
        let begun = (facet.pages(ctx, request), Vec::new());
        stream::unfold(begun, move |(mut pages, mut shown)| async move {
            Turn::default().await;
            let page = pages.next().await?;
            self.watch
                .answered(|| format!("{} page {collection} from {from:?} -> {page:?}", self.connection));
            if let Ok(page) = &page {
                self.note(collection, page, &mut shown);
            }
            Some((page, (pages, shown)))
        })
        .boxed()
    }

    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        Turn::default().await;
        let Some(facet) = self.inner.pull() else {
            return Ok(Vec::new());
        };
        let answer = facet.fetch(ctx, collection, ids).await;
        if let Ok(changes) = &answer {
            let gone = changes.iter().filter_map(|change| match change {
                Change::Deleted(id) => Some(id.clone()),
                Change::Present(_) | Change::Unchanged(_) | Change::Unreadable { .. } => None,
            });
            self.watch
                .notes()
                .pages
                .tell_gone(&place(&self.connection, &collection.id), gone);
        }
        self.watch.answered(|| {
            format!(
                "{} fetch {} {ids:?} -> {answer:?}",
                self.connection, collection.id
            )
        });
        answer
    }
}

#[async_trait]
impl Push for WatchedConnector {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        Turn::default().await;
        let Some(facet) = self.inner.push() else {
            return Vec::new();
        };
        writes.iter().for_each(|write| self.watch.mean(write));
        let answer = facet.apply(ctx, collection, writes).await;
        let short = || {
            let each = writes.iter().enumerate();
            let each = each.map(|(at, write)| story::write(write, answer.get(at)));
            format!("{} {}", self.connection, each.collect::<Vec<_>>().join("; "))
        };
        self.watch.effect(short, || {
            format!(
                "{} apply {} {writes:?} -> {answer:?}",
                self.connection, collection.id
            )
        });
        answer
    }

    async fn notified(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Vec<String>, Error> {
        Turn::default().await;
        let Some(facet) = self.inner.push() else {
            return Ok(Vec::new());
        };
        let answer = facet.notified(ctx, collection, write).await;
        self.watch
            .answered(|| format!("{} notified {} -> {answer:?}", self.connection, collection.id));
        answer
    }

    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        Turn::default().await;
        let Some(facet) = self.inner.push() else {
            return Ok(None);
        };
        let answer = facet.probe(ctx, collection, write).await;
        self.watch.answered(|| {
            format!(
                "{} probe {} {} -> {answer:?}",
                self.connection, collection.id, write.intent
            )
        });
        answer
    }
}
