//! Mistakes in writing, and in telling one's own writes from others'.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use connector_sdk::{
    Action, Applied, Change, Connector, Context, Error, ErrorKind, Page, Push, RemoteCollection, RemoteId,
    RemoteVersion, SeriesModel, Target, Write,
};
use model::IntentId;

use super::connector::{ConnectorFault, send};
use super::memory::Memory;

/// What a write goes to; `None` for a create.
fn target(write: &mut Write) -> Option<&mut Target> {
    match &mut write.action {
        Action::Create { .. } => None,
        Action::Update { target, .. } | Action::Delete { target } => Some(target),
    }
}

/// The same write, whatever the object is by now.
fn forced(mut write: Write) -> Write {
    if let Some(target) = target(&mut write) {
        target.version = None;
    }
    write
}

/// A create whose answer was lost is sent again as a new one.
#[derive(Default)]
pub(super) struct CreateBlindly(AtomicU64);

#[async_trait]
impl ConnectorFault for CreateBlindly {
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        let first = send(honest, ctx, collection, write.clone()).await;
        let creates = matches!(write.action, Action::Create { .. });
        match &first {
            Err(error) if creates && error.kind == ErrorKind::Unavailable => {
                let number = self.0.fetch_add(1, Ordering::Relaxed);
                let intent = IntentId::new(number, 0xb11d);
                send(honest, ctx, collection, Write { intent, ..write }).await
            }
            Ok(_) | Err(_) => first,
        }
    }
}

/// Nobody looks whether a create was carried out.
#[derive(Default)]
pub(super) struct NoProbe;

#[async_trait]
impl ConnectorFault for NoProbe {
    async fn probe(
        &self,
        _honest: &dyn Push,
        _ctx: &Context,
        _collection: &RemoteCollection,
        _write: &Write,
    ) -> Result<Option<Applied>, Error> {
        Ok(None)
    }
}

/// Writes are sent without the version that was read.
#[derive(Default)]
pub(super) struct Unconditional;

#[async_trait]
impl ConnectorFault for Unconditional {
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        send(honest, ctx, collection, forced(write)).await
    }
}

/// A write that is refused because the object changed is sent again without a condition.
#[derive(Default)]
pub(super) struct ForcesConflicts;

#[async_trait]
impl ConnectorFault for ForcesConflicts {
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        match send(honest, ctx, collection, write.clone()).await {
            Err(error) if error.kind == ErrorKind::VersionConflict => {
                send(honest, ctx, collection, forced(write)).await
            }
            answer => answer,
        }
    }
}

/// An update that is refused because the object changed counts as done.
#[derive(Default)]
pub(super) struct ConflictIsSuccess;

#[async_trait]
impl ConnectorFault for ConflictIsSuccess {
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        mut write: Write,
    ) -> Result<Applied, Error> {
        let refused = match send(honest, ctx, collection, write.clone()).await {
            Err(error) if error.kind == ErrorKind::VersionConflict => error,
            answer => return answer,
        };
        let updates = matches!(write.action, Action::Update { .. });
        let id = target(&mut write).and_then(|target| target.id.clone());
        let (Some(id), Some(facet), true) = (id, honest.pull(), updates) else {
            return Err(refused);
        };
        match facet.fetch(ctx, collection, &[id]).await?.pop() {
            Some(Change::Present(object)) => Ok(Applied::Stored(object)),
            Some(Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. }) | None => {
                Err(refused)
            }
        }
    }
}

/// An update sends all that the record says.
#[derive(Default)]
pub(super) struct WholeContent;

#[async_trait]
impl ConnectorFault for WholeContent {
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        mut write: Write,
    ) -> Result<Applied, Error> {
        let whole = honest.capability(write.kind).series == SeriesModel::Whole;
        let own = write.part.clone();
        if let Action::Update { content, changed, .. } = &mut write.action
            && !changed.is_empty()
        {
            changed.extend(content.paths().filter(|path| whole || path.part == own));
        }
        send(honest, ctx, collection, write).await
    }
}

/// What was sent counts as what the provider holds.
#[derive(Default)]
pub(super) struct AnswerAssumed;

#[async_trait]
impl ConnectorFault for AnswerAssumed {
    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        let capability = honest.capability(write.kind);
        let mut answer = send(honest, ctx, collection, write.clone()).await;
        if let Ok(Applied::Stored(object)) = &mut answer
            && write.part.is_master()
        {
            let (content, paths) = match write.action {
                Action::Create { content } => {
                    let paths = content.paths().collect();
                    (content, paths)
                }
                Action::Update { content, changed, .. } => (content, changed),
                Action::Delete { .. } => return answer,
            };
            let whole = capability.series == SeriesModel::Whole;
            for path in paths {
                if (whole || path.part.is_master()) && capability.writes(&path.field) {
                    object.content.set(&path, content.get(&path).cloned());
                }
            }
        }
        answer
    }
}

/// Whatever is seen of an object soon after it was written counts as an echo.
#[derive(Default)]
pub(super) struct EchoByTime(Memory<i64>);

/// How long, in milliseconds.
const ECHO_MS: i64 = 30_000;

#[async_trait]
impl ConnectorFault for EchoByTime {
    fn page(&self, ctx: &Context, page: Result<Page, Error>) -> Result<Page, Error> {
        let mut page = page?;
        page.changes
            .retain(|change| !is_before(&self.0, change.id(), ctx.clock.now_ms() - ECHO_MS));
        Ok(page)
    }

    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        let answer = send(honest, ctx, collection, write).await;
        wrote(&self.0, ctx, &answer);
        answer
    }
}

/// Of two states the one with the later time is the right one.
#[derive(Default)]
pub(super) struct ClocksCompared(Memory<i64>);

#[async_trait]
impl ConnectorFault for ClocksCompared {
    fn page(&self, _ctx: &Context, page: Result<Page, Error>) -> Result<Page, Error> {
        let mut page = page?;
        page.changes.retain(|change| match change {
            Change::Present(object) => match object.version.as_ref().and_then(modified_ms) {
                Some(modified) => !is_before(&self.0, &object.id, modified),
                None => true,
            },
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => true,
        });
        Ok(page)
    }

    async fn apply(
        &self,
        honest: &dyn Connector,
        ctx: &Context,
        collection: &RemoteCollection,
        write: Write,
    ) -> Result<Applied, Error> {
        let answer = send(honest, ctx, collection, write).await;
        wrote(&self.0, ctx, &answer);
        answer
    }
}

/// When the object last changed by the provider's clock, where its version says so.
fn modified_ms(version: &RemoteVersion) -> Option<i64> {
    let (seconds, _) = version.0.split_once('-')?;
    Some(seconds.parse::<i64>().ok()? * 1_000)
}

/// Notes by the hub's clock when it wrote an object.
fn wrote(memory: &Memory<i64>, ctx: &Context, answer: &Result<Applied, Error>) {
    if let Ok(Applied::Stored(object)) = answer {
        memory.keep(&RemoteId(String::new()), &object.id, ctx.clock.now_ms());
    }
}

/// Whether the moment lies before the hub's last write of the object.
fn is_before(memory: &Memory<i64>, id: &RemoteId, moment: i64) -> bool {
    let wrote = memory.get(&RemoteId(String::new()), id);
    wrote.is_some_and(|wrote| moment < wrote)
}
