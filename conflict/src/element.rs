//! Merging inside one field: sets by element, keyed sets by element and member, maps by member.

use std::collections::{BTreeMap, BTreeSet};

use model::MergeClass;
use serde_json::{Map, Value};

use crate::policy::Side;

/// Both sides of one value, each with its own snapshot.
pub(crate) struct Values<'a> {
    pub(crate) base_hub: Option<&'a Value>,
    pub(crate) hub: Option<&'a Value>,
    pub(crate) base_remote: Option<&'a Value>,
    pub(crate) remote: Option<&'a Value>,
}

/// A merged value, and whether an edit was lost in it.
pub(crate) struct MergedValue {
    pub(crate) value: Option<Value>,
    pub(crate) clashed: bool,
}

/// Merges element by element; `None` when the class merges only as a whole.
pub(crate) fn merge(class: MergeClass, values: &Values<'_>, winner: Side) -> Option<MergedValue> {
    match class {
        MergeClass::Set => Some(merge_set(values)),
        MergeClass::KeyedSet { key } => Some(merge_keyed(values, key, winner)),
        MergeClass::Map => Some(merge_map(values, winner)),
        MergeClass::Scalar
        | MergeClass::Text
        | MergeClass::Instant
        | MergeClass::OrderedList
        | MergeClass::Reference => None,
    }
}

fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn merge_set(values: &Values<'_>) -> MergedValue {
    let texts = |value| {
        items(value)
            .iter()
            .filter_map(Value::as_str)
            .collect::<BTreeSet<_>>()
    };
    let (before, now) = (texts(values.base_remote), texts(values.remote));
    let added = now.difference(&before).copied();
    // What the provider cannot hold is missing there without having been removed.
    let mut merged: BTreeSet<&str> = texts(values.hub);
    merged.retain(|item| now.contains(item) || !before.contains(item));
    // What the hub had, and removed, is not added by a provider that only now shows it.
    let removed = texts(values.base_hub);
    merged.extend(added.filter(|item| !removed.contains(item)));
    let merged: Vec<Value> = merged.into_iter().map(Value::from).collect();
    MergedValue {
        value: (!merged.is_empty()).then_some(Value::Array(merged)),
        clashed: false,
    }
}

fn merge_keyed(values: &Values<'_>, key: &str, winner: Side) -> MergedValue {
    let keyed = |value| -> BTreeMap<String, &Value> {
        items(value)
            .iter()
            .filter_map(|item| Some((item.get(key)?.as_str()?.to_owned(), item)))
            .collect()
    };
    let sides = (
        keyed(values.base_hub),
        keyed(values.hub),
        keyed(values.base_remote),
        keyed(values.remote),
    );
    let names: BTreeSet<&String> = sides
        .0
        .keys()
        .chain(sides.1.keys())
        .chain(sides.2.keys())
        .chain(sides.3.keys())
        .collect();
    let mut merged = Vec::new();
    let mut clashed = false;
    for name in names {
        let element = Values {
            base_hub: sides.0.get(name).copied(),
            hub: sides.1.get(name).copied(),
            base_remote: sides.2.get(name).copied(),
            remote: sides.3.get(name).copied(),
        };
        let one = merge_one(&element, winner);
        clashed |= one.clashed;
        merged.extend(one.value);
    }
    MergedValue {
        value: (!merged.is_empty()).then_some(Value::Array(merged)),
        clashed,
    }
}

fn merge_map(values: &Values<'_>, winner: Side) -> MergedValue {
    let merged = merge_members(values, winner);
    let empty = merged
        .value
        .as_ref()
        .and_then(Value::as_object)
        .is_none_or(Map::is_empty);
    MergedValue {
        value: merged.value.filter(|_| !empty),
        clashed: merged.clashed,
    }
}

/// One element or member: the side that changed it; an edit beats a removal; two edits of objects merge by member.
fn merge_one(values: &Values<'_>, winner: Side) -> MergedValue {
    let hub_changed = values.hub != values.base_hub;
    let remote_changed = values.remote != values.base_remote;
    let keep = |value: Option<&Value>, clashed| MergedValue {
        value: value.cloned(),
        clashed,
    };
    match (hub_changed, remote_changed) {
        (false, _) => keep(values.remote, false),
        (true, false) => keep(values.hub, false),
        (true, true) if values.hub == values.remote => keep(values.hub, false),
        (true, true) => match (values.hub, values.remote) {
            (None, remote) => keep(remote, true),
            (hub, None) => keep(hub, true),
            (Some(Value::Object(_)), Some(Value::Object(_))) => merge_members(values, winner),
            (hub, remote) => keep(if winner == Side::Hub { hub } else { remote }, true),
        },
    }
}

fn merge_members(values: &Values<'_>, winner: Side) -> MergedValue {
    let object = |value: Option<&Value>| value.and_then(Value::as_object).cloned().unwrap_or_default();
    let (base_hub, hub) = (object(values.base_hub), object(values.hub));
    let (base_remote, remote) = (object(values.base_remote), object(values.remote));
    let names: BTreeSet<&String> = base_hub
        .keys()
        .chain(hub.keys())
        .chain(base_remote.keys())
        .chain(remote.keys())
        .collect();
    let mut merged = Map::new();
    let mut clashed = false;
    for name in names {
        let member = Values {
            base_hub: base_hub.get(name),
            hub: hub.get(name),
            base_remote: base_remote.get(name),
            remote: remote.get(name),
        };
        let one = merge_one(&member, winner);
        clashed |= one.clashed;
        if let Some(value) = one.value {
            merged.insert(name.clone(), value);
        }
    }
    MergedValue {
        value: Some(Value::Object(merged)),
        clashed,
    }
}
