//! One link and its record while they are being worked on: changed in memory, then committed as one batch.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use conflict::{Clash, Rule, Side};
use connector_sdk::{Coverage, RemoteObject, SeriesModel};
use model::{
    ConflictId, ConnectionId, Content, EventTime, FieldPath, JobId, LinkId, PartKey, RecordId, Scope, series,
};

use crate::engine::Desk;
use crate::plan;
use crate::ports::Effect;
use crate::scene::Scene;
use crate::state::{
    Conflict, DELETED, FeedAction, FeedEntry, FieldClock, JobTask, Link, LinkState, NewJob, Origin, Record,
    RemotePart, Snapshots,
};

/// A link and its record, with what has changed about them.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) link: Link,
    pub(crate) record: Record,
    fresh: bool,
    link_changed: bool,
    dropped: bool,
    changed: BTreeSet<FieldPath>,
    born: bool,
    died: bool,
    raws: BTreeMap<PartKey, Bytes>,
    conflicts: Vec<Conflict>,
    /// Links of the same record to other collections that have to be made.
    siblings: Vec<Link>,
}

impl Work {
    /// A link and record as they are stored.
    pub(crate) fn stored(link: Link, record: Record) -> Self {
        Self {
            link,
            record,
            fresh: false,
            link_changed: false,
            dropped: false,
            changed: BTreeSet::new(),
            born: false,
            died: false,
            raws: BTreeMap::new(),
            conflicts: Vec::new(),
            siblings: Vec::new(),
        }
    }

    /// A record and its first link for an object the hub has not seen before.
    pub(crate) fn from_remote(desk: &Desk, scene: &Scene, object: &RemoteObject) -> Self {
        let (shared, local) = plan::split(object.kind, object.content.clone());
        let (link_id, record_id) = (desk.link_id(), desk.record_id());
        let organization = scene.collection.organization.clone();
        let snapshots = Snapshots {
            remote: object.content.clone(),
            hub: object.content.clone(),
        };
        let link = Link {
            id: link_id.clone(),
            organization: organization.clone(),
            record: record_id.clone(),
            connection: scene.collection.connection.clone(),
            collection: scene.collection.id.clone(),
            kind: object.kind,
            revision: 1,
            state: LinkState::Synced,
            parts: [(
                PartKey::MASTER,
                RemotePart {
                    id: object.id.clone(),
                    version: object.version.clone(),
                    raw_outdated: false,
                },
            )]
            .into(),
            snapshots,
            local,
            held: BTreeSet::new(),
            dirty: false,
            removing: false,
            attempts: 0,
            not_before: 0,
        };
        let record = Record {
            id: record_id,
            organization,
            kind: object.kind,
            version: 1,
            content: shared,
            clocks: BTreeMap::new(),
            home: Some(link_id),
            deleted: false,
            merged_into: None,
            created_at: scene.now_ms,
            updated_at: scene.now_ms,
        };
        let mut work = Self {
            fresh: true,
            born: true,
            ..Self::stored(link, record)
        };
        work.raws.insert(PartKey::MASTER, object.raw.clone());
        for target in &scene.targets {
            let sibling = pending_link(desk, &work.record, target);
            work.siblings.push(sibling);
        }
        work
    }

    /// Whether anything is to be committed.
    pub(crate) fn is_changed(&self) -> bool {
        self.fresh || self.link_changed || self.dropped || !self.changed.is_empty() || self.died || self.born
    }

    /// What changed at the record, for summaries.
    pub(crate) fn action(&self) -> Option<FeedAction> {
        if self.died {
            Some(FeedAction::Deleted)
        } else if self.born {
            Some(FeedAction::Created)
        } else if self.changed.is_empty() {
            None
        } else {
            Some(FeedAction::Updated)
        }
    }

    /// Whether a deleted record lives again.
    pub(crate) const fn is_revived(&self) -> bool {
        self.born && !self.fresh
    }

    /// Whether another collection's links must hear of it.
    pub(crate) fn concerns_others(&self) -> bool {
        self.action().is_some()
    }

    /// Takes in an object as the provider holds it now. An object in the version last seen is an echo (invariant 7).
    pub(crate) fn see(&mut self, desk: &Desk, scene: &Scene, object: &RemoteObject) {
        let Some((part, view)) = scene.remote_view(&self.link, object).filter(|_| !self.dropped) else {
            return;
        };
        let known = self.link.parts.get(&part);
        if known.is_some_and(|known| {
            let same = known.id == object.id && known.version.is_some() && known.version == object.version;
            same && !(known.raw_outdated && object.coverage == Coverage::Full)
        }) {
            return;
        }
        self.remember(part, object);
        self.meet(desk, scene, &view);
    }

    /// Notes where a part lives and what it looked like.
    fn remember(&mut self, part: PartKey, object: &RemoteObject) {
        // The occurrence may have been known under the key of an earlier start.
        self.link
            .parts
            .retain(|known, remote| *known == part || remote.id != object.id);
        self.link.parts.insert(
            part.clone(),
            RemotePart {
                id: object.id.clone(),
                version: object.version.clone(),
                raw_outdated: object.coverage == Coverage::Sparse,
            },
        );
        match object.coverage {
            Coverage::Full => {
                self.raws.insert(part, object.raw.clone());
            }
            Coverage::Sparse => {
                self.raws.remove(&part);
            }
        }
        self.link_changed = true;
    }

    /// Merges the provider's side into the link and the record.
    pub(crate) fn meet(&mut self, desk: &Desk, scene: &Scene, remote: &Content) {
        let hub = plan::hub_side(&self.record, &self.link);
        let merged = plan::plan(&plan::Input {
            kind: self.link.kind,
            capability: &scene.capability,
            policy: &scene.policy,
            snapshots: &self.link.snapshots,
            hub: &hub,
            remote,
            held: &self.link.held,
            project: &|content| scene.project(content),
        });
        let before = series::time_field(&self.link.snapshots.remote.fields, "start");
        let after = series::time_field(&merged.base_remote.fields, "start");
        if let (Some(before), Some(after)) = (before, after) {
            self.rekey_parts(&before, &after);
        }
        let revived = self.record.deleted && merged.taken.iter().any(|path| self.is_edit(path));
        let (shared, local) = plan::split(self.link.kind, merged.hub);
        let origin = Origin::Link(self.link.id.clone());
        self.set_content(shared, &origin, scene.now_ms);
        self.link_changed |= local != self.link.local
            || merged.base_hub != self.link.snapshots.hub
            || merged.base_remote != self.link.snapshots.remote
            || merged.held != self.link.held;
        self.link.local = local;
        self.link.held = merged.held;
        self.link.snapshots = Snapshots {
            remote: merged.base_remote,
            hub: merged.base_hub,
        };
        self.forget_cancelled(scene);
        let doomed = self.link.removing || (self.record.deleted && !revived);
        self.mark_dirty(!merged.send.is_empty() || doomed);
        for clash in merged.clashes {
            self.log(desk, scene.now_ms, clash);
        }
        if revived {
            self.revive(desk, scene.now_ms, Side::Remote);
        }
    }

    /// Whether a change of this field is somebody's edit of the record, and not the provider's bookkeeping or a matter
    /// of one account.
    fn is_edit(&self, path: &FieldPath) -> bool {
        let spec = self.link.kind.schema().field(&path.field);
        spec.is_some_and(|spec| spec.writable && spec.scope == Scope::Shared)
    }

    /// Where a cancelled occurrence is no object, the one it was is gone, whether or not the provider says so.
    fn forget_cancelled(&mut self, scene: &Scene) {
        if scene.capability.series != SeriesModel::Instances {
            return;
        }
        let there = &self.link.snapshots.remote.overrides;
        let parts = self.link.parts.len();
        self.link
            .parts
            .retain(|key, _| !there.get(key).is_some_and(series::is_cancelled));
        self.link_changed |= self.link.parts.len() != parts;
        let left = &self.link.parts;
        self.raws.retain(|key, _| left.contains_key(key));
    }

    /// The occurrence was cancelled at the provider because the hub says so.
    pub(crate) fn cancelled(&mut self, desk: &Desk, scene: &Scene, part: &PartKey) {
        self.link.parts.remove(part);
        let snapshots = &mut self.link.snapshots;
        let there = series::time_field(&snapshots.remote.fields, "start");
        for content in [&mut snapshots.hub, &mut snapshots.remote] {
            let key = match (&there, series::time_field(&content.fields, "start")) {
                (Some(there), Some(own)) => series::moved(part, there, &own),
                _ => part.clone(),
            };
            content.overrides.insert(key, series::cancelled());
        }
        self.link.attempts = 0;
        self.link.not_before = 0;
        self.link_changed = true;
        let view = self.link.snapshots.remote.clone();
        self.meet(desk, scene, &view);
    }

    /// Keeps the keys of parts in step with the master's start at the provider.
    fn rekey_parts(&mut self, before: &EventTime, after: &EventTime) {
        if before == after || self.link.parts.len() < 2 {
            return;
        }
        let parts = std::mem::take(&mut self.link.parts);
        self.link.parts = parts
            .into_iter()
            .map(|(key, remote)| (series::moved(&key, before, after), remote))
            .collect();
    }

    /// The record's shared fields as they shall be; clocks and version follow.
    pub(crate) fn set_content(&mut self, shared: Content, origin: &Origin, now_ms: i64) {
        let paths = self.record.content.differences(&shared);
        if paths.is_empty() {
            return;
        }
        let version = self.next_version();
        for path in paths {
            self.record.clocks.insert(
                path.to_string(),
                FieldClock {
                    version,
                    origin: origin.clone(),
                },
            );
            self.changed.insert(path);
        }
        self.record.content = shared;
        self.record.updated_at = now_ms;
    }

    /// The version that the record will have once this is committed.
    pub(crate) fn next_version(&self) -> i64 {
        if self.fresh {
            self.record.version
        } else {
            self.record.version + 1
        }
    }

    /// Sets whether there is something to send. What was refused for good is not tried again by itself: only an
    /// edit or a person wakes it.
    pub(crate) fn mark_dirty(&mut self, dirty: bool) {
        let still_differs = dirty;
        let refused = matches!(self.link.state, LinkState::Rejected { .. });
        let dirty = dirty && (!refused || self.link.dirty);
        let state = match (&self.link.state, dirty) {
            (LinkState::Rejected { .. }, _) if still_differs => self.link.state.clone(),
            (_, true) => LinkState::Pending,
            (_, false) => LinkState::Synced,
        };
        if dirty != self.link.dirty || state != self.link.state {
            self.link.dirty = dirty;
            self.link.state = state;
            self.link_changed = true;
        }
    }

    /// The provider says that the object is gone. What nobody edited is deleted; what someone edited lives, and is
    /// made again (edit beats delete).
    pub(crate) fn vanish(&mut self, desk: &Desk, scene: &Scene, part: &PartKey) {
        if self.dropped {
            // Its overrides went with it.
            return;
        }
        if !part.is_master() {
            self.lose_part(desk, scene, part);
            return;
        }
        if self.link.removing || self.record.deleted {
            self.drop_link();
            return;
        }
        if scene.target_only {
            self.drop_link();
            return;
        }
        let hub = plan::hub_side(&self.record, &self.link);
        let (elsewhere, here): (Vec<FieldPath>, Vec<FieldPath>) = hub
            .differences(&self.link.snapshots.hub)
            .into_iter()
            .filter(|path| scene.capability.writes(&path.field))
            .partition(|path| scene.keeps_back(&self.link, &self.record, &path.to_string()));
        if !here.is_empty() || scene.revert {
            self.forget_remote();
            self.log(desk, scene.now_ms, whole_record(Side::Hub));
            return;
        }
        if elsewhere.is_empty() {
            self.die(scene.now_ms);
        } else {
            // It lives where it was edited; here it is gone, since nothing of that is written here.
            self.log(desk, scene.now_ms, whole_record(Side::Hub));
        }
        self.drop_link();
    }

    /// An override's own object is gone without a word: the occurrence is as the master says.
    fn lose_part(&mut self, desk: &Desk, scene: &Scene, part: &PartKey) {
        self.link.parts.remove(part);
        self.link_changed = true;
        let mut view = self.link.snapshots.remote.clone();
        view.overrides.remove(part);
        self.meet(desk, scene, &view);
    }

    /// The record is deleted; its other links are to follow.
    pub(crate) fn die(&mut self, now_ms: i64) {
        let clock = FieldClock {
            version: self.next_version(),
            origin: Origin::Link(self.link.id.clone()),
        };
        self.record.clocks.insert(DELETED.to_owned(), clock);
        self.record.deleted = true;
        self.record.updated_at = now_ms;
        self.died = true;
    }

    /// The record lives again because someone edited it.
    pub(crate) fn revive(&mut self, desk: &Desk, now_ms: i64, winner: Side) {
        self.record.deleted = false;
        self.record.updated_at = now_ms;
        self.died = false;
        self.born = true;
        self.link.removing = false;
        self.link_changed = true;
        self.log(desk, now_ms, whole_record(winner));
    }

    /// The remote object is lost and has to be made again.
    pub(crate) fn forget_remote(&mut self) {
        self.link.parts.clear();
        self.link.snapshots = Snapshots::default();
        self.link.removing = false;
        self.link_changed = true;
        self.mark_dirty(true);
    }

    /// The link goes with this batch.
    pub(crate) fn drop_link(&mut self) {
        self.dropped = true;
    }

    /// Takes it for granted that a write was made: the snapshots say what was sent and what comes of it.
    pub(crate) fn presume(&mut self, sent: &Content, written: &BTreeSet<FieldPath>, projected: &Content) {
        for path in written {
            self.link.snapshots.hub.set(path, sent.get(path).cloned());
            self.link.snapshots.remote.set(path, projected.get(path).cloned());
        }
        self.link_changed = true;
    }

    /// Takes in an object that a presumed write made. Where it says something else, somebody edited it or the
    /// provider rewrote it; nobody can tell, so the hub's value counts as an edit too and is at least logged.
    pub(crate) fn meet_found(
        &mut self,
        desk: &Desk,
        scene: &Scene,
        written: &BTreeSet<FieldPath>,
        object: &RemoteObject,
    ) {
        let Some((part, view)) = scene.remote_view(&self.link, object) else {
            return;
        };
        self.remember(part, object);
        for path in written {
            if view.get(path) != self.link.snapshots.remote.get(path) {
                self.link.snapshots.hub.set(path, None);
            }
        }
        self.meet(desk, scene, &view);
    }

    /// Takes in the answer to a write: at the paths that were written the snapshots say what was sent and what came
    /// of it; anything else in the answer is someone else's edit and is merged like one.
    pub(crate) fn settle(
        &mut self,
        desk: &Desk,
        scene: &Scene,
        sent: &Content,
        written: &BTreeSet<FieldPath>,
        object: &RemoteObject,
    ) {
        let Some((part, view)) = scene.remote_view(&self.link, object) else {
            return;
        };
        self.remember(part, object);
        let sent_start = series::time_field(&sent.fields, "start");
        let snapshots = &mut self.link.snapshots;
        for content in [&mut snapshots.hub, &mut snapshots.remote] {
            if let (Some(old), Some(new)) = (series::time_field(&content.fields, "start"), &sent_start)
                && old != *new
            {
                content.overrides = series::rekeyed(std::mem::take(&mut content.overrides), &old, new);
            }
        }
        for path in written {
            snapshots.hub.set(path, sent.get(path).cloned());
            snapshots.remote.set(path, view.get(path).cloned());
        }
        self.link.attempts = 0;
        self.link.not_before = 0;
        if let LinkState::Rejected { .. } = self.link.state {
            self.link.state = LinkState::Pending;
        }
        self.link_changed = true;
        self.meet(desk, scene, &view);
    }

    /// The provider refuses for good.
    pub(crate) fn reject(&mut self, reason: String) {
        self.link.state = LinkState::Rejected { reason };
        self.link.dirty = false;
        self.link.attempts += 1;
        self.link_changed = true;
    }

    /// Try again later.
    pub(crate) fn postpone(&mut self, not_before: i64) {
        self.link.attempts += 1;
        self.link.not_before = not_before;
        self.link_changed = true;
    }

    /// Logs a clash.
    pub(crate) fn log(&mut self, desk: &Desk, now_ms: i64, clash: Clash) {
        let whole = clash.path.field.is_empty();
        self.conflicts.push(Conflict {
            id: desk.conflict_id(),
            organization: self.record.organization.clone(),
            record: self.record.id.clone(),
            link: self.link.id.clone(),
            path: (!whole).then_some(clash.path),
            base: clash.base,
            hub: clash.hub,
            remote: clash.remote,
            winner: clash.winner,
            rule: clash.rule,
            resolved_at: None,
            created_at: now_ms,
        });
    }

    /// Adds a link to another collection.
    pub(crate) fn add_sibling(&mut self, link: Link) {
        self.siblings.push(link);
    }

    /// The batch. `origin` is who caused it.
    pub(crate) fn into_effects(mut self, origin: &Origin) -> Vec<Effect> {
        let mut effects = Vec::new();
        let action = self.action();
        let (id, now) = (self.record.id.clone(), self.record.updated_at);
        if action.is_some() {
            self.record.version = self.next_version();
            effects.push(match self.fresh {
                true => Effect::CreateRecord(Box::new(self.record.clone())),
                false => Effect::UpdateRecord(Box::new(self.record.clone())),
            });
        }
        if self.dropped {
            effects.push(Effect::DropLink {
                link: self.link.id.clone(),
                revision: self.link.revision,
            });
        } else if self.fresh {
            effects.push(Effect::CreateLink(Box::new(self.link.clone())));
        } else if self.link_changed {
            self.link.revision += 1;
            effects.push(Effect::UpdateLink(Box::new(self.link.clone())));
        }
        if !self.dropped {
            let link = &self.link.id;
            let raws = std::mem::take(&mut self.raws);
            effects.extend(raws.into_iter().map(|(part, raw)| Effect::PutRaw {
                link: link.clone(),
                part,
                raw,
            }));
        }
        if action.is_some() && !self.fresh {
            effects.push(Effect::Touch {
                record: id.clone(),
                except: Some(self.link.id.clone()),
            });
        }
        effects.extend(
            self.siblings
                .drain(..)
                .map(|link| Effect::CreateLink(Box::new(link))),
        );
        effects.extend(
            self.conflicts
                .drain(..)
                .map(|conflict| Effect::PutConflict(Box::new(conflict))),
        );
        if let Some(action) = action {
            effects.push(Effect::Feed(FeedEntry {
                action,
                subject: id.to_string(),
                kind: self.record.kind.name().to_owned(),
                version: self.record.version,
                changed: self.changed.iter().map(ToString::to_string).collect(),
                origin: origin.clone(),
                at: now,
            }));
        }
        effects
    }

    /// The record's id.
    pub(crate) const fn record_id(&self) -> &RecordId {
        &self.record.id
    }

    /// Connections that the new sibling links are on.
    pub(crate) fn sibling_connections(&self) -> impl Iterator<Item = &ConnectionId> {
        self.siblings.iter().map(|link| &link.connection)
    }
}

/// A clash about the record as a whole.
fn whole_record(winner: Side) -> Clash {
    Clash {
        path: FieldPath::master(""),
        base: None,
        hub: None,
        remote: None,
        winner: Some(winner),
        rule: Rule::LastWriter,
    }
}

/// A link whose remote object is still to be made.
pub(crate) fn pending_link(desk: &Desk, record: &Record, target: &crate::state::Collection) -> Link {
    Link {
        id: desk.link_id(),
        organization: record.organization.clone(),
        record: record.id.clone(),
        connection: target.connection.clone(),
        collection: target.id.clone(),
        kind: record.kind,
        revision: 1,
        state: LinkState::Pending,
        parts: BTreeMap::new(),
        snapshots: Snapshots::default(),
        local: Content::default(),
        held: BTreeSet::new(),
        dirty: true,
        removing: false,
        attempts: 0,
        not_before: 0,
    }
}

/// The job that pushes a connection.
pub(crate) fn push_job(desk: &Desk, link: &Link) -> Effect {
    push_job_for(desk, &link.organization, &link.connection)
}

/// The job that pushes a connection.
pub(crate) fn push_job_for(
    desk: &Desk,
    organization: &model::OrganizationId,
    connection: &ConnectionId,
) -> Effect {
    Effect::Enqueue(Box::new(NewJob {
        id: JobId::new(desk.epoch_ms(), desk.random()),
        organization: organization.clone(),
        task: JobTask::Push {
            connection: connection.clone(),
        },
        run_at: desk.now_ms(),
    }))
}

impl Desk {
    /// A new link's id.
    pub(crate) fn link_id(&self) -> LinkId {
        LinkId::new(self.epoch_ms(), self.random())
    }

    /// A new record's id.
    pub(crate) fn record_id(&self) -> RecordId {
        RecordId::new(self.epoch_ms(), self.random())
    }

    /// A new conflict's id.
    pub(crate) fn conflict_id(&self) -> ConflictId {
        ConflictId::new(self.epoch_ms(), self.random())
    }
}

impl Work {
    /// How many clashes were logged.
    pub(crate) fn conflict_count(&self) -> u64 {
        self.conflicts.len() as u64
    }

    /// The paths of the record that changed.
    pub(crate) fn changed_paths(&self) -> Vec<String> {
        self.changed.iter().map(ToString::to_string).collect()
    }
}
