//! The behaviour suite of the engine's ports, in memory; and what the simulator needs of the store beyond it.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt as _;
use model::{OrganizationId, RecordId};
use sync::history::HistoryEntry;
use sync::ports::{Effect, Jobs, Store, StoreError};
use sync::state::{Connection, FeedEntry, JobTask};
use testkit::memory_store::MemoryStore;
use testkit::store_suite::{Subject, world};

struct InMemory(MemoryStore);

#[async_trait]
impl Subject for InMemory {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn jobs(&self) -> Arc<dyn Jobs> {
        Arc::new(self.0.clone())
    }

    async fn add_connection(&self, connection: &Connection) -> anyhow::Result<()> {
        Ok(self.0.add_connection(connection.clone())?)
    }

    async fn feed(&self, organization: &OrganizationId) -> anyhow::Result<Vec<(i64, FeedEntry)>> {
        Ok(self.0.feed(organization))
    }

    async fn history(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> anyhow::Result<Vec<HistoryEntry>> {
        Ok(self.0.history(organization, record))
    }
}

async fn in_memory() -> InMemory {
    InMemory(MemoryStore::new())
}

testkit::store_suite!(in_memory);

#[test]
fn every_method_is_done_when_it_is_first_polled() {
    let store = MemoryStore::new();
    let organization = OrganizationId::new(1, 1);
    let connection = world::connection(&organization);
    store.add_connection(connection.clone()).unwrap();
    let calendar = world::collection(&connection, "/work/");
    let effects = vec![Effect::PutCollection(Box::new(calendar.clone()))];
    store
        .commit(&organization, None, effects)
        .now_or_never()
        .unwrap()
        .unwrap();
    let task = JobTask::Push {
        connection: connection.id.clone(),
    };
    store.enqueue(world::job(&organization, task, 0)).unwrap();
    let claimed = store.claim("node", 1, 1_000, 1).now_or_never().unwrap().unwrap();
    let fence = &claimed[0].fence;
    store
        .heartbeat(fence, 2_000, 0, None)
        .now_or_never()
        .unwrap()
        .unwrap();
    store
        .finish(fence, 1, Ok(serde_json::Value::Null))
        .now_or_never()
        .unwrap()
        .unwrap();
    let listed = store.collections(&organization, &connection.id);
    assert_eq!(listed.now_or_never().unwrap().unwrap(), [calendar]);
}

#[test]
fn what_another_process_held_is_free_once_its_heir_has_opened_the_store() {
    let store = MemoryStore::new();
    let organization = OrganizationId::new(1, 1);
    let task = JobTask::Unlink { members: Vec::new() };
    store.enqueue(world::job(&organization, task, 0)).unwrap();
    let claim = || store.claim("node", 1, 1_000, 1).now_or_never().unwrap().unwrap();
    let dead = claim().remove(0);
    assert!(claim().is_empty(), "the lease lasts");
    store.take_over();
    let commit = store.commit(&organization, Some(&dead.fence), Vec::new());
    let late = commit.now_or_never().unwrap();
    assert!(matches!(late, Err(StoreError::Fenced(_))), "{late:?}");
    assert_eq!(claim()[0].id, dead.id);
}
