//! The conformance suite is worth something: connectors that break one promise each are caught at that promise.

use async_trait::async_trait;
use connector_memory::{MemoryConnector, MemoryProvider, Options, connector};
use connector_sdk::{
    Action, Actions, Applied, Auth, Capability, Change, Connector, ConnectorInfo, Context, Cursor, Error,
    ErrorKind, Page, Pull, PullRequest, Push, RemoteCollection, RemoteId, Webhooks, Write,
};
use futures::stream::{BoxStream, StreamExt as _};
use model::{Content, FieldPath, Kind};
use testkit::conformance::{Subject, no_network, run};

/// What a connector does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    CursorOnEveryPage,
    ForgetsDeletes,
    AbsentIsUnanswered,
    ErrorIsTheEnd,
    WritesUnconditionally,
    FindsNothing,
    AbsentCannotBeDeleted,
    WritesEverything,
    AnswersFromMemory,
    ProjectsAnew,
}

struct Broken {
    sound: MemoryConnector,
    fault: Fault,
}

impl Connector for Broken {
    fn info(&self) -> &ConnectorInfo {
        self.sound.info()
    }

    fn capability(&self, kind: Kind) -> Capability {
        self.sound.capability(kind)
    }

    fn auth(&self) -> &dyn Auth {
        self.sound.auth()
    }

    fn pull(&self) -> Option<&dyn Pull> {
        Some(self)
    }

    fn push(&self) -> Option<&dyn Push> {
        Some(self)
    }

    fn webhooks(&self) -> Option<&dyn Webhooks> {
        self.sound.webhooks()
    }

    fn actions(&self) -> Option<&dyn Actions> {
        None
    }

    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content {
        let mut content = self.sound.project(collection, content);
        if self.fault == Fault::ProjectsAnew
            && let Some(title) = content.fields.get("title").and_then(|title| title.as_str())
        {
            let title = format!("{title}!");
            content.set(&FieldPath::master("title"), Some(title.into()));
        }
        content
    }
}

#[async_trait]
impl Pull for Broken {
    async fn collections(&self, ctx: &Context) -> Result<Vec<RemoteCollection>, Error> {
        self.sound.collections(ctx).await
    }

    fn pages<'a>(&'a self, ctx: &'a Context, request: PullRequest<'a>) -> BoxStream<'a, Result<Page, Error>> {
        let fault = self.fault;
        let pages = self.sound.pages(ctx, request);
        let pages = pages.filter_map(move |page| {
            std::future::ready(match page {
                Ok(mut page) => {
                    if fault == Fault::CursorOnEveryPage {
                        page.cursor = Some(Cursor("1:1".to_owned()));
                    }
                    if fault == Fault::ForgetsDeletes {
                        page.changes
                            .retain(|change| !matches!(change, Change::Deleted(_)));
                    }
                    Some(Ok(page))
                }
                Err(_) if fault == Fault::ErrorIsTheEnd => None,
                Err(error) => Some(Err(error)),
            })
        });
        pages.boxed()
    }

    async fn fetch(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        ids: &[RemoteId],
    ) -> Result<Vec<Change>, Error> {
        let mut changes = self.sound.fetch(ctx, collection, ids).await?;
        if self.fault == Fault::AbsentIsUnanswered {
            changes.retain(|change| !matches!(change, Change::Deleted(_)));
        }
        Ok(changes)
    }
}

#[async_trait]
impl Push for Broken {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let mut outcomes = Vec::new();
        for write in writes {
            let mut write = write.clone();
            self.spoil(&mut write);
            if self.fault == Fault::AbsentCannotBeDeleted
                && let Action::Delete { target } = &write.action
                && let Some(id) = &target.id
                && self.sound.provider().version(&collection.id.0, id).is_none()
            {
                outcomes.push(Err(Error::new(
                    ErrorKind::NotFound,
                    "push.delete",
                    "it is not there",
                )));
                continue;
            }
            let mut outcome = self
                .sound
                .apply(ctx, collection, std::slice::from_ref(&write))
                .await
                .remove(0);
            if self.fault == Fault::AnswersFromMemory
                && let Ok(Applied::Stored(object)) = &mut outcome
            {
                object.version = None;
            }
            outcomes.push(outcome);
        }
        outcomes
    }

    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let found = self.sound.probe(ctx, collection, write).await?;
        Ok(found.filter(|_| self.fault != Fault::FindsNothing))
    }
}

impl Broken {
    fn spoil(&self, write: &mut Write) {
        match &mut write.action {
            Action::Update {
                target,
                content,
                changed,
            } => {
                if self.fault == Fault::WritesUnconditionally {
                    target.version = None;
                }
                if self.fault == Fault::WritesEverything {
                    let schema = Kind::Event.schema().fields.iter();
                    changed.extend(schema.map(|spec| FieldPath::master(spec.name)));
                    changed.extend(content.paths());
                }
            }
            Action::Delete { target } if self.fault == Fault::WritesUnconditionally => target.version = None,
            Action::Delete { .. } | Action::Create { .. } => {}
        }
    }
}

struct UnderTest {
    provider: MemoryProvider,
    broken: Broken,
    context: Context,
}

fn fresh(fault: Fault) -> anyhow::Result<UnderTest> {
    let provider = MemoryProvider::new(Options {
        page_size: 2,
        ..Options::WHOLE
    });
    provider.add_collection("work", "Work");
    Ok(UnderTest {
        broken: Broken {
            sound: connector(provider.clone()),
            fault,
        },
        provider,
        context: no_network("memory://provider/")?,
    })
}

#[async_trait]
impl Subject for UnderTest {
    fn connector(&self) -> &dyn Connector {
        &self.broken
    }

    fn context(&self) -> Context {
        let mut context = self.context.clone();
        context.cancel = context.cancel.child_token();
        context
    }

    fn collection(&self) -> RemoteId {
        RemoteId("work".to_owned())
    }

    fn absent(&self) -> RemoteId {
        RemoteId("never".to_owned())
    }

    async fn put(&self, content: &Content) -> anyhow::Result<RemoteId> {
        let id = format!("put{}", self.provider.contents("work").len());
        self.provider.put("work", &id, content.clone());
        Ok(RemoteId(id))
    }

    async fn retitle(&self, id: &RemoteId, title: &str) -> anyhow::Result<()> {
        let title = [("title".to_owned(), title.into())].into();
        anyhow::ensure!(self.provider.set("work", &id.0, title), "{id} is not there");
        Ok(())
    }

    async fn delete(&self, id: &RemoteId) -> anyhow::Result<()> {
        anyhow::ensure!(self.provider.delete("work", &id.0), "{id} is not there");
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

    fn writes(&self) -> usize {
        self.provider.writes()
    }
}

#[tokio::test]
async fn each_broken_promise_is_named() {
    for (fault, must) in [
        (Fault::CursorOnEveryPage, "R4"),
        (Fault::ForgetsDeletes, "R6"),
        (Fault::AbsentIsUnanswered, "R8, R9"),
        (Fault::ErrorIsTheEnd, "E1, E2"),
        (Fault::WritesUnconditionally, "W1"),
        (Fault::FindsNothing, "W2, W3"),
        (Fault::AbsentCannotBeDeleted, "W4"),
        (Fault::WritesEverything, "W7"),
        (Fault::AnswersFromMemory, "W6"),
        (Fault::ProjectsAnew, "P1"),
    ] {
        let outcome = run(async || fresh(fault)).await;
        let said = outcome.expect_err("a broken connector passes").to_string();
        assert!(said.contains(&format!("({must})")), "{fault:?}: {said}");
    }
}
