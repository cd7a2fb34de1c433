//! Pushing: intent, call, outcome, each write in two transactions around the call.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connector_sdk::{
    Access, Action, Applied, Error, ErrorKind, RemoteObject, Retry, SeriesModel, SeriesPart, Target, Write,
};
use model::{Content, EventTime, FieldPath, IntentId, LinkId, PartKey, series};

use crate::engine::{Run, Trouble};
use crate::occurrence;
use crate::plan;
use crate::ports::{Effect, StoreError};
use crate::scene::Scene;
use crate::state::{CollectionCache, DELETED, Intent, IntentAction, Link, Origin};
use crate::work::{Work, push_job};

/// Links that one round of a push reads.
const BATCH: u32 = 200;

/// One write that has to be made.
pub(crate) struct Pending {
    pub(crate) part: PartKey,
    pub(crate) action: IntentAction,
    pub(crate) sent: Content,
    pub(crate) changed: BTreeSet<FieldPath>,
}

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
        scenes: &mut CollectionCache<Scene>,
    ) -> Result<Option<Scene>, Trouble> {
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
        let scene = self.scene(collection).await?;
        scenes.insert(link.collection.clone(), scene.clone());
        Ok(Some(scene))
    }

    /// Brings one link to rest: writes what differs, as often as someone else is faster, within bounds.
    async fn push_link(&mut self, id: &LinkId, scenes: &mut CollectionCache<Scene>) -> Result<(), Trouble> {
        let mut tries = 0;
        let mut parts = None;
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
            let step = match self.next_write(&scene, &work) {
                Step::Rest => self.rest(work).await,
                Step::Yield => self.yield_to_owner(&scene, work).await,
                Step::Drop => self.drop(work).await,
                Step::Refuse(reason) => self.refuse(work, reason, None).await,
                Step::Write(pending) => self.write(&scene, work, pending).await,
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

    /// Contested too often for one run: the link waits, longer each time, and a job comes back to it.
    async fn put_off(&mut self, id: &LinkId) -> Result<(), Trouble> {
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

    /// What a link needs next.
    pub(crate) fn next_write(&self, scene: &Scene, work: &Work) -> Step {
        let (link, record) = (&work.link, &work.record);
        let there = link.parts.contains_key(&PartKey::MASTER);
        if link.removing || record.deleted {
            return match there {
                false => Step::Drop,
                // Its object stays, and stays known: seen as a stranger it would come back as a new record.
                true if !link.removing && scene.keeps_back(link, record, DELETED) => Step::Rest,
                true => Step::Write(Pending {
                    part: PartKey::MASTER,
                    action: IntentAction::Delete,
                    sent: Content::default(),
                    changed: BTreeSet::new(),
                }),
            };
        }
        let hub = plan::hub_side(record, link);
        let (action, changed) = if there {
            let (send, yields) = self.differences(scene, work, &hub);
            if send.is_empty() {
                return if yields { Step::Yield } else { Step::Rest };
            }
            (IntentAction::Update, send)
        } else {
            let changed = hub
                .paths()
                .filter(|path| scene.capability.writes(&path.field))
                .collect();
            (IntentAction::Create, changed)
        };
        let able = if there {
            scene.capability.update
        } else {
            scene.capability.create
        };
        if !able || scene.collection.remote.access == Access::ReadOnly {
            return Step::Refuse(format!(
                "`{}` is read-only for this account",
                scene.collection.remote.name
            ));
        }
        Step::Write(self.portion(scene, link, action, hub, changed))
    }

    /// The paths at which the provider has to be written, and whether the hub has to take something back because the
    /// provider owns it.
    fn differences(&self, scene: &Scene, work: &Work, hub: &Content) -> (BTreeSet<FieldPath>, bool) {
        let (link, record) = (&work.link, &work.record);
        let merged = plan::plan(&plan::Input {
            kind: link.kind,
            capability: &scene.capability,
            policy: &scene.policy,
            snapshots: &link.snapshots,
            hub,
            remote: &link.snapshots.remote,
            held: &link.held,
            project: &|content| scene.project(content),
        });
        let mut send = merged.send;
        if scene.capability.series.has_part_objects() {
            outlived(hub, link, &mut send);
        }
        send.retain(|path| !scene.keeps_back(link, record, &path.to_string()));
        (send, !merged.taken.is_empty())
    }

    /// What of it one write can carry: all of it, or the first part where each is an object of its own.
    fn portion(
        &self,
        scene: &Scene,
        link: &Link,
        action: IntentAction,
        sent: Content,
        mut changed: BTreeSet<FieldPath>,
    ) -> Pending {
        let (mut part, mut sent, mut action) = (PartKey::MASTER, sent, action);
        if action == IntentAction::Update {
            (sent, changed) = keyed_as_there(link, sent, changed);
        }
        if scene.capability.series.has_part_objects() && action == IntentAction::Update {
            part = changed.first().map(|path| path.part.clone()).unwrap_or_default();
            changed.retain(|path| path.part == part);
            if !part.is_master() && !occurrence::exists(&sent, &part) {
                sent.overrides.insert(part.clone(), series::cancelled());
            }
            let cancels = sent.overrides.get(&part).is_some_and(series::is_cancelled);
            if cancels && scene.capability.series == SeriesModel::Instances {
                action = IntentAction::Delete;
            }
        }
        Pending {
            part,
            action,
            sent,
            changed,
        }
    }

    /// Nothing to send (any more).
    async fn rest(&mut self, mut work: Work) -> Result<Ended, Trouble> {
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

    async fn drop(&mut self, mut work: Work) -> Result<Ended, Trouble> {
        work.drop_link();
        self.commit(work.into_effects(&Origin::Hub)).await?;
        Ok(Ended::Rested)
    }

    async fn refuse(
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

    /// Transaction 1, the call, transaction 2.
    async fn write(&mut self, scene: &Scene, work: Work, pending: Pending) -> Result<Ended, Trouble> {
        let Some(facet) = scene.provider.connector.push() else {
            return self
                .refuse(work, "the provider cannot be written to".to_owned(), None)
                .await;
        };
        let known = work.link.parts.get(&pending.part);
        if known.is_some_and(|known| known.raw_outdated) && pending.action != IntentAction::Create {
            self.read_anew(scene, &work.link, &pending.part).await?;
            return Ok(Ended::Again);
        }
        let raws = self.desk.store.raws(&self.organization, &work.link.id).await?;
        let (intent, again) = self.open_intent(&work, pending).await?;
        let write = to_write(&intent, &work.link, &raws);
        let outcome = facet
            .apply(
                &scene.provider.ctx,
                &scene.collection.remote,
                std::slice::from_ref(&write),
            )
            .await
            .pop()
            .unwrap_or_else(|| {
                Err(Error::new(
                    ErrorKind::Unexpected,
                    "push",
                    "the connector gave no outcome for the write",
                ))
            });
        match outcome {
            Ok(applied) => {
                self.summary.written += 1;
                self.finish(scene, &intent, Outcome::Answered(applied)).await
            }
            Err(error) => self.fail(scene, work, &intent, again, error).await,
        }
    }

    /// Writes the intent down. A create that is in doubt is tried again as it was, name and content: both tries then
    /// mean one object (invariant 8), and what changed since follows as an update. Whether it is such a try.
    async fn open_intent(&self, work: &Work, pending: Pending) -> Result<(Intent, bool), Trouble> {
        if pending.action == IntentAction::Create {
            let open = self
                .desk
                .store
                .open_intents(&self.organization, &self.connection.id)
                .await?;
            let earlier = open
                .into_iter()
                .find(|intent| intent.link == work.link.id && intent.action == IntentAction::Create);
            if let Some(earlier) = earlier {
                return Ok((earlier, true));
            }
        }
        let intent = Intent {
            id: IntentId::new(self.desk.epoch_ms(), self.desk.random()),
            organization: self.organization.clone(),
            link: work.link.id.clone(),
            connection: self.connection.id.clone(),
            part: pending.part,
            action: pending.action,
            sent: pending.sent,
            changed: pending.changed,
            created_at: self.desk.now_ms(),
        };
        self.commit(vec![Effect::OpenIntent(Box::new(intent.clone()))])
            .await?;
        Ok((intent, false))
    }

    /// Records what a write came to. The record may have changed meanwhile, so it is read again, and again when
    /// someone is faster. Where that does not end the intent stays open, and the next run finds out.
    pub(crate) async fn finish(
        &mut self,
        scene: &Scene,
        intent: &Intent,
        outcome: Outcome,
    ) -> Result<Ended, Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let close = Effect::CloseIntent(intent.id.clone());
            let Some(linked) = self.desk.store.link(&self.organization, &intent.link).await? else {
                self.commit(vec![close]).await?;
                return Ok(Ended::Rested);
            };
            let mut work = Work::stored(linked.link, linked.record);
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
                    work.presume(&intent.sent, &intent.changed, &intent.sent);
                    work.vanish(&self.desk, scene, &PartKey::MASTER);
                }
                Outcome::Found(object) => {
                    let written = carried(scene, intent, object);
                    work.presume(&intent.sent, &written, &scene.project(&intent.sent));
                    let mut filled = filled_in(&work, intent, object);
                    // A field that can be written may have been edited since the lost answer.
                    filled.retain(|path| !scene.capability.writes(&path.field));
                    work.presume(&intent.sent, &filled, &object.content);
                    work.meet_found(&self.desk, scene, &written, object);
                }
                Outcome::Answered(Applied::Stored(object)) => {
                    let mut written = carried(scene, intent, object);
                    written.extend(filled_in(&work, intent, object));
                    work.settle(&self.desk, scene, &intent.sent, &written, object);
                }
            }
            let again = work.link.dirty;
            self.summary.conflicts += work.conflict_count();
            let origin = Origin::Link(work.link.id.clone());
            let mut effects = self.jobs_of_others(scene, &mut work).await?;
            effects.extend(work.into_effects(&origin));
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

    /// A write that failed: merge and try again, wait, refuse, or leave it in doubt.
    async fn fail(
        &mut self,
        scene: &Scene,
        mut work: Work,
        intent: &Intent,
        again: bool,
        error: Error,
    ) -> Result<Ended, Trouble> {
        let close = Effect::CloseIntent(intent.id.clone());
        match error.kind {
            ErrorKind::VersionConflict | ErrorKind::NotFound if intent.action != IntentAction::Create => {
                let changed = self.look_again(scene, intent).await?;
                if !changed && !intent.part.is_master() && error.kind == ErrorKind::NotFound {
                    let reason = format!("the series there has no occurrence {}", intent.part);
                    return match self.desk.store.link(&self.organization, &intent.link).await? {
                        Some(linked) => {
                            let work = Work::stored(linked.link, linked.record);
                            self.refuse(work, reason, None).await
                        }
                        None => Ok(Ended::Rested),
                    };
                }
                Ok(Ended::Again)
            }
            ErrorKind::AlreadyExists | ErrorKind::VersionConflict => {
                let Some(facet) = scene.provider.connector.push() else {
                    return Ok(Ended::Rested);
                };
                let write = to_write(intent, &work.link, &BTreeMap::new());
                let found = facet
                    .probe(&scene.provider.ctx, &scene.collection.remote, &write)
                    .await?;
                match found {
                    Some(object) => self.finish(scene, intent, Outcome::Found(Box::new(object))).await,
                    // The first try did make the object, and somebody deleted it since.
                    None if again => self.finish(scene, intent, Outcome::Deleted).await,
                    None => {
                        // The name is taken by something else that is gone: the next try takes a new one.
                        self.commit(vec![close]).await?;
                        Ok(Ended::Again)
                    }
                }
            }
            // Nothing was written. A create may still be in doubt from an earlier try, so that one stays open.
            ErrorKind::Unauthorized | ErrorKind::RateLimited => {
                if intent.action != IntentAction::Create {
                    self.commit(vec![close]).await?;
                }
                Err(error.into())
            }
            ErrorKind::Unavailable | ErrorKind::Unexpected => {
                // In doubt: the intent stays open, and the next run probes before it sends again.
                let pause = match error.retry {
                    Retry::After(pause) => i64::try_from(pause.as_millis()).unwrap_or(60_000),
                    Retry::Backoff | Retry::Permanent => 1_000 << work.link.attempts.min(9),
                };
                work.postpone(self.desk.now_ms() + pause);
                self.commit(work.into_effects(&Origin::Hub)).await?;
                Err(error
                    .with_retry(Retry::After(std::time::Duration::from_millis(
                        u64::try_from(pause).unwrap_or_default(),
                    )))
                    .into())
            }
            ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::CursorExpired
            | ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::BadSignature => self.refuse(work, error.to_string(), Some(&intent.id)).await,
        }
    }
}

/// A start that is not written stays as the provider has it (it is held, or kept from the provider): then occurrences
/// have to be named by that one, or the write would make occurrences that the series there does not have.
fn keyed_as_there(
    link: &Link,
    mut sent: Content,
    changed: BTreeSet<FieldPath>,
) -> (Content, BTreeSet<FieldPath>) {
    let there = &link.snapshots.remote;
    let starts = (
        series::time_field(&sent.fields, "start"),
        series::time_field(&there.fields, "start"),
    );
    let (Some(here), Some(start)) = starts else {
        return (sent, changed);
    };
    if here == start || changed.contains(&FieldPath::master("start")) {
        return (sent, changed);
    }
    let schedule = link.kind.schema().fields.iter();
    for spec in schedule.filter(|spec| spec.group == Some("schedule")) {
        let path = FieldPath::master(spec.name);
        if !changed.contains(&path) {
            sent.set(&path, there.get(&path).cloned());
        }
    }
    sent.overrides = series::rekeyed(sent.overrides, &here, &start);
    let moved = |path: FieldPath| FieldPath {
        part: series::moved(&path.part, &here, &start),
        field: path.field,
    };
    (sent, changed.into_iter().map(moved).collect())
}

/// Overrides whose series no longer reaches them (it was shortened): an object of its own is cancelled, since it may
/// outlive its occurrence; anything else went with the series.
fn outlived(hub: &Content, link: &Link, send: &mut BTreeSet<FieldPath>) {
    let parts: BTreeSet<PartKey> = send
        .iter()
        .map(|path| path.part.clone())
        .filter(|part| !part.is_master())
        .collect();
    for part in parts.into_iter().filter(|part| !occurrence::exists(hub, part)) {
        send.retain(|path| path.part != part);
        let own = link.parts.contains_key(&part);
        let cancelled = link
            .snapshots
            .remote
            .overrides
            .get(&part)
            .is_some_and(series::is_cancelled);
        if own && !cancelled {
            send.insert(FieldPath {
                part,
                field: "status".to_owned(),
            });
        }
    }
}

/// What a link needs next.
pub(crate) enum Step {
    /// Nothing.
    Rest,
    /// The hub's edits of fields that the provider owns are taken back.
    Yield,
    /// To be forgotten: there is nothing at the provider to remove.
    Drop,
    /// It cannot be written, and here is why.
    Refuse(String),
    /// One write.
    Write(Pending),
}

/// How the object that a write concerned came to be known.
pub(crate) enum Outcome {
    /// The provider answered the write.
    Answered(Applied),
    /// The answer was lost, and the object was found by a probe. Someone may have edited it since.
    Found(Box<RemoteObject>),
    /// The answer was lost, and the object was made and is gone again.
    Deleted,
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
fn filled_in(work: &Work, intent: &Intent, object: &RemoteObject) -> BTreeSet<FieldPath> {
    let copy = work.record.home.as_ref() != Some(&work.link.id);
    let paths = object.content.paths();
    paths
        .filter(|path| intent.action == IntentAction::Create && copy && intent.sent.get(path).is_none())
        .collect()
}

/// How one step on a link ended.
pub(crate) enum Ended {
    /// The link is at rest.
    Rested,
    /// There is more to do.
    Again,
}

/// The write behind an intent.
pub(crate) fn to_write(intent: &Intent, link: &Link, raws: &BTreeMap<PartKey, Bytes>) -> Write {
    let known = link.parts.get(&intent.part);
    let master = link.parts.get(&PartKey::MASTER);
    let series = (!intent.part.is_master())
        .then(|| {
            let start = series::time_field(&link.snapshots.remote.fields, "start")?;
            let original_start = EventTime::from_part_key(&intent.part, &start)?;
            Some(SeriesPart {
                series: master?.id.clone(),
                original_start,
            })
        })
        .flatten();
    let target = Target {
        id: known.map(|part| part.id.clone()),
        version: known.and_then(|part| part.version.clone()),
        raw: raws.get(&intent.part).cloned(),
        series,
    };
    let action = match intent.action {
        IntentAction::Create => Action::Create {
            content: intent.sent.clone(),
        },
        IntentAction::Update => Action::Update {
            target,
            content: intent.sent.clone(),
            changed: intent.changed.clone(),
        },
        IntentAction::Delete => Action::Delete { target },
    };
    Write {
        intent: intent.id.clone(),
        kind: link.kind,
        part: intent.part.clone(),
        action,
    }
}
