//! The engine's ports on this store. Each method is one call into the file of its resource.

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

use crate::{SqliteStore, links};

#[async_trait]
impl Store for SqliteStore {
    async fn connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, StoreError> {
        self.read_connection(organization, id).await
    }

    async fn collections(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Collection>, StoreError> {
        self.read_collections(organization, connection).await
    }

    async fn collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
    ) -> Result<Option<Collection>, StoreError> {
        self.read_collection(organization, id).await
    }

    async fn known(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Known, StoreError> {
        self.read_known(organization, collection).await
    }

    async fn unreadable(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Quarantine>, StoreError> {
        self.read_unreadable(organization, collection, ids).await
    }

    async fn unreadable_due(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Quarantine>, StoreError> {
        self.read_unreadable_due(organization, collection, now_ms, limit)
            .await
    }

    async fn linked(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Linked>, StoreError> {
        self.read_linked(organization, collection, ids).await
    }

    async fn link(&self, organization: &OrganizationId, id: &LinkId) -> Result<Option<Linked>, StoreError> {
        self.read_link(organization, id).await
    }

    async fn record(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<Record>, StoreError> {
        self.read_record(organization, id).await
    }

    async fn links_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<Vec<Link>, StoreError> {
        links::of_records(self.read(), organization, &[record]).await
    }

    async fn dirty_links(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LinkId>, StoreError> {
        self.read_dirty_links(organization, connection, now_ms, limit)
            .await
    }

    async fn raws(
        &self,
        organization: &OrganizationId,
        link: &LinkId,
    ) -> Result<BTreeMap<PartKey, Bytes>, StoreError> {
        self.read_raws(organization, link).await
    }

    async fn open_intents(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Intent>, StoreError> {
        self.read_open_intents(organization, connection).await
    }

    async fn mirrors_of(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Vec<Mirror>, StoreError> {
        self.read_mirrors_of(organization, collection).await
    }

    async fn mirror(
        &self,
        organization: &OrganizationId,
        id: &MirrorId,
    ) -> Result<Option<Mirror>, StoreError> {
        self.read_mirror(organization, id).await
    }

    async fn members(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError> {
        self.read_members(organization, collection, after, limit).await
    }

    async fn with_uid(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        uids: &[String],
    ) -> Result<Vec<Linked>, StoreError> {
        self.read_with_uid(organization, collection, uids).await
    }

    async fn pairings(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<BTreeMap<RecordId, Pairing>, StoreError> {
        self.read_pairings(organization, collection).await
    }

    async fn pairings_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<BTreeMap<CollectionId, Pairing>, StoreError> {
        self.read_pairings_of(organization, record).await
    }

    async fn joined(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError> {
        self.read_joined(organization, collection, after, limit).await
    }

    async fn conflict(
        &self,
        organization: &OrganizationId,
        id: &ConflictId,
    ) -> Result<Option<Conflict>, StoreError> {
        self.read_conflict(organization, id).await
    }

    async fn inbox(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>, StoreError> {
        self.read_inbox(organization, connection, now_ms, limit).await
    }

    async fn freshness(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<BTreeMap<RemoteId, Freshness>, StoreError> {
        self.read_freshness(organization, collection, ids).await
    }

    async fn commit(
        &self,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        self.apply(organization, fence, effects).await
    }
}

#[async_trait]
impl Jobs for SqliteStore {
    async fn claim(
        &self,
        node: &str,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError> {
        self.claim_jobs(node, now_ms, lease_ms, limit).await
    }

    async fn heartbeat(
        &self,
        fence: &Fence,
        until_ms: i64,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), StoreError> {
        self.prolong(fence, until_ms, done, total).await
    }

    async fn finish(
        &self,
        fence: &Fence,
        now_ms: i64,
        result: Result<Value, JobFailure>,
    ) -> Result<(), StoreError> {
        self.end(fence, now_ms, result).await
    }
}
