//! The scene of a link: which connector, which collection, which rules. Gathered once per collection and run.

use std::collections::{BTreeMap, BTreeSet};

use conflict::{Policy, Side};
use connector_sdk::{Capability, RemoteObject};
use model::{CollectionId, Content, FieldPath, Fields, PartKey, series};
use serde_json::Value;

use crate::ports::Provider;
use crate::state::{Collection, FieldOwner, Link, Member, Mirror, Origin, Record, TargetEdits};

/// What holds for every link of one collection.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) provider: Provider,
    pub(crate) collection: Collection,
    pub(crate) capability: Capability,
    pub(crate) policy: Policy,
    /// The collection only gives: nothing that another member's edit made is written to it.
    pub(crate) source_only: bool,
    /// The collection only takes, and its edits are undone.
    pub(crate) revert: bool,
    /// The collection only takes, and its edits are kept; its deletes stay its own.
    pub(crate) target_only: bool,
    /// Whether the collection is a member of a mirror.
    pub(crate) mirrored: bool,
    /// A person wants objects that this pull finds deleted to be made again.
    pub(crate) restore: bool,
    /// Collections that a new record here has to appear in.
    pub(crate) targets: Vec<Collection>,
    pub(crate) now_ms: i64,
    /// When the connection was last pulled to the end, epoch milliseconds: what is gone now was deleted since.
    pub(crate) seen_ms: i64,
}

impl Scene {
    /// The scene of a collection among its mirrors.
    pub(crate) fn new(
        provider: Provider,
        collection: Collection,
        mirrors: &[Mirror],
        targets: Vec<Collection>,
        now_ms: i64,
    ) -> Self {
        let capability = provider.connector.capability(collection.remote.kind);
        let roles = || {
            mirrors
                .iter()
                .filter_map(|mirror| Some((mirror, member(mirror, &collection.id)?)))
        };
        let gives = roles().any(|(_, member)| member.role.gives());
        let takes = roles().any(|(_, member)| member.role.takes());
        let revert = takes
            && !gives
            && roles()
                .any(|(mirror, member)| member.role.takes() && mirror.target_edits == TargetEdits::Revert);
        let mut owners = BTreeMap::new();
        for (mirror, _) in roles() {
            for (field, owner) in &mirror.field_owners {
                let side = match owner {
                    FieldOwner::Collection(id) if *id == collection.id => Side::Remote,
                    FieldOwner::Collection(_) | FieldOwner::Hub => Side::Hub,
                };
                owners.insert(field.clone(), side);
            }
        }
        let default = roles()
            .map(|(mirror, _)| mirror.policy)
            .next()
            .unwrap_or_default();
        Self {
            provider,
            capability,
            policy: Policy {
                default,
                owners,
                revert_remote: revert,
            },
            source_only: gives && !takes,
            target_only: takes && !gives && !revert,
            mirrored: !mirrors.is_empty(),
            revert,
            restore: false,
            collection,
            targets,
            now_ms,
            seen_ms: 0,
        }
    }

    /// Whether a value is kept from the collection: what another member's edit made is not written to one that only
    /// gives.
    pub(crate) fn keeps_back(&self, link: &Link, record: &Record, path: &str) -> bool {
        self.source_only
            && match record.clocks.get(path).map(|clock| &clock.origin) {
                Some(Origin::Link(from)) => *from != link.id,
                Some(Origin::Api(_) | Origin::Conflict(_) | Origin::Hub) | None => false,
            }
    }

    /// The provider's lossy projection of a hub side.
    pub(crate) fn project(&self, content: &Content) -> Content {
        self.provider.connector.project(&self.collection.remote, content)
    }

    /// The part that `object` is, and the whole content at the provider after it was seen. What a sparse object does
    /// not say, and where master and overrides are objects of their own what the others say, is as the link's snapshot
    /// has it. `None` for an override of a series that is to be made anew: it belongs to the one that is gone.
    pub(crate) fn remote_view(&self, link: &Link, object: &RemoteObject) -> Option<(PartKey, Content)> {
        self.remote_view_after(link, object, &link.snapshots.remote, None)
    }

    /// The same, where overrides were said explicitly to be as in `explicit`. The master may have changed `earlier` than
    /// an override that was read beside it shows: what the override says as the master said then, it inherits.
    pub(crate) fn remote_view_after(
        &self,
        link: &Link,
        object: &RemoteObject,
        explicit: &Content,
        earlier: Option<&Fields>,
    ) -> Option<(PartKey, Content)> {
        let before = &link.snapshots.remote;
        if let Some(part) = &object.series {
            let mut view = before.clone();
            let start = series::time_field(&view.fields, "start")?;
            let key = part.original_start.part_key(&start);
            let known = view.overrides.get(&key).cloned().unwrap_or_default();
            let known = Content::new(series::full(link.kind, &view.fields, &key, &known));
            let mut thin = series::sparse(link.kind, &view.fields, &key, &object.over(&known).fields);
            if let Some(earlier) = earlier.filter(|_| !series::is_cancelled(&thin)) {
                let said = explicit.overrides.get(&key);
                thin.retain(|name, value| {
                    let own = said.is_some_and(|said| said.contains_key(name));
                    own || series::is_time(name) || earlier.get(name).unwrap_or(&Value::Null) != value
                });
            }
            view.overrides.insert(key.clone(), thin);
            series::keep_explicit(link.kind, explicit, &mut view);
            if view.overrides.get(&key).is_some_and(Fields::is_empty) {
                view.overrides.remove(&key);
            }
            return Some((key, view));
        }
        let mut view = object.over(before);
        // What the master says no more of an occurrence, its object may still say.
        if !before.overrides.is_empty() {
            let mut own = before.clone();
            own.overrides.retain(|key, _| link.parts.contains_key(key));
            for (key, fields) in series::aligned(&own, &view).overrides {
                view.overrides.entry(key).or_insert(fields);
            }
        }
        series::keep_explicit(link.kind, explicit, &mut view);
        Some((PartKey::MASTER, view))
    }

    /// Whether an override says something else than before, and not at the paths that were written. Its series may have
    /// changed instead: an object of its own shows what it inherits as if it said so itself.
    pub(crate) fn is_strange(
        &self,
        link: &Link,
        object: &RemoteObject,
        written: &BTreeSet<FieldPath>,
    ) -> bool {
        let Some((key, view)) = object
            .series
            .as_ref()
            .and_then(|_| self.remote_view(link, object))
        else {
            return false;
        };
        let of = |content: &Content| content.overrides.get(&key).cloned().unwrap_or_default();
        let (now, before) = (of(&view), of(&link.snapshots.remote));
        let is_written = |name: &String| {
            let mut paths = written.iter();
            paths.any(|path| path.part == key && path.field == *name)
        };
        !series::is_cancelled(&now)
            && now
                .keys()
                .chain(before.keys())
                .any(|name| now.get(name) != before.get(name) && !series::is_time(name) && !is_written(name))
    }
}

/// A collection's membership in a mirror.
pub(crate) fn member<'a>(mirror: &'a Mirror, collection: &CollectionId) -> Option<&'a Member> {
    mirror
        .members
        .iter()
        .find(|member| member.collection_id == *collection)
}
