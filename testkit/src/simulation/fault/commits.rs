//! Mistakes in what is committed together, and under which condition.

use async_trait::async_trait;
use model::OrganizationId;
use sync::ports::{Effect, Store, StoreError};
use sync::state::Fence;

use super::store::{Gap, StoreFault};

/// Writes are sent without being written down first.
#[derive(Default)]
pub(super) struct NoIntent;

impl StoreFault for NoIntent {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        effects.retain(|effect| !matches!(effect, Effect::OpenIntent(_)));
        effects
    }
}

/// The other links of a changed record are not marked.
#[derive(Default)]
pub(super) struct NoTouch;

impl StoreFault for NoTouch {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        effects.retain(|effect| !matches!(effect, Effect::Touch { .. }));
        effects
    }
}

/// The value that lost is kept nowhere.
#[derive(Default)]
pub(super) struct NoConflictLog;

impl StoreFault for NoConflictLog {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        effects.retain(|effect| !matches!(effect, Effect::PutConflict(_)));
        effects
    }
}

/// The rest of the provider's object is not kept.
#[derive(Default)]
pub(super) struct NoComplement;

impl StoreFault for NoComplement {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        effects.retain(|effect| !matches!(effect, Effect::PutRaw { .. }));
        effects
    }
}

/// A node that slept may write late.
#[derive(Default)]
pub(super) struct NoFence;

#[async_trait]
impl StoreFault for NoFence {
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        _fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        honest.commit(organization, None, effects).await
    }
}

/// Commits the two parts of a batch one after the other.
async fn apart(
    honest: &dyn Store,
    organization: &OrganizationId,
    fence: Option<&Fence>,
    (first, second): (Vec<Effect>, Vec<Effect>),
) -> Result<(), StoreError> {
    if first.is_empty() || second.is_empty() {
        let whole = first.into_iter().chain(second).collect();
        return honest.commit(organization, fence, whole).await;
    }
    honest.commit(organization, fence, first).await?;
    Gap::default().await;
    honest.commit(organization, fence, second).await
}

/// The cursor is stored before what it stands behind.
#[derive(Default)]
pub(super) struct CursorFirst;

#[async_trait]
impl StoreFault for CursorFirst {
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let is_cursor = |effect: &Effect| matches!(effect, Effect::PutCursor { .. });
        let parts = effects.into_iter().partition(is_cursor);
        apart(honest, organization, fence, parts).await
    }
}

/// Records are committed, and then whatever follows from them.
#[derive(Default)]
pub(super) struct NoTransaction;

#[async_trait]
impl StoreFault for NoTransaction {
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let is_record = |effect: &Effect| matches!(effect, Effect::CreateRecord(_) | Effect::UpdateRecord(_));
        let parts = effects.into_iter().partition(is_record);
        apart(honest, organization, fence, parts).await
    }
}

/// Whoever writes last is right, whatever was there when it was read.
#[derive(Default)]
pub(super) struct LastWriteWins;

#[async_trait]
impl StoreFault for LastWriteWins {
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        mut effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let refused = honest.commit(organization, fence, effects.clone()).await;
        if !matches!(refused, Err(StoreError::Stale(_))) {
            return refused;
        }
        for effect in &mut effects {
            match effect {
                Effect::UpdateRecord(record) => {
                    if let Some(stored) = honest.record(organization, &record.id).await? {
                        record.version = stored.version + 1;
                    }
                }
                Effect::UpdateLink(link) => {
                    if let Some(stored) = honest.link(organization, &link.id).await? {
                        link.revision = stored.link.revision + 1;
                    }
                }
                Effect::DropLink { link, revision } => {
                    if let Some(stored) = honest.link(organization, link).await? {
                        *revision = stored.link.revision;
                    }
                }
                _ => {}
            }
        }
        honest.commit(organization, fence, effects).await
    }
}
