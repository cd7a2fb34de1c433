//! The behaviour suite of the engine's ports, in memory.

use std::sync::Arc;

use async_trait::async_trait;
use model::{OrganizationId, RecordId};
use sync::history::HistoryEntry;
use sync::ports::{Jobs, Store};
use sync::state::{Connection, FeedEntry};
use testkit::memory_store::MemoryStore;
use testkit::store_suite::Subject;

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
