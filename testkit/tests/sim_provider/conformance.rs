//! The ideal provider keeps the contract, and so do those whose quirks the contract knows.

use connector_sdk::{Connector, Context, RemoteId};
use model::{Content, FieldPath, Kind};
use std::sync::Arc;
use testkit::conformance::{Subject, no_network, run};
use testkit::simulation::provider::{Answer, Fault, Layout, Operation, Quirks, SimProvider, Trouble};

const COLLECTION: &str = "work";

struct Simulated {
    provider: SimProvider,
    connector: Arc<dyn Connector>,
    context: Context,
}

async fn fresh(kind: Kind, quirks: Quirks) -> anyhow::Result<Simulated> {
    let quirks = Quirks {
        page_size: 2,
        ..quirks
    };
    let provider = SimProvider::new("sim", kind, quirks, 7);
    provider.add_collection(COLLECTION);
    Ok(Simulated {
        connector: provider.connector(),
        provider,
        context: no_network("sim://provider/")?,
    })
}

#[async_trait::async_trait]
impl Subject for Simulated {
    fn connector(&self) -> &dyn Connector {
        &*self.connector
    }

    fn context(&self) -> Context {
        let mut context = self.context.clone();
        context.cancel = context.cancel.child_token();
        context
    }

    fn collection(&self) -> RemoteId {
        RemoteId(COLLECTION.to_owned())
    }

    fn absent(&self) -> RemoteId {
        RemoteId("never".to_owned())
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let id = format!("put{}", self.provider.contents(COLLECTION).len());
        self.provider.put(COLLECTION, &id, content.clone());
        Ok(RemoteId(id))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let there = self.provider.edit(COLLECTION, &id.0, |content| {
            content.set(&FieldPath::master("title"), Some(title.into()));
        });
        anyhow::ensure!(there, "{id} is not there");
        Ok(())
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        anyhow::ensure!(self.provider.delete(COLLECTION, &id.0), "{id} is not there");
        Ok(())
    }

    async fn expire_cursors(&self) -> anyhow::Result<()> {
        self.provider.expire_cursors();
        Ok(())
    }

    async fn revoke(&self) -> anyhow::Result<()> {
        self.provider.revoke();
        Ok(())
    }

    async fn lose_next_answer(&self) -> bool {
        let lost = Trouble::After(Answer::Timeout);
        self.provider.fail(Fault::next(Operation::Write, lost));
        true
    }

    async fn put_unreadable(&self) -> anyhow::Result<Option<RemoteId>> {
        let id = self.put(&testkit::conformance::sample::event("broken")).await?;
        self.provider.poison(COLLECTION, &id.0, true);
        Ok(Some(id))
    }

    fn writes(&self) -> usize {
        usize::try_from(self.provider.writes()).unwrap_or(usize::MAX)
    }

    fn mails(&self) -> usize {
        usize::try_from(self.provider.mails()).unwrap_or(usize::MAX)
    }
}

#[tokio::test]
async fn an_ideal_provider_of_events_keeps_the_contract_in_every_layout() {
    for layout in [Layout::Whole, Layout::PerPart] {
        let quirks = Quirks {
            layout,
            ..Quirks::NONE
        };
        run(async || fresh(Kind::Event, quirks.clone()).await)
            .await
            .unwrap();
    }
}
