//! Objects as clients see them: versions, the order and time of changes, and what the connector was shown of them.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use connector_sdk::{Coverage, RemoteId, RemoteObject, RemoteVersion};
use model::{Content, FieldPath, PartKey, series};
use rand::Rng as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::quirks::Versions;
use super::state::State;

/// When something last changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Its place in the order of all changes.
    pub(super) seq: u64,
    /// Its time, as coarse as the provider tells it, in epoch milliseconds.
    pub(super) modified_ms: i64,
    /// From when on lists and deltas show it, in epoch milliseconds.
    pub(super) visible_ms: i64,
    /// Whether it is out of their sight for a while.
    is_late: bool,
    /// Whether lists showed an earlier state of it already.
    pub(super) known_before: bool,
}

/// An object as clients see it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) object: RemoteObject,
    pub(super) record: String,
    pub(super) mark: Mark,
    /// Since when it is there: who did not see it since then is shown all of it.
    born: Mark,
    /// When each field last changed, those that are gone included.
    touched: BTreeMap<FieldPath, Mark>,
    /// The version at the reference provider, to know changes by.
    inner: Option<RemoteVersion>,
}

/// The wire form of an object: what a `PUT` carries.
#[derive(Serialize, Deserialize)]
pub(super) struct Raw {
    pub(super) content: Content,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) vendor: Map<String, Value>,
}

impl State {
    /// A mark of now.
    fn mark(&mut self, known_before: bool) -> Mark {
        self.seq += 1;
        let (granularity, late) = match self.quirks.timestamps {
            Some(times) => (times.granularity_ms.max(1), times.late_ms),
            None => (1, 0),
        };
        let delay = match late {
            1.. if !self.calm => self.rng.random_range(0..=late),
            _ => 0,
        };
        Mark {
            seq: self.seq,
            modified_ms: self.now_ms.div_euclid(granularity) * granularity,
            visible_ms: self.now_ms + delay,
            is_late: delay > 0,
            known_before,
        }
    }

    /// Lets versions, order and times follow a record that may have changed just now.
    pub(super) fn absorb(&mut self, collection: &str, record: &str) {
        let present = self.truth.objects(collection, record);
        let shelf = self.shelf(collection);
        let complement = shelf.notes.get(record).map(|notes| notes.complement.clone());
        let complement = complement.unwrap_or_default();
        let mut gone: Vec<RemoteId> = shelf
            .objects
            .iter()
            .filter(|(id, seen)| seen.record == record && present.iter().all(|object| object.id != **id))
            .map(|(id, _)| id.clone())
            .collect();
        // Occurrences that get other ids with their series are no new rows: they come into sight with it.
        let renamed = !gone.is_empty();
        for id in gone.drain(..) {
            let mark = self.mark(true);
            let shelf = self.shelf(collection);
            shelf.objects.remove(&id);
            shelf.poisoned.remove(&id);
            shelf.tombstones.insert(id, mark);
        }
        for object in present {
            let before = self.shelf(collection).objects.get(&object.id);
            if before.is_some_and(|before| before.inner == object.version) {
                continue;
            }
            let known_before = before.is_some();
            let mut mark = self.mark(known_before);
            if renamed && !known_before && object.series.is_some() {
                (mark.visible_ms, mark.is_late) = (self.now_ms, false);
            }
            let vendor = if object.series.is_none() {
                complement.clone()
            } else {
                Map::new()
            };
            let mut seen = self.as_seen(object, record, mark, vendor);
            let shelf = self.shelf(collection);
            seen.touch(shelf.objects.get(&seen.object.id));
            shelf.tombstones.remove(&seen.object.id);
            shelf.objects.insert(seen.object.id.clone(), seen);
        }
    }

    fn as_seen(
        &self,
        mut object: RemoteObject,
        record: &str,
        mark: Mark,
        vendor: Map<String, Value>,
    ) -> Seen {
        let inner = object.version.take();
        let mut raw = Raw {
            content: object.content.clone(),
            vendor,
        };
        if self.quirks.resorts {
            resorted(&mut raw.content);
        }
        object.kind = self.kind;
        object.raw = serde_json::to_vec(&raw).map(Bytes::from).unwrap_or_default();
        object.version = self.version(&mark, &object.raw);
        Seen {
            object,
            record: record.to_owned(),
            mark,
            born: mark,
            touched: BTreeMap::new(),
            inner,
        }
    }

    fn version(&self, mark: &Mark, raw: &Bytes) -> Option<RemoteVersion> {
        let version = match self.quirks.versions {
            Versions::Strong => format!("\"{}\"", mark.seq),
            Versions::Weak => format!("W/\"{}\"", mark.seq),
            Versions::Second => {
                let mut hasher = DefaultHasher::new();
                raw.hash(&mut hasher);
                format!("{}-{:016x}", mark.modified_ms.div_euclid(1_000), hasher.finish())
            }
            Versions::None => return None,
        };
        Some(RemoteVersion(version))
    }

    /// Something about the object changed that is no matter of its clients': its version and place in the order.
    pub(super) fn stir(&mut self, collection: &str, id: &RemoteId) {
        let mark = self.mark(true);
        let seen = self.shelf(collection).objects.get(id);
        let Some(raw) = seen.map(|seen| seen.object.raw.clone()) else {
            return;
        };
        let version = self.version(&mark, &raw);
        if let Some(seen) = self.shelf(collection).objects.get_mut(id) {
            seen.move_to(mark);
            seen.object.version = version;
        }
    }

    /// Something that is there came into sight again: in the next delta, as it was.
    pub(super) fn resurface(&mut self, collection: &str, record: &str) {
        let ids: Vec<RemoteId> = self
            .shelf(collection)
            .objects
            .iter()
            .filter(|(_, seen)| seen.record == record)
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            let mark = self.mark(true);
            if let Some(seen) = self.shelf(collection).objects.get_mut(&id) {
                seen.move_to(mark);
            }
        }
    }

    /// The object is shown to the connector.
    pub(super) fn show(&mut self, collection: &str, id: &RemoteId) -> Option<RemoteObject> {
        let shelf = self.shelves.get_mut(collection)?;
        let seen = shelf.objects.get(id)?;
        let notes = shelf.notes.entry(seen.record.clone()).or_default();
        if seen.object.series.is_none() {
            // The overrides move with their series, and the connector knows by how far.
            let mut served = series::aligned(&notes.served, &seen.object.content);
            served.fields.clone_from(&seen.object.content.fields);
            let own = shelf.objects.values().filter(|other| other.record == seen.record);
            let keys: BTreeSet<_> = own.filter_map(|other| part_key(other, &served)).collect();
            served.overrides.retain(|key, _| keys.contains(key));
            served.overrides.extend(seen.object.content.overrides.clone());
            notes.served = served;
        } else if let Some(mut record) = self.truth.content(collection, &seen.record)
            && let Some(key) = part_key(seen, &record)
        {
            // A page may show an occurrence before its series, which may have moved since that was shown.
            let starts = (start(&record), start(&notes.served));
            let shown_as = match &starts {
                (Some(now), Some(then)) => series::moved(&key, now, then),
                (Some(_) | None, _) => key.clone(),
            };
            match record.overrides.remove(&key) {
                Some(sparse) => notes.served.overrides.insert(shown_as, sparse),
                None => notes.served.overrides.remove(&shown_as),
            };
        }
        Some(seen.object.clone())
    }

    /// A list ends before the object: what it said of an occurrence when it was shown last is not known any more.
    pub(super) fn conceal(&mut self, collection: &str, id: &RemoteId) {
        let Some(shelf) = self.shelves.get_mut(collection) else {
            return;
        };
        let seen = shelf.objects.get(id);
        let notes = seen.and_then(|seen| shelf.notes.get_mut(&seen.record));
        if let Some((seen, notes)) = seen.zip(notes)
            && let Some(key) = part_key(seen, &notes.served)
        {
            notes.served.overrides.remove(&key);
        }
    }
}

impl Seen {
    /// Notes which fields changed since the object was `before`.
    fn touch(&mut self, before: Option<&Self>) {
        let nothing = Content::default();
        let earlier = before.map_or(&nothing, |before| &before.object.content);
        if let Some(before) = before {
            self.born = before.born;
            self.touched.clone_from(&before.touched);
        }
        for path in self.object.content.differences(earlier) {
            self.touched.insert(path, self.mark);
        }
        self.move_to(self.mark);
    }

    /// Gives it another place in the order of changes.
    fn move_to(&mut self, mark: Mark) {
        self.mark = mark;
        if mark.is_late {
            // While it is out of sight, deltas pass over what it said before, too: then it says all of it again.
            self.born = mark;
        }
    }

    /// What changed of the object since a moment: fields with `null` for what is gone, and whole overrides. All of it
    /// where it was not there before.
    pub(super) fn sparse(&self, is_since: impl Fn(&Mark) -> bool) -> RemoteObject {
        let mut object = self.object.clone();
        if is_since(&self.born) {
            return object;
        }
        let mut said = Content::default();
        for (path, _) in self.touched.iter().filter(|(_, mark)| is_since(mark)) {
            if path.part.is_master() {
                let value = object.content.get(path).cloned().unwrap_or_default();
                said.fields.insert(path.field.clone(), value);
            } else {
                let fields = object.content.overrides.get(&path.part);
                said.overrides
                    .insert(path.part.clone(), fields.cloned().unwrap_or_default());
            }
        }
        let raw = Raw {
            content: said.clone(),
            vendor: Map::new(),
        };
        object.raw = serde_json::to_vec(&raw).map(Bytes::from).unwrap_or_default();
        object.content = said;
        object.coverage = Coverage::Sparse;
        object
    }
}

fn start(content: &Content) -> Option<model::EventTime> {
    series::time_field(&content.fields, "start")
}

/// The override that an object of its own is, named by the series' start in `series`.
pub(super) fn part_key(seen: &Seen, series: &Content) -> Option<PartKey> {
    let part = seen.object.series.as_ref()?;
    let start = series::time_field(&series.fields, "start")?;
    Some(part.original_start.part_key(&start))
}

/// Sets in another order, addresses in capitals.
fn resorted(content: &mut Content) {
    let all = std::iter::once(&mut content.fields).chain(content.overrides.values_mut());
    for value in all.flat_map(|fields| fields.values_mut()) {
        let Value::Array(elements) = value else { continue };
        elements.reverse();
        for element in elements {
            if let Some(Value::String(address)) = element.get_mut("address") {
                *address = address.to_uppercase();
            }
        }
    }
}
