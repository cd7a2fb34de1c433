//! What is checked at every single write that the hub makes at a provider.

use std::collections::BTreeSet;

use connector_sdk::{Conditional, SeriesModel};
use model::{Content, FieldPath, PartKey, series};
use serde_json::Value;
use sync::state::Link;

use super::change;
use super::provider::{Act, HubWrite};
use super::token;
use super::world::World;

impl World {
    /// Looks at the writes that the hub made since it was last looked.
    pub(crate) fn check_writes(&mut self) {
        for at in 0..self.sides.len() {
            let writes = self.sides[at].provider.take_hub_writes();
            for mut write in writes {
                // Judged by what the hub meant, whatever its connector made of that.
                let meant = self.watch.notes().meant(&write.intent).cloned();
                let (entity, changed) = meant
                    .map(|meant| (meant.entity, meant.changed))
                    .unwrap_or_default();
                write.changed = changed.unwrap_or(write.changed);
                self.check_write(at, &write, entity);
            }
        }
    }

    fn check_write(&self, at: usize, write: &HubWrite, meant: Option<u32>) {
        let object = format!("p{at}, {} {} ({:?})", write.collection, write.id, write.action);
        let content = write.before.as_ref().or(write.after.as_ref());
        let entity = content.and_then(token::entity).or(meant);
        let capability = self.sides[at].connector.capability(self.kind());
        // Guests whom somebody added since the hub looked cannot be known of where a write cannot be conditional; nor can
        // guests of the series where an occurrence is an object of its own.
        let apart = capability.series != SeriesModel::Whole && !write.part.is_master();
        let unforeseen = apart && (write.invited_unseen || write.late);
        let known = capability.conditional == Conditional::Version && !unforeseen;
        if write.mailed && known && !self.approved.contains(&(at, entity)) {
            self.watch
                .violate(16, format!("{object} mailed people, and nobody asked for that"));
        }
        if write.complement_lost {
            self.watch.violate(
                11,
                format!("{object} lost what the provider holds beside the model"),
            );
        }
        self.check_unseen(at, write, &object);
        match write.action {
            Act::Create => {}
            Act::Update => self.check_frame(write, &object),
            Act::Delete => self.check_delete(write, &object),
        }
    }

    /// Invariant 9: nothing is overwritten that the hub has not seen, where the provider has versions.
    fn check_unseen(&self, at: usize, write: &HubWrite, object: &str) {
        let side = &self.sides[at];
        let capability = side.connector.capability(self.kind());
        // Where overrides are objects of their own, those that move along with their series, and keep what they say,
        // are not overwritten.
        let whole = capability.series == SeriesModel::Whole;
        let mut unseen = write.unseen.clone();
        unseen.retain(|path| whole || write.action != Act::Update || path.part == write.part);
        let guarded = capability.conditional == Conditional::Version;
        if (write.late || write.blind) && !guarded {
            // It cannot be called back, and goes over whatever it meets, whether or not the hub has read that by then: a
            // node that lost its lease may have.
            let mut lost = write.before.as_ref().map(token::of_content).unwrap_or_default();
            let left = write.after.as_ref().map(token::of_content).unwrap_or_default();
            lost.retain(|token| !left.contains(token));
            self.watch.notes().oracle.excuse(lost);
        }
        if !whole && write.action == Act::Delete && write.part.is_master() {
            self.excuse_unheld(at, write);
        }
        if unseen.is_empty() {
            return;
        }
        // A delete of a series cannot be made conditional on its occurrences where these are objects of their own.
        let apart = capability.series != SeriesModel::Whole
            && write.action == Act::Delete
            && unseen.iter().all(|path| !path.part.is_master());
        match capability.conditional {
            Conditional::Version if !apart => {
                let message = format!("{object} overwrote what it had not read: {:?}", paths(&unseen));
                self.watch.violate(9, message);
            }
            Conditional::Version | Conditional::Second | Conditional::None => {
                let mut lost = BTreeSet::new();
                let before = write.before.iter();
                before.for_each(|before| lost.extend(token::of_content(before)));
                self.watch.notes().oracle.excuse(lost);
            }
        }
    }

    /// What the occurrences of a deleted series said goes with it where these are objects of their own, if the hub's store
    /// did not hold it by then: a node that had lost its lease may have been shown it, and can tell nobody.
    fn excuse_unheld(&self, at: usize, write: &HubWrite) {
        let occurrences = write.before.as_ref().map(|before| Content {
            overrides: before.overrides.clone(),
            ..Content::default()
        });
        let mut lost = occurrences.as_ref().map(token::of_content).unwrap_or_default();
        if lost.is_empty() {
            return;
        }
        let connection = &self.sides[at].connection;
        let is_it = |link: &Link| {
            let master = link.parts.get(&PartKey::MASTER);
            link.connection == *connection && master.is_some_and(|master| master.id.0 == write.id)
        };
        if let Some(link) = self.links().into_iter().find(is_it) {
            let held = token::of_content(&link.snapshots.remote);
            lost.retain(|token| !held.contains(token));
            self.watch.notes().oracle.excuse(lost);
        }
    }

    /// Invariants 11 and 17: a write changes what it names, all of it or nothing, and nothing else.
    fn check_frame(&self, write: &HubWrite, object: &str) {
        let (Some(before), Some(after)) = (&write.before, &write.after) else {
            return;
        };
        let kind = self.kind();
        let (before, after) = (&change::thinned(kind, before), &change::thinned(kind, after));
        let moved = write
            .changed
            .iter()
            .any(|path| path.field == "start" && path.part.is_master());
        let strange: Vec<FieldPath> = before
            .differences(after)
            .into_iter()
            .filter(|path| !write.changed.contains(path) && (path.part.is_master() || !moved))
            .filter(|path| !is_reset(write, path, after) && !is_recased(before.get(path), after.get(path)))
            .collect();
        if !strange.is_empty() {
            let message = format!(
                "{object} changed {:?} beside {:?}",
                paths(&strange),
                write.changed
            );
            self.watch.violate(11, message);
        }
    }

    /// Invariants 5 and 6: the hub deletes only what somebody deleted.
    fn check_delete(&self, write: &HubWrite, object: &str) {
        let Some(entity) = write.before.as_ref().and_then(token::entity) else {
            return;
        };
        if write.part.is_master() && !self.watch.notes().oracle.was_deleted(entity) {
            let message = format!("{object} was deleted (e{entity}z), and nobody deleted it");
            self.watch.violate(6, message);
        }
    }
}

/// Whether two values differ in nothing but capitals, which some providers put in by themselves, later.
pub(crate) fn is_recased(before: Option<&Value>, after: Option<&Value>) -> bool {
    let lower = |value: Option<&Value>| value.map(|value| value.to_string().to_lowercase());
    lower(before) == lower(after)
}

/// Whether the path is of an occurrence that went with what was written.
fn is_reset(write: &HubWrite, path: &FieldPath, after: &Content) -> bool {
    let of_another_part = !path.part.is_master() && write.part.is_master();
    if of_another_part || after.overrides.get(&path.part).is_some_and(series::is_cancelled) {
        // What it said for itself went with it.
        return true;
    }
    let schedule = write
        .changed
        .iter()
        .any(|changed| changed.part.is_master() && changed.field == "recurrence");
    !path.part.is_master() && (schedule || !after.overrides.contains_key(&path.part))
}

fn paths(paths: &[FieldPath]) -> Vec<String> {
    paths.iter().map(ToString::to_string).collect()
}
