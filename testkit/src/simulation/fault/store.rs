//! A store with one thing wrong with it. Here stands what hands calls on; the mistakes stand beside.

use std::collections::BTreeMap;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{Connector, Known, RemoteId};
use model::{CollectionId, ConflictId, ConnectionId, LinkId, MirrorId, OrganizationId, PartKey, RecordId};
use sync::ports::{Effect, Linked, Store, StoreError};
use sync::state::{
    Collection, Conflict, Connection, Fence, Freshness, Inbound, Intent, Link, Mirror, Pairing, Quarantine,
    Record,
};

use super::Plant;
use crate::simulation::store_port::Backing;

/// What is wrong with a store. All that a fault does not say is as it should be.
#[async_trait]
pub(super) trait StoreFault: Default + Send + Sync + 'static {
    /// The batch that is committed instead.
    fn effects(&self, effects: Vec<Effect>) -> Vec<Effect> {
        effects
    }

    /// How a batch is committed.
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        honest.commit(organization, fence, self.effects(effects)).await
    }

    /// How a link with its record is read.
    fn linked(&self, linked: Linked) -> Linked {
        linked
    }
}

/// A store with a fault.
struct FaultyStore<F> {
    honest: Arc<dyn Store>,
    fault: F,
}

/// Hands all reads on, and lets the fault into the rest.
macro_rules! store_over {
    ($( $name:ident ( $( $argument:ident : $type:ty ),* ) -> $answer:ty; )*) => {
        #[async_trait]
        impl<F: StoreFault> Store for FaultyStore<F> {
            $( async fn $name(
                &self,
                organization: &OrganizationId
                $(, $argument: $type)*
            ) -> Result<$answer, StoreError> {
                self.honest.$name(organization $(, $argument)*).await
            } )*

            async fn linked(
                &self,
                organization: &OrganizationId,
                collection: &CollectionId,
                ids: &[RemoteId],
            ) -> Result<Vec<Linked>, StoreError> {
                let found = self.honest.linked(organization, collection, ids).await?;
                Ok(found.into_iter().map(|linked| self.fault.linked(linked)).collect())
            }

            async fn link(
                &self,
                organization: &OrganizationId,
                id: &LinkId,
            ) -> Result<Option<Linked>, StoreError> {
                let found = self.honest.link(organization, id).await?;
                Ok(found.map(|linked| self.fault.linked(linked)))
            }

            async fn commit(
                &self,
                organization: &OrganizationId,
                fence: Option<&Fence>,
                effects: Vec<Effect>,
            ) -> Result<(), StoreError> {
                let honest = &*self.honest;
                self.fault.commit(honest, organization, fence, effects).await
            }
        }
    };
}

store_over! {
    connection(id: &ConnectionId) -> Option<Connection>;
    collections(connection: &ConnectionId) -> Vec<Collection>;
    collection(id: &CollectionId) -> Option<Collection>;
    known(collection: &CollectionId) -> Known;
    unreadable(collection: &CollectionId, ids: &[RemoteId]) -> Vec<Quarantine>;
    unreadable_due(collection: &CollectionId, now_ms: i64, limit: u32) -> Vec<Quarantine>;
    record(id: &RecordId) -> Option<Record>;
    links_of(record: &RecordId) -> Vec<Link>;
    dirty_links(connection: &ConnectionId, now_ms: i64, limit: u32) -> Vec<LinkId>;
    raws(link: &LinkId) -> BTreeMap<PartKey, Bytes>;
    open_intents(connection: &ConnectionId) -> Vec<Intent>;
    mirrors_of(collection: &CollectionId) -> Vec<Mirror>;
    mirror(id: &MirrorId) -> Option<Mirror>;
    members(collection: &CollectionId, after: Option<&RecordId>, limit: u32) -> Vec<Linked>;
    with_uid(collection: &CollectionId, uids: &[String]) -> Vec<Linked>;
    pairings(collection: &CollectionId) -> BTreeMap<RecordId, Pairing>;
    pairings_of(record: &RecordId) -> BTreeMap<CollectionId, Pairing>;
    joined(collection: &CollectionId, after: Option<&RecordId>, limit: u32) -> Vec<Record>;
    conflict(id: &ConflictId) -> Option<Conflict>;
    inbox(connection: &ConnectionId, now_ms: i64, limit: u32) -> Vec<Inbound>;
    freshness(collection: &CollectionId, ids: &[RemoteId]) -> BTreeMap<RemoteId, Freshness>;
}

/// Plants a fault at the store.
struct AtStore<F>(PhantomData<fn() -> F>);

impl<F: StoreFault> Plant for AtStore<F> {
    fn backing(&self, honest: Backing) -> Backing {
        Backing {
            store: Arc::new(FaultyStore {
                honest: honest.store,
                fault: F::default(),
            }),
            ..honest
        }
    }

    fn connector(&self, honest: Arc<dyn Connector>) -> Arc<dyn Connector> {
        honest
    }
}

/// Plants a fault at the store.
pub(super) fn at_store<F: StoreFault>() -> Arc<dyn Plant> {
    Arc::new(AtStore::<F>(PhantomData))
}

/// A moment between two transactions at which the process may die or another node go first.
#[derive(Default)]
pub(super) struct Gap(bool);

impl Future for Gap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        // Where the store has a thread of its own, nobody else polls.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
