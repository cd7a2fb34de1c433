//! A connector with one thing wrong with it. Here stands what hands calls on; the mistakes stand beside.

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use connector_sdk::{
    Actions, Applied, Auth, Capability, Change, Connector, ConnectorInfo, Context, Error, ErrorKind, Page,
    Pull, PullRequest, Push, RemoteCollection, RemoteId, RemoteObject, Webhooks, Write,
};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use model::{Content, Kind};

use super::Plant;
use crate::simulation::provider::SimProvider;
use crate::simulation::store_port::Backing;

/// What is wrong with a connector. All that a fault does not say is as it should be.
#[async_trait]
pub(super) trait ConnectorFault: Default + Send + Sync + 'static {
    /// What it says that it can do.
    fn capability(&self, honest: Capability) -> Capability {
        honest
    }

    /// What it says that the provider can hold.
    fn project(&self, honest: Content) -> Content {
        honest
    }

    /// How it reads an object, wherever one is answered.
    fn object(&self, object: RemoteObject) -> RemoteObject {
        object
    }

    /// How it reads what a page or a fetch says of an object.
    fn change(&self, change: Change) -> Change {
        change
    }

    /// A page as it hands it on.
    fn page(&self, _ctx: &Context, page: Result<Page, Error>) -> Result<Page, Error> {
        page
    }

    /// The pages as it hands them on.
    fn pages<'a>(
        &'a self,
        honest: &'a dyn Pull,
        ctx: &'a Context,
        request: PullRequest<'a>,
    ) -> BoxStream<'a, Result<Page, Error>> {
        honest.pages(ctx, request)
    }

    /// Objects by name.
    async fn fetch(
        &self,
        honest: &dyn Pull,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        honest.fetch(ctx, collection, ids).await
    }

    /// One write.
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        send(honest, ctx, collection, write).await
    }

    /// The look for a created object.
    async fn probe(
        &self,
        honest: &dyn Push,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        honest.probe(ctx, collection, write).await
    }
}

/// Carries one write out as it should be.
pub(super) async fn send(
    honest: &dyn Connector,
    ctx: &Context,
    collection: &RemoteCollection,
    write: Write,
) -> Result<Applied, Error> {
    let mut outcomes = match honest.push() {
        Some(facet) => facet.apply(ctx, collection, &[write]).await,
        None => Vec::new(),
    };
    outcomes.pop().unwrap_or_else(|| Err(no_facet("push")))
}

fn no_facet(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::Unsupported,
        operation,
        "the connector has no such facet",
    )
}

/// A connector with a fault.
struct FaultyConnector<F> {
    honest: Arc<dyn Connector>,
    fault: F,
}

impl<F: ConnectorFault> FaultyConnector<F> {
    fn changes(&self, changes: Vec<Change>) -> Vec<Change> {
        let each = changes.into_iter().map(|change| match change {
            Change::Present(object) => Change::Present(Box::new(self.fault.object(*object))),
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => change,
        });
        each.map(|change| self.fault.change(change)).collect()
    }

    fn applied(&self, applied: Applied) -> Applied {
        match applied {
            Applied::Stored(object) => Applied::Stored(Box::new(self.fault.object(*object))),
            Applied::Gone => Applied::Gone,
        }
    }
}

impl<F: ConnectorFault> Connector for FaultyConnector<F> {
    fn info(&self) -> &ConnectorInfo {
        self.honest.info()
    }

    fn capability(&self, kind: Kind) -> Capability {
        self.fault.capability(self.honest.capability(kind))
    }

    fn auth(&self) -> &dyn Auth {
        self.honest.auth()
    }

    fn pull(&self) -> Option<&dyn Pull> {
        self.honest.pull().map(|_| self as &dyn Pull)
    }

    fn push(&self) -> Option<&dyn Push> {
        self.honest.push().map(|_| self as &dyn Push)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        self.honest.webhooks()
    }

    fn actions(&self) -> Option<&dyn Actions> {
        self.honest.actions()
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        self.fault.project(self.honest.project(collection, content))
    }
}

#[async_trait]
impl<F: ConnectorFault> Pull for FaultyConnector<F> {
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        match self.honest.pull() {
            Some(facet) => facet.collections(ctx).await,
            None => Err(no_facet("collections")),
        }
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        let Some(facet) = self.honest.pull() else {
            return stream::empty().boxed();
        };
        let pages = self.fault.pages(facet, ctx, request);
        pages
            .map(move |page| {
                let read = page.map(|page| Page {
                    changes: self.changes(page.changes),
                    ..page
                });
                self.fault.page(ctx, read)
            })
            .boxed()
    }

    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        let facet = self.honest.pull().ok_or_else(|| no_facet("fetch"))?;
        let fetched = self.fault.fetch(facet, ctx, collection, ids).await?;
        Ok(self.changes(fetched))
    }
}

#[async_trait]
impl<F: ConnectorFault> Push for FaultyConnector<F> {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            let honest = &*self.honest;
            let outcome = self.fault.apply(honest, ctx, collection, write.clone()).await;
            outcomes.push(outcome.map(|applied| self.applied(applied)));
        }
        outcomes
    }

    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let facet = self.honest.push().ok_or_else(|| no_facet("probe"))?;
        let found = self.fault.probe(facet, ctx, collection, write).await?;
        Ok(found.map(|applied| self.applied(applied)))
    }

    async fn notified(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Vec<String>, Error> {
        let facet = self.honest.push().ok_or_else(|| no_facet("notified"))?;
        facet.notified(ctx, collection, write).await
    }
}

/// Plants a fault at each connector.
struct AtConnector<F>(PhantomData<fn() -> F>);

impl<F: ConnectorFault> Plant for AtConnector<F> {
    fn backing(&self, honest: Backing) -> Backing {
        honest
    }

    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector> {
        Arc::new(FaultyConnector {
            honest,
            fault: F::default(),
        })
    }
}

/// Plants a fault at each connector.
pub(super) fn at_connector<F: ConnectorFault>() -> Arc<dyn Plant> {
    Arc::new(AtConnector::<F>(PhantomData))
}

/// Connectors that forget to tell providers that nobody is to be mailed.
pub(super) struct NoSilence;

impl Plant for NoSilence {
    fn backing(&self, honest: Backing) -> Backing {
        honest
    }

    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector> {
        honest
    }

    fn provider(&self, provider: &SimProvider) {
        provider.forget_silence();
    }
}
