//! Strangers in a mirrored collection that a record of another member is waiting for.

use std::collections::BTreeSet;

use connector_sdk::{Change, Known};

use crate::engine::Run;
use crate::ports::StoreError;
use crate::scene::Scene;

impl Run<'_> {
    /// The UIDs among objects that the hub does not know yet for which a link in this collection waits: the same thing
    /// was met at another member first. Such an object gets a record of its own, without copies; a mirror's job then
    /// joins the two, or finds that they are not the same.
    pub(crate) async fn awaited(
        &self,
        scene: &Scene,
        known: &Known,
        changes: &[Change],
    ) -> Result<BTreeSet<String>, StoreError> {
        let strange = changes.iter().filter_map(|change| match change {
            Change::Present(object) if object.series.is_none() && !known.contains_key(&object.id) => {
                object.content.fields.get("uid")?.as_str().map(str::to_owned)
            }
            Change::Present(_) | Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => {
                None
            }
        });
        let uids: Vec<String> = strange.collect();
        if uids.is_empty() || !scene.mirrored {
            return Ok(BTreeSet::new());
        }
        let found = self
            .desk
            .store
            .with_uid(&self.organization, &scene.collection.id, &uids)
            .await?;
        let waiting = found.iter().filter(|linked| !linked.link.is_there());
        Ok(waiting
            .filter_map(|linked| linked.record.uid().map(str::to_owned))
            .collect())
    }
}
