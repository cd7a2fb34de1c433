//! A provider for the deterministic simulator: it behaves as badly as vendors do, and never otherwise twice.
//!
//! [`Quirks`] say what sort of provider it is, [`Fault`]s what goes wrong with a call. Everything follows from its
//! seed and the calls it gets. What it holds is laid out by the reference provider (`connector-memory`), so that an
//! ideal one, [`Quirks::NONE`], keeps the contract; what stands in this room is how vendors depart from it.
//!
//! The handle plays the other clients, who never fail, and tells the judge what the connector's writes did
//! ([`HubWrite`]).

mod connector;
mod fault;
mod log;
mod normal;
mod objects;
mod pull;
mod push;
mod put;
mod quirks;
mod state;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_memory::{MemoryConnector, MemoryProvider, Options};
use connector_sdk::{Connector, Error, RemoteId};
use model::{Content, Kind};
use rand::Rng as _;
use serde_json::{Map, Value};

pub use fault::{Answer, Fault, Operation, Trouble};
pub use log::{Act, HubWrite};
pub use quirks::{Creation, Deltas, Hiding, Layout, ListCap, Mails, Quirks, Timestamps, Versions};

use connector::SimConnector;
use normal::Pass;
use state::State;

/// A simulated provider. Clones share it.
#[derive(Clone)]
pub struct SimProvider {
    name: Arc<str>,
    kind: Kind,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for SimProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimProvider")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("quirks", &self.lock().quirks.active())
            .finish_non_exhaustive()
    }
}

impl SimProvider {
    /// An empty provider. Its clock stands at the epoch until [`Self::set_now`].
    #[must_use]
    pub fn new(name: &str, kind: Kind, quirks: Quirks, seed: u64) -> Self {
        let options = Options {
            series: connector::series_model(kind, &quirks),
            ..Options::WHOLE
        };
        let writer = MemoryConnector::named("memory", MemoryProvider::new(options));
        Self {
            name: name.into(),
            kind,
            state: Arc::new(Mutex::new(State::new(name, quirks, kind, seed, writer))),
        }
    }

    /// Its name: the id of its connector.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The kind of what it holds.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// What sort of provider it is.
    #[must_use]
    pub fn quirks(&self) -> Quirks {
        self.lock().quirks.clone()
    }

    /// The connector to it.
    #[must_use]
    pub fn connector(&self) -> Arc<dyn Connector> {
        let quirks = self.quirks();
        Arc::new(SimConnector::new(&self.name, self.kind, &quirks, self.clone()))
    }

    /// Sets its clock, in epoch milliseconds. It never goes back; what is due by then happens.
    pub fn set_now(&self, ms: i64) {
        let mut state = self.lock();
        state.now_ms = state.now_ms.max(ms);
        state.catch_up();
    }

    /// Adds a collection.
    pub fn add_collection(&self, id: &str) {
        self.lock().add_collection(id);
    }

    /// The ids of its collections, in order.
    #[must_use]
    pub fn collections(&self) -> Vec<String> {
        self.lock().shelves.keys().cloned().collect()
    }

    /// Another client stores a record, new or in the place of the one with this id.
    pub fn put(&self, collection: &str, id: &str, content: Content) {
        let mut state = self.lock();
        let complement = Map::from_iter([("vendor_tag".to_owned(), Value::from(state.rng.random::<u32>()))]);
        state.hold(collection, id, content, complement);
    }

    /// Another client changes a record; `false` when it is not there.
    pub fn edit(&self, collection: &str, id: &str, edit: impl FnOnce(&mut Content)) -> bool {
        let mut state = self.lock();
        let Some(mut content) = state.truth.content(collection, id) else {
            return false;
        };
        edit(&mut content);
        let content = state.normalised(&content, Pass::First);
        state.truth.edit(collection, id, |held| *held = content);
        state.absorb(collection, id);
        state.rewrite_later(collection, id);
        true
    }

    /// Another client deletes a record with all its overrides; `false` when it is not there.
    pub fn delete(&self, collection: &str, id: &str) -> bool {
        let mut state = self.lock();
        if state.truth.content(collection, id).is_none() {
            return false;
        }
        state.bury(collection, id);
        state.truth.delete(collection, id);
        state.absorb(collection, id);
        true
    }

    /// Another client takes a deleted record out of the bin, as it was and under its id; `false` when it is not in it.
    pub fn restore(&self, collection: &str, id: &str) -> bool {
        let mut state = self.lock();
        let Some((content, complement)) = state.shelf(collection).graves.remove(id) else {
            return false;
        };
        state.hold(collection, id, content, complement);
        true
    }

    /// Another client moves a record to another collection; its id there, `None` when it is not there to be moved.
    pub fn move_to(&self, from: &str, id: &str, to: &str) -> Option<String> {
        let mut state = self.lock();
        let content = state.truth.content(from, id)?;
        let complement = state
            .shelf(from)
            .notes
            .get(id)
            .map(|notes| notes.complement.clone());
        let new_id = if state.quirks.ids_change_on_move {
            state.given += 1;
            format!("moved{}", state.given)
        } else {
            id.to_owned()
        };
        state.truth.delete(from, id);
        state.absorb(from, id);
        state.hold(to, &new_id, content, complement.unwrap_or_default());
        Some(new_id)
    }

    /// An object can no longer be understood, or can be again. Its id is the record's, or that of an override that is
    /// an object of its own.
    pub fn poison(&self, collection: &str, id: &str, poisoned: bool) {
        let mut state = self.lock();
        let id = RemoteId(id.to_owned());
        let shelf = state.shelf(collection);
        if !shelf.objects.contains_key(&id) {
            return;
        }
        let changed = if poisoned {
            shelf.poisoned.insert(id.clone())
        } else {
            shelf.poisoned.remove(&id)
        };
        if changed {
            state.stir(collection, &id);
        }
    }

    /// The account loses sight of a record, or regains it: no list names it, and a fetch answers as
    /// [`Quirks::hiding`] says.
    pub fn hide(&self, collection: &str, id: &str, hidden: bool) {
        let mut state = self.lock();
        let Some(notes) = state.shelf(collection).notes.get_mut(id) else {
            return;
        };
        let regained = notes.hidden && !hidden;
        notes.hidden = hidden;
        if regained {
            state.resurface(collection, id);
        }
    }

    /// The ids of what other clients deleted, and could bring back.
    #[must_use]
    pub fn deleted(&self, collection: &str) -> Vec<String> {
        self.lock().shelf(collection).graves.keys().cloned().collect()
    }

    /// Whether the record's object cannot be understood at present.
    #[must_use]
    pub fn is_poisoned(&self, collection: &str, id: &str) -> bool {
        let id = RemoteId(id.to_owned());
        self.lock().shelf(collection).poisoned.contains(&id)
    }

    /// What a record says.
    #[must_use]
    pub fn content(&self, collection: &str, id: &str) -> Option<Content> {
        self.lock().truth.content(collection, id)
    }

    /// The ids of a collection's records, in order.
    #[must_use]
    pub fn records(&self, collection: &str) -> Vec<String> {
        self.lock().truth.records(collection)
    }

    /// What all records of a collection say, by id.
    #[must_use]
    pub fn contents(&self, collection: &str) -> BTreeMap<String, Content> {
        self.lock().truth.contents(collection)
    }

    /// What it would hold in the end if this were written to it.
    #[must_use]
    pub fn normalise(&self, content: &Content) -> Content {
        let mut content = self.lock().normalised(content, Pass::Last);
        content.overrides.retain(|_, fields| !fields.is_empty());
        content
    }

    /// Makes a call to come fail.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// No more trouble: nobody is locked out, no fault that is still to come, no late write, no cursor dead on arrival, no list that stops
    /// short, no row that appears late. Quirks that stand stay, and so does what other clients did: what is hidden or
    /// poisoned is so until somebody ends it.
    pub fn calm(&self) {
        let mut state = self.lock();
        state.faults.clear();
        let late: Vec<_> = std::mem::take(&mut state.late).into();
        for late in late {
            // Nobody waits for the answer.
            push::arrive(&mut state, &late);
        }
        state.calm = true;
        state.revoked = false;
        if state.capped {
            state.epoch += 1;
        }
        let now = state.now_ms;
        for shelf in state.shelves.values_mut() {
            let objects = shelf.objects.values_mut().map(|seen| &mut seen.mark);
            for mark in objects.chain(shelf.tombstones.values_mut()) {
                mark.visible_ms = mark.visible_ms.min(now);
            }
        }
    }

    /// All cursors given out so far stop working.
    pub fn expire_cursors(&self) {
        self.lock().epoch += 1;
    }

    /// From now on nobody is let in, until [`Self::admit`].
    pub fn revoke(&self) {
        self.lock().revoked = true;
    }

    /// Lets everybody in again.
    pub fn admit(&self) {
        self.lock().revoked = false;
    }

    /// From now on the connector forgets to tell the provider that nobody is to be mailed: a fault to plant.
    pub fn forget_silence(&self) {
        self.lock().forgets_silence = true;
    }

    /// Writes of the connector that took effect.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Records that it rewrote by itself, after it had answered: no client of it can tell that from an edit.
    #[must_use]
    pub fn rewrites(&self) -> u64 {
        self.lock().rewrites
    }

    /// Writes of the connector because of which people were mailed.
    #[must_use]
    pub fn mails(&self) -> u64 {
        self.lock().mails
    }

    /// What the connector's writes did since they were last taken.
    #[must_use]
    pub fn hub_writes(&self) -> Vec<HubWrite> {
        self.lock().log.clone()
    }

    /// Takes what the connector's writes did.
    #[must_use]
    pub fn take_hub_writes(&self) -> Vec<HubWrite> {
        std::mem::take(&mut self.lock().log)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an operation of the connector.
    fn operate(&self) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        for late in state.begin() {
            // Nobody waits for the answer.
            push::arrive(&mut state, &late);
        }
        state
    }

    /// Answers a read.
    fn read<T>(
        &self,
        operation: Operation,
        name: &'static str,
        answer: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.operate();
        match state.trouble(operation) {
            Some(Trouble::Before(told) | Trouble::After(told)) => Err(told.error(name)),
            Some(Trouble::Late { .. }) => Err(Answer::Timeout.error(name)),
            Some(Trouble::Doubled) | None => answer(&mut state),
        }
    }
}

impl State {
    /// Another client's record, as the provider keeps it.
    fn hold(&mut self, collection: &str, id: &str, content: Content, complement: Map<String, Value>) {
        let content = self.normalised(&content, Pass::First);
        let notes = self.shelf(collection).notes.entry(id.to_owned()).or_default();
        if notes.complement.is_empty() {
            notes.complement = complement;
        }
        self.truth.put(collection, id, content);
        self.absorb(collection, id);
        self.rewrite_later(collection, id);
    }

    /// Keeps what a record says in the bin.
    fn bury(&mut self, collection: &str, id: &str) {
        let Some(content) = self.truth.content(collection, id) else {
            return;
        };
        let shelf = self.shelf(collection);
        let complement = shelf.notes.get(id).map(|notes| notes.complement.clone());
        shelf
            .graves
            .insert(id.to_owned(), (content, complement.unwrap_or_default()));
    }
}
