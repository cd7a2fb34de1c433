//! What a batch has changed so far, so that it can be undone.

use std::sync::Arc;

use bytes::Bytes;
use connector_sdk::{Cursor, RemoteId};
use model::{
    CollectionId, ConflictId, ConnectionId, InboundId, IntentId, JobId, LinkId, MirrorId, PartKey, RecordId,
};
use sync::hold::Hold;
use sync::state::{Collection, Freshness, Health, Intent, Link, Mirror, Pairing, Quarantine, Record};

use super::links::{PartOf, Untouched};
use super::queue::Queue;
use super::tenant::{Tenant, Webhook};

/// One change: what was there before it.
#[derive(Debug)]
pub(super) enum Was {
    /// Nothing was there where a record is now.
    NoRecord(RecordId),
    Record(Arc<Record>),
    NoLink(LinkId),
    Link(Box<Link>),
    Untouched(LinkId, Untouched),
    Part(CollectionId, RemoteId, Option<PartOf>),
    Raw(LinkId, PartKey, Option<Bytes>),
    NoCollection(CollectionId),
    Collection(Box<Collection>),
    Cursor(CollectionId, Option<Cursor>, Option<i64>),
    Hold(CollectionId, Option<Hold>),
    NoIntent(IntentId),
    Intent(Box<Intent>),
    NoConflict(ConflictId),
    Unresolved(ConflictId),
    Quarantine(CollectionId, RemoteId, Option<Box<Quarantine>>),
    Health(ConnectionId, Health, Option<String>, Option<i64>),
    Discovered(ConnectionId, Option<i64>),
    Mirror(MirrorId, Option<Box<Mirror>>),
    Pairing(CollectionId, RecordId, Option<Pairing>),
    Webhook(InboundId, Box<Webhook>),
    Freshness((CollectionId, RemoteId), Option<Freshness>),
    NoJob(JobId),
    Job {
        id: JobId,
        run_at: i64,
    },
}

impl Was {
    /// Puts it back.
    pub(super) fn restore(self, tenant: &mut Tenant, queue: &mut Queue) {
        match self {
            Self::NoRecord(id) => {
                tenant.records.remove(&id);
            }
            Self::Record(record) => {
                tenant.records.insert(record.id.clone(), record);
            }
            Self::NoLink(id) => {
                tenant.links.remove(&id);
            }
            Self::Link(link) => {
                tenant.links.put(link);
            }
            Self::Untouched(id, before) => tenant.links.untouch(&id, &before),
            Self::Part(collection, remote, part) => {
                tenant.links.put_part(&collection, &remote, part);
            }
            Self::Raw(link, part, raw) => {
                tenant.put_raw(&link, &part, raw);
            }
            Self::NoCollection(id) => {
                tenant.collections.remove(&id);
            }
            Self::Collection(collection) => {
                tenant.collections.insert(collection.id.clone(), *collection);
            }
            Self::Cursor(id, cursor, enumerated_at) => {
                if let Some(collection) = tenant.collections.get_mut(&id) {
                    collection.cursor = cursor;
                    collection.enumerated_at = enumerated_at;
                }
            }
            Self::Hold(id, hold) => {
                if let Some(collection) = tenant.collections.get_mut(&id) {
                    collection.hold = hold;
                }
            }
            Self::NoIntent(id) => {
                tenant.intents.remove(&id);
            }
            Self::Intent(intent) => {
                tenant.intents.insert(intent.id.clone(), intent);
            }
            Self::NoConflict(id) => {
                tenant.conflicts.remove(&id);
            }
            Self::Unresolved(id) => {
                if let Some(conflict) = tenant.conflicts.get_mut(&id) {
                    conflict.resolved_at = None;
                }
            }
            Self::Quarantine(collection, remote, entry) => {
                tenant.put_quarantine(&collection, &remote, entry);
            }
            Self::Health(id, health, reason, synced_at) => {
                if let Some(connection) = tenant.connections.get_mut(&id) {
                    connection.health = health;
                    connection.health_reason = reason;
                    connection.synced_at = synced_at;
                }
            }
            Self::Discovered(id, at) => {
                if let Some(connection) = tenant.connections.get_mut(&id) {
                    connection.discovered_at = at;
                }
            }
            Self::Mirror(id, Some(mirror)) => {
                tenant.mirrors.insert(id, mirror);
            }
            Self::Mirror(id, None) => {
                tenant.mirrors.remove(&id);
            }
            Self::Pairing(collection, record, pairing) => {
                tenant.put_pairing(&collection, &record, pairing);
            }
            Self::Webhook(id, webhook) => {
                tenant.inbox.insert(id, *webhook);
            }
            Self::Freshness(key, Some(freshness)) => {
                tenant.freshness.insert(key, freshness);
            }
            Self::Freshness(key, None) => {
                tenant.freshness.remove(&key);
            }
            Self::NoJob(id) => queue.forget(&id),
            Self::Job { id, run_at } => queue.run_at(&id, run_at),
        }
    }
}
