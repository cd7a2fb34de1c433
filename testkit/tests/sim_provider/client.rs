//! A client of a simulated provider: what a hub would see and do, one call at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use connector_sdk::{
    Access, Action, Applied, Change, Connector, Context, Cursor, Error, Known, Page, PullRequest,
    RemoteCollection, RemoteId, RemoteObject, Target, Write,
};
use futures::StreamExt as _;
use model::{Content, FieldPath, Fields, IntentId, Kind, PartKey};
use testkit::conformance::{no_network, sample};
use testkit::simulation::provider::{Quirks, SimProvider};

pub(crate) const WORK: &str = "work";

pub(crate) struct Client {
    pub(crate) provider: SimProvider,
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) ctx: Context,
    pub(crate) known: Known,
}

/// A client of a provider of events with these quirks and an empty collection.
pub(crate) fn events(quirks: Quirks) -> Client {
    client(Kind::Event, quirks)
}

pub(crate) fn client(kind: Kind, quirks: Quirks) -> Client {
    let provider = SimProvider::new("sim", kind, quirks, 11);
    provider.set_now(1_700_000_000_000);
    provider.add_collection(WORK);
    Client {
        connector: provider.connector(),
        provider,
        ctx: no_network("sim://provider/").unwrap(),
        known: Known::new(),
    }
}

/// The outcome of a pull: all changes, the last cursor, and how it ended.
pub(crate) struct Pulled {
    pub(crate) pages: Vec<Page>,
    pub(crate) error: Option<Error>,
}

impl Pulled {
    pub(crate) fn changes(&self) -> Vec<&Change> {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.pages.iter().flat_map(|page| &page.changes).collect()
    }

    pub(crate) fn ids(&self) -> Vec<&str> {
        self.changes()
            .iter()
            .map(|change| change.id().0.as_str())
            .collect()
    }

    pub(crate) fn cursor(&self) -> Cursor {
        assert!(self.error.is_none(), "{:?}", self.error);
        self.pages.last().unwrap().cursor.clone().unwrap()
    }
}

impl Client {
    /// The collection as the hub holds it.
    pub(crate) fn collection(&self) -> RemoteCollection {
        RemoteCollection {
            id: RemoteId(WORK.to_owned()),
            kind: self.provider.kind(),
            name: WORK.to_owned(),
            access: Access::ReadWrite,
            fields: Fields::new(),
        }
    }

    /// What the account may do with the collection now.
    pub(crate) async fn access(&self) -> Access {
        let facet = self.connector.pull().unwrap();
        let listed = facet.collections(&self.ctx).await.unwrap();
        let work = listed.into_iter().find(|collection| collection.id.0 == WORK);
        work.unwrap().access
    }

    pub(crate) async fn pull(&self, cursor: Option<&Cursor>) -> Pulled {
        self.pull_with(cursor, |_| {}).await
    }

    /// Pulls, and does something after each page, with the number of pages so far.
    pub(crate) async fn pull_with(&self, cursor: Option<&Cursor>, mut after: impl FnMut(usize)) -> Pulled {
        let collection = self.collection();
        let request = PullRequest {
            collection: &collection,
            cursor,
            known: &self.known,
        };
        let mut pages = Vec::new();
        let mut stream = self.connector.pull().unwrap().pages(&self.ctx, request);
        while let Some(page) = stream.next().await {
            match page {
                Ok(page) => pages.push(page),
                Err(error) => {
                    assert!(stream.next().await.is_none(), "the stream goes on");
                    let error = Some(error);
                    return Pulled { pages, error };
                }
            }
            after(pages.len());
        }
        Pulled { pages, error: None }
    }

    pub(crate) async fn try_fetch(&self, id: &str) -> Result<Change, Error> {
        let collection = self.collection();
        let ids = [RemoteId(id.to_owned())];
        let facet = self.connector.pull().unwrap();
        let mut fetched = facet.fetch(&self.ctx, &collection, &ids).await?;
        assert_eq!(fetched.len(), 1);
        Ok(fetched.remove(0))
    }

    pub(crate) async fn fetch(&self, id: &str) -> RemoteObject {
        match self.try_fetch(id).await.unwrap() {
            Change::Present(object) => *object,
            other => panic!("{id} is fetched as {other:?}"),
        }
    }

    pub(crate) async fn apply(&self, write: Write) -> Result<Applied, Error> {
        let collection = self.collection();
        let facet = self.connector.push().unwrap();
        let mut outcomes = facet.apply(&self.ctx, &collection, &[write]).await;
        assert_eq!(outcomes.len(), 1);
        outcomes.remove(0)
    }

    pub(crate) async fn probe(&self, write: &Write) -> Result<Option<Applied>, Error> {
        let collection = self.collection();
        self.connector
            .push()
            .unwrap()
            .probe(&self.ctx, &collection, write)
            .await
    }

    pub(crate) fn create(&self, number: u128, content: Content) -> Write {
        self.write(number, PartKey::MASTER, Action::Create { content })
    }

    pub(crate) fn retitle(&self, object: &RemoteObject, title: &str) -> Write {
        self.set(object, sample::names(self.provider.kind())[0], Some(title.into()))
    }

    /// An update of one field.
    pub(crate) fn set(&self, object: &RemoteObject, field: &str, value: Option<serde_json::Value>) -> Write {
        let mut content = object.content.clone();
        let path = FieldPath::master(field);
        content.set(&path, value);
        let changed = BTreeSet::from([path]);
        let target = target(object);
        let action = Action::Update {
            target,
            content,
            changed,
        };
        self.write(900, PartKey::MASTER, action)
    }

    pub(crate) fn delete(&self, object: &RemoteObject) -> Write {
        let target = target(object);
        self.write(901, PartKey::MASTER, Action::Delete { target })
    }

    pub(crate) fn write(&self, number: u128, part: PartKey, action: Action) -> Write {
        Write {
            intent: IntentId::new(1_700_000_000_000, number),
            kind: self.provider.kind(),
            part,
            action,
        }
    }

    /// Carries out a write that stores something.
    pub(crate) async fn store(&self, write: Write) -> RemoteObject {
        stored(self.apply(write).await)
    }

    pub(crate) fn put(&self, id: &str, title: &str) {
        self.provider
            .put(WORK, id, sample::plain(self.provider.kind(), title));
    }

    pub(crate) fn edit(&self, id: &str, title: &str) {
        let path = FieldPath::master(sample::names(self.provider.kind())[0]);
        let there = self
            .provider
            .edit(WORK, id, |content| content.set(&path, Some(title.into())));
        assert!(there, "{id}");
    }

    /// The title of a record at the provider.
    pub(crate) fn title(&self, id: &str) -> Option<String> {
        let content = self.provider.content(WORK, id)?;
        let title = content.fields.get(sample::names(self.provider.kind())[0])?;
        Some(title.as_str()?.to_owned())
    }
}

pub(crate) fn target(object: &RemoteObject) -> Target {
    Target {
        id: Some(object.id.clone()),
        version: object.version.clone(),
        raw: Some(object.raw.clone()),
        series: object.series.clone(),
    }
}

pub(crate) fn stored(outcome: Result<Applied, Error>) -> RemoteObject {
    match outcome {
        Ok(Applied::Stored(object)) => *object,
        other => panic!("{other:?}"),
    }
}

/// An object in a page.
pub(crate) fn present(change: &Change) -> &RemoteObject {
    match change {
        Change::Present(object) => object,
        other => panic!("{other:?}"),
    }
}
