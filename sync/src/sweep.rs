//! The sweep after a complete enumeration: what it did not name is asked for by name before it counts as gone.

use connector_sdk::{Access, Change, RemoteId};

use crate::engine::{Run, Trouble};
use crate::observe::Pulling;
use crate::scene::Scene;

/// How many objects are asked for at once.
const PROBE: usize = 50;

impl Run<'_> {
    /// Probes every object that a complete enumeration did not name. Only the provider's own "not there" is a
    /// delete, and only while the collection itself is still there with the same access (invariant 6).
    pub(crate) async fn sweep(&self, pulling: &Pulling) -> Result<Vec<Change>, Trouble> {
        let mut unseen: Vec<RemoteId> = pulling
            .known
            .keys()
            .filter(|id| !pulling.seen.contains(*id))
            .cloned()
            .collect();
        // The same order every time, whatever the map's.
        unseen.sort();
        let scene = &pulling.scene;
        let Some(facet) = scene.provider.connector.pull().filter(|_| !unseen.is_empty()) else {
            return Ok(Vec::new());
        };
        let remote = &scene.collection.remote;
        if !self.is_still_listed(scene).await? {
            return Err(Trouble::Held(format!(
                "`{}` is not listed any more, or with less access than before; nothing was deleted",
                remote.name
            )));
        }
        let mut found = Vec::with_capacity(unseen.len());
        for ids in unseen.chunks(PROBE) {
            self.check_cancelled()?;
            found.extend(facet.fetch(&scene.provider.ctx, remote, ids).await?);
        }
        Ok(found)
    }

    /// Whether the provider still lists the collection, with no less access than before.
    pub(crate) async fn is_still_listed(&self, scene: &Scene) -> Result<bool, Trouble> {
        let Some(facet) = scene.provider.connector.pull() else {
            return Ok(false);
        };
        let remote = &scene.collection.remote;
        let listed = facet.collections(&scene.provider.ctx).await?;
        Ok(listed.iter().any(|now| {
            now.id == remote.id && (now.access == remote.access || remote.access == Access::ReadOnly)
        }))
    }
}
