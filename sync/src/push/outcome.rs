//! What a write came to: transaction 2 records it as it was read back.

use std::collections::BTreeSet;

use connector_sdk::{Applied, RemoteObject};
use model::{FieldPath, Fields, PartKey, series};

use crate::engine::{Run, Trouble};
use crate::history::{self, Via};
use crate::ports::{Effect, StoreError};
use crate::push::Ended;
use crate::scene::Scene;
use crate::state::{Intent, IntentAction, Link, Origin};
use crate::work::Work;

/// How the object that a write concerned came to be known.
pub(crate) enum Outcome {
    /// The provider answered the write.
    Answered(Applied),
    /// The answer was lost, and the object was found by a probe. Someone may have edited it since.
    Found(Box<RemoteObject>),
    /// The answer was lost, and the object was made and is gone again.
    Deleted,
}

impl Outcome {
    /// How it came to be known. While recovering the object was looked at, and nobody answered a write.
    const fn via(&self, working: Option<Via>) -> Via {
        match (self, working) {
            (Self::Found(_) | Self::Deleted, _) | (Self::Answered(_), Some(Via::Probe)) => Via::Probe,
            (Self::Answered(_), _) => Via::Answer,
        }
    }
}

impl Run<'_> {
    /// Records what a write came to. The record may have changed meanwhile, so it is read again, and again when
    /// someone is faster. Where that does not end the intent stays open, and the next run finds out.
    pub(crate) async fn finish(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        outcome: Outcome,
    ) -> Result<Ended, Trouble> {
        if self.missed_its_series(scene, intent, &outcome).await? {
            self.commit(vec![Effect::CloseIntent(intent.id.clone())]).await?;
            return Ok(Ended::Again);
        }
        let mut tries = 0;
        let earlier = self.look_at_series(scene, intent, &outcome).await?;
        loop {
            tries += 1;
            let close = Effect::CloseIntent(intent.id.clone());
            let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
                self.commit(vec![close]).await?;
                return Ok(Ended::Rested);
            };
            let mut work = Work::stored(linked.link, linked.record);
            work.earlier_master.clone_from(&earlier);
            match &outcome {
                Outcome::Answered(Applied::Gone) if !intent.part.is_master() => {
                    work.cancelled(&self.desk, scene, &intent.part);
                }
                Outcome::Answered(Applied::Gone) => {
                    if work.record.deleted || work.link.removing {
                        work.drop_link();
                    } else {
                        // Someone revived the record while its delete was on the way.
                        work.forget_remote();
                    }
                }
                Outcome::Deleted => {
                    // What the create could not carry never was there, and nobody there knew of it.
                    let mut written = intent.changed.clone();
                    written
                        .retain(|path| path.part.is_master() || !scene.capability.series.has_part_objects());
                    work.presume(&intent.sent, &written, &intent.sent);
                    work.vanish(&self.desk, scene, &PartKey::MASTER);
                }
                Outcome::Found(object) => {
                    work.charge(intent, self.desk.now_ms());
                    let written = carried(scene, intent, object);
                    work.presume(&intent.sent, &written, &scene.project(&intent.sent));
                    let mut filled = filled_in(scene, &work, intent, object);
                    // A field that can be written may have been edited since the lost answer.
                    filled.retain(|path| !scene.capability.writes(&path.field));
                    if work.record.deleted {
                        // Somebody may have filled it in after all, and it goes with the object.
                        work.keep_filled(&self.desk, scene, &filled, &object.content);
                    }
                    work.fill(&filled, &object.content);
                    work.meet_found(&self.desk, scene, &written, object);
                }
                Outcome::Answered(Applied::Stored(object)) => {
                    work.charge(intent, self.desk.now_ms());
                    let written = carried(scene, intent, object);
                    work.fill(&filled_in(scene, &work, intent, object), &object.content);
                    work.settle(&self.desk, scene, &intent.sent, &written, object);
                }
            }
            let again = work.link.dirty;
            self.summary.conflicts += work.conflict_count();
            let origin = Origin::Link(work.link.id.clone());
            let mut effects = self.jobs_of_others(scene, &mut work).await?;
            effects.extend(history::through(
                work.into_effects(&origin),
                outcome.via(self.desk.cause.via),
                Some(&intent.id),
            ));
            effects.push(close);
            match self.commit(effects).await {
                Ok(()) if again => return Ok(Ended::Again),
                Ok(()) => return Ok(Ended::Rested),
                Err(StoreError::Stale(_)) if tries < self.desk.settings.max_replans => {}
                Err(StoreError::Stale(_)) if self.is_elsewhere(scene, intent, &outcome).await? => {
                    let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
                        return Ok(Ended::Rested);
                    };
                    let work = Work::stored(linked.link, linked.record);
                    let reason = "the provider's object belongs to another record here".to_owned();
                    return self.refuse(work, reason, Some(&intent.id)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The answer to the write of an occurrence may show what somebody just changed about its series: then that is looked
    /// at first. Gives what the series said before.
    async fn look_at_series(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<Option<Fields>, Trouble> {
        let Outcome::Answered(Applied::Stored(object)) = outcome else {
            return Ok(None);
        };
        if object.series.is_none() {
            return Ok(None);
        }
        let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
            return Ok(None);
        };
        if !scene.is_strange(&linked.link, object, &intent.changed) {
            return Ok(None);
        }
        self.read_anew(scene, &linked.link, &PartKey::MASTER).await?;
        Ok(Some(linked.link.snapshots.remote.fields))
    }

    /// An occurrence that is no object of its own is cancelled by the start that its series gives it. "Gone" may mean that
    /// there was none: somebody had moved the series, which is looked at then.
    async fn missed_its_series(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        outcome: &Outcome,
    ) -> Result<bool, Trouble> {
        let gone = matches!(outcome, Outcome::Answered(Applied::Gone));
        if intent.part.is_master() || !gone {
            return Ok(false);
        }
        let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
            return Ok(false);
        };
        if linked.link.parts.contains_key(&intent.part) {
            return Ok(false);
        }
        let start = |link: &Link| series::time_field(&link.snapshots.remote.fields, "start");
        self.read_anew(scene, &linked.link, &PartKey::MASTER).await?;
        let now = self.desk.store.link(&self.organization, &intent.link).await?;
        Ok(now.is_some_and(|now| start(&now.link) != start(&linked.link)))
    }

    /// Whether the object that a write came to is tied to another record: links are one-to-one (invariant 14).
    async fn is_elsewhere(&self, scene: &Scene, intent: &Intent, outcome: &Outcome) -> Result<bool, Trouble> {
        let (Outcome::Found(object) | Outcome::Answered(Applied::Stored(object))) = outcome else {
            return Ok(false);
        };
        let ids = std::slice::from_ref(&object.id);
        let store = &self.desk.store;
        let linked = store
            .linked(&self.organization, &scene.collection.id, ids)
            .await?;
        Ok(linked.iter().any(|linked| linked.link.id != intent.link))
    }
}

/// The paths of an intent that its object can carry: a create where overrides are objects of their own carries the
/// cancelled ones at most.
fn carried(scene: &Scene, intent: &Intent, object: &RemoteObject) -> BTreeSet<FieldPath> {
    let mut written = intent.changed.clone();
    if intent.action == IntentAction::Create && scene.capability.series.has_part_objects() {
        written.retain(|path| path.part.is_master() || object.content.overrides.contains_key(&path.part));
    }
    written
}

/// What a provider filled in on its own (an organizer) in a copy that it was asked to make: that is nobody's edit.
fn filled_in(scene: &Scene, work: &Work, intent: &Intent, object: &RemoteObject) -> BTreeSet<FieldPath> {
    let copy = work.record.home.as_ref() != Some(&work.link.id);
    if intent.action != IntentAction::Create || !copy {
        return BTreeSet::new();
    }
    let own = |path: &FieldPath| intent.sent.get(path).is_none() || !scene.capability.writes(&path.field);
    object.content.paths().filter(own).collect()
}
