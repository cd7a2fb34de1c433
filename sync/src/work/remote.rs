//! What the provider's side does to a link and its record: objects seen, answers to writes, tombstones.

use std::collections::BTreeSet;

use conflict::{Clash, Rule, Side};
use connector_sdk::{Coverage, Notifies, RemoteObject, SeriesModel};
use model::{Content, EventTime, FieldPath, MergeClass, PartKey, Scope, series};
use serde_json::Value;

use crate::engine::Desk;
use crate::occurrence;
use crate::plan;
use crate::scene::Scene;
use crate::state::{LinkState, Origin, RemotePart, Snapshots};
use crate::work::{Work, means_the_same, whole_record};

/// How far the clocks of two nodes may lie apart, in milliseconds.
const CLOCKS_APART_MS: i64 = 60_000;

impl Work {
    /// Takes in an object as the provider holds it now. An object in the version last seen is an echo (invariant 7).
    pub(crate) fn see(&mut self, desk: &Desk, scene: &Scene, object: &RemoteObject) {
        let (explicit, earlier) = (&self.link.snapshots.remote, self.earlier_master.as_ref());
        let view = scene.remote_view_after(&self.link, object, explicit, earlier);
        let Some((part, view)) = view.filter(|_| !self.dropped) else {
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
        self.link.traits.moved.remove(&object.id);
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
        for clash in self.pass_late(scene, remote) {
            self.log(desk, scene.now_ms, clash);
        }
        self.observe_habits(desk, scene, remote);
        let (was, is) = (&self.link.snapshots.remote.fields, &remote.fields);
        if self.earlier_master.is_none() && self.link.parts.len() > 1 && was != is {
            self.earlier_master = Some(was.clone());
        }
        let merged = scene.plan(&self.link, &self.record, remote);
        if self.link.parts.len() > 1 {
            let before = series::time_field(&self.link.snapshots.remote.fields, "start");
            let after = series::time_field(&merged.base_remote.fields, "start");
            if let (Some(before), Some(after)) = (before, after) {
                self.rekey_parts(&before, &after);
            }
        }
        let mut taken = merged.taken.iter();
        let revived = self.record.deleted && taken.any(|path| self.brings_back(path, &merged.hub));
        let (shared, local) = plan::split(self.link.kind, merged.hub, &self.link.local);
        let origin = Origin::Link(self.link.id.clone());
        self.set_content(shared, &origin, scene.now_ms);
        self.link_changed |= local != self.link.local
            || merged.base_hub != self.link.snapshots.hub
            || merged.base_remote != self.link.snapshots.remote
            || merged.held != self.link.held_in(&self.record.content);
        self.link.local = local;
        self.link.hold(merged.held, &self.record.content);
        self.link.snapshots = Snapshots {
            remote: merged.base_remote,
            hub: merged.base_hub,
        };
        self.forget_cancelled(scene);
        let doomed = self.link.removing || (self.record.deleted && !revived);
        self.mark_dirty(!merged.send.is_empty() || doomed || self.outlives());
        for clash in merged.clashes {
            self.log(desk, scene.now_ms, clash);
        }
        if revived {
            self.revive(desk, scene.now_ms, Side::Remote);
        }
    }

    /// Whether a change of this field is somebody's edit of the record, and not the provider's bookkeeping or a matter
    /// of one account.
    pub(super) fn is_edit(&self, path: &FieldPath) -> bool {
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
        if scene.target_only && !scene.restore {
            self.drop_link();
            return;
        }
        let hub = scene.hub_side(&self.link, &self.record);
        let (elsewhere, here): (Vec<FieldPath>, Vec<FieldPath>) = hub
            .differences(&scene.base_side(&self.link, &self.record))
            .into_iter()
            .filter(|path| scene.capability.writes(&path.field) && self.is_edit(path))
            .partition(|path| scene.keeps_back(&self.link, &self.record, &path.to_string()));
        let unseen = self.edited_out_of_sight(scene);
        if !here.is_empty() || scene.revert || scene.restore || unseen {
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

    /// An override's own object is gone without a word: the occurrence is as the master says. Where the hub moved the
    /// series it may be there under another id, and where it is not, that is no person's doing: it is sent again.
    fn lose_part(&mut self, desk: &Desk, scene: &Scene, part: &PartKey) {
        let known = self.link.parts.remove(part);
        self.link_changed = true;
        if self.record.deleted && !self.link.removing {
            // It goes with its series, or is there under another id and says what it said: that is nobody's edit.
            return;
        }
        if known.is_some_and(|known| self.link.traits.moved.remove(&known.id)) {
            self.link.snapshots.hub.overrides.remove(part);
            self.link.snapshots.remote.overrides.remove(part);
            self.mark_dirty(true);
            return;
        }
        let mut view = self.link.snapshots.remote.clone();
        view.overrides.remove(part);
        self.meet(desk, scene, &view);
    }

    /// The remote object is lost and has to be made again.
    pub(crate) fn forget_remote(&mut self) {
        self.link.parts.clear();
        self.link.snapshots = Snapshots::default();
        self.link.removing = false;
        self.link_changed = true;
        self.mark_dirty(true);
    }

    /// Takes it for granted that a write was made: the snapshots say what was sent and what comes of it.
    pub(crate) fn presume(&mut self, sent: &Content, written: &BTreeSet<FieldPath>, projected: &Content) {
        for path in written {
            self.link.snapshots.hub.set(path, sent.get(path).cloned());
            self.link.snapshots.remote.set(path, projected.get(path).cloned());
        }
        self.link_changed = true;
    }

    /// What the provider filled in on its own is known of it, and no answer to what the hub says there.
    pub(crate) fn fill(&mut self, filled: &BTreeSet<FieldPath>, there: &Content) {
        for path in filled {
            self.link.snapshots.remote.set(path, there.get(path).cloned());
        }
        self.link_changed = true;
    }

    /// Logs what a provider is taken to have filled in on its own: it is kept once, in case it was a person.
    pub(crate) fn keep_filled(
        &mut self,
        desk: &Desk,
        scene: &Scene,
        filled: &BTreeSet<FieldPath>,
        there: &Content,
    ) {
        for path in filled {
            let mut clash = taken_as_edit(path, None, there.get(path).cloned());
            clash.winner = Some(Side::Hub);
            self.log(desk, scene.now_ms, clash);
        }
    }

    /// Takes in an object that a presumed write made. Where it says something else, somebody edited it since or the
    /// provider rewrote it, and nobody can tell: it is taken for an edit, and the hub's value is logged. Where a value is
    /// missing, or one of a set, what the hub has counts as an edit too.
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
        let hub = scene.hub_side(&self.link, &self.record);
        for path in written {
            let there = view.get(path);
            if means_the_same(self.link.snapshots.remote.get(path), there) {
                // The provider's own words for what it was sent.
                self.link.snapshots.remote.set(path, there.cloned());
                continue;
            }
            let sent = self.link.snapshots.hub.get(path).cloned();
            if view.get(path).is_none() || self.is_set(path) {
                // Left out by the provider or taken away by somebody: what the hub has is kept in any case.
                self.link.snapshots.hub.set(path, None);
                self.link.snapshots.remote.set(path, None);
            } else if hub.get(path) == sent.as_ref() {
                self.log(
                    desk,
                    scene.now_ms,
                    taken_as_edit(path, sent, view.get(path).cloned()),
                );
            }
        }
        self.meet(desk, scene, &view);
    }

    /// Whether an object of this account's own is left of an occurrence that its series no longer reaches.
    fn outlives(&self) -> bool {
        let local = &self.link.local;
        !local.overrides.is_empty()
            && series::aligned(local, &self.record.content)
                .overrides
                .keys()
                .any(|part| {
                    self.link.parts.contains_key(part) && !occurrence::exists(&self.record.content, part)
                })
    }

    /// Whether somebody edited what the provider does not hold since the link last came to rest: its users could not
    /// know of that when they deleted the object.
    fn edited_out_of_sight(&self, scene: &Scene) -> bool {
        let withheld = scene.capability.notifies == Notifies::Always;
        let rested = self.link.traits.rested.unwrap_or_default();
        let (version, updated_at) = (self.record.version, self.record.updated_at);
        let lately = updated_at + CLOCKS_APART_MS >= scene.seen_ms;
        let clocks = self.record.clocks.iter();
        let mut later =
            clocks.filter(|(_, clock)| clock.version > rested || (lately && clock.version == version));
        later.any(|(path, clock)| {
            let field = path.rsplit('.').next().unwrap_or(path);
            let path = FieldPath::master(field);
            self.is_edit(&path)
                && clock.origin != Origin::Link(self.link.id.clone())
                && (!scene.capability.writes(field) || (field == "attendees" && withheld))
        })
    }

    /// Whether edits of the field's elements are kept one by one.
    fn is_set(&self, path: &FieldPath) -> bool {
        let spec = self.link.kind.schema().field(&path.field);
        spec.is_some_and(|spec| matches!(spec.merge, MergeClass::Set | MergeClass::KeyedSet { .. }))
    }

    /// What overrides at the provider say explicitly once a write was made.
    fn said(&self, sent: &Content, written: &BTreeSet<FieldPath>) -> Content {
        let mut said = self.link.snapshots.remote.clone();
        if said.fields.get("start") == sent.fields.get("start") {
            for path in written.iter().filter(|path| !path.part.is_master()) {
                said.set(path, sent.get(path).cloned());
            }
        }
        said
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
        let explicit = self.said(sent, written);
        let Some((part, view)) =
            scene.remote_view_after(&self.link, object, &explicit, self.earlier_master.as_ref())
        else {
            return;
        };
        self.remember(part, object);
        let sent_start = series::time_field(&sent.fields, "start");
        let start_there = series::time_field(&self.link.snapshots.remote.fields, "start");
        if let (Some(old), Some(new)) = (&start_there, &sent_start)
            && old != new
        {
            self.rekey_parts(old, new);
            let moved = self.link.parts.iter().filter(|(part, _)| !part.is_master());
            self.link.traits.moved = moved.map(|(_, remote)| remote.id.clone()).collect();
        }
        let snapshots = &mut self.link.snapshots;
        for content in [&mut snapshots.hub, &mut snapshots.remote] {
            if !content.overrides.is_empty()
                && let (Some(old), Some(new)) = (series::time_field(&content.fields, "start"), &sent_start)
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
        if self.link.state != LinkState::Synced {
            self.link.state = LinkState::Pending;
        }
        self.link_changed = true;
        self.meet(desk, scene, &view);
    }
}

/// What is logged where a provider's object does not say what was sent, and its answer was lost.
fn taken_as_edit(path: &FieldPath, sent: Option<Value>, found: Option<Value>) -> Clash {
    Clash {
        path: path.clone(),
        base: sent.clone(),
        hub: sent,
        remote: found,
        winner: Some(Side::Remote),
        rule: Rule::RemoteWins,
    }
}
