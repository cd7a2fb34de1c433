//! Making one record of two. The surviving one keeps its id, the other's links move to it, and the other is retired:
//! deleted, with a note of what it was joined into.

use std::collections::{BTreeMap, BTreeSet};

use conflict::{Clash, Merged, Policy, Rule, Sides, Support};
use model::{CollectionId, Content, FieldPath, LinkId, PartKey, RecordId, series};
use serde_json::Value;

use super::rules::Rules;
use crate::engine::Desk;
use crate::history::{self, Change, LinkChange};
use crate::plan;
use crate::ports::Effect;
use crate::state::{
    Conflict, DELETED, FeedAction, FeedEntry, FieldClock, Link, LinkState, Origin, Pairing, Record,
};
use crate::work::push_job;

/// Two records that are the same thing.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    /// The one that survives.
    pub(crate) keep: Record,
    pub(crate) keep_links: Vec<Link>,
    /// The one that is retired.
    pub(crate) other: Record,
    pub(crate) other_links: Vec<Link>,
    /// What was decided by hand about the one that is retired.
    pub(crate) decided: BTreeMap<CollectionId, Pairing>,
}

/// What two records come to as one.
#[derive(Debug, Clone)]
pub(crate) struct Union {
    pub(crate) record: Record,
    pub(crate) retired: Record,
    /// Both as they were.
    before: (Record, Record),
    /// Links that stay as they are.
    pub(crate) kept: Vec<Link>,
    /// Links of the retired record, now of the survivor.
    pub(crate) moved: Vec<Link>,
    /// Links without an object, where the other record has one.
    dropped: Vec<Link>,
    /// The paths at which the survivor changed.
    pub(crate) taken: Vec<FieldPath>,
    pub(crate) clashes: Vec<Clash>,
    decided: BTreeMap<CollectionId, Pairing>,
}

/// Both records have an object in this collection: they are two things there, whatever they look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlap(pub(crate) CollectionId);

/// Two records are compared in all that they say, whatever a provider can hold.
struct Everything;

impl Support for Everything {
    fn reads(&self, _: &str) -> bool {
        true
    }

    fn writes(&self, _: &str) -> bool {
        true
    }
}

/// Makes one of two. Nothing is known of a time when both said the same, so every difference is a clash, and what only
/// one of them says is taken.
pub(crate) fn unite(pair: Pair, rules: &Rules, now_ms: i64) -> Result<Union, Overlap> {
    let policy = rules.policy(&pair.keep, &pair.other);
    let merged = merge(&pair.keep, &pair.other, &policy);
    let Sorted {
        kept,
        moving,
        dropped,
    } = sorted(pair.keep_links, pair.other_links)?;
    let at = pair
        .other
        .home
        .clone()
        .or(moving.first().map(|link| link.id.clone()));
    let taken = pair.keep.content.differences(&merged.hub);
    let before = (pair.keep.clone(), pair.other.clone());
    let mut record = pair.keep;
    record.version += 1;
    record.updated_at = now_ms;
    record.content = merged.hub;
    stamp(&mut record, &pair.other, &taken, &merged.send, at.as_ref());
    let gone = |link: &&LinkId| dropped.iter().any(|dropped| dropped.id == **link);
    if record.home.as_ref().filter(gone).is_some() || record.home.is_none() {
        record.home = moving.first().or(kept.first()).map(|link| link.id.clone());
    }
    let moved = moving
        .into_iter()
        .map(|link| moved(link, &record, &merged.held))
        .collect();
    let mut retired = pair.other;
    retired.version += 1;
    retired.updated_at = now_ms;
    retired.deleted = true;
    retired.merged_into = Some(record.id.clone());
    let clock = FieldClock {
        version: retired.version,
        origin: Origin::Hub,
    };
    retired.clocks.insert(DELETED.to_owned(), clock);
    let clashes = merged.clashes.into_iter();
    Ok(Union {
        record,
        retired,
        before,
        kept,
        moved,
        dropped,
        taken,
        clashes: clashes.map(|clash| rules.named(&policy, clash)).collect(),
        decided: pair.decided,
    })
}

/// Merges what two records say; override keys speak of the survivor's start.
fn merge(keep: &Record, other: &Record, policy: &Policy) -> Merged {
    let hub = &keep.content;
    let mut remote = series::aligned(&other.content, hub);
    // Each provider keeps the UID that it has: it names the object there, and is nobody's edit.
    if let Some(uid) = keep.uid() {
        remote.fields.insert("uid".to_owned(), Value::from(uid));
    }
    let nothing = Content::default();
    let sides = Sides {
        base_hub: &nothing,
        hub,
        base_remote: &nothing,
        remote: &remote,
        projected: hub,
    };
    let mut merged = conflict::merge(keep.kind.schema(), sides, &Everything, policy, &BTreeSet::new());
    merged.clashes.extend(cancelled_on_one_side(hub, &remote));
    follow(&mut merged, hub);
    merged
}

/// A deleted occurrence that the other side says nothing of is deleted there too, in sight of everyone: it may be that
/// somebody there wants to come.
fn cancelled_on_one_side<'a>(hub: &'a Content, remote: &'a Content) -> impl Iterator<Item = Clash> + 'a {
    let keys: BTreeSet<&PartKey> = hub.overrides.keys().chain(remote.overrides.keys()).collect();
    keys.into_iter().filter_map(|key| {
        let status = |content: &Content| {
            let fields = content.overrides.get(key)?;
            series::is_cancelled(fields).then(|| Value::from("cancelled"))
        };
        let (here, there) = (status(hub), status(remote));
        let silent = !hub.overrides.contains_key(key) || !remote.overrides.contains_key(key);
        let rule = match (&here, &there) {
            (Some(_), None) if silent => Rule::HubWins,
            (None, Some(_)) if silent => Rule::RemoteWins,
            _ => return None,
        };
        Some(Clash {
            path: FieldPath {
                part: key.clone(),
                field: "status".to_owned(),
            },
            base: None,
            hub: here,
            remote: there,
            winner: rule.winner(),
            rule,
        })
    })
}

/// Lets override keys follow where the other record's start was taken.
fn follow(merged: &mut Merged, before: &Content) {
    let start = |content: &Content| series::time_field(&content.fields, "start");
    let (Some(old), Some(new)) = (start(before), start(&merged.hub)) else {
        return;
    };
    if old == new {
        return;
    }
    merged.hub.overrides = series::rekeyed(std::mem::take(&mut merged.hub.overrides), &old, &new);
    let moved = |path: &FieldPath| FieldPath {
        part: series::moved(&path.part, &old, &new),
        field: path.field.clone(),
    };
    for paths in [&mut merged.send, &mut merged.held] {
        *paths = paths.iter().map(moved).collect();
    }
    for clash in &mut merged.clashes {
        clash.path = moved(&clash.path);
    }
}

/// The links of two records that become one.
struct Sorted {
    kept: Vec<Link>,
    moving: Vec<Link>,
    dropped: Vec<Link>,
}

/// The links that stay, those that move, and those that make room. A link without an object makes room for one that
/// has one; two objects are two things.
fn sorted(keep: Vec<Link>, other: Vec<Link>) -> Result<Sorted, Overlap> {
    let (mut kept, mut moving, mut dropped) = (keep, Vec::new(), Vec::new());
    for link in other {
        let twin = kept.iter().position(|kept| kept.collection == link.collection);
        let Some(twin) = twin else {
            moving.push(link);
            continue;
        };
        match (kept[twin].is_there(), link.is_there()) {
            (true, true) => return Err(Overlap(link.collection)),
            (false, true) => {
                dropped.push(kept.remove(twin));
                moving.push(link);
            }
            (_, false) => dropped.push(link),
        }
    }
    Ok(Sorted {
        kept,
        moving,
        dropped,
    })
}

/// Says of each path that differed where its value comes from: a source is not written what came from elsewhere.
fn stamp(
    record: &mut Record,
    other: &Record,
    taken: &[FieldPath],
    own: &BTreeSet<FieldPath>,
    at: Option<&LinkId>,
) {
    for path in taken {
        let name = path.to_string();
        let theirs = other.clocks.get(&name).map(|clock| clock.origin.clone());
        let origin = theirs.or(at.cloned().map(Origin::Link)).unwrap_or(Origin::Hub);
        let version = record.version;
        record.clocks.insert(name, FieldClock { version, origin });
    }
    let Some(home) = record.home.clone() else { return };
    for path in own {
        let origin = Origin::Link(home.clone());
        // It is as old as the record: nobody who edits an earlier version is in its way.
        let first = FieldClock { version: 1, origin };
        record.clocks.entry(path.to_string()).or_insert(first);
    }
}

/// A link of the retired record as one of the survivor's.
fn moved(mut link: Link, record: &Record, held: &BTreeSet<FieldPath>) -> Link {
    link.record = record.id.clone();
    link.revision += 1;
    if !link.is_there() {
        return link;
    }
    let uid = FieldPath::master("uid");
    let here = record.content.get(&uid).cloned();
    // Whatever the object is called there stands for what the record is called here.
    link.snapshots.hub.set(&uid, here);
    let mut waiting = link.held_in(&record.content);
    waiting.extend(held.iter().cloned());
    link.hold(waiting, &record.content);
    let hub = plan::hub_side(record, &link);
    let differs = series::aligned(&link.snapshots.hub, &hub) != hub;
    if differs && !link.dirty {
        link.dirty = true;
        if link.state == LinkState::Synced {
            link.state = LinkState::Pending;
        }
    }
    if !link.dirty {
        // It says what the record says: nothing was edited out of its users' sight.
        link.traits.rested = Some(record.version);
    }
    link
}

impl Union {
    /// All links of the survivor.
    pub(crate) fn links(&self) -> impl Iterator<Item = &Link> {
        self.kept.iter().chain(&self.moved)
    }

    /// Links without an object that go, since the other record has one there.
    pub(crate) fn dropped(&self) -> &[Link] {
        &self.dropped
    }

    /// The batch: all of it, or nothing.
    pub(crate) fn into_effects(self, desk: &Desk) -> Vec<Effect> {
        let organization = &self.record.organization;
        let now = self.record.updated_at;
        let mut effects = vec![
            Effect::UpdateRecord(Box::new(self.record.clone())),
            Effect::UpdateRecord(Box::new(self.retired.clone())),
        ];
        for link in &self.dropped {
            // Nothing was sent through it, or what was sent is known: no object is left behind without a link.
            effects.push(Effect::ExpectNoIntent(link.id.clone()));
            effects.push(Effect::DropLink {
                link: link.id.clone(),
                revision: link.revision,
            });
        }
        if !self.taken.is_empty() {
            effects.push(Effect::Touch {
                record: self.record.id.clone(),
                except: None,
            });
            effects.extend(self.kept.iter().map(|link| push_job(desk, link)));
        }
        let waiting = self.moved.iter().filter(|link| link.dirty);
        effects.extend(waiting.map(|link| push_job(desk, link)));
        effects.extend(self.moved.iter().cloned().map(Box::new).map(Effect::UpdateLink));
        for (collection, pairing) in &self.decided {
            for (record, pairing) in [(&self.record.id, Some(*pairing)), (&self.retired.id, None)] {
                effects.push(Effect::Pair {
                    record: record.clone(),
                    collection: collection.clone(),
                    pairing,
                });
            }
        }
        let conflicts: Vec<Conflict> = self.conflicts(desk, now).collect();
        effects.extend(self.history(&conflicts));
        effects.extend(conflicts.into_iter().map(Box::new).map(Effect::PutConflict));
        let paths = self.taken.iter().map(ToString::to_string).collect();
        let entry = |action, record: &Record, changed| {
            Effect::Feed(FeedEntry {
                action,
                subject: record.id.to_string(),
                kind: record.kind.name().to_owned(),
                version: record.version,
                changed,
                origin: Origin::Hub,
                at: now,
            })
        };
        effects.push(entry(FeedAction::Updated, &self.record, paths));
        let merged = vec!["merged_into".to_owned()];
        effects.push(entry(FeedAction::Deleted, &self.retired, merged));
        tracing::info!(record = %self.record.id, retired = %self.retired.id, %organization, "two records are one now");
        effects
    }

    /// What is told of both records: what the survivor took and kept, and which objects are its own now.
    fn history(&self, conflicts: &[Conflict]) -> Vec<Effect> {
        let objects: Vec<&Link> = self.moved.iter().filter(|link| link.is_there()).collect();
        let origin = objects
            .first()
            .map_or(Origin::Hub, |link| Origin::Link(link.id.clone()));
        let mut told = Vec::new();
        for (place, link) in objects.iter().enumerate() {
            let (before, conflicts) = match place {
                0 => (&self.before.0, conflicts),
                _ => (&self.record, &[][..]),
            };
            told.extend(history::entries(&Change {
                before: Some(before),
                after: &self.record,
                link: Some(LinkChange {
                    link,
                    local: &link.local,
                    joined: true,
                    left: false,
                }),
                conflicts,
                origin: &origin,
            }));
        }
        told.extend(history::entries(&Change {
            before: Some(&self.before.1),
            after: &self.retired,
            link: None,
            conflicts: &[],
            origin: &Origin::Hub,
        }));
        told
    }

    /// The clashes for the log. One that waits for a person waits at every link that says something else.
    fn conflicts<'a>(&'a self, desk: &'a Desk, now_ms: i64) -> impl Iterator<Item = Conflict> + 'a {
        self.clashes.iter().flat_map(move |clash| {
            let objects = self.moved.iter().filter(|link| link.is_there());
            let count = if clash.winner.is_none() { usize::MAX } else { 1 };
            objects.take(count).map(move |link| Conflict {
                id: desk.conflict_id(),
                organization: self.record.organization.clone(),
                record: self.record.id.clone(),
                link: link.id.clone(),
                path: Some(clash.path.clone()),
                anchor: series::anchor(&clash.path, &self.record.content),
                base: clash.base.clone(),
                hub: clash.hub.clone(),
                remote: clash.remote.clone(),
                winner: clash.winner,
                rule: clash.rule,
                resolved_at: None,
                created_at: now_ms,
            })
        })
    }

    /// The record that is retired.
    pub(crate) const fn retired_id(&self) -> &RecordId {
        &self.retired.id
    }
}
