//! Pages that say too little: sparse objects that the hub does not hold, overrides without their series, tombstones
//! that only the series can explain. What is missing is fetched by name.

use std::collections::{BTreeSet, HashMap};

use connector_sdk::{Change, Coverage, RemoteId, RemoteObject};
use model::{PartKey, series};

use crate::engine::{Run, Trouble};
use crate::observe::Draft;
use crate::occurrence;
use crate::scene::Scene;

/// How many objects are asked for at once.
const FETCH: usize = 50;

impl Run<'_> {
    /// The changes of a page with what they lack, in an order in which they can be taken; `None` where they lack
    /// nothing.
    ///
    /// A sparse object that the hub does not hold, or of which it could not read an earlier version, is replaced by
    /// the whole one. The tombstone of an occurrence does not say what became of it: it may be as its series says again,
    /// or cancelled where that is no object ([`connector_sdk::SeriesModel::Instances`]), or gone with its series. The series does, so it
    /// is looked at first, and the tombstone comes last: a series that moved may have given the occurrence a new id, too.
    /// What an occurrence inherits is told from what it says for itself by the series as well: occurrences come after it,
    /// and it is looked at where the page does not show it. Where that cannot be read, they wait in quarantine with it.
    pub(crate) async fn completed(
        &self,
        scene: &Scene,
        draft: &Draft,
        changes: &[Change],
    ) -> Result<Option<Vec<Change>>, Trouble> {
        let mut wanted: BTreeSet<RemoteId> = draft.strangers(changes).cloned().collect();
        let unread_before = self.unread_before(scene, changes).await?;
        let mut last: BTreeSet<RemoteId> = BTreeSet::new();
        let unreadable = |change: &Change| matches!(change, Change::Unreadable { .. });
        if scene.capability.series.has_part_objects() {
            let seen: BTreeSet<&RemoteId> = changes.iter().map(Change::id).collect();
            for change in changes {
                wanted.extend(draft.strange_master(scene, change, &seen).cloned());
                if let Change::Present(object) = change
                    && let Some(part) = &object.series
                    && unread_before.contains(&object.id)
                    && !seen.contains(&part.series)
                {
                    // What it says beside this delta may be the series', which is why it was set aside.
                    wanted.insert(part.series.clone());
                }
                if let Some(master) = draft.master_of(change) {
                    last.insert(change.id().clone());
                    if !seen.contains(master) {
                        wanted.insert(master.clone());
                    }
                }
            }
        }
        wanted.extend(unread_before);
        let overrides =
            |change: &Change| matches!(change, Change::Present(object) if object.series.is_some());
        let ordered = changes.iter().map(overrides).is_sorted();
        if wanted.is_empty() && last.is_empty() && ordered && !changes.iter().any(unreadable) {
            return Ok(None);
        }
        let wanted: Vec<RemoteId> = wanted.into_iter().collect();
        let mut fetched = self.fetch_whole(scene, &wanted).await?;
        let replaced: Vec<Change> = changes
            .iter()
            .map(|change| match change {
                Change::Present(object) if object.coverage == Coverage::Sparse => {
                    fetched.remove(&object.id).unwrap_or_else(|| change.clone())
                }
                Change::Present(_)
                | Change::Unchanged(_)
                | Change::Deleted(_)
                | Change::Unreadable { .. } => change.clone(),
            })
            .collect();
        let is_last = |change: &Change| last.contains(change.id()) && matches!(change, Change::Deleted(_));
        let mut completed: Vec<Change> = wanted.iter().filter_map(|id| fetched.remove(id)).collect();
        completed.extend(replaced);
        let unread = completed.iter().filter(|change| unreadable(change));
        let unread: BTreeSet<RemoteId> = unread.map(|change| change.id().clone()).collect();
        for change in &mut completed {
            let master = draft.strange_master(scene, change, &BTreeSet::new());
            if let (Change::Present(object), true) = (&*change, master.is_some_and(|id| unread.contains(id)))
            {
                *change = without_its_series(object);
            }
        }
        completed.sort_by_key(|change| (is_last(change), overrides(change)));
        Ok(Some(completed))
    }

    /// Replaces the sparse objects among these changes by whole ones.
    pub(crate) async fn make_whole(
        &self,
        scene: &Scene,
        changes: &mut [Change],
        of_these: impl Fn(&Change) -> bool,
    ) -> Result<(), Trouble> {
        let is_sparse = |change: &Change| matches!(change, Change::Present(object) if object.coverage == Coverage::Sparse);
        let sparse = changes
            .iter()
            .filter(|change| is_sparse(change) && of_these(change));
        let ids: Vec<RemoteId> = sparse.map(|change| change.id().clone()).collect();
        let mut fetched = self.fetch_whole(scene, &ids).await?;
        for change in changes {
            if let Some(whole) = fetched.remove(change.id()) {
                *change = whole;
            }
        }
        Ok(())
    }

    /// The present state of objects, whole. An answer that is sparse all the same is set aside: nothing could be laid
    /// under it.
    async fn fetch_whole(
        &self,
        scene: &Scene,
        ids: &[RemoteId],
    ) -> Result<HashMap<RemoteId, Change>, Trouble> {
        let mut found = HashMap::new();
        let Some(facet) = scene.provider.connector.pull() else {
            return Ok(found);
        };
        for ids in ids.chunks(FETCH) {
            self.check_cancelled()?;
            let remote = &scene.collection.remote;
            for change in facet.fetch(&scene.provider.ctx, remote, ids).await? {
                let change = match change {
                    Change::Present(object) if object.coverage == Coverage::Sparse => unseen(&object),
                    change => change,
                };
                found.insert(change.id().clone(), change);
            }
        }
        Ok(found)
    }

    /// A sparse object of which the hub holds nothing (any more) is fetched whole. An override whose series the hub does
    /// not hold: its master is fetched, or it waits in quarantine.
    pub(crate) async fn adopt(
        &self,
        scene: &Scene,
        draft: &mut Draft,
        object: &RemoteObject,
    ) -> Result<(), Trouble> {
        let whole = match object.coverage {
            Coverage::Full => Change::Present(Box::new(object.clone())),
            Coverage::Sparse => {
                let ids = std::slice::from_ref(&object.id);
                let mut fetched = self.fetch_whole(scene, ids).await?;
                fetched.remove(&object.id).unwrap_or_else(|| unseen(object))
            }
        };
        let object = match &whole {
            Change::Present(whole) if draft.present(self, scene, whole) => return Ok(()),
            Change::Present(whole) => whole.as_ref(),
            Change::Unreadable {
                id,
                version,
                reason,
                raw,
            } => {
                draft.quarantine(self, scene, id, version.as_ref(), reason, raw);
                return Ok(());
            }
            Change::Deleted(id) => {
                draft.deleted(self, scene, id);
                return Ok(());
            }
            Change::Unchanged(_) => return Ok(()),
        };
        let Some(part) = &object.series else { return Ok(()) };
        if !draft.index.contains_key(&part.series)
            && let Some(facet) = scene.provider.connector.pull()
        {
            let ids = [part.series.clone()];
            let fetched = facet
                .fetch(&scene.provider.ctx, &scene.collection.remote, &ids)
                .await?;
            if let Some(Change::Present(master)) = fetched.first() {
                draft.present(self, scene, master);
            }
        }
        if !draft.present(self, scene, object) {
            let reason = format!(
                "an occurrence of the series {}, which the provider does not show",
                part.series
            );
            draft.quarantine(
                self,
                scene,
                &object.id,
                object.version.as_ref(),
                &reason,
                &object.raw,
            );
        }
        Ok(())
    }
}

/// An object that the provider reports as changed and does not show.
fn unseen(object: &RemoteObject) -> Change {
    Change::Unreadable {
        id: object.id.clone(),
        version: object.version.clone(),
        reason: "the provider says what changed about this object, and does not show the whole of it"
            .to_owned(),
        raw: object.raw.clone(),
    }
}

/// An occurrence of a series of which the hub knows less than the occurrence does.
fn without_its_series(object: &RemoteObject) -> Change {
    Change::Unreadable {
        id: object.id.clone(),
        version: object.version.clone(),
        reason: "its series changed, and cannot be read".to_owned(),
        raw: object.raw.clone(),
    }
}

impl Draft {
    /// The ids of sparse objects of which the hub holds nothing.
    fn strangers<'a>(&self, changes: &'a [Change]) -> impl Iterator<Item = &'a RemoteId> {
        changes.iter().filter_map(|change| match change {
            Change::Present(object) => {
                let sparse = object.coverage == Coverage::Sparse;
                (sparse && !self.index.contains_key(&object.id)).then_some(&object.id)
            }
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => None,
        })
    }

    /// The master of the series of which this override's object says something new, or that had no such occurrence when
    /// it was last read (it was moved since), if it is not among `seen`.
    fn strange_master<'a>(
        &'a self,
        scene: &Scene,
        change: &Change,
        seen: &BTreeSet<&RemoteId>,
    ) -> Option<&'a RemoteId> {
        let Change::Present(object) = change else {
            return None;
        };
        let part = object.series.as_ref()?;
        let (master, (at, _)) = self
            .index
            .get_key_value(&part.series)
            .filter(|(id, _)| !seen.contains(id))?;
        let link = &self.sheet.works[*at].link;
        let there = &link.snapshots.remote;
        let key = part
            .original_start
            .part_key(&series::time_field(&there.fields, "start")?);
        let new = !occurrence::exists(there, &key);
        (new || scene.is_strange(link, object, &BTreeSet::new())).then_some(master)
    }

    /// The master of the series of which this tombstone's object was an override.
    fn master_of(&self, change: &Change) -> Option<&RemoteId> {
        let Change::Deleted(id) = change else {
            return None;
        };
        let (at, part) = self.index.get(id)?;
        let master = self.sheet.works[*at].link.parts.get(&PartKey::MASTER)?;
        (!part.is_master()).then_some(&master.id)
    }
}
