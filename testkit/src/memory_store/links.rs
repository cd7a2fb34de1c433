//! Links, and the ways to find them: by record, by collection, by remote object, by what there is to send.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::{RemoteId, RemoteVersion};
use model::{CollectionId, ConnectionId, LinkId, PartKey, RecordId};
use sync::state::{Link, LinkState};

/// The part of a link that a remote object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartOf {
    pub(super) link: LinkId,
    pub(super) part: PartKey,
}

/// How a link stood before it was touched.
#[derive(Debug, Clone)]
pub(super) struct Untouched {
    dirty: bool,
    synced: bool,
}

/// The links of an organization. The look-up from remote objects is written by itself, by [`Links::put_part`]: links
/// of one batch may exchange their remote objects, so that it is only right between batches.
#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    rows: BTreeMap<LinkId, Box<Link>>,
    by_record: BTreeMap<RecordId, BTreeSet<LinkId>>,
    by_collection: BTreeMap<CollectionId, BTreeMap<RecordId, LinkId>>,
    parts: BTreeMap<CollectionId, BTreeMap<RemoteId, PartOf>>,
    to_send: BTreeMap<ConnectionId, BTreeSet<(i64, LinkId)>>,
}

impl Links {
    pub(super) fn all(&self) -> impl Iterator<Item = &Link> {
        self.rows.values().map(|link| &**link)
    }

    pub(super) fn get(&self, id: &LinkId) -> Option<&Link> {
        self.rows.get(id).map(|link| &**link)
    }

    /// The links of a record, in order of id.
    pub(super) fn of(&self, record: &RecordId) -> impl Iterator<Item = &Link> + use<'_> {
        let ids = self.by_record.get(record).into_iter().flatten();
        ids.filter_map(|id| self.get(id))
    }

    /// How many links a record has.
    pub(super) fn count_of(&self, record: &RecordId) -> usize {
        self.by_record.get(record).map_or(0, BTreeSet::len)
    }

    /// The records with a link in a collection, in order of id.
    pub(super) fn records_in(&self, collection: &CollectionId) -> Option<&BTreeMap<RecordId, LinkId>> {
        self.by_collection.get(collection)
    }

    /// The link of a record in a collection.
    pub(super) fn at(&self, collection: &CollectionId, record: &RecordId) -> Option<&LinkId> {
        self.by_collection.get(collection)?.get(record)
    }

    /// The remote objects of a collection, in order of their ids, with the versions last seen.
    pub(super) fn parts_in(
        &self,
        collection: &CollectionId,
    ) -> impl Iterator<Item = (&RemoteId, Option<&RemoteVersion>)> {
        let parts = self.parts.get(collection).into_iter().flatten();
        parts.map(|(remote, of)| {
            let part = self.get(&of.link).and_then(|link| link.parts.get(&of.part));
            (remote, part.and_then(|part| part.version.as_ref()))
        })
    }

    /// The link of a remote object.
    pub(super) fn part(&self, collection: &CollectionId, remote: &RemoteId) -> Option<&PartOf> {
        self.parts.get(collection)?.get(remote)
    }

    /// Links with something to send, as `(not_before, id)`, in this order.
    pub(super) fn to_send(&self, connection: &ConnectionId) -> impl Iterator<Item = &(i64, LinkId)> {
        self.to_send.get(connection).into_iter().flatten()
    }

    /// Puts a link into its place; answers with what was there. That its collection has no other link of its record
    /// is the caller's to see to.
    pub(super) fn put(&mut self, link: Box<Link>) -> Option<Box<Link>> {
        let Some(row) = self.rows.get_mut(&link.id) else {
            self.place(&link);
            self.queue(&link);
            return self.rows.insert(link.id.clone(), link);
        };
        let moved = row.record != link.record || row.collection != link.collection;
        let waits_otherwise =
            (row.dirty, row.not_before, &row.connection) != (link.dirty, link.not_before, &link.connection);
        if !moved && !waits_otherwise {
            return Some(std::mem::replace(row, link));
        }
        let old = self.remove(&link.id);
        self.place(&link);
        self.queue(&link);
        self.rows.insert(link.id.clone(), link);
        old
    }

    /// Takes a link away; answers with what was there.
    pub(super) fn remove(&mut self, id: &LinkId) -> Option<Box<Link>> {
        let old = self.rows.remove(id)?;
        if let Some(links) = self.by_record.get_mut(&old.record) {
            links.remove(id);
            if links.is_empty() {
                self.by_record.remove(&old.record);
            }
        }
        if let Some(records) = self.by_collection.get_mut(&old.collection) {
            records.remove(&old.record);
        }
        self.unqueue(&old);
        Some(old)
    }

    /// Marks a link as having something to send, and raises its revision; answers with how it stood.
    pub(super) fn touch(&mut self, id: &LinkId) -> Option<Untouched> {
        let link = self.rows.get_mut(id)?;
        let before = Untouched {
            dirty: link.dirty,
            synced: link.state == LinkState::Synced,
        };
        link.revision += 1;
        link.dirty = true;
        if before.synced {
            link.state = LinkState::Pending;
        }
        if !before.dirty {
            let place = (link.not_before, id.clone());
            self.to_send
                .entry(link.connection.clone())
                .or_default()
                .insert(place);
        }
        Some(before)
    }

    /// Undoes a touch.
    pub(super) fn untouch(&mut self, id: &LinkId, before: &Untouched) {
        let Some(link) = self.rows.get_mut(id) else { return };
        link.revision -= 1;
        link.dirty = before.dirty;
        if before.synced {
            link.state = LinkState::Synced;
        }
        if !before.dirty
            && let Some(waiting) = self.to_send.get_mut(&link.connection)
        {
            waiting.remove(&(link.not_before, id.clone()));
        }
    }

    /// Says which link a remote object belongs to, or that it belongs to none; answers with what was said.
    pub(super) fn put_part(
        &mut self,
        collection: &CollectionId,
        remote: &RemoteId,
        part: Option<PartOf>,
    ) -> Option<PartOf> {
        match part {
            Some(part) => match self.parts.get_mut(collection) {
                Some(parts) => parts.insert(remote.clone(), part),
                None => {
                    let parts = BTreeMap::from([(remote.clone(), part)]);
                    self.parts.insert(collection.clone(), parts);
                    None
                }
            },
            None => self.parts.get_mut(collection)?.remove(remote),
        }
    }

    fn place(&mut self, link: &Link) {
        self.by_record
            .entry(link.record.clone())
            .or_default()
            .insert(link.id.clone());
        self.by_collection
            .entry(link.collection.clone())
            .or_default()
            .insert(link.record.clone(), link.id.clone());
    }

    fn queue(&mut self, link: &Link) {
        if link.dirty {
            self.to_send
                .entry(link.connection.clone())
                .or_default()
                .insert((link.not_before, link.id.clone()));
        }
    }

    fn unqueue(&mut self, link: &Link) {
        if link.dirty
            && let Some(waiting) = self.to_send.get_mut(&link.connection)
        {
            waiting.remove(&(link.not_before, link.id.clone()));
        }
    }
}
