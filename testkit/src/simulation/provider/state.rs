//! What the provider holds beside the records themselves: collections, what is out of sight, trouble to come.
//!
//! Records and their layout as objects are those of the reference provider ([`connector_memory`]).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use connector_memory::{MemoryConnector, MemoryProvider};
use connector_sdk::{Context, RemoteCollection, RemoteId, Write};
use model::{Content, Kind};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value};

use super::fault::{Answer, Fault, Operation, Trouble};
use super::log::HubWrite;
use super::normal::{self, Pass};
use super::objects::{Mark, Seen};
use super::quirks::Quirks;

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

pub(super) struct State {
    /// What it is called, in UIDs of its own.
    pub(super) name: String,
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
    /// Records that it rewrote by itself, after it had answered.
    pub(super) rewrites: u64,
    pub(super) mails: u64,
    /// Whether the connector forgets to tell the provider to be silent.
    pub(super) forgets_silence: bool,
}

impl State {
    pub(super) fn new(name: &str, quirks: Quirks, kind: Kind, seed: u64, writer: MemoryConnector) -> Self {
        Self {
            name: name.to_owned(),
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
            rewrites: 0,
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
                self.rewrites += 1;
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
}
