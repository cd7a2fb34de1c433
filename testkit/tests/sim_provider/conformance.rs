//! The ideal provider keeps the contract, and so do those whose quirks the contract knows.

use connector_sdk::{Connector, Context, RemoteId};
use model::{Content, FieldPath, Kind};
use std::sync::Arc;
use testkit::conformance::{Subject, no_network, run, sample};
use testkit::simulation::provider::{
    Answer, Creation, Deltas, Fault, Layout, Mails, Operation, Quirks, SimProvider, Trouble, Versions,
};

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

    fn kind(&self) -> Kind {
        self.provider.kind()
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
            content.set(
                &FieldPath::master(sample::names(self.kind())[0]),
                Some(title.into()),
            );
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
        let id = self.put(&sample::plain(self.kind(), "broken")).await?;
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

const LAYOUTS: [Layout; 3] = [Layout::Whole, Layout::PerPart, Layout::Instances];

/// Runs the suite for both kinds, events in every layout.
async fn keeps_the_contract(quirks: Quirks) {
    for layout in LAYOUTS {
        let quirks = Quirks {
            layout,
            ..quirks.clone()
        };
        let outcome = run(async || fresh(Kind::Event, quirks.clone()).await).await;
        assert!(outcome.is_ok(), "events, {:?}: {outcome:?}", quirks.active());
    }
    let outcome = run(async || fresh(Kind::Contact, quirks.clone()).await).await;
    assert!(outcome.is_ok(), "contacts, {:?}: {outcome:?}", quirks.active());
}

#[tokio::test]
async fn an_ideal_provider_keeps_the_contract() {
    keeps_the_contract(Quirks::NONE).await;
}

#[tokio::test]
async fn a_provider_that_says_what_it_lacks_keeps_the_contract() {
    for versions in [Versions::Weak, Versions::Second, Versions::None] {
        let quirks = Quirks {
            versions,
            ..Quirks::NONE
        };
        keeps_the_contract(quirks).await;
    }
    for deltas in [Deltas::NoDeletes, Deltas::None] {
        let quirks = Quirks {
            deltas,
            ..Quirks::NONE
        };
        keeps_the_contract(quirks).await;
    }
    for creation in [Creation::Marker, Creation::Blind] {
        let quirks = Quirks {
            creation,
            ..Quirks::NONE
        };
        keeps_the_contract(quirks).await;
    }
    let quirks = Quirks {
        lacks: ["categories", "tags"].map(str::to_owned).into(),
        own_uid: true,
        ..Quirks::NONE
    };
    keeps_the_contract(quirks).await;
}

#[tokio::test]
async fn a_provider_of_whole_writes_or_sparse_deltas_keeps_the_contract() {
    let quirks = Quirks {
        whole_put: true,
        sparse_deltas: true,
        ..Quirks::NONE
    };
    keeps_the_contract(quirks.without("sparse_deltas").unwrap()).await;
    keeps_the_contract(quirks.without("whole_put").unwrap()).await;
    keeps_the_contract(quirks).await;
}

#[tokio::test]
async fn a_provider_whose_rewriting_is_documented_keeps_the_contract() {
    let quirks = Quirks {
        title_max: Some(12),
        notes_max: Some(20),
        zones: true,
        resorts: true,
        html: true,
        ..Quirks::NONE
    };
    for name in quirks.active() {
        let mut only = Quirks::NONE;
        match name {
            "title_max" => only.title_max = quirks.title_max,
            "notes_max" => only.notes_max = quirks.notes_max,
            "zones" => only.zones = true,
            "resorts" => only.resorts = true,
            "html" => only.html = true,
            other => panic!("{other}"),
        }
        keeps_the_contract(only).await;
    }
}

#[tokio::test]
async fn a_provider_that_is_told_to_be_silent_keeps_the_contract() {
    for mails in [Mails::Suppressible, Mails::Always] {
        let quirks = Quirks {
            mails,
            ..Quirks::NONE
        };
        keeps_the_contract(quirks).await;
    }
}
