//! Effects on records and links, and on what hangs on a link: its remote objects, originals and intents.

use bytes::Bytes;
use connector_sdk::RemoteId;
use model::{IntentId, LinkId, PartKey, RecordId};
use sync::ports::StoreError;
use sync::state::{Link, Record};

use super::batch::{Batch, Reference, stale};
use super::journal::Was;
use super::links::PartOf;

impl Batch<'_> {
    pub(super) fn create_record(&mut self, record: Box<Record>) -> Result<(), StoreError> {
        if self.tenant.records.contains_key(&record.id) {
            return stale("one of the new records");
        }
        self.journal.push(Was::NoRecord(record.id.clone()));
        self.tenant.records.insert(record.id.clone(), record.into());
        Ok(())
    }

    pub(super) fn update_record(&mut self, record: Box<Record>) -> Result<(), StoreError> {
        match self.tenant.records.get_mut(&record.id) {
            Some(stored) if stored.version == record.version - 1 => {
                self.journal
                    .push(Was::Record(std::mem::replace(stored, record.into())));
                Ok(())
            }
            _ => stale(&record.id),
        }
    }

    pub(super) fn create_link(&mut self, link: Box<Link>) -> Result<(), StoreError> {
        let links = &mut self.tenant.links;
        if links.get(&link.id).is_some() || links.at(&link.collection, &link.record).is_some() {
            return stale("one of the new links");
        }
        self.journal.push(Was::NoLink(link.id.clone()));
        self.references.push(Reference::Link(link.id.clone()));
        if !link.parts.is_empty() {
            self.placed.push(link.id.clone());
        }
        links.put(link);
        Ok(())
    }

    pub(super) fn update_link(&mut self, link: Box<Link>) -> Result<(), StoreError> {
        let links = &mut self.tenant.links;
        match links.get(&link.id) {
            Some(stored) if stored.revision == link.revision - 1 => {}
            _ => return stale(&link.id),
        }
        let twin = links.at(&link.collection, &link.record);
        if twin.is_some_and(|twin| *twin != link.id) {
            return stale(&link.id);
        }
        let id = link.id.clone();
        let gone = |old: &Link, now: &Link| -> Vec<PartKey> {
            let parts = old.parts.keys();
            parts
                .filter(|part| !now.parts.contains_key(*part))
                .cloned()
                .collect()
        };
        let dropped = links.get(&id).map(|old| gone(old, &link)).unwrap_or_default();
        self.unplace_parts(&id);
        if !link.parts.is_empty() {
            self.placed.push(id.clone());
        }
        self.references.push(Reference::Link(id.clone()));
        if let Some(old) = self.tenant.links.put(link) {
            self.journal.push(Was::Link(old));
        }
        // A later part of the same key is another object.
        for part in dropped {
            self.drop_raw(&id, part);
        }
        Ok(())
    }

    /// Removes a link with its originals and intents.
    pub(super) fn drop_link(&mut self, id: &LinkId, revision: i64) -> Result<(), StoreError> {
        let stored = self.tenant.links.get(id);
        if stored.is_none_or(|stored| stored.revision != revision) {
            return stale(id);
        }
        self.unplace_parts(id);
        if let Some(old) = self.tenant.links.remove(id) {
            self.journal.push(Was::Link(old));
        }
        let raws = self.tenant.raws.get(id);
        let parts: Vec<PartKey> = raws.into_iter().flat_map(|raws| raws.keys().cloned()).collect();
        for part in parts {
            self.drop_raw(id, part);
        }
        let open = self.tenant.intents.values();
        let intents: Vec<IntentId> = open
            .filter(|intent| intent.link == *id)
            .map(|intent| intent.id.clone())
            .collect();
        for intent in intents {
            self.close_intent(&intent);
        }
        Ok(())
    }

    /// Takes a link's remote objects out of the look-up.
    pub(super) fn unplace_parts(&mut self, id: &LinkId) {
        let Some(link) = self.tenant.links.get(id) else {
            return;
        };
        let place = link.collection.clone();
        let remotes: Vec<RemoteId> = link.parts.values().map(|part| part.id.clone()).collect();
        for remote in remotes {
            let links = &mut self.tenant.links;
            // A link that this batch has changed before is not in there yet.
            if links.part(&place, &remote).is_some_and(|of| of.link == *id) {
                let was = links.put_part(&place, &remote, None);
                self.left.insert((place.clone(), remote.clone()));
                self.journal.push(Was::Part(place.clone(), remote, was));
            }
        }
    }

    /// Puts remote objects of new and changed links into the look-up: each has one link now, or somebody was faster.
    pub(super) fn place_parts(&mut self) -> Result<(), StoreError> {
        for id in std::mem::take(&mut self.placed) {
            let Some(link) = self.tenant.links.get(&id) else {
                continue;
            };
            let place = link.collection.clone();
            let parts = link.parts.iter();
            let parts: Vec<(RemoteId, PartOf)> = parts
                .map(|(part, remote)| {
                    let (link, part) = (id.clone(), part.clone());
                    (remote.id.clone(), PartOf { link, part })
                })
                .collect();
            for (remote, part) in parts {
                match self.tenant.links.part(&place, &remote) {
                    Some(there) if *there == part => continue,
                    Some(_) => return stale("a remote object of one of the links"),
                    None => {}
                }
                self.tenant.links.put_part(&place, &remote, Some(part));
                self.journal.push(Was::Part(place.clone(), remote, None));
            }
        }
        Ok(())
    }

    pub(super) fn put_raw(&mut self, link: LinkId, part: PartKey, raw: Bytes) {
        let was = self.tenant.put_raw(&link, &part, Some(raw));
        self.references.push(Reference::Raw(link.clone()));
        self.journal.push(Was::Raw(link, part, was));
    }

    pub(super) fn drop_raw(&mut self, link: &LinkId, part: PartKey) {
        if let Some(raw) = self.tenant.put_raw(link, &part, None) {
            self.journal.push(Was::Raw(link.clone(), part, Some(raw)));
        }
    }

    pub(super) fn touch(&mut self, record: &RecordId, except: Option<&LinkId>) {
        let others = self.tenant.links.of(record).map(|link| &link.id);
        let others: Vec<LinkId> = others.filter(|id| Some(*id) != except).cloned().collect();
        for id in others {
            if let Some(before) = self.tenant.links.touch(&id) {
                self.journal.push(Was::Untouched(id, before));
            }
        }
    }
}
