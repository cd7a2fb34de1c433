//! What is read: the same answers in the same order as SQLite's.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;
use connector_sdk::{Known, RemoteId};
use model::{CollectionId, ConnectionId, LinkId, PartKey, RecordId};
use sync::ports::Linked;
use sync::state::{Collection, Intent, Link, Mirror, Quarantine, Record};

use super::tenant::Tenant;

impl Tenant {
    pub(super) fn collections_on(&self, connection: &ConnectionId) -> Vec<Collection> {
        let all = self.collections.values();
        let mut found: Vec<Collection> = all
            .filter(|stored| stored.connection == *connection)
            .cloned()
            .collect();
        found.sort_by(|one, other| (&one.remote.name, &one.id).cmp(&(&other.remote.name, &other.id)));
        found
    }

    pub(super) fn known(&self, collection: &CollectionId) -> Known {
        let linked = self.links.parts_in(collection);
        let mut known: Known = linked
            .map(|(remote, version)| (remote.clone(), version.cloned()))
            .collect();
        // Of an object that is linked and in quarantine, the version that could not be read was seen last.
        for (remote, entry) in self.quarantine.get(collection).into_iter().flatten() {
            known.insert(remote.clone(), entry.version.clone());
        }
        known
    }

    pub(super) fn unreadable(&self, collection: &CollectionId, ids: &[RemoteId]) -> Vec<Quarantine> {
        let mut ids: Vec<&RemoteId> = ids.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let Some(entries) = self.quarantine.get(collection) else {
            return Vec::new();
        };
        let found = ids.into_iter().filter_map(|id| entries.get(id));
        found.map(|entry| entry.as_ref().clone()).collect()
    }

    pub(super) fn unreadable_due(
        &self,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Vec<Quarantine> {
        let entries = self.quarantine.get(collection).into_iter().flatten();
        let mut due: Vec<&Quarantine> = entries
            .map(|(_, entry)| entry.as_ref())
            .filter(|entry| entry.retry_at <= now_ms)
            .collect();
        due.sort_by_key(|entry| (entry.retry_at, &entry.remote));
        due.into_iter().take(limit as usize).cloned().collect()
    }

    pub(super) fn linked(&self, collection: &CollectionId, ids: &[RemoteId]) -> Vec<Linked> {
        let mut ids: Vec<&RemoteId> = ids.iter().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter()
            .filter_map(|id| {
                let of = self.links.part(collection, id)?;
                self.with_record(self.links.get(&of.link)?, of.part.clone())
            })
            .collect()
    }

    pub(super) fn link(&self, id: &LinkId) -> Option<Linked> {
        self.with_record(self.links.get(id)?, PartKey::MASTER)
    }

    fn with_record(&self, link: &Link, part: PartKey) -> Option<Linked> {
        Some(Linked {
            record: self.records.get(&link.record)?.clone(),
            link: link.clone(),
            part,
        })
    }

    pub(super) fn dirty_links(&self, connection: &ConnectionId, now_ms: i64, limit: u32) -> Vec<LinkId> {
        let due = self
            .links
            .to_send(connection)
            .take_while(|(not_before, _)| *not_before <= now_ms);
        due.take(count(limit)).map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn raws_of(&self, link: &LinkId) -> BTreeMap<PartKey, Bytes> {
        self.raws.get(link).cloned().unwrap_or_default()
    }

    pub(super) fn open_intents(&self, connection: &ConnectionId) -> Vec<Intent> {
        let all = self.intents.values();
        all.filter(|intent| intent.connection == *connection)
            .map(|intent| intent.as_ref().clone())
            .collect()
    }

    pub(super) fn mirrors_of(&self, collection: &CollectionId) -> Vec<Mirror> {
        let all = self.mirrors.values().filter(|mirror| {
            let mut members = mirror.members.iter();
            members.any(|member| member.collection_id == *collection)
        });
        all.map(|mirror| mirror.as_ref().clone()).collect()
    }

    pub(super) fn members(
        &self,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Vec<Linked> {
        self.live_in(collection, after)
            .filter_map(|record| self.link_in(collection, record))
            .take(count(limit))
            .collect()
    }

    pub(super) fn with_uid(&self, collection: &CollectionId, uids: &[String]) -> Vec<Linked> {
        self.live_in(collection, None)
            .filter(|record| record.uid().is_some_and(|uid| uids.iter().any(|one| one == uid)))
            .filter_map(|record| self.link_in(collection, record))
            .collect()
    }

    /// A record with its link in a collection.
    fn link_in(&self, collection: &CollectionId, record: &Record) -> Option<Linked> {
        self.link(self.links.at(collection, &record.id)?)
    }

    pub(super) fn joined(
        &self,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Vec<Record> {
        self.live_in(collection, after)
            .filter(|record| self.links.count_of(&record.id) > 1)
            .take(count(limit))
            .cloned()
            .collect()
    }

    /// Live records with a link in a collection, in order of id.
    fn live_in(&self, collection: &CollectionId, after: Option<&RecordId>) -> impl Iterator<Item = &Record> {
        let from = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.clone()));
        let all = self.links.records_in(collection).into_iter();
        all.flat_map(move |records| records.range((from.clone(), Bound::Unbounded)))
            .filter_map(|(id, _)| self.records.get(id))
            .map(|record| &**record)
            .filter(|record| !record.deleted)
    }
}

fn count(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
