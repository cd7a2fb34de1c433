//! Writes that replace the whole object: what a client sends, and what is lost by it.

use std::collections::BTreeSet;

use connector_sdk::{Action, RemoteId, Target, Write};
use model::{Content, FieldPath, series};

use super::objects::Raw;
use super::quirks::Versions;
use super::state::State;

pub(super) fn raw_of(write: &Write) -> Option<Raw> {
    let target = match &write.action {
        Action::Update { target, .. } | Action::Delete { target } => target,
        Action::Create { .. } => return None,
    };
    serde_json::from_slice(target.raw.as_ref()?).ok()
}

/// What a `PUT` of the whole object comes to: the object as it was read with what the hub changes in it, and the paths
/// in which that differs from what is there. Where no condition protects what came since, the connector reads again
/// just before it writes.
pub(super) fn replaced(
    state: &mut State,
    shelf: &str,
    id: &RemoteId,
    write: &Write,
    (target, content, changed): (&Target, &Content, &BTreeSet<FieldPath>),
) -> (Content, BTreeSet<FieldPath>) {
    let there = state.shelf(shelf).objects.get(id).map(|seen| seen.object.clone());
    let Some(there) = there else {
        return (content.clone(), changed.clone());
    };
    let conditional = state.quirks.versions == Versions::Strong;
    let read = match raw_of(write) {
        Some(raw) if conditional => canonical(state, raw.content),
        Some(_) => there.content.clone(),
        // It has nothing to start from but what the hub knows.
        None if target.raw.is_none() && write.part.is_master() => content.clone(),
        None => there.content.clone(),
    };
    let Some(key) = there.series.is_some().then_some(&write.part) else {
        let mut whole = series::aligned(&read, content);
        for path in changed {
            whole.set(path, content.get(path).cloned());
        }
        let mut named: BTreeSet<FieldPath> = changed.clone();
        named.extend(series::aligned(&there.content, content).differences(&whole));
        return (whole, named);
    };
    // An override: its object says the whole occurrence.
    let mut whole = content.clone();
    let master = &content.fields;
    let mut own = series::sparse(state.kind, master, key, &read.fields);
    for path in changed.iter().filter(|path| path.part == *key) {
        match content.get(path) {
            Some(value) => own.insert(path.field.clone(), value.clone()),
            None => own.remove(&path.field),
        };
    }
    let before = series::sparse(state.kind, master, key, &there.content.fields);
    let fields = before
        .keys()
        .chain(own.keys())
        .filter(|name| before.get(*name) != own.get(*name));
    let mut named: BTreeSet<FieldPath> = fields
        .map(|field| FieldPath {
            part: key.clone(),
            field: field.clone(),
        })
        .collect();
    named.extend(changed.iter().cloned());
    whole.overrides.insert(key.clone(), own);
    (whole, named)
}

/// What a client reads out of the wire form.
fn canonical(state: &State, mut content: Content) -> Content {
    let schema = state.kind.schema();
    for fields in std::iter::once(&mut content.fields).chain(content.overrides.values_mut()) {
        if let Ok(clean) = schema.canonical(fields.clone()) {
            *fields = clean;
        }
    }
    content
}
