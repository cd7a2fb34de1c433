//! Effects on everything but records and links.

use connector_sdk::{Cursor, RemoteId};
use model::{CollectionId, ConflictId, ConnectionId, InboundId, IntentId, LinkId, MirrorId, RecordId};
use sync::hold::{Hold, HoldAnswer};
use sync::ports::StoreError;
use sync::state::{
    Collection, Conflict, Freshness, Health, InboundEnd, Intent, Mirror, NewJob, Pairing, Quarantine,
};

use super::batch::{Batch, Reference, stale};
use super::journal::Was;
use super::queue::Enqueued;

impl Batch<'_> {
    pub(super) fn put_cursor(
        &mut self,
        id: CollectionId,
        cursor: Option<Cursor>,
        enumerated_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let Some(stored) = self.tenant.collections.get_mut(&id) else {
            return stale(id);
        };
        let was = (stored.cursor.take(), stored.enumerated_at);
        stored.cursor = cursor;
        stored.enumerated_at = enumerated_at.or(was.1);
        self.journal.push(Was::Cursor(id, was.0, was.1));
        Ok(())
    }

    /// A new collection, or what the provider now says of one. Of a known one the cursor, the hold and the time of
    /// its enumeration stay; whether it is synced changes only when the caller speaks of the stored collection
    /// itself, by its id, and not of one that a listing has just named.
    pub(super) fn put_collection(&mut self, collection: Collection) -> Result<(), StoreError> {
        let known = self
            .tenant
            .collection_of(&collection.connection, &collection.remote.id);
        let stored = known.and_then(|id| self.tenant.collections.get_mut(&id));
        if let Some(stored) = stored {
            self.journal.push(Was::Collection(Box::new(stored.clone())));
            stored.remote = collection.remote;
            if stored.id == collection.id {
                stored.enabled = collection.enabled;
            }
            return Ok(());
        }
        if self.tenant.collections.contains_key(&collection.id) {
            return stale(&collection.id);
        }
        let id = collection.id.clone();
        self.journal.push(Was::NoCollection(id.clone()));
        self.references.push(Reference::Collection(id.clone()));
        self.tenant.collections.insert(id, collection);
        Ok(())
    }

    pub(super) fn hold(
        &mut self,
        id: CollectionId,
        before: Option<HoldAnswer>,
        hold: Option<Hold>,
    ) -> Result<(), StoreError> {
        let Some(stored) = self.tenant.collections.get_mut(&id) else {
            return stale(id);
        };
        if stored.hold.as_ref().and_then(|hold| hold.answer) != before {
            return stale(id);
        }
        let was = std::mem::replace(&mut stored.hold, hold);
        self.journal.push(Was::Hold(id, was));
        Ok(())
    }

    pub(super) fn open_intent(&mut self, intent: Box<Intent>) -> Result<(), StoreError> {
        if self.tenant.intents.contains_key(&intent.id) {
            return stale(&intent.id);
        }
        let id = intent.id.clone();
        self.journal.push(Was::NoIntent(id.clone()));
        self.references.push(Reference::Intent(id.clone()));
        self.tenant.intents.insert(id, intent);
        Ok(())
    }

    pub(super) fn close_intent(&mut self, id: &IntentId) {
        if let Some(was) = self.tenant.intents.remove(id) {
            self.journal.push(Was::Intent(was));
        }
    }

    /// Refuses to go on while a write through the link has no known outcome.
    pub(super) fn expect_no_intent(&self, link: &LinkId) -> Result<(), StoreError> {
        match self.tenant.intents.values().any(|intent| intent.link == *link) {
            true => stale(link),
            false => Ok(()),
        }
    }

    pub(super) fn pair(&mut self, record: RecordId, collection: CollectionId, pairing: Option<Pairing>) {
        let was = self.tenant.put_pairing(&collection, &record, pairing);
        if pairing.is_some() {
            self.references
                .push(Reference::Pairing(collection.clone(), record.clone()));
        }
        self.journal.push(Was::Pairing(collection, record, was));
    }

    /// What became of a webhook that waited.
    pub(super) fn end_inbound(&mut self, id: InboundId, end: InboundEnd) -> Result<(), StoreError> {
        let Some(stored) = self
            .tenant
            .inbox
            .get_mut(&id)
            .filter(|stored| stored.end.is_none())
        else {
            return stale(id);
        };
        let was = stored.clone();
        match end {
            InboundEnd::Retry { at, .. } => {
                stored.due_at = at;
                stored.inbound.attempts += 1;
            }
            InboundEnd::Done(_) | InboundEnd::Quarantined(_) | InboundEnd::Dropped(_) => {
                stored.end = Some(end)
            }
        }
        self.journal.push(Was::Webhook(id, Box::new(was)));
        Ok(())
    }

    /// Objects that lost their link are not known to be new any more; what the batch itself says of them stands.
    pub(super) fn put_freshness(&mut self) {
        let left = std::mem::take(&mut self.left);
        let left = left
            .into_iter()
            .filter(|(place, remote)| self.tenant.links.part(place, remote).is_none());
        let left: Vec<_> = left
            .map(|(place, remote)| (place, remote, Freshness::default()))
            .collect();
        for (place, remote, freshness) in left.into_iter().chain(std::mem::take(&mut self.fresh)) {
            let key = (place, remote);
            let was = self.tenant.freshness.insert(key.clone(), freshness);
            self.references.push(Reference::Freshness(key.0.clone()));
            self.journal.push(Was::Freshness(key, was));
        }
    }

    pub(super) fn put_conflict(&mut self, conflict: Box<Conflict>) -> Result<(), StoreError> {
        if self.tenant.conflicts.contains_key(&conflict.id) {
            return stale(&conflict.id);
        }
        self.journal.push(Was::NoConflict(conflict.id.clone()));
        self.tenant.conflicts.insert(conflict.id.clone(), conflict);
        Ok(())
    }

    pub(super) fn resolve(&mut self, id: ConflictId, at: i64) -> Result<(), StoreError> {
        let stored = self.tenant.conflicts.get_mut(&id);
        let Some(stored) = stored.filter(|stored| stored.resolved_at.is_none()) else {
            return stale(id);
        };
        stored.resolved_at = Some(at);
        self.journal.push(Was::Unresolved(id));
        Ok(())
    }

    pub(super) fn quarantine(&mut self, entry: Box<Quarantine>) -> Result<(), StoreError> {
        let twin = self.tenant.quarantine_of(&entry.id);
        if twin.is_some_and(|twin| twin.collection != entry.collection || twin.remote != entry.remote) {
            return stale(&entry.id);
        }
        let (collection, remote) = (entry.collection.clone(), entry.remote.clone());
        let was = self.tenant.put_quarantine(&collection, &remote, Some(entry));
        self.references
            .push(Reference::Quarantine(collection.clone(), remote.clone()));
        self.journal.push(Was::Quarantine(collection, remote, was));
        Ok(())
    }

    pub(super) fn release(&mut self, collection: CollectionId, remote: RemoteId) {
        if let Some(was) = self.tenant.put_quarantine(&collection, &remote, None) {
            self.journal.push(Was::Quarantine(collection, remote, Some(was)));
        }
    }

    pub(super) fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.journal.push(match self.queue.enqueue(job)? {
            Enqueued::New(id) => Was::NoJob(id),
            Enqueued::Joined { id, run_at } => Was::Job { id, run_at },
        });
        Ok(())
    }

    /// What the engine says of a connection's health. A connection that someone paused stays paused.
    pub(super) fn set_health(
        &mut self,
        id: ConnectionId,
        health: Health,
        reason: Option<String>,
        synced_at: Option<i64>,
    ) -> Result<(), StoreError> {
        let Some(stored) = self.tenant.connections.get_mut(&id) else {
            return stale(id);
        };
        let was = (stored.health, stored.health_reason.clone(), stored.synced_at);
        if stored.health != Health::Paused {
            stored.health = health;
            stored.health_reason = reason;
        }
        stored.synced_at = synced_at.or(was.2);
        self.journal.push(Was::Health(id, was.0, was.1, was.2));
        Ok(())
    }

    pub(super) fn discovered(&mut self, id: ConnectionId, at: i64) -> Result<(), StoreError> {
        let Some(stored) = self.tenant.connections.get_mut(&id) else {
            return stale(id);
        };
        let was = stored.discovered_at.replace(at);
        self.journal.push(Was::Discovered(id, was));
        Ok(())
    }

    pub(super) fn put_mirror(&mut self, mut mirror: Box<Mirror>) {
        let id = mirror.id.clone();
        if let Some(stored) = self.tenant.mirrors.get(&id) {
            mirror.created_at = stored.created_at;
        }
        let was = self.tenant.mirrors.insert(id.clone(), mirror);
        self.references.push(Reference::Mirror(id.clone()));
        self.journal.push(Was::Mirror(id, was));
    }

    pub(super) fn drop_mirror(&mut self, id: MirrorId) {
        if let Some(was) = self.tenant.mirrors.remove(&id) {
            self.journal.push(Was::Mirror(id, Some(was)));
        }
    }
}
