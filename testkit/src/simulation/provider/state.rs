//! What the provider holds beside the records themselves: versions, the order and time of changes, what is out of
//! sight, and what the connector was shown.
//!
//! Records and their layout as objects are those of the reference provider ([`connector_memory`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use bytes::Bytes;
use connector_memory::{MemoryConnector, MemoryProvider};
use connector_sdk::{Context, RemoteCollection, RemoteId, RemoteObject, RemoteVersion, Write};
use model::{Content, Kind, series};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::fault::{Answer, Fault, Operation, Trouble};
use super::log::HubWrite;
use super::normal::{self, Pass};
use super::quirks::{Quirks, Versions};

/// When something last changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    /// Its place in the order of all changes.
    pub(super) seq: u64,
    /// Its time, as coarse as the provider tells it, in epoch milliseconds.
    pub(super) modified_ms: i64,
    /// From when on lists and deltas show it, in epoch milliseconds.
    pub(super) visible_ms: i64,
    /// Whether lists showed an earlier state of it already.
    pub(super) known_before: bool,
}

/// An object as clients see it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) object: RemoteObject,
    pub(super) record: String,
    pub(super) mark: Mark,
    /// The version at the reference provider, to know changes by.
    inner: Option<RemoteVersion>,
}

/// What is noted of a record.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes {
    /// The vendor's own fields, which no mapping knows.
    pub(super) complement: Map<String, Value>,
    /// What the connector was last shown of it.
    pub(super) served: Content,
    /// Out of the account's sight.
    pub(super) hidden: bool,
    /// When it is rewritten once more.
    rewrite_at: Option<i64>,
}

impl Notes {
    /// Of a new record.
    pub(super) fn of(complement: Map<String, Value>) -> Self {
        Self {
            complement,
            ..Self::default()
        }
    }
}

/// A collection.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) objects: BTreeMap<RemoteId, Seen>,
    pub(super) tombstones: BTreeMap<RemoteId, Mark>,
    pub(super) notes: BTreeMap<String, Notes>,
    /// What deleted records said, so that their owner can bring them back.
    pub(super) graves: BTreeMap<String, (Content, Map<String, Value>)>,
    /// Objects that nobody can understand.
    pub(super) poisoned: BTreeSet<RemoteId>,
}

/// A write that takes effect later than its caller was told.
pub(super) struct Late {
    operations: u8,
    pub(super) ctx: Context,
    pub(super) collection: RemoteCollection,
    pub(super) write: Write,
}

/// The wire form of an object: what a `PUT` carries.
#[derive(Serialize, Deserialize)]
pub(super) struct Raw {
    pub(super) content: Content,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) vendor: Map<String, Value>,
}

pub(super) struct State {
    pub(super) quirks: Quirks,
    pub(super) kind: Kind,
    pub(super) truth: MemoryProvider,
    pub(super) writer: MemoryConnector,
    pub(super) shelves: BTreeMap<String, Shelf>,
    pub(super) rng: StdRng,
    pub(super) now_ms: i64,
    pub(super) seq: u64,
    /// Cursors of another epoch have expired.
    pub(super) epoch: u64,
    pub(super) calm: bool,
    /// Whether some list stopped short.
    pub(super) capped: bool,
    /// Nobody is let in.
    pub(super) revoked: bool,
    pub(super) faults: Vec<Fault>,
    pub(super) late: VecDeque<Late>,
    /// Objects by the word of the client that made them.
    pub(super) markers: BTreeMap<String, (String, RemoteId)>,
    /// Ids that the server has given.
    pub(super) given: u64,
    pub(super) log: Vec<HubWrite>,
    pub(super) writes: u64,
    pub(super) mails: u64,
    /// Whether the connector forgets to tell the provider to be silent.
    pub(super) forgets_silence: bool,
}

impl State {
    pub(super) fn new(quirks: Quirks, kind: Kind, seed: u64, writer: MemoryConnector) -> Self {
        Self {
            quirks,
            kind,
            truth: writer.provider().clone(),
            writer,
            shelves: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
            now_ms: 0,
            seq: 0,
            epoch: 1,
            calm: false,
            capped: false,
            revoked: false,
            faults: Vec::new(),
            late: VecDeque::new(),
            markers: BTreeMap::new(),
            given: 0,
            log: Vec::new(),
            writes: 0,
            mails: 0,
            forgets_silence: false,
        }
    }

    pub(super) fn add_collection(&mut self, id: &str) {
        self.truth.add_collection(id, id);
        self.shelves.entry(id.to_owned()).or_default();
    }

    pub(super) fn shelf(&mut self, collection: &str) -> &mut Shelf {
        if !self.shelves.contains_key(collection) {
            self.add_collection(collection);
        }
        self.shelves.entry(collection.to_owned()).or_default()
    }

    /// What the provider keeps of a content.
    pub(super) fn normalised(&self, content: &Content, pass: Pass) -> Content {
        normal::normalised(&self.quirks, self.kind, content, pass)
    }

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
            let mark = self.mark(known_before);
            let vendor = if object.series.is_none() {
                complement.clone()
            } else {
                Map::new()
            };
            let seen = self.as_seen(object, record, mark, vendor);
            let shelf = self.shelf(collection);
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
            seen.mark = mark;
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
                seen.mark = mark;
            }
        }
    }

    /// What is due by now happens.
    pub(super) fn catch_up(&mut self) {
        if self.quirks.rewrites_later_ms.is_none() {
            return;
        }
        let now = self.now_ms;
        let mut due = Vec::new();
        for (collection, shelf) in &mut self.shelves {
            for (record, notes) in &mut shelf.notes {
                if notes.rewrite_at.is_some_and(|at| at <= now) {
                    notes.rewrite_at = None;
                    due.push((collection.clone(), record.clone()));
                }
            }
        }
        for (collection, record) in due {
            let Some(content) = self.truth.content(&collection, &record) else {
                continue;
            };
            let last = self.normalised(&content, Pass::Last);
            if last != content {
                self.truth.edit(&collection, &record, |content| *content = last);
                self.absorb(&collection, &record);
            }
        }
    }

    /// A record was written: it is rewritten once more, later.
    pub(super) fn rewrite_later(&mut self, collection: &str, record: &str) {
        let at = self.quirks.rewrites_later_ms.map(|delay| self.now_ms + delay);
        if let Some(notes) = self.shelf(collection).notes.get_mut(record) {
            notes.rewrite_at = at;
        }
    }

    /// At the start of each operation of the connector: late writes arrive, versions stir.
    pub(super) fn begin(&mut self) -> Vec<Late> {
        self.catch_up();
        if self.quirks.restless && self.rng.random_bool(0.125) {
            let all: Vec<(String, RemoteId)> = self
                .shelves
                .iter()
                .flat_map(|(collection, shelf)| {
                    shelf.objects.keys().map(|id| (collection.clone(), id.clone()))
                })
                .collect();
            if !all.is_empty() {
                let (collection, id) = &all[self.rng.random_range(0..all.len())];
                self.stir(collection, id);
            }
        }
        let mut arrived = Vec::new();
        for mut late in std::mem::take(&mut self.late) {
            if late.operations == 0 {
                arrived.push(late);
            } else {
                late.operations -= 1;
                self.late.push_back(late);
            }
        }
        arrived
    }

    pub(super) fn delay(
        &mut self,
        operations: u8,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) {
        self.late.push_back(Late {
            operations,
            ctx: ctx.clone(),
            collection: collection.clone(),
            write: write.clone(),
        });
    }

    /// The trouble that a call meets.
    pub(super) fn trouble(&mut self, operation: Operation) -> Option<Trouble> {
        if self.revoked {
            return Some(Trouble::Before(Answer::Unauthorized));
        }
        let mut hit = None;
        for (index, fault) in self.faults.iter_mut().enumerate() {
            if fault.operation != operation {
                continue;
            }
            if fault.skip == 0 {
                hit = Some(index);
                break;
            }
            fault.skip -= 1;
        }
        hit.map(|index| self.faults.remove(index).trouble)
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
        } else if let Some(key) = part_key(seen, &notes.served) {
            let record = self.truth.content(collection, &seen.record);
            match record.and_then(|mut record| record.overrides.remove(&key)) {
                Some(sparse) => notes.served.overrides.insert(key, sparse),
                None => notes.served.overrides.remove(&key),
            };
        }
        Some(seen.object.clone())
    }
}

/// The override that an object of its own is, named by the series' start in `series`.
pub(super) fn part_key(seen: &Seen, series: &Content) -> Option<model::PartKey> {
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
