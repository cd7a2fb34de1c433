//! The rows of one organization.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use connector_sdk::RemoteId;
use model::{
    CollectionId, ConflictId, ConnectionId, InboundId, IntentId, LinkId, MirrorId, PartKey, QuarantineId,
    RecordId,
};
use sync::history::{HistoryEntry, KEPT_PER_RECORD};
use sync::state::{
    Collection, Conflict, Connection, FeedEntry, Freshness, Inbound, InboundEnd, Intent, Mirror, Pairing,
    Quarantine, Record,
};

use super::links::Links;

/// The rows of one organization. Rows are boxed where effects bring them boxed: they move in and
/// out uncopied. Records are shared with whoever reads them.
#[derive(Debug, Clone, Default)]
pub(super) struct Tenant {
    pub(super) connections: BTreeMap<ConnectionId, Connection>,
    pub(super) collections: BTreeMap<CollectionId, Collection>,
    pub(super) records: BTreeMap<RecordId, Arc<Record>>,
    pub(super) links: Links,
    pub(super) raws: BTreeMap<LinkId, BTreeMap<PartKey, Bytes>>,
    pub(super) intents: BTreeMap<IntentId, Box<Intent>>,
    pub(super) mirrors: BTreeMap<MirrorId, Box<Mirror>>,
    pub(super) conflicts: BTreeMap<ConflictId, Box<Conflict>>,
    pub(super) quarantine: BTreeMap<CollectionId, BTreeMap<RemoteId, Box<Quarantine>>>,
    pub(super) pairings: BTreeMap<CollectionId, BTreeMap<RecordId, Pairing>>,
    pub(super) inbox: BTreeMap<InboundId, Webhook>,
    pub(super) freshness: BTreeMap<(CollectionId, RemoteId), Freshness>,
    pub(super) feed: Vec<FeedEntry>,
    /// Of each record, oldest first.
    pub(super) history: BTreeMap<RecordId, VecDeque<Box<HistoryEntry>>>,
}

/// A webhook, and what became of it; until then, when it is due.
#[derive(Debug, Clone)]
pub(super) struct Webhook {
    pub(super) inbound: Inbound,
    pub(super) due_at: i64,
    pub(super) end: Option<InboundEnd>,
}

impl Tenant {
    /// Appends to a record's history; beyond the bound its oldest entry goes.
    pub(super) fn tell(&mut self, entry: Box<HistoryEntry>) {
        let told = self.history.entry(entry.record.clone()).or_default();
        told.push_back(entry);
        if i64::try_from(told.len()).is_ok_and(|len| len > KEPT_PER_RECORD) {
            told.pop_front();
        }
    }

    /// The id of the collection that is this remote one. An organization has a handful.
    pub(super) fn collection_of(&self, connection: &ConnectionId, remote: &RemoteId) -> Option<CollectionId> {
        let found = self
            .collections
            .values()
            .find(|stored| stored.connection == *connection && stored.remote.id == *remote);
        found.map(|stored| stored.id.clone())
    }

    /// Where an entry of the quarantine is, by its id.
    pub(super) fn quarantine_of(&self, id: &QuarantineId) -> Option<&Quarantine> {
        let mut entries = self.quarantine.values().flat_map(BTreeMap::values);
        entries.find(|entry| entry.id == *id).map(|entry| &**entry)
    }

    /// Puts an original into its place, or takes it away; answers with what was there.
    pub(super) fn put_raw(&mut self, link: &LinkId, part: &PartKey, raw: Option<Bytes>) -> Option<Bytes> {
        match raw {
            Some(raw) => match self.raws.get_mut(link) {
                Some(parts) => parts.insert(part.clone(), raw),
                None => {
                    self.raws
                        .insert(link.clone(), BTreeMap::from([(part.clone(), raw)]));
                    None
                }
            },
            None => {
                let parts = self.raws.get_mut(link)?;
                let old = parts.remove(part);
                if parts.is_empty() {
                    self.raws.remove(link);
                }
                old
            }
        }
    }

    /// Notes what was decided about a record and a collection; answers with what was noted.
    pub(super) fn put_pairing(
        &mut self,
        collection: &CollectionId,
        record: &RecordId,
        pairing: Option<Pairing>,
    ) -> Option<Pairing> {
        match pairing {
            Some(pairing) => {
                let noted = self.pairings.entry(collection.clone()).or_default();
                noted.insert(record.clone(), pairing)
            }
            None => self.pairings.get_mut(collection)?.remove(record),
        }
    }

    /// Puts an entry into quarantine, or takes it out; answers with what was there.
    pub(super) fn put_quarantine(
        &mut self,
        collection: &CollectionId,
        remote: &RemoteId,
        entry: Option<Box<Quarantine>>,
    ) -> Option<Box<Quarantine>> {
        match entry {
            Some(entry) => self
                .quarantine
                .entry(collection.clone())
                .or_default()
                .insert(remote.clone(), entry),
            None => self.quarantine.get_mut(collection)?.remove(remote),
        }
    }
}
