//! The engine's ports. Each method is one look into the state, or one change of it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{Known, RemoteId};
use model::{CollectionId, ConflictId, ConnectionId, LinkId, MirrorId, OrganizationId, PartKey, RecordId};
use serde_json::Value;
use sync::ports::{Effect, JobFailure, Jobs, Linked, Store, StoreError};
use sync::state::{
    ClaimedJob, Collection, Conflict, Connection, Fence, Freshness, Inbound, Intent, Link, Mirror, Pairing,
    Quarantine, Record,
};

use super::{MemoryStore, batch};

#[async_trait]
impl Store for MemoryStore {
    async fn connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, StoreError> {
        Ok(self.lock().tenant(organization).connections.get(id).cloned())
    }

    async fn collections(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Collection>, StoreError> {
        Ok(self.lock().tenant(organization).collections_on(connection))
    }

    async fn collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
    ) -> Result<Option<Collection>, StoreError> {
        Ok(self.lock().tenant(organization).collections.get(id).cloned())
    }

    async fn known(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Known, StoreError> {
        Ok(self.lock().tenant(organization).known(collection))
    }

    async fn unreadable(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Quarantine>, StoreError> {
        Ok(self.lock().tenant(organization).unreadable(collection, ids))
    }

    async fn unreadable_due(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Quarantine>, StoreError> {
        Ok(self
            .lock()
            .tenant(organization)
            .unreadable_due(collection, now_ms, limit))
    }

    async fn linked(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Linked>, StoreError> {
        Ok(self.lock().tenant(organization).linked(collection, ids))
    }

    async fn link(&self, organization: &OrganizationId, id: &LinkId) -> Result<Option<Linked>, StoreError> {
        Ok(self.lock().tenant(organization).link(id))
    }

    async fn record(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<Record>, StoreError> {
        let state = self.lock();
        let found = state.tenant(organization).records.get(id);
        Ok(found.map(|record| record.as_ref().clone()))
    }

    async fn links_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<Vec<Link>, StoreError> {
        Ok(self
            .lock()
            .tenant(organization)
            .links
            .of(record)
            .cloned()
            .collect())
    }

    async fn dirty_links(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LinkId>, StoreError> {
        Ok(self
            .lock()
            .tenant(organization)
            .dirty_links(connection, now_ms, limit))
    }

    async fn raws(
        &self,
        organization: &OrganizationId,
        link: &LinkId,
    ) -> Result<BTreeMap<PartKey, Bytes>, StoreError> {
        Ok(self.lock().tenant(organization).raws_of(link))
    }

    async fn open_intents(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Intent>, StoreError> {
        Ok(self.lock().tenant(organization).open_intents(connection))
    }

    async fn mirrors_of(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Vec<Mirror>, StoreError> {
        Ok(self.lock().tenant(organization).mirrors_of(collection))
    }

    async fn mirror(
        &self,
        organization: &OrganizationId,
        id: &MirrorId,
    ) -> Result<Option<Mirror>, StoreError> {
        let state = self.lock();
        let found = state.tenant(organization).mirrors.get(id);
        Ok(found.map(|mirror| mirror.as_ref().clone()))
    }

    async fn members(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError> {
        Ok(self.lock().tenant(organization).members(collection, after, limit))
    }

    async fn with_uid(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        uids: &[String],
    ) -> Result<Vec<Linked>, StoreError> {
        Ok(self.lock().tenant(organization).with_uid(collection, uids))
    }

    async fn pairings(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<BTreeMap<RecordId, Pairing>, StoreError> {
        let state = self.lock();
        let noted = state.tenant(organization).pairings.get(collection);
        Ok(noted.cloned().unwrap_or_default())
    }

    async fn pairings_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<BTreeMap<CollectionId, Pairing>, StoreError> {
        let state = self.lock();
        let noted = state.tenant(organization).pairings.iter();
        Ok(noted
            .filter_map(|(collection, of)| Some((collection.clone(), *of.get(record)?)))
            .collect())
    }

    async fn joined(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        Ok(self.lock().tenant(organization).joined(collection, after, limit))
    }

    async fn conflict(
        &self,
        organization: &OrganizationId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        let state = self.lock();
        let found = state.tenant(organization).conflicts.get(id);
        Ok(found.map(|conflict| conflict.as_ref().clone()))
    }

    async fn inbox(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>, StoreError> {
        let state = self.lock();
        let waiting = state.tenant(organization).inbox.values().filter(|webhook| {
            webhook.end.is_none() && webhook.due_at <= now_ms && webhook.inbound.connection == *connection
        });
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(waiting
            .take(limit)
            .map(|webhook| webhook.inbound.clone())
            .collect())
    }

    async fn freshness(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<BTreeMap<RemoteId, Freshness>, StoreError> {
        let state = self.lock();
        let noted = &state.tenant(organization).freshness;
        let found = ids.iter().filter_map(|id| {
            let freshness = noted.get(&(collection.clone(), id.clone()))?;
            Some((id.clone(), freshness.clone()))
        });
        Ok(found.collect())
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        batch::commit(&mut self.lock(), organization, fence, effects)
    }
}

#[async_trait]
impl Jobs for MemoryStore {
    async fn claim(
        &self,
        _node: &str,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        Ok(self.lock().queue.claim(now_ms, lease_ms, limit))
    }

    async fn heartbeat(
        &self,
        fence: &Fence,
        until_ms: i64,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), StoreError> {
        self.lock().queue.heartbeat(fence, until_ms, (done, total))
    }

    async fn finish(
        &self,
        fence: &Fence,
        _now_ms: i64,
        result: Result<Value, JobFailure>,
    ) -> Result<(), StoreError> {
        self.lock().queue.finish(fence, result)
    }
}
