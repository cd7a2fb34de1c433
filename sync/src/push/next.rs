//! What a link needs next: nothing, to give way, to be forgotten, or one write. Pure: decided from the link, its record
//! and their scene.

use std::collections::BTreeSet;

use connector_sdk::{Access, SeriesModel};
use model::{Content, FieldPath, PartKey, Scope, series};

use crate::occurrence;
use crate::scene::Scene;
use crate::state::{DELETED, IntentAction, Link};
use crate::work::Work;

#[cfg(test)]
mod tests;

/// One write that has to be made.
pub(crate) struct Pending {
    pub(crate) part: PartKey,
    pub(crate) action: IntentAction,
    pub(crate) sent: Content,
    pub(crate) changed: BTreeSet<FieldPath>,
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

/// What a link needs next.
pub(crate) fn next_write(scene: &Scene, work: &Work) -> Step {
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
    let hub = scene.hub_side(link, record);
    let (action, changed) = if there {
        let (send, yields) = differences(scene, work, &hub);
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
    Step::Write(portion(scene, link, action, hub, changed))
}

/// The paths at which the provider has to be written, and whether the hub has to take something back because the
/// provider owns it.
fn differences(scene: &Scene, work: &Work, hub: &Content) -> (BTreeSet<FieldPath>, bool) {
    let (link, record) = (&work.link, &work.record);
    let merged = scene.plan(link, record, &link.snapshots.remote);
    let mut send = merged.send;
    if scene.capability.series.has_part_objects() {
        outlived(hub, link, &mut send);
    } else if send.iter().all(|path| is_left_over(hub, link, path)) {
        send.clear();
    }
    if scene.capability.series == SeriesModel::Instances {
        cancelled_already(hub, link, &mut send);
    }
    send.retain(|path| !scene.keeps_back(link, record, &path.to_string()));
    (send, !merged.taken.is_empty())
}

/// What of it one write can carry: all of it, or the first part where each is an object of its own.
fn portion(
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

/// What one account says of an occurrence that its series no longer reaches goes along with the next write: it is not
/// worth one.
fn is_left_over(hub: &Content, link: &Link, path: &FieldPath) -> bool {
    let spec = link.kind.schema().field(&path.field);
    let own = spec.is_some_and(|spec| spec.scope == Scope::PerLink);
    own && !path.part.is_master() && !occurrence::exists(hub, &path.part)
}

/// Where a cancelled occurrence is no object, nothing can be said of one but that it is cancelled: whatever else the hub
/// knows of it stays here.
fn cancelled_already(hub: &Content, link: &Link, send: &mut BTreeSet<FieldPath>) {
    let there = series::aligned(&link.snapshots.remote, hub);
    let cancelled =
        |content: &Content, part: &PartKey| content.overrides.get(part).is_some_and(series::is_cancelled);
    send.retain(|path| !cancelled(hub, &path.part) || !cancelled(&there, &path.part));
}
