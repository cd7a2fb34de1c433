//! Mistakes in what a link remembers: the base of the merge, its objects, and how it stands.

use async_trait::async_trait;
use model::{Content, OrganizationId, PartKey};
use sync::plan;
use sync::ports::{Effect, Linked, Store, StoreError};
use sync::state::{Fence, IntentAction, Link, LinkState, RemotePart, Snapshots};

use super::store::StoreFault;

/// The links that a batch stores.
fn links(effects: &mut [Effect]) -> impl Iterator<Item = &mut Link> {
    effects.iter_mut().filter_map(|effect| match effect {
        Effect::CreateLink(link) | Effect::UpdateLink(link) => Some(&mut **link),
        _ => None,
    })
}

/// Two sides are compared without what they had in common.
#[derive(Default)]
pub(super) struct NoBase;

impl StoreFault for NoBase {
    fn linked(&self, mut linked: Linked) -> Linked {
        linked.link.snapshots = Snapshots::default();
        linked
    }
}

/// The hub never seems to have changed.
#[derive(Default)]
pub(super) struct BaseFollowsHub;

impl StoreFault for BaseFollowsHub {
    fn linked(&self, mut linked: Linked) -> Linked {
        linked.link.snapshots.hub = plan::hub_side(&linked.record, &linked.link);
        linked
    }
}

/// What belongs to one account alone is forgotten.
#[derive(Default)]
pub(super) struct NoLocal;

impl StoreFault for NoLocal {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        links(&mut effects).for_each(|link| link.local = Content::default());
        effects
    }
}

/// What was refused counts as done.
#[derive(Default)]
pub(super) struct RefusalsSwallowed;

impl StoreFault for RefusalsSwallowed {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        for link in links(&mut effects) {
            if matches!(link.state, LinkState::Rejected { .. }) {
                link.state = LinkState::Synced;
            }
        }
        effects
    }
}

/// Occurrences are told apart by their order.
#[derive(Default)]
pub(super) struct PartsMixedUp;

impl StoreFault for PartsMixedUp {
    fn effects(&self, mut effects: Vec<Effect>) -> Vec<Effect> {
        for link in links(&mut effects) {
            let own = link.parts.iter().filter(|(part, _)| !part.is_master());
            let (keys, mut objects): (Vec<PartKey>, Vec<RemotePart>) =
                own.map(|(key, part)| (key.clone(), part.clone())).unzip();
            if !objects.is_empty() {
                objects.rotate_left(1);
            }
            link.parts.extend(keys.into_iter().zip(objects));
        }
        effects
    }
}

/// A link says that the provider has what is about to be sent.
#[derive(Default)]
pub(super) struct AdvancedEarly;

#[async_trait]
impl StoreFault for AdvancedEarly {
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        mut effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let opened = effects.iter().find_map(|effect| match effect {
            Effect::OpenIntent(intent) if intent.action == IntentAction::Update => Some(intent.clone()),
            _ => None,
        });
        if let Some(intent) = opened
            && let Some(Linked { mut link, .. }) = honest.link(organization, &intent.link).await?
        {
            for path in &intent.changed {
                let sent = intent.sent.get(path).cloned();
                link.snapshots.hub.set(path, sent.clone());
                link.snapshots.remote.set(path, sent);
            }
            link.revision += 1;
            effects.push(Effect::UpdateLink(Box::new(link)));
        }
        honest.commit(organization, fence, effects).await
    }
}

/// What is deleted is forgotten at once, wherever else it still is.
#[derive(Default)]
pub(super) struct NoTombstones;

#[async_trait]
impl StoreFault for NoTombstones {
    async fn commit(
        &self,
        honest: &dyn Store,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        mut effects: Vec<Effect>,
    ) -> Result<(), StoreError> {
        let named: Vec<_> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::UpdateLink(link) => Some(link.id.clone()),
                Effect::DropLink { link, .. } => Some(link.clone()),
                _ => None,
            })
            .collect();
        let deleted = effects.iter().filter_map(|effect| match effect {
            Effect::UpdateRecord(record) if record.deleted => Some(record.id.clone()),
            _ => None,
        });
        let mut dropped = Vec::new();
        for record in deleted {
            for link in honest.links_of(organization, &record).await? {
                if !named.contains(&link.id) {
                    dropped.push(Effect::DropLink {
                        link: link.id,
                        revision: link.revision,
                    });
                }
            }
        }
        dropped.append(&mut effects);
        honest.commit(organization, fence, dropped).await
    }
}
