//! The store as the engine of a simulated node sees it: each call one turn, watched.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{Known, RemoteId};
use model::{CollectionId, ConflictId, ConnectionId, LinkId, MirrorId, OrganizationId, PartKey, RecordId};
use sync::ports::{Effect, JobFailure, Jobs, Linked, Store, StoreError};
use sync::state::{
    ClaimedJob, Collection, Conflict, Connection, Fence, Freshness, Inbound, Intent, Link, Mirror, Pairing,
    Quarantine, Record,
};
use tokio::runtime::Runtime;

use super::story;
use super::turn::Turn;
use super::watch::{Detail, Watch};

/// A store and its queue.
#[derive(Clone)]
pub struct Backing {
    /// The store.
    pub store: Arc<dyn Store>,
    /// Its queue.
    pub jobs: Arc<dyn Jobs>,
    /// Where its calls have to wait for a thread of its own (SQLite); `None` when they never wait.
    pub runtime: Option<Arc<Runtime>>,
}

impl Backing {
    /// Carries a call out to its end, so that one operation is in flight at any time.
    async fn whole<T>(&self, call: impl Future<Output = T> + Send) -> T {
        match &self.runtime {
            Some(runtime) => runtime.block_on(call),
            None => call.await,
        }
    }
}

/// The store behind a watch.
#[derive(Clone)]
pub struct WatchedStore {
    backing: Backing,
    watch: Arc<Watch>,
}

impl WatchedStore {
    /// Watches this store.
    #[must_use]
    pub fn new(backing: Backing, watch: Arc<Watch>) -> Self {
        Self { backing, watch }
    }
}

/// A read: a turn, the call, a line in the trace.
macro_rules! read {
    ($self:ident . $name:ident ( $organization:ident $(, $argument:ident)* )) => {{
        Turn::default().await;
        let answer = $self.backing.whole($self.backing.store.$name($organization $(, $argument)*)).await;
        $self.watch.answered(|| {
            format!("{} {:?} -> {:?}", stringify!($name), ($($argument,)*), answer)
        });
        answer
    }};
}

#[async_trait]
impl Store for WatchedStore {
    async fn connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, StoreError> {
        read!(self.connection(organization, id))
    }

    async fn collections(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Collection>, StoreError> {
        read!(self.collections(organization, connection))
    }

    async fn collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
    ) -> Result<Option<Collection>, StoreError> {
        read!(self.collection(organization, id))
    }

    async fn known(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Known, StoreError> {
        Turn::default().await;
        let answer = self
            .backing
            .whole(self.backing.store.known(organization, collection))
            .await;
        self.watch.answered(|| {
            let sorted = answer
                .as_ref()
                .map(|known| known.iter().collect::<BTreeMap<_, _>>());
            format!("known {collection} -> {sorted:?}")
        });
        answer
    }

    async fn unreadable(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Quarantine>, StoreError> {
        read!(self.unreadable(organization, collection, ids))
    }

    async fn unreadable_due(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Quarantine>, StoreError> {
        read!(self.unreadable_due(organization, collection, now_ms, limit))
    }

    async fn linked(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Linked>, StoreError> {
        read!(self.linked(organization, collection, ids))
    }

    async fn link(&self, organization: &OrganizationId, id: &LinkId) -> Result<Option<Linked>, StoreError> {
        read!(self.link(organization, id))
    }

    async fn record(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<Record>, StoreError> {
        read!(self.record(organization, id))
    }

    async fn links_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<Vec<Link>, StoreError> {
        read!(self.links_of(organization, record))
    }

    async fn dirty_links(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LinkId>, StoreError> {
        read!(self.dirty_links(organization, connection, now_ms, limit))
    }

    async fn raws(
        &self,
        organization: &OrganizationId,
        link: &LinkId,
    ) -> Result<BTreeMap<PartKey, Bytes>, StoreError> {
        read!(self.raws(organization, link))
    }

    async fn open_intents(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Intent>, StoreError> {
        read!(self.open_intents(organization, connection))
    }

    async fn mirrors_of(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Vec<Mirror>, StoreError> {
        read!(self.mirrors_of(organization, collection))
    }

    async fn mirror(
        &self,
        organization: &OrganizationId,
        id: &MirrorId,
    ) -> Result<Option<Mirror>, StoreError> {
        read!(self.mirror(organization, id))
    }

    async fn joined(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        read!(self.joined(organization, collection, after, limit))
    }

    async fn conflict(
        &self,
        organization: &OrganizationId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        read!(self.conflict(organization, id))
    }

    async fn members(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError> {
        read!(self.members(organization, collection, after, limit))
    }

    async fn with_uid(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        uids: &[String],
    ) -> Result<Vec<Linked>, StoreError> {
        read!(self.with_uid(organization, collection, uids))
    }

    async fn pairings(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<BTreeMap<RecordId, Pairing>, StoreError> {
        read!(self.pairings(organization, collection))
    }

    async fn pairings_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<BTreeMap<CollectionId, Pairing>, StoreError> {
        read!(self.pairings_of(organization, record))
    }

    async fn inbox(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>, StoreError> {
        read!(self.inbox(organization, connection, now_ms, limit))
    }

    async fn freshness(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<BTreeMap<RemoteId, Freshness>, StoreError> {
        read!(self.freshness(organization, collection, ids))
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        Turn::default().await;
        let seen = Watch::foresee(&effects);
        let detail = self.watch.notes().detail();
        let short = match detail {
            Detail::Story => story::commit(&effects),
            Detail::Silent | Detail::Trace => String::new(),
        };
        let full = match detail {
            Detail::Trace => format!("{effects:?}"),
            Detail::Silent | Detail::Story => String::new(),
        };
        let store = &self.backing.store;
        let answer = self
            .backing
            .whole(store.commit(organization, fence, effects))
            .await;
        // Of several stale rows a store may name any one.
        let told = answer.as_ref().map_err(|error| match error {
            StoreError::Stale(_) => "stale".to_owned(),
            other => format!("{other:?}"),
        });
        let full = || format!("commit {fence:?} {full} -> {told:?}");
        if answer.is_err() {
            self.watch.answered(full);
            return answer;
        }
        self.watch.effect(|| short, full);
        let known = match &seen.cursor {
            Some((collection, _)) => self
                .backing
                .whole(store.known(organization, collection))
                .await
                .ok(),
            None => None,
        };
        self.watch.committed(seen, known.as_ref());
        answer
    }
}

#[async_trait]
impl Jobs for WatchedStore {
    async fn claim(
        &self,
        node: &str,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        Turn::default().await;
        let answer = self
            .backing
            .whole(self.backing.jobs.claim(node, now_ms, lease_ms, limit))
            .await;
        self.watch
            .answered(|| format!("claim {node} {now_ms} -> {answer:?}"));
        answer
    }

    async fn heartbeat(
        &self,
        fence: &Fence,
        until_ms: i64,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), StoreError> {
        Turn::default().await;
        let answer = self
            .backing
            .whole(self.backing.jobs.heartbeat(fence, until_ms, done, total))
            .await;
        self.watch
            .answered(|| format!("heartbeat {fence:?} {until_ms} {done} -> {answer:?}"));
        answer
    }

    async fn finish(
        &self,
        fence: &Fence,
        now_ms: i64,
        result: Result<serde_json::Value, JobFailure>,
    ) -> Result<(), StoreError> {
        Turn::default().await;
        let detail = self.watch.notes().detail();
        let text = match detail {
            Detail::Trace => format!("{result:?}"),
            Detail::Silent | Detail::Story => String::new(),
        };
        let answer = self
            .backing
            .whole(self.backing.jobs.finish(fence, now_ms, result))
            .await;
        self.watch
            .answered(|| format!("finish {fence:?} {now_ms} {text} -> {answer:?}"));
        answer
    }
}
