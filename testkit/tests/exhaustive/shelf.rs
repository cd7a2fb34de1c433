//! The store as a value: the store in memory, a copy for every world, and the pushes that wait.

use std::collections::BTreeSet;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use model::ConnectionId;
use sync::ports::{Effect, Store as _, StoreError};
use sync::state::{Collection, Connection, JobTask, Mirror, Record};
use testkit::memory_store::MemoryStore;

use crate::world::organization;

/// What is stored. A clone is a store of its own.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) store: MemoryStore,
    /// Connections that a push waits for. The model begins jobs itself, at any time; the queue's leases and fences
    /// are not part of it.
    pub(crate) pushes: BTreeSet<ConnectionId>,
    /// Whether the mirror waits to link what its calendars hold.
    pub(crate) linking: bool,
}

impl Clone for Shelf {
    fn clone(&self) -> Self {
        Self {
            store: self.store.fork(),
            pushes: self.pushes.clone(),
            linking: self.linking,
        }
    }
}

impl Shelf {
    pub(crate) fn new(connections: Vec<Connection>, collections: Vec<Collection>, mirror: Mirror) -> Self {
        let shelf = Self {
            store: MemoryStore::new(),
            pushes: BTreeSet::new(),
            linking: true,
        };
        for connection in connections {
            shelf
                .store
                .add_connection(connection)
                .expect("each has an id of its own");
        }
        let collections = collections.into_iter().map(Box::new).map(Effect::PutCollection);
        let effects = collections.chain([Effect::PutMirror(Box::new(mirror))]).collect();
        at_once(shelf.store.commit(&organization(), None, effects)).expect("there is nothing yet");
        shelf
    }

    /// All effects or none.
    pub(crate) fn commit(&mut self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let (mut pushes, mut linking) = (Vec::new(), false);
        let mut rest = Vec::with_capacity(effects.len());
        for effect in effects {
            match effect {
                Effect::Enqueue(job) => match job.task {
                    JobTask::Push { connection } => pushes.push(connection),
                    JobTask::Mirror { .. } => linking = true,
                    task => unreachable!("{task:?} is no part of the model"),
                },
                effect => rest.push(effect),
            }
        }
        at_once(self.store.commit(&organization(), None, rest))?;
        self.pushes.extend(pushes);
        self.linking |= linking;
        Ok(())
    }

    /// The first record that lives, in order of their making.
    pub(crate) fn live(&self) -> Option<Record> {
        self.store
            .with_state(|state| state.records().find(|record| !record.deleted).cloned())
    }

    pub(crate) fn has_live(&self) -> bool {
        self.store
            .with_state(|state| state.records().any(|record| !record.deleted))
    }
}

/// The answer of a store that never waits.
pub(crate) fn at_once<T>(answer: BoxFuture<'_, T>) -> T {
    answer.now_or_never().expect("the store in memory does not wait")
}
