//! The behaviour suite of the engine's ports, on both engines.

#![allow(clippy::unwrap_used, reason = "what a test cannot unwrap fails the test")]

mod place;

use std::sync::Arc;

use async_trait::async_trait;
use connector_sdk::Credentials;
use model::{OrganizationId, RecordId};
use place::Place;
use store::{ChangeFilter, Paging, SqlStore};
use sync::history::HistoryEntry;
use sync::ports::{Jobs, Store};
use sync::state::{Connection, FeedEntry, Origin};
use testkit::store_suite::Subject;

struct OnSql {
    store: SqlStore,
    _place: Place,
}

#[async_trait]
impl Subject for OnSql {
    fn store(&self) -> Arc<dyn Store> {
        Arc::new(self.store.clone())
    }

    fn jobs(&self) -> Arc<dyn Jobs> {
        Arc::new(self.store.clone())
    }

    async fn add_connection(&self, connection: &Connection) -> anyhow::Result<()> {
        Ok(self
            .store
            .insert_connection(connection, &Credentials::default(), &Origin::Hub)
            .await?)
    }

    async fn feed(&self, organization: &OrganizationId) -> anyhow::Result<Vec<(i64, FeedEntry)>> {
        let changes = self
            .store
            .changes_after(organization, 0, &ChangeFilter::default(), u32::MAX)
            .await?;
        Ok(changes
            .into_iter()
            .map(|change| (change.seq, change.entry))
            .collect())
    }

    async fn history(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> anyhow::Result<Vec<HistoryEntry>> {
        let all = Paging::first(u32::MAX);
        Ok(self.store.history(organization, record, None, &all).await?.items)
    }
}

async fn opened(place: Place) -> OnSql {
    OnSql {
        store: place.open().await,
        _place: place,
    }
}

mod on_sqlite {
    use crate::place::Place;
    use crate::{OnSql, opened};

    async fn subject() -> OnSql {
        opened(Place::new()).await
    }

    testkit::store_suite!(subject);
}

mod on_postgres {
    use crate::place::Place;
    use crate::{OnSql, opened};

    async fn subject() -> OnSql {
        opened(Place::on_postgres()).await
    }

    testkit::store_suite!(subject);
}
