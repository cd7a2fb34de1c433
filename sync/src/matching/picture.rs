//! What is where: the records of some collections, read once, and kept in step with what is decided about them. A dry
//! run decides on the same picture, and carries nothing out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::{CollectionId, OrganizationId, RecordId};

use super::Reason;
use super::keys::candidate_keys;
use crate::engine::Desk;
use crate::ports::StoreError;
use crate::state::{Pairing, Record};

/// Records that one read takes.
const BATCH: u32 = 500;

/// What is where.
#[derive(Default)]
pub(crate) struct Picture {
    records: BTreeMap<RecordId, Arc<Record>>,
    places: BTreeMap<CollectionId, Place>,
}

/// One collection.
#[derive(Default)]
struct Place {
    /// The records with a link there, and whether that has a remote object.
    members: BTreeMap<RecordId, bool>,
    /// Records that are not to be linked there by themselves.
    apart: BTreeSet<RecordId>,
}

/// What is to become of a record of a source at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The target holds the same thing.
    Same {
        source: RecordId,
        target: RecordId,
        reason: Reason,
    },
    /// It is like several, or several are like one: nothing is joined, and a copy is made.
    Ambiguous {
        record: RecordId,
        others: Vec<RecordId>,
        reason: Reason,
    },
    /// The target holds nothing like it: a copy is made.
    New { record: RecordId },
}

/// The records of a collection by what they are known by.
#[derive(Default)]
struct Index<'a> {
    uids: BTreeMap<&'a str, BTreeSet<&'a RecordId>>,
    candidates: BTreeMap<String, BTreeSet<&'a RecordId>>,
}

impl Picture {
    /// Reads what the collections hold.
    pub(crate) async fn read(
        desk: &Desk,
        organization: &OrganizationId,
        collections: &BTreeSet<CollectionId>,
    ) -> Result<Self, StoreError> {
        let mut picture = Self::default();
        for collection in collections {
            let mut place = Place::default();
            let decided = desk.store.pairings(organization, collection).await?;
            let apart = decided
                .into_iter()
                .filter(|(_, pairing)| *pairing == Pairing::Apart);
            place.apart.extend(apart.map(|(record, _)| record));
            let mut after: Option<RecordId> = None;
            loop {
                let page = desk
                    .store
                    .members(organization, collection, after.as_ref(), BATCH)
                    .await?;
                let Some(last) = page.last() else { break };
                after = Some(last.record.id.clone());
                for linked in page {
                    let id = linked.record.id.clone();
                    place.members.insert(id.clone(), linked.link.is_there());
                    picture.records.insert(id, linked.record);
                }
            }
            picture.places.insert(collection.clone(), place);
        }
        Ok(picture)
    }

    /// A record as it is by now.
    pub(crate) fn record(&self, id: &RecordId) -> Option<&Record> {
        self.records.get(id).map(|record| &**record)
    }

    /// One record was made of two.
    pub(crate) fn join(&mut self, kept: Record, retired: &RecordId) {
        for place in self.places.values_mut() {
            if let Some(there) = place.members.remove(retired) {
                *place.members.entry(kept.id.clone()).or_default() |= there;
            }
            if place.apart.remove(retired) {
                place.apart.insert(kept.id.clone());
            }
        }
        self.records.remove(retired);
        self.records.insert(kept.id.clone(), Arc::new(kept));
    }

    /// A record has a link in a collection, whose object is still to be made.
    pub(crate) fn expect(&mut self, record: &RecordId, collection: &CollectionId) {
        if let Some(place) = self.places.get_mut(collection) {
            place.members.entry(record.clone()).or_default();
        }
    }

    /// What is to become of the records of `source` at `target`, in order of their ids. Decided at once, so that the
    /// order does not matter.
    pub(crate) fn compare(&self, source: &CollectionId, target: &CollectionId) -> Vec<Verdict> {
        let (Some(from), Some(to)) = (self.places.get(source), self.places.get(target)) else {
            return Vec::new();
        };
        let (here, there) = (self.index(from), self.index(to));
        let look = Look {
            from,
            to,
            here: &here,
            there: &there,
        };
        from.members
            .iter()
            .filter_map(|(id, has_object)| {
                let record = self.records.get(id)?;
                look.verdict(self, record, *has_object)
            })
            .collect()
    }

    /// Whatever is really there. That some of it is linked already does not make the rest unique.
    fn index(&self, place: &Place) -> Index<'_> {
        let mut index = Index::default();
        let there = place.members.iter().filter(|(_, has_object)| **has_object);
        for record in there.filter_map(|(id, _)| self.records.get(id)) {
            if let Some(uid) = record.uid() {
                index.uids.entry(uid).or_default().insert(&record.id);
            }
            for key in candidate_keys(record).1 {
                index.candidates.entry(key).or_default().insert(&record.id);
            }
        }
        index
    }
}

/// Two collections side by side.
struct Look<'a> {
    from: &'a Place,
    to: &'a Place,
    here: &'a Index<'a>,
    there: &'a Index<'a>,
}

impl Look<'_> {
    fn verdict(&self, picture: &Picture, record: &Record, has_object: bool) -> Option<Verdict> {
        let link_there = self.to.members.get(&record.id);
        if link_there == Some(&true) || self.to.apart.contains(&record.id) {
            return None;
        }
        let by_uid = has_object.then(|| self.by_uid(record)).flatten();
        let found = match by_uid {
            Some(found) => Some(found),
            // A copy is on its way already: this was decided before.
            None if link_there.is_some() => None,
            None if has_object => self.by_likeness(picture, record),
            None => None,
        };
        match found {
            Some(Verdict::Same { target, .. }) if self.from.apart.contains(&target) => None,
            Some(Verdict::Ambiguous { .. } | Verdict::New { .. }) if link_there.is_some() => None,
            None if link_there.is_some() => None,
            None => Some(Verdict::New {
                record: record.id.clone(),
            }),
            found => found,
        }
    }

    /// The record with the same UID; `None` when nobody there has it.
    fn by_uid(&self, record: &Record) -> Option<Verdict> {
        let uid = record.uid()?;
        let there = self.there.uids.get(uid)?;
        let alone = self.here.uids.get(uid).is_some_and(|here| here.len() == 1);
        let target = there.first().filter(|_| alone && there.len() == 1);
        Some(match target {
            Some(target) => Verdict::Same {
                source: record.id.clone(),
                target: (*target).clone(),
                reason: Reason::Uid,
            },
            None => self.ambiguous(record, Reason::Uid, there.iter().copied()),
        })
    }

    /// The record that looks the same; `None` when nobody there does.
    fn by_likeness(&self, picture: &Picture, record: &Record) -> Option<Verdict> {
        let (reason, keys) = candidate_keys(record);
        let like: BTreeSet<&RecordId> = keys
            .iter()
            .filter_map(|key| self.there.candidates.get(key))
            .flatten()
            .copied()
            .filter(|id| **id != record.id)
            .collect();
        if like.len() > 1 {
            return Some(self.ambiguous(record, reason, like.into_iter()));
        }
        let only = like.first()?;
        let other = picture.records.get(*only)?;
        let unique = |keys: &[String]| {
            keys.iter().all(|key| {
                let here = self.here.candidates.get(key);
                let there = self.there.candidates.get(key);
                here.is_none_or(|ids| ids.iter().all(|id| **id == record.id))
                    && there.is_none_or(|ids| ids.iter().all(|id| *id == *only))
            })
        };
        // What has a link here, or somebody's UID, is somebody else's.
        let free = !self.from.members.contains_key(*only)
            && other.uid().is_none_or(|uid| !self.here.uids.contains_key(uid));
        if free && unique(&keys) && unique(&candidate_keys(other).1) {
            return Some(Verdict::Same {
                source: record.id.clone(),
                target: (*only).clone(),
                reason,
            });
        }
        Some(self.ambiguous(record, reason, like.into_iter()))
    }

    fn ambiguous<'a>(
        &self,
        record: &Record,
        reason: Reason,
        others: impl Iterator<Item = &'a RecordId>,
    ) -> Verdict {
        Verdict::Ambiguous {
            record: record.id.clone(),
            others: others.cloned().collect(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests;
