//! The plan of one link: a pure function from both sides and their snapshots to what is taken and what is sent.

use std::borrow::Cow;
use std::collections::BTreeSet;

use conflict::{Merged, Policy, Sides, Support};
use connector_sdk::Capability;
use model::{Content, EventTime, FieldPath, Kind, Scope, series};

use crate::occurrence;
use crate::state::{Link, Record, Snapshots};

/// All that a plan depends on.
pub struct Input<'a> {
    /// The record's kind.
    pub kind: Kind,
    /// What the connector can do with it.
    pub capability: &'a Capability,
    /// Who is given right in a clash.
    pub policy: &'a Policy,
    /// What was last agreed on.
    pub snapshots: &'a Snapshots,
    /// The hub's side now, per-link fields included.
    pub hub: &'a Content,
    /// The provider's side now.
    pub remote: &'a Content,
    /// Paths that wait for a person.
    pub held: &'a BTreeSet<FieldPath>,
    /// The connector's lossy projection.
    pub project: &'a dyn Fn(&Content) -> Content,
}

/// What the connector can do with each field, as the merge asks it.
struct Asked<'a>(&'a Capability);

impl Support for Asked<'_> {
    fn reads(&self, field: &str) -> bool {
        self.0.reads(field)
    }

    fn writes(&self, field: &str) -> bool {
        self.0.update && self.0.writes(field)
    }
}

/// Plans one link. The result's override keys speak, in each content, of that content's own start; its paths
/// speak of the start of the merged hub side.
#[must_use]
pub fn plan(input: &Input<'_>) -> Merged {
    let keys = key_start(input);
    let (base_hub, hub) = (aligned(&input.snapshots.hub, &keys), aligned(input.hub, &keys));
    let base_remote = aligned(&input.snapshots.remote, &keys);
    let remote = with_unreached(aligned(input.remote, &keys), [&hub, &base_remote], keys.as_ref());
    let idle = hub == base_hub && remote == base_remote && input.held.is_empty();
    let projected = if idle {
        // What the provider would hold of the hub's side is asked only where one side changed.
        Cow::Borrowed(&*hub)
    } else {
        let projected = (input.project)(input.hub);
        Cow::Owned(aligned(&projected, &keys).into_owned())
    };
    let sides = Sides {
        base_hub: &base_hub,
        hub: &hub,
        base_remote: &base_remote,
        remote: &remote,
        projected: &projected,
    };
    let mut merged = conflict::merge(
        input.kind.schema(),
        sides,
        &Asked(input.capability),
        input.policy,
        &held(input, keys.as_ref()),
    );
    if !idle {
        stand_out(&mut merged, &base_remote, &projected);
    }
    if let Some(keys) = keys {
        own_keys(&mut merged, &keys);
    }
    merged
}

/// The content with its override keys as `keys` would have them.
fn aligned<'a>(content: &'a Content, keys: &Option<EventTime>) -> Cow<'a, Content> {
    if content.overrides.is_empty() {
        return Cow::Borrowed(content);
    }
    match (keys, start(content)) {
        (Some(keys), Some(own)) if *keys != own => Cow::Owned(Content {
            fields: content.fields.clone(),
            overrides: series::rekeyed(content.overrides.clone(), &own, keys),
        }),
        _ => Cow::Borrowed(content),
    }
}

/// The provider's side with the cancelled occurrences that it says nothing of because its series no longer reaches them:
/// where both sides agreed on one, its silence is no edit, and the occurrence stays cancelled should the series be
/// lengthened.
fn with_unreached<'a>(
    mut remote: Cow<'a, Content>,
    agreed: [&Content; 2],
    keys: Option<&EventTime>,
) -> Cow<'a, Content> {
    let [hub, base] = agreed;
    let (Some(keys), Some(own)) = (keys, start(&remote)) else {
        return remote;
    };
    let cancelled = |side: &Content, key| side.overrides.get(key).is_some_and(series::is_cancelled);
    let mut silent = base.overrides.keys().collect::<Vec<_>>();
    silent.retain(|key| cancelled(base, key) && cancelled(hub, key) && !remote.overrides.contains_key(key));
    if silent.is_empty() {
        return remote;
    }
    let plain = Content::new(remote.fields.clone());
    silent.retain(|key| !occurrence::exists(&plain, &series::moved(key, keys, &own)));
    let marks = silent.into_iter().map(|key| (key.clone(), series::cancelled()));
    remote.to_mut().overrides.extend(marks);
    remote
}

/// The start that all override keys are brought to: the provider's where it alone moved, else the hub's. `None` where
/// there is none, or no key.
fn key_start(input: &Input<'_>) -> Option<EventTime> {
    let contents = [
        input.hub,
        input.remote,
        &input.snapshots.hub,
        &input.snapshots.remote,
    ];
    let plain = contents.into_iter().all(|content| content.overrides.is_empty())
        && input.held.iter().all(|path| path.part.is_master());
    if plain {
        return None;
    }
    let hub = start(input.hub);
    let remote = start(input.remote);
    let remote_moved = remote != start(&input.snapshots.remote);
    let hub_moved = hub != start(&input.snapshots.hub);
    if remote_moved && !hub_moved {
        remote.or(hub)
    } else {
        hub.or(remote)
    }
}

fn start(content: &Content) -> Option<EventTime> {
    series::time_field(&content.fields, "start")
}

/// The paths that wait for a person, which speak of the hub side's start, by the keys that all are brought to.
fn held(input: &Input<'_>, keys: Option<&EventTime>) -> BTreeSet<FieldPath> {
    match (keys, start(input.hub)) {
        (Some(keys), Some(own)) if *keys != own => {
            input.held.iter().map(|path| moved(path, &own, keys)).collect()
        }
        _ => input.held.clone(),
    }
}

/// The same path, named by another start of the series.
pub(crate) fn moved(path: &FieldPath, old: &EventTime, new: &EventTime) -> FieldPath {
    FieldPath {
        part: series::moved(&path.part, old, new),
        field: path.field.clone(),
    }
}

/// What an occurrence says in the same words as its series, a provider may hold as the series' alone. When the series
/// then says something else, the occurrence would say so too: its own words are sent again.
fn stand_out(merged: &mut Merged, base_remote: &Content, projected: &Content) {
    let changes = |field: &str| {
        let path = FieldPath::master(field);
        merged.send.contains(&path) || merged.base_remote.get(&path) != base_remote.get(&path)
    };
    let paths = merged.hub.paths().filter(|path| {
        let own = merged.hub.get(path);
        !path.part.is_master()
            && !matches!(path.field.as_str(), "start" | "end")
            && own != merged.hub.fields.get(&path.field)
            && own == merged.base_hub.get(path)
            && merged.base_remote.get(path).is_none()
            && projected.get(path).is_some()
            && changes(&path.field)
    });
    for path in paths.collect::<Vec<_>>() {
        merged.base_hub.set(&path, None);
        merged.send.insert(path);
    }
}

/// Brings override keys back to what each content's own start makes them.
fn own_keys(merged: &mut Merged, keys: &EventTime) {
    let after = start(&merged.hub);
    for content in [&mut merged.hub, &mut merged.base_hub, &mut merged.base_remote] {
        if let Some(own) = start(content)
            && own != *keys
        {
            content.overrides = series::rekeyed(std::mem::take(&mut content.overrides), keys, &own);
        }
    }
    let Some(after) = after.filter(|after| after != keys) else {
        return;
    };
    for paths in [&mut merged.send, &mut merged.taken, &mut merged.held] {
        *paths = paths.iter().map(|path| moved(path, keys, &after)).collect();
    }
    for clash in &mut merged.clashes {
        clash.path = moved(&clash.path, keys, &after);
    }
}

/// The hub's side of a link: the record's shared fields and the link's own. What the link says of an occurrence moves
/// with the series, and goes when the series no longer reaches it. A cancelled occurrence says nothing else.
#[must_use]
pub fn hub_side(record: &Record, link: &Link) -> Content {
    let mut side = record.content.clone();
    if link.local.fields.is_empty() && link.local.overrides.is_empty() {
        return side;
    }
    let local = series::aligned(&link.local, &record.content);
    for path in local.paths().filter(|path| !is_anchor(link.kind, path)) {
        let cancelled = record
            .content
            .overrides
            .get(&path.part)
            .is_some_and(series::is_cancelled);
        if path.part.is_master() || (!cancelled && occurrence::exists(&record.content, &path.part)) {
            side.set(&path, local.get(&path).cloned());
        }
    }
    side
}

/// A link's own overrides stand with the start that their keys speak of, which is a field of the record.
fn is_anchor(kind: Kind, path: &FieldPath) -> bool {
    let spec = kind.schema().field(&path.field);
    spec.is_some_and(|spec| spec.scope == Scope::Shared)
}

/// Takes a hub side apart into the record's shared fields and the link's own. The link's own overrides keep the start
/// that their keys speak of beside them. What the link said so far (`earlier`) of an occurrence that is cancelled now
/// stays, for the day when that is taken back.
#[must_use]
pub fn split(kind: Kind, side: Content, earlier: &Content) -> (Content, Content) {
    let schema = kind.schema();
    let per_link = |field: &str| {
        schema
            .field(field)
            .is_some_and(|spec| spec.scope == Scope::PerLink)
    };
    let mut local = side.clone();
    local.retain(|_, field| per_link(field));
    for (key, fields) in series::aligned(earlier, &side).overrides {
        if side.overrides.get(&key).is_some_and(series::is_cancelled) {
            local.overrides.insert(key, fields);
        }
    }
    if let Some(anchor) = side.fields.get("start").filter(|_| !local.overrides.is_empty()) {
        local.fields.insert("start".to_owned(), anchor.clone());
    }
    let mut shared = side;
    shared.retain(|_, field| !per_link(field));
    (shared, local)
}
