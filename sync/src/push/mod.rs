//! Pushing: intent, call, outcome, each write in two transactions around the call.

mod failure;
mod intent;
mod next;
mod outcome;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{IntentId, LinkId};

use crate::engine::{Run, Trouble};
use crate::ports::{Effect, StoreError};
use crate::scene::Scene;
use crate::state::{CollectionCache, IntentAction, Link, Origin};
use crate::work::{Work, push_job};

pub(crate) use intent::to_write;
pub(crate) use next::{Pending, Step, next_write};
pub(crate) use outcome::Outcome;

/// Links that one round of a push reads.
const BATCH: u32 = 200;

impl Run<'_> {
    /// Writes whatever is dirty on the connection, each link once a run.
    pub(crate) async fn push(&mut self) -> Result<(), Trouble> {
        let mut scenes = CollectionCache::default();
        let mut done: BTreeSet<LinkId> = BTreeSet::new();
        loop {
            let now = self.desk.now_ms();
            let due = self
                .desk
                .store
                .dirty_links(
                    &self.organization,
                    &self.connection.id,
                    now,
                    BATCH + u32::try_from(done.len()).unwrap_or(u32::MAX),
                )
                .await?;
            let due: Vec<LinkId> = due.into_iter().filter(|link| !done.contains(link)).collect();
            if due.is_empty() {
                return Ok(());
            }
            for link in due {
                self.check_cancelled()?;
                self.push_link(&link, &mut scenes).await?;
                done.insert(link);
                self.advance(1, None);
            }
        }
    }

    /// The scene of a link's collection, gathered once a run.
    pub(crate) async fn scene_of(
        &self,
        link: &Link,
        scenes: &mut CollectionCache<Arc<Scene>>,
    ) -> Result<Option<Arc<Scene>>, Trouble> {
        if let Some(scene) = scenes.get(&link.collection) {
            return Ok(Some(scene.clone()));
        }
        let Some(collection) = self
            .desk
            .store
            .collection(&self.organization, &link.collection)
            .await?
        else {
            return Ok(None);
        };
        let scene = Arc::new(self.scene(collection).await?);
        scenes.insert(link.collection.clone(), scene.clone());
        Ok(Some(scene))
    }

    /// Brings one link to rest: writes what differs, as often as someone else is faster, within bounds.
    async fn push_link(
        &mut self,
        id: &LinkId,
        scenes: &mut CollectionCache<Arc<Scene>>,
    ) -> Result<(), Trouble> {
        let mut tries = 0;
        let mut parts = None;
        let mut looked = false;
        while tries < self.desk.settings.max_write_tries {
            let Some(linked) = self.desk.store.link(&self.organization, id).await? else {
                return Ok(());
            };
            let Some(scene) = self.scene_of(&linked.link, scenes).await? else {
                return Ok(());
            };
            if !scene.collection.enabled {
                // It waits until the collection is switched on again.
                return Ok(());
            }
            let work = Work::stored(linked.link, linked.record);
            // A series may need a write for each of its parts: those are no tries. They are counted all the same, so
            // that a provider that never keeps what it is sent is left alone at last.
            let left = parts.get_or_insert(work.record.content.overrides.len() + work.link.parts.len());
            let written = self.summary.written;
            let step = match next_write(&scene, &work) {
                Step::Rest => self.rest(&scene, work).await,
                Step::Yield => self.yield_to_owner(&scene, work).await,
                Step::Drop => self.drop(&scene, work).await,
                Step::Refuse(reason) => self.refuse(work, reason, None).await,
                Step::Write(pending) if !looked && takes_objects_along(&scene, &work, &pending) => {
                    looked = true;
                    self.look_around(&scene).await?;
                    continue;
                }
                Step::Write(pending) => match self.why_unreadable(&scene, &work.link).await? {
                    Some(reason) => self.leave_aside(work, reason).await,
                    None => self.write(&scene, work, pending).await,
                },
            };
            match step {
                Ok(Ended::Rested) => return Ok(()),
                Ok(Ended::Again) => {}
                Err(Trouble::Store(StoreError::Stale(_))) => {}
                Err(trouble) => return Err(trouble),
            }
            if self.summary.written > written && *left > 0 {
                *left -= 1;
            } else {
                tries += 1;
            }
        }
        self.put_off(id).await
    }

    /// Takes in what changed in a collection since its last pull.
    pub(super) async fn look_around(&mut self, scene: &Scene) -> Result<(), Trouble> {
        let store = &self.desk.store;
        let collection = store.collection(&self.organization, &scene.collection.id).await?;
        match collection {
            Some(collection) if collection.is_known() => match self.pull(collection).await {
                // What waits for an approval is about other objects.
                Err(Trouble::Held(_) | Trouble::HeldChanges(_)) => Ok(()),
                outcome => outcome,
            },
            Some(_) | None => Ok(()),
        }
    }

    /// Contested too often for one run: the link waits, longer each time, and a job comes back to it.
    pub(super) async fn put_off(&mut self, id: &LinkId) -> Result<(), Trouble> {
        let Some(linked) = self.desk.store.link(&self.organization, id).await? else {
            return Ok(());
        };
        if !linked.link.dirty {
            return Ok(());
        }
        let not_before = self.desk.now_ms() + (1_000 << linked.link.attempts.min(9));
        let mut work = Work::stored(linked.link, linked.record);
        tracing::warn!(link = %id, attempts = work.link.attempts, "a link comes to no rest; tried again later");
        work.postpone(not_before);
        let mut job = push_job(&self.desk, &work.link);
        if let Effect::Enqueue(job) = &mut job {
            job.run_at = not_before;
        }
        let mut effects = work.into_effects(&Origin::Hub);
        effects.push(job);
        match self.commit(effects).await {
            // Someone edited it just now, and has sent a job of their own.
            Err(StoreError::Stale(_)) => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    /// Nothing to send (any more). What the provider says in words of its own is what the hub says, from now on: it is
    /// nobody's edit that waits to be sent.
    async fn rest(&mut self, scene: &Scene, mut work: Work) -> Result<Ended, Trouble> {
        if work.link.is_there() && !work.link.removing && !work.record.deleted {
            let remote = work.link.snapshots.remote.clone();
            work.meet(&self.desk, scene, &remote);
        }
        work.mark_dirty(false);
        if work.is_changed() {
            self.commit(work.into_effects(&Origin::Hub)).await?;
        }
        Ok(Ended::Rested)
    }

    /// The hub takes its edits of what the provider owns back.
    async fn yield_to_owner(&mut self, scene: &Scene, mut work: Work) -> Result<Ended, Trouble> {
        let remote = work.link.snapshots.remote.clone();
        work.meet(&self.desk, scene, &remote);
        work.mark_dirty(false);
        self.summary.conflicts += work.conflict_count();
        let origin = Origin::Link(work.link.id.clone());
        let mut effects = self.jobs_of_others(scene, &mut work).await?;
        effects.extend(work.into_effects(&origin));
        self.commit(effects).await?;
        Ok(Ended::Rested)
    }

    /// Forgets a link whose object was never made. While a create of it is in doubt the link stays: its object may
    /// still appear, and seen as a stranger it would bring the record back (invariant 4).
    async fn drop(&mut self, scene: &Scene, mut work: Work) -> Result<Ended, Trouble> {
        if self.may_still_appear(&work.link).await? {
            return self.rest(scene, work).await;
        }
        work.drop_link();
        self.commit(work.into_effects(&Origin::Hub)).await?;
        Ok(Ended::Rested)
    }

    /// The link is written again and again for nobody: it waits until the budget allows a write, and a job comes back
    /// to it then.
    async fn wait(&mut self, mut work: Work, until_ms: i64) -> Result<Ended, Trouble> {
        let until = jiff::Timestamp::from_millisecond(until_ms).unwrap_or_default();
        let reason = format!(
            "written too often within an hour without anybody's edit in the hub: other programs or the provider itself \
             keep changing it back; the next write is due at {until}"
        );
        let mut job = push_job(&self.desk, &work.link);
        if let Effect::Enqueue(job) = &mut job {
            job.run_at = until_ms;
        }
        if work.wait(reason) {
            tracing::warn!(link = %work.link.id, %until, "a link has spent its write budget");
            let mut effects = work.into_effects(&Origin::Hub);
            effects.push(job);
            self.commit(effects).await?;
        }
        Ok(Ended::Rested)
    }

    /// Nothing is sent before somebody agrees to whom it would mail.
    async fn ask(&mut self, mut work: Work, reason: String) -> Result<Ended, Trouble> {
        tracing::info!(link = %work.link.id, "a write would mail people and waits for an approval");
        work.ask(reason);
        self.commit(work.into_effects(&Origin::Hub)).await?;
        Ok(Ended::Rested)
    }

    pub(crate) async fn refuse(
        &mut self,
        mut work: Work,
        reason: String,
        intent: Option<&IntentId>,
    ) -> Result<Ended, Trouble> {
        tracing::warn!(link = %work.link.id, reason, "a write was refused for good");
        self.summary.rejected += 1;
        work.reject(reason);
        let mut effects = work.into_effects(&Origin::Hub);
        effects.extend(intent.cloned().map(Effect::CloseIntent));
        self.commit(effects).await?;
        Ok(Ended::Rested)
    }
}

/// Whether a delete takes objects along whose versions it cannot name: the occurrences of a series that are objects of
/// their own. Somebody may have made or edited one since the collection was last pulled, and edit beats delete.
fn takes_objects_along(scene: &Scene, work: &Work, pending: &Pending) -> bool {
    pending.action == IntentAction::Delete
        && pending.part.is_master()
        && scene.capability.series.has_part_objects()
        && model::expand::is_series(&work.link.snapshots.remote)
}

/// How one step on a link ended.
pub(crate) enum Ended {
    /// The link is at rest.
    Rested,
    /// There is more to do.
    Again,
}
