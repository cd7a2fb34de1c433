//! Observing: pages of a pull become records and links, each page in one transaction with its cursor.

use std::collections::{BTreeSet, HashMap};

use connector_sdk::{
    Change, Coverage, Cursor, ErrorKind, Known, Listing, Page, PullRequest, RemoteId, RemoteObject,
};
use futures::StreamExt as _;
use model::{ConnectionId, LinkId, PartKey, QuarantineId};

use crate::engine::{Run, Summary, Trouble};
use crate::history::{self, Via};
use crate::hold::{Held, Tally};
use crate::mirror;
use crate::ports::{Effect, StoreError};
use crate::scene::Scene;
use crate::state::{Collection, FeedAction, Intent, Origin, Pairing, Quarantine};
use crate::work::{Work, pending_link, push_job_for};

/// What a page came to, before it is committed.
pub(crate) struct Sheet {
    pub(crate) works: Vec<Work>,
    effects: Vec<Effect>,
    summary: Summary,
    pub(crate) tally: Tally,
}

/// One collection's pull while it runs.
pub(crate) struct Pulling {
    pub(crate) scene: Scene,
    pub(crate) known: Known,
    pub(crate) seen: BTreeSet<RemoteId>,
    /// What this pull did so far.
    pub(crate) tally: Tally,
    /// Set once it was too much: what follows is only counted.
    pub(crate) held: Option<Held>,
    /// Creates in this collection of which nobody knows what became of them.
    pub(crate) doubtful: Vec<Intent>,
}

impl Run<'_> {
    /// Pulls one collection from its cursor on, from the start when the cursor is lost.
    pub(crate) async fn pull(&mut self, collection: Collection) -> Result<(), Trouble> {
        let mut scene = self.scene(collection.clone()).await?;
        scene.obey();
        let unseen_deletes = scene.capability.incremental && !scene.capability.reports_deletes;
        let enumerated = collection.enumerated_at.unwrap_or(i64::MIN / 2);
        let due = unseen_deletes && scene.now_ms - enumerated >= self.desk.settings.enumerate_every_ms;
        let cursor = collection.cursor.as_ref().filter(|_| !due);
        match self.pull_from(scene.clone(), cursor).await {
            Err(Trouble::Provider(error)) if error.kind == ErrorKind::CursorExpired => {
                tracing::info!(collection = %collection.id, "the cursor is lost; enumerating anew");
                self.pull_from(scene, None).await
            }
            outcome => outcome,
        }
    }

    async fn pull_from(&mut self, scene: Scene, cursor: Option<&Cursor>) -> Result<(), Trouble> {
        let provider = scene.provider.clone();
        let Some(facet) = provider.connector.pull() else {
            return Ok(());
        };
        let known = self
            .desk
            .store
            .known(&self.organization, &scene.collection.id)
            .await?;
        let remote = scene.collection.remote.clone();
        let request_known = known.clone();
        let request = PullRequest {
            collection: &remote,
            cursor,
            known: &request_known,
        };
        let doubtful = self.creates_in_doubt(&scene.collection.id).await?;
        let mut pulling = Pulling {
            scene,
            known,
            seen: BTreeSet::new(),
            tally: Tally::default(),
            held: None,
            doubtful,
        };
        let mut pages = facet.pages(&provider.ctx, request);
        let mut next = pages.next().await;
        while let Some(page) = next {
            self.check_cancelled()?;
            let page = page?;
            // The next page is on its way while this one is committed.
            let (taken, following) = futures::join!(self.take_page(&mut pulling, page, cursor), pages.next());
            taken?;
            next = following;
        }
        self.look_into_quarantine(&mut pulling).await?;
        self.ask_or_forget(&pulling).await
    }

    /// Commits a page; when someone else was faster, plans it anew.
    async fn take_page(
        &mut self,
        pulling: &mut Pulling,
        page: Page,
        asked_from: Option<&Cursor>,
    ) -> Result<(), Trouble> {
        let listed = !matches!(page.listing, Listing::Delta);
        if listed {
            pulling
                .seen
                .extend(page.changes.iter().map(|change| change.id().clone()));
        }
        let mut changes = page.changes;
        if page.listing == Listing::Complete {
            let gone = self.sweep(pulling).await?;
            changes.extend(gone);
        }
        let count = changes.len() as u64;
        let changes: Vec<Change> = changes
            .into_iter()
            .filter(|change| !matches!(change, Change::Unchanged(_)))
            .collect();
        let complete = page.listing == Listing::Complete;
        let mut with: Vec<Effect> = Vec::new();
        // Where nothing has changed the provider may have said so by the cursor that it was asked with: it is stored.
        let moved = page.cursor.is_some() && page.cursor.as_ref() != asked_from;
        if complete || moved {
            with.push(Effect::PutCursor {
                collection: pulling.scene.collection.id.clone(),
                cursor: page.cursor,
                enumerated_at: complete.then_some(pulling.scene.now_ms),
            });
        }
        let first = complete && !pulling.scene.collection.is_known();
        if first {
            with.extend(mirror::backfill_jobs(&self.desk, &pulling.scene.collection, &[]).await?);
        }
        let changes = match pulling.held {
            None => self.claim_late_creates(pulling, changes).await?,
            Some(_) => changes,
        };
        self.take_changes(pulling, &changes, with).await?;
        if first && pulling.held.is_none() {
            // Mirrors that were made since they were looked up have found a collection that nobody knew yet.
            self.commit(mirror::backfill_jobs(&self.desk, &pulling.scene.collection, &[]).await?)
                .await?;
            pulling.scene.collection.enumerated_at = Some(pulling.scene.now_ms);
        }
        self.advance(count, None);
        Ok(())
    }

    /// Commits changes, and with them what belongs to them: the cursor, a closed intent.
    pub(crate) async fn take_changes(
        &mut self,
        pulling: &mut Pulling,
        changes: &[Change],
        with: Vec<Effect>,
    ) -> Result<(), Trouble> {
        let mut tries = 0;
        loop {
            tries += 1;
            let sheet = self.sheet(pulling, changes).await?;
            if self.holds(pulling, &sheet) {
                return Ok(());
            }
            let tally = pulling.tally.plus(sheet.tally);
            let summary = sheet.summary.clone();
            let mut effects = self.effects(sheet, pulling).await?;
            effects.extend(with.clone());
            match self.commit(effects).await {
                Ok(()) => {
                    pulling.tally = tally;
                    self.summary.add(&summary);
                    if summary.created > 0 {
                        self.catch_up(pulling).await?;
                    }
                    return Ok(());
                }
                Err(StoreError::Stale(_)) if tries < self.desk.settings.max_replans => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A mirror that was made while this pull runs has linked the records that were there then; those of this page
    /// came later, without links to its members. So it is asked to look again.
    async fn catch_up(&self, pulling: &mut Pulling) -> Result<(), Trouble> {
        let scene = self.scene(pulling.scene.collection.clone()).await?;
        let known = &pulling.scene.targets;
        if scene
            .targets
            .iter()
            .any(|target| known.iter().all(|known| known.id != target.id))
        {
            self.commit(mirror::backfill_jobs(&self.desk, &scene.collection, &scene.targets).await?)
                .await?;
        }
        pulling.scene.targets = scene.targets;
        Ok(())
    }

    /// Plans changes in memory.
    pub(crate) async fn sheet(&self, pulling: &Pulling, changes: &[Change]) -> Result<Sheet, Trouble> {
        let scene = &pulling.scene;
        let mut draft = Draft::read(self, scene, changes).await?;
        draft.awaited = self.awaited(scene, &pulling.known, changes).await?;
        let completed = self.completed(scene, &draft, changes).await?;
        let changes = completed.as_deref().unwrap_or(changes);
        let mut orphans = Vec::new();
        for change in changes {
            match change {
                Change::Present(object) => {
                    if !draft.present(self, scene, object) {
                        orphans.push(object.as_ref());
                    }
                }
                Change::Deleted(id) => draft.deleted(self, scene, id),
                Change::Unchanged(_) => {}
                Change::Unreadable {
                    id,
                    version,
                    reason,
                    raw,
                } => {
                    draft.sheet.summary.quarantined += 1;
                    draft.quarantine(self, scene, id, version.as_ref(), reason, raw);
                }
            }
        }
        for object in orphans {
            self.adopt(scene, &mut draft, object).await?;
        }
        self.count_looks(scene, &mut draft.sheet.effects).await?;
        if draft.met {
            let jobs = mirror::backfill_jobs(&self.desk, &scene.collection, &scene.targets).await?;
            draft.sheet.effects.extend(jobs);
        }
        Ok(draft.finish(pulling))
    }

    /// The sheet's effects, with jobs for the connections that have to hear of it.
    pub(crate) async fn effects(&self, sheet: Sheet, pulling: &Pulling) -> Result<Vec<Effect>, Trouble> {
        let mut effects = sheet.effects;
        let mut others: BTreeSet<ConnectionId> = BTreeSet::new();
        let mirrored = !pulling.scene.targets.is_empty()
            || pulling.scene.source_only
            || pulling.scene.target_only
            || pulling.scene.revert
            || !self
                .desk
                .store
                .mirrors_of(&self.organization, &pulling.scene.collection.id)
                .await?
                .is_empty();
        for mut work in sheet.works.into_iter().filter(Work::is_changed) {
            // Records may be tied by hand, too.
            if work.concerns_others() && (mirrored || !work.is_fresh()) {
                effects.extend(self.tell_others(&pulling.scene, &mut work, &mut others).await?);
            }
            let origin = Origin::Link(work.link.id.clone());
            let told = work.into_effects(&origin);
            effects.extend(match self.desk.cause.via {
                Some(Via::Probe) => told,
                Some(Via::Request | Via::Pull | Via::Answer | Via::Job) | None => {
                    history::through(told, Via::Pull, None)
                }
            });
        }
        effects.extend(self.jobs_for(others));
        Ok(effects)
    }

    /// Jobs for the other connections of a record that a write's outcome changed.
    pub(crate) async fn jobs_of_others(
        &self,
        scene: &Scene,
        work: &mut Work,
    ) -> Result<Vec<Effect>, Trouble> {
        let mut others = BTreeSet::new();
        let mut effects = Vec::new();
        if work.concerns_others() {
            effects = self.tell_others(scene, work, &mut others).await?;
        }
        effects.extend(self.jobs_for(others));
        Ok(effects)
    }

    /// This connection is being pushed already.
    fn jobs_for(&self, mut others: BTreeSet<ConnectionId>) -> impl Iterator<Item = Effect> + '_ {
        others.remove(&self.connection.id);
        others
            .into_iter()
            .map(|other| push_job_for(&self.desk, &self.organization, &other))
    }

    /// Which other connections a changed record is on. A record that lives again gets the links back that its
    /// deletion took; a link that another node drops at this very moment is made anew by its mirror's job.
    async fn tell_others(
        &self,
        scene: &Scene,
        work: &mut Work,
        others: &mut BTreeSet<ConnectionId>,
    ) -> Result<Vec<Effect>, Trouble> {
        let mut jobs = Vec::new();
        let links = self
            .desk
            .store
            .links_of(&self.organization, work.record_id())
            .await?;
        if work.is_revived() {
            let apart = self
                .desk
                .store
                .pairings_of(&self.organization, work.record_id())
                .await?;
            let missing = scene.targets.iter().filter(|target| {
                links.iter().all(|link| link.collection != target.id)
                    && apart.get(&target.id) != Some(&Pairing::Apart)
            });
            for target in missing {
                work.add_sibling(pending_link(&self.desk, &work.record, target));
            }
            jobs = mirror::backfill_jobs(&self.desk, &scene.collection, &scene.targets).await?;
        }
        others.extend(work.sibling_connections().cloned());
        others.extend(links.into_iter().map(|link| link.connection));
        Ok(jobs)
    }
}

/// The works of a page, found by remote id.
pub(crate) struct Draft {
    pub(crate) sheet: Sheet,
    pub(crate) index: HashMap<RemoteId, (usize, PartKey)>,
    /// UIDs of strangers that a record of another member waits for.
    awaited: BTreeSet<String>,
    /// Whether one of them was met.
    met: bool,
}

impl Draft {
    /// Reads the links that the changes speak of, the series of overrides included.
    async fn read(run: &Run<'_>, scene: &Scene, changes: &[Change]) -> Result<Self, StoreError> {
        let mut ids: Vec<RemoteId> = Vec::with_capacity(changes.len());
        for change in changes {
            ids.push(change.id().clone());
            if let Change::Present(object) = change {
                ids.extend(object.series.iter().map(|part| part.series.clone()));
            }
        }
        ids.sort();
        ids.dedup();
        let linked = run
            .desk
            .store
            .linked(&run.organization, &scene.collection.id, &ids)
            .await?;
        let mut draft = Self {
            sheet: Sheet {
                works: Vec::new(),
                effects: Vec::new(),
                summary: Summary::default(),
                tally: Tally::default(),
            },
            index: HashMap::new(),
            awaited: BTreeSet::new(),
            met: false,
        };
        let mut by_link: HashMap<LinkId, usize> = HashMap::new();
        for found in linked {
            let at = *by_link.entry(found.link.id.clone()).or_insert_with(|| {
                draft
                    .sheet
                    .works
                    .push(Work::stored(found.link.clone(), found.record.clone()));
                draft.sheet.works.len() - 1
            });
            for (part, remote) in &found.link.parts {
                draft.index.insert(remote.id.clone(), (at, part.clone()));
            }
        }
        Ok(draft)
    }

    /// Takes in an object; `false` when it overrides a series that is not here, or says what changed about an object
    /// that is not here.
    pub(crate) fn present(&mut self, run: &Run<'_>, scene: &Scene, object: &RemoteObject) -> bool {
        if object.coverage == Coverage::Sparse && !self.index.contains_key(&object.id) {
            return false;
        }
        let owner = object.series.as_ref().map_or(&object.id, |part| &part.series);
        if let Some((at, _)) = self.index.get(owner).cloned() {
            let work = &mut self.sheet.works[at];
            work.read_again();
            work.see(&run.desk, scene, object);
            let parts: Vec<_> = work
                .link
                .parts
                .iter()
                .map(|(part, remote)| (remote.id.clone(), part.clone()))
                .collect();
            self.index
                .extend(parts.into_iter().map(|(id, part)| (id, (at, part))));
        } else if object.series.is_some() {
            return false;
        } else {
            let uid = object.content.fields.get("uid").and_then(|uid| uid.as_str());
            let awaited = uid.is_some_and(|uid| self.awaited.contains(uid));
            self.met |= awaited;
            let work = Work::from_remote(&run.desk, scene, object, awaited);
            self.sheet.works.push(work);
            self.index
                .insert(object.id.clone(), (self.sheet.works.len() - 1, PartKey::MASTER));
        }
        let (collection, remote) = (scene.collection.id.clone(), object.id.clone());
        self.sheet.effects.push(Effect::Release { collection, remote });
        true
    }

    /// Takes in a tombstone.
    pub(crate) fn deleted(&mut self, run: &Run<'_>, scene: &Scene, id: &RemoteId) {
        if let Some((at, _)) = self.index.remove(id) {
            let work = &mut self.sheet.works[at];
            work.read_again();
            // Not a part that has another object by now: overrides of a series that moved may get new ids, and the
            // old ids' tombstones come in any order.
            let part = work.link.parts.iter().find(|(_, remote)| remote.id == *id);
            if let Some(part) = part.map(|(part, _)| part.clone()) {
                work.vanish(&run.desk, scene, &part);
            }
        }
        let (collection, remote) = (scene.collection.id.clone(), id.clone());
        self.sheet.effects.push(Effect::Release { collection, remote });
    }

    pub(crate) fn quarantine(
        &mut self,
        run: &Run<'_>,
        scene: &Scene,
        id: &RemoteId,
        version: Option<&connector_sdk::RemoteVersion>,
        reason: &str,
        raw: &bytes::Bytes,
    ) {
        tracing::warn!(collection = %scene.collection.id, remote = %id, reason, "quarantined");
        self.sheet.effects.push(Effect::Quarantine(Box::new(Quarantine {
            id: QuarantineId::new(run.desk.epoch_ms(), run.desk.random()),
            organization: run.organization.clone(),
            collection: scene.collection.id.clone(),
            remote: id.clone(),
            version: version.cloned(),
            reason: reason.to_owned(),
            raw: raw.clone(),
            created_at: scene.now_ms,
            tries: 0,
            retry_at: scene.now_ms,
        })));
    }

    /// The finished sheet. Quarantine is only left by what was in it, so releases of unknown objects are dropped.
    fn finish(mut self, pulling: &Pulling) -> Sheet {
        let linked: BTreeSet<&RemoteId> = self
            .sheet
            .works
            .iter()
            .flat_map(|work| work.link.parts.values().map(|part| &part.id))
            .collect();
        let known = &pulling.known;
        self.sheet.effects.retain(|effect| match effect {
            Effect::Release { remote, .. } => known.contains_key(remote) || !linked.contains(remote),
            _ => true,
        });
        for work in &self.sheet.works {
            match work.action() {
                Some(FeedAction::Created) => self.sheet.summary.created += 1,
                Some(FeedAction::Updated) => {
                    self.sheet.summary.updated += 1;
                    self.sheet.tally.updates += 1;
                }
                Some(FeedAction::Deleted) => {
                    self.sheet.summary.deleted += 1;
                    self.sheet.tally.deletes += 1;
                    self.sheet.tally.objects += work.link.parts.len();
                }
                None => {}
            }
            self.sheet.summary.conflicts += work.conflict_count();
        }
        self.sheet
    }
}

impl Sheet {
    /// The works, for a dry run.
    pub(crate) fn works(&self) -> &[Work] {
        &self.works
    }
}

impl Summary {
    /// Adds what a batch did.
    pub(crate) fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.linked += other.linked;
        self.updated += other.updated;
        self.deleted += other.deleted;
        self.quarantined += other.quarantined;
        self.conflicts += other.conflicts;
        self.written += other.written;
        self.rejected += other.rejected;
    }
}
