//! The engine's ports in memory, for the deterministic simulator: what SQLite answers, at a fraction of the time.
//!
//! Whatever can be seen through the ports is the same on both: answers, their order, refusals with their words,
//! batches that are whole or not at all. `testkit/tests/store_difference` runs random schedules on both and compares. No
//! method waits: each is done when it is first polled, so that whoever polls by hand never finds one pending.

mod batch;
mod effects;
mod journal;
mod link_effects;
mod links;
mod ports;
mod queue;
mod reads;
mod state;
mod tenant;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::{InboundId, JobId, OrganizationId, RecordId};
use sync::history::HistoryEntry;
use sync::ports::StoreError;
use sync::state::{
    Conflict, Connection, FeedAction, FeedEntry, Inbound, InboundEnd, Intent, Link, NewJob, Origin,
    Quarantine, Record,
};

use queue::Enqueued;
pub use queue::{Job, JobState};
pub use state::State;
use tenant::Webhook;

/// A store in memory. Clones share what is stored.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A store of its own that holds the same: whatever happens to one of them, the other stays as it is.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            state: Arc::new(Mutex::new(self.lock().clone())),
        }
    }

    /// Adds a connection, and the feed entry that says so.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub fn add_connection(&self, connection: Connection) -> Result<(), StoreError> {
        let mut state = self.lock();
        let tenant = state.tenant_mut(&connection.organization);
        if tenant.connections.contains_key(&connection.id) {
            return Err(StoreError::Stale(connection.id.to_string()));
        }
        tenant.feed.push(FeedEntry {
            action: FeedAction::Created,
            subject: connection.id.to_string(),
            kind: "connection".to_owned(),
            version: 0,
            changed: Vec::new(),
            origin: Origin::Hub,
            // A store of its own has no clock; whoever adds a connection has just made it.
            at: connection.created_at,
        });
        tenant.connections.insert(connection.id.clone(), connection);
        Ok(())
    }

    /// Enqueues work, and answers with the job that will do it: an identical one that waits already, or the new one.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub fn enqueue(&self, job: NewJob) -> Result<JobId, StoreError> {
        match self.lock().queue.enqueue(job)? {
            Enqueued::New(id) | Enqueued::Joined { id, .. } => Ok(id),
        }
    }

    /// Puts a webhook into the inbox, due when it was received, and its job into the queue.
    ///
    /// # Errors
    /// `Stale` when the job's id is taken.
    pub fn receive(&self, inbound: Inbound, job: NewJob) -> Result<(), StoreError> {
        let mut state = self.lock();
        let (tenant, queue) = state.split(&inbound.organization);
        queue.enqueue(job)?;
        let webhook = Webhook {
            due_at: inbound.received_at,
            end: None,
            inbound,
        };
        tenant.inbox.insert(webhook.inbound.id.clone(), webhook);
        Ok(())
    }

    /// What became of a webhook; `None` while it waits.
    #[must_use]
    pub fn inbound_end(&self, organization: &OrganizationId, id: &InboundId) -> Option<InboundEnd> {
        let state = self.lock();
        state.tenant(organization).inbox.get(id)?.end.clone()
    }

    /// What a hub does that opens the store after a crash: leases of the one before it are over, and nothing that it
    /// may still have on the way is taken.
    pub fn take_over(&self) {
        self.lock().queue.take_over();
    }

    /// All records, deleted ones included, in order of id.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.collect(|state| state.records(), |record| record.id.as_str())
    }

    /// All links, in order of id.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.collect(|state| state.links(), |link| link.id.as_str())
    }

    /// All conflicts, in order of id.
    #[must_use]
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.collect(|state| state.conflicts(), |conflict| conflict.id.as_str())
    }

    /// What is in quarantine, in order of id.
    #[must_use]
    pub fn quarantined(&self) -> Vec<Quarantine> {
        self.collect(|state| state.quarantined(), |entry| entry.id.as_str())
    }

    /// All open intents, in order of id.
    #[must_use]
    pub fn intents(&self) -> Vec<Intent> {
        self.collect(|state| state.intents(), |intent| intent.id.as_str())
    }

    /// All jobs, ended ones included, in order of id.
    #[must_use]
    pub fn jobs(&self) -> Vec<Job> {
        self.lock().jobs().cloned().collect()
    }

    /// An organization's whole feed with the places of its entries.
    #[must_use]
    pub fn feed(&self, organization: &OrganizationId) -> Vec<(i64, FeedEntry)> {
        (1i64..)
            .zip(self.lock().feed(organization).iter().cloned())
            .collect()
    }

    /// A record's whole history, newest first.
    #[must_use]
    pub fn history(&self, organization: &OrganizationId, record: &RecordId) -> Vec<HistoryEntry> {
        self.lock().history(organization, record).cloned().collect()
    }

    /// Looks at everything without copying it. The store is locked meanwhile: its methods must not be called.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Looks at every link, organization by organization, in order of id.
    pub fn for_each_link(&self, look: impl FnMut(&Link)) {
        self.lock().links().for_each(look);
    }

    /// Looks at every record, organization by organization, in order of id.
    pub fn for_each_record(&self, look: impl FnMut(&Record)) {
        self.lock().records().for_each(look);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked with the lock has failed already.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies, in order of id across organizations.
    fn collect<T: Clone>(
        &self,
        all: impl for<'a> FnOnce(&'a State) -> Box<dyn Iterator<Item = &'a T> + 'a>,
        id: impl Fn(&T) -> &str,
    ) -> Vec<T> {
        let mut found: Vec<T> = all(&self.lock()).cloned().collect();
        found.sort_by(|one, other| id(one).cmp(id(other)));
        found
    }
}

impl std::fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
    }
}
