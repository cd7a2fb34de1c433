//! A case, and the steps that cases share.

use anyhow::{Context as _, Result, bail};
use connector_sdk::{
    Action, Applied, Capability, Change, Context, Cursor, Error, Known, Listing, Page, Pull, PullRequest,
    Push, RemoteCollection, RemoteId, RemoteObject, Target, Write,
};
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use model::{Content, FieldPath, IntentId, Kind, PartKey};

use super::Subject;

/// One case.
#[derive(Clone, Copy)]
pub(super) struct Case {
    /// What holds, as a sentence.
    pub(super) name: &'static str,
    /// The MUSTs of the specification that it executes.
    pub(super) musts: &'static str,
    /// Whether a capability calls for it.
    pub(super) needs: fn(&Capability) -> bool,
    /// Checks it.
    pub(super) check: for<'a> fn(&'a dyn Subject) -> LocalBoxFuture<'a, Result<()>>,
}

/// A table of cases: `(function, musts, needs)`; a function's name is the case's sentence.
macro_rules! cases {
    ($(($check:ident, $musts:literal, $needs:expr)),* $(,)?) => {
        pub(super) const CASES: &[$crate::conformance::case::Case] = &[$(
            $crate::conformance::case::Case {
                name: stringify!($check),
                musts: $musts,
                needs: $needs,
                check: |subject| Box::pin($check(subject)),
            }
        ),*];
    };
}
pub(super) use cases;

pub(super) fn pull(subject: &dyn Subject) -> Result<&dyn Pull> {
    subject.connector().pull().context("the connector cannot read")
}

pub(super) fn push(subject: &dyn Subject) -> Result<&dyn Push> {
    subject.connector().push().context("the connector cannot write")
}

/// All that one stream of pages brought, and how it ended.
pub(super) struct Pulled {
    pub(super) pages: Vec<Page>,
    pub(super) error: Option<Error>,
}

impl Pulled {
    /// The pages, when the stream ended well.
    pub(super) fn complete(self) -> Result<Vec<Page>> {
        match self.error {
            None => Ok(self.pages),
            Some(error) => Err(error.into()),
        }
    }
}

/// Where an earlier pull ended, and what the hub would hold by then.
pub(super) struct Since {
    pub(super) cursor: Cursor,
    known: Known,
}

impl Since {
    /// What is held after these pages, of which the last brought the cursor.
    pub(super) fn after(mut self, pages: &[Page]) -> Result<Self> {
        for change in pages.iter().flat_map(|page| &page.changes) {
            match change {
                Change::Present(object) => {
                    self.known.insert(object.id.clone(), object.version.clone());
                }
                Change::Unreadable { id, version, .. } => {
                    self.known.insert(id.clone(), version.clone());
                }
                Change::Deleted(id) => {
                    self.known.remove(id);
                }
                Change::Unchanged(_) => {}
            }
        }
        let last = pages.last().and_then(|page| page.cursor.clone());
        self.cursor = last.context("the pages end without a cursor")?;
        Ok(self)
    }
}

/// Pulls to the end, or until `stop` says so after a page.
pub(super) async fn pages(
    subject: &dyn Subject,
    ctx: &Context,
    collection: &RemoteCollection,
    since: Option<&Since>,
    mut after_page: impl AsyncFnMut(usize) -> Result<()>,
) -> Result<Pulled> {
    let nothing = Known::new();
    let request = PullRequest {
        collection,
        cursor: since.map(|since| &since.cursor),
        known: since.map_or(&nothing, |since| &since.known),
    };
    let mut pages = Vec::new();
    let mut stream = pull(subject)?.pages(ctx, request);
    while let Some(page) = stream.next().await {
        match page {
            Ok(page) => pages.push(page),
            Err(error) => {
                if stream.next().await.is_some() {
                    bail!("the stream goes on after its error: {error}");
                }
                let error = Some(error);
                return Ok(Pulled { pages, error });
            }
        }
        after_page(pages.len()).await?;
    }
    Ok(Pulled { pages, error: None })
}

/// Pulls to the end.
pub(super) async fn all(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    since: Option<&Since>,
) -> Result<Vec<Page>> {
    let ctx = subject.context();
    pages(subject, &ctx, collection, since, async |_| Ok(()))
        .await?
        .complete()
}

/// The objects of a full pull.
pub(super) async fn objects(
    subject: &dyn Subject,
    collection: &RemoteCollection,
) -> Result<Vec<RemoteObject>> {
    let pages = all(subject, collection, None).await?;
    let changes = pages.into_iter().flat_map(|page| page.changes);
    changes
        .map(|change| match change {
            Change::Present(object) => Ok(*object),
            Change::Unchanged(id) => bail!("{id} is called unchanged, and nothing was known"),
            Change::Deleted(id) => bail!("{id} is called deleted, and nothing was"),
            Change::Unreadable { id, reason, .. } => bail!("{id} cannot be read: {reason}"),
        })
        .collect()
}

/// The cursor after everything that is there now, with what is there.
pub(super) async fn cursor(subject: &dyn Subject, collection: &RemoteCollection) -> Result<Since> {
    let pages = all(subject, collection, None).await?;
    let last = pages.last().context("a full pull has no page")?;
    anyhow::ensure!(
        last.listing == Listing::Complete,
        "a full pull does not end complete"
    );
    let nothing = Since {
        cursor: Cursor(String::new()),
        known: Known::new(),
    };
    nothing.after(&pages)
}

/// One object by its id.
pub(super) async fn fetch(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    id: &RemoteId,
) -> Result<RemoteObject> {
    let ctx = subject.context();
    let fetched = pull(subject)?
        .fetch(&ctx, collection, std::slice::from_ref(id))
        .await?;
    match fetched.into_iter().next() {
        Some(Change::Present(object)) => Ok(*object),
        other => bail!("{id} is fetched as {other:?}"),
    }
}

/// An intent; each number is another one.
pub(super) fn intent(number: u128) -> IntentId {
    IntentId::new(1_700_000_000_000, number)
}

pub(super) fn create(number: u128, content: Content) -> Write {
    Write {
        intent: intent(number),
        kind: Kind::Event,
        part: PartKey::MASTER,
        action: Action::Create { content },
    }
}

pub(super) fn update(target: Target, part: PartKey, content: Content, changed: &[FieldPath]) -> Write {
    Write {
        intent: intent(900),
        kind: Kind::Event,
        part,
        action: Action::Update {
            target,
            content,
            changed: changed.iter().cloned().collect(),
        },
    }
}

pub(super) fn delete(target: Target) -> Write {
    Write {
        intent: intent(901),
        kind: Kind::Event,
        part: PartKey::MASTER,
        action: Action::Delete { target },
    }
}

/// An object as the target of a write.
pub(super) fn target(object: &RemoteObject) -> Target {
    Target {
        id: Some(object.id.clone()),
        version: object.version.clone(),
        raw: Some(object.raw.clone()),
        series: object.series.clone(),
    }
}

/// The write, of the subject's kind.
pub(super) fn of_kind(subject: &dyn Subject, write: Write) -> Write {
    Write {
        kind: subject.kind(),
        ..write
    }
}

/// Carries out one write.
pub(super) async fn apply(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    write: Write,
) -> Result<Result<Applied, Error>> {
    let ctx = subject.context();
    let write = of_kind(subject, write);
    let mut outcomes = push(subject)?.apply(&ctx, collection, &[write]).await;
    anyhow::ensure!(outcomes.len() == 1, "one write has {} outcomes", outcomes.len());
    outcomes.pop().context("unreachable: there is one outcome")
}

/// Carries out one write that stores something.
pub(super) async fn store(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    write: Write,
) -> Result<RemoteObject> {
    match apply(subject, collection, write).await?? {
        Applied::Stored(object) => Ok(*object),
        Applied::Gone => bail!("what was stored is called gone"),
    }
}

/// Every kind of event the capability may lack.
pub(super) fn reads(capability: &Capability) -> bool {
    capability.read
}

pub(super) fn writes(capability: &Capability) -> bool {
    edits(capability) && capability.create
}

/// Records are changed and deleted; they may all be made by others.
pub(super) fn edits(capability: &Capability) -> bool {
    capability.read && capability.update && capability.delete
}

/// A record that is there: made by the connector, or by another client where the connector makes none.
pub(super) async fn there(
    subject: &dyn Subject,
    collection: &RemoteCollection,
    number: u128,
    content: Content,
) -> Result<RemoteObject> {
    if subject.connector().capability(subject.kind()).create {
        return store(subject, collection, create(number, content)).await;
    }
    let id = subject.put(&content).await?;
    fetch(subject, collection, &id).await
}
