//! Writing: each write changes one object, on the condition that it is as it was when it was read.

use std::collections::BTreeSet;

use async_trait::async_trait;
use connector_sdk::{
    Action, Applied, Context, Error, ErrorKind, Notifies, Push, RemoteCollection, RemoteId, SeriesModel,
    Target, Write,
};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use model::{Content, EventTime, FieldPath, IntentId, PartKey, expand, series};

use crate::connector::MemoryConnector;
use crate::fault::Operation;
use crate::provider::State;
use crate::state::{Record, part_id};

#[async_trait]
impl Push for MemoryConnector {
    async fn apply(
        &self,
        _ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let carry_out = |write: &Write| match &write.action {
            Action::Create { content } => self.provider.write("push.create", |state| {
                let id = created_id(&write.intent).0;
                mailing(state, collection, &id, |state| {
                    create(state, collection, &write.intent, content)
                })
            }),
            Action::Update { target, changed, .. } if changed.is_empty() => {
                self.provider.read(Operation::Fetch, "push.update", |state| {
                    let (_, object) = locate(state, collection, &write.part, target)?;
                    stored(state, collection, &object, "push.update")
                })
            }
            Action::Update {
                target,
                content,
                changed,
            } => self.provider.write("push.update", |state| {
                let id = record_of(state, collection, target);
                mailing(state, collection, &id, |state| {
                    update(state, collection, &write.part, target, content, changed)
                })
            }),
            Action::Delete { target } => self.provider.write("push.delete", |state| {
                let id = record_of(state, collection, target);
                mailing(state, collection, &id, |state| {
                    delete(state, collection, &write.part, target)
                })
            }),
        };
        writes.iter().map(carry_out).collect()
    }

    async fn notified(
        &self,
        _ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Vec<String>, Error> {
        let target = match &write.action {
            Action::Create { .. } => return Ok(Vec::new()),
            Action::Update { target, .. } | Action::Delete { target } => target,
        };
        self.provider.read(Operation::Fetch, "notified", |state| {
            let id = record_of(state, collection, target);
            let held = state.collection(collection, "notified")?;
            let record = held.records.get(&id).cloned().unwrap_or_default();
            Ok(record.guests().difference(&record.silenced).cloned().collect())
        })
    }

    async fn probe(
        &self,
        _ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        self.provider.read(Operation::Probe, "probe", |state| {
            let versions = state.options.versions;
            let held = state.collection(collection, "probe")?;
            let id = created_id(&write.intent);
            Ok(match held.object(&id, versions) {
                Some(object) => Some(Applied::Stored(Box::new(object))),
                None => held.tombstones.contains_key(&id).then_some(Applied::Gone),
            })
        })
    }
}

/// The id of the object that an intent creates.
fn created_id(intent: &IntentId) -> RemoteId {
    RemoteId(format!(
        "m{}",
        intent.as_str().trim_start_matches(IntentId::PREFIX)
    ))
}

/// The record that a write goes to.
fn record_of(state: &mut State, collection: &RemoteCollection, target: &Target) -> String {
    let object = target.id.as_ref().and_then(|id| {
        let held = state.collection(collection, "push").ok()?;
        Some(held.objects.get(id)?.record.clone())
    });
    let series = target.series.as_ref().map(|part| part.series.0.clone());
    object.or(series).unwrap_or_default()
}

/// Carries out a write and mails whom the provider mails about it: everybody invited before or after, or those of them
/// whom other clients invited.
fn mailing(
    state: &mut State,
    collection: &RemoteCollection,
    record: &str,
    write: impl FnOnce(&mut State) -> Result<Applied, Error>,
) -> Result<Applied, Error> {
    let before = state.collection(collection, "push")?.records.get(record);
    let silenced = before.map(|before| before.silenced.clone()).unwrap_or_default();
    let invited = before.map(Record::guests).unwrap_or_default();
    let outcome = write(state)?;
    let notifies = state.options.notifies;
    let after = state.collection(collection, "push")?.records.get_mut(record);
    let mut people = invited.clone();
    if let Some(after) = after {
        let now = after.guests();
        after.silenced.extend(now.difference(&invited).cloned());
        people.extend(now);
    }
    state.mails += match notifies {
        Notifies::Never | Notifies::Suppressible => 0,
        Notifies::Existing => invited.difference(&silenced).count(),
        Notifies::Always => people.len(),
    };
    Ok(outcome)
}

fn create(
    state: &mut State,
    collection: &RemoteCollection,
    intent: &IntentId,
    content: &Content,
) -> Result<Applied, Error> {
    let model = state.options.series;
    let id = created_id(intent);
    let held = state.collection(collection, "push.create")?;
    if held.objects.contains_key(&id) || held.tombstones.contains_key(&id) {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "push.create",
            "an object with this id exists or existed; nothing was written",
        ));
    }
    let mut record = Record {
        content: content.clone(),
        ..Record::default()
    };
    match model {
        SeriesModel::PerPart => {
            let overrides = &mut record.content.overrides;
            overrides.retain(|_, fields| series::is_cancelled(fields));
            record.listed = overrides.keys().cloned().collect();
        }
        SeriesModel::Instances => record.content.overrides.clear(),
        SeriesModel::Whole | SeriesModel::None => {}
    }
    held.records.insert(id.0.clone(), record);
    rewrite(state, collection, &id.0);
    state.settle(&collection.id.0, &id.0);
    stored(state, collection, &id, "push.create")
}

fn update(
    state: &mut State,
    collection: &RemoteCollection,
    part: &PartKey,
    target: &Target,
    content: &Content,
    changed: &BTreeSet<FieldPath>,
) -> Result<Applied, Error> {
    let model = state.options.series;
    let (record_id, object_id) = locate(state, collection, part, target)?;
    let held = state.collection(collection, "push.update")?;
    let Some(record) = held.records.get_mut(&record_id) else {
        return Err(not_found("push.update"));
    };
    if model == SeriesModel::Instances {
        let cancelled = |content: &Content| content.overrides.get(part).is_some_and(series::is_cancelled);
        if cancelled(&record.content) || cancelled(content) {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "push.update",
                "an occurrence is cancelled by deleting it, and a cancelled one cannot be brought back",
            ));
        }
    }
    let now_starts_elsewhere = part.is_master() && changed.contains(&FieldPath::master("start"));
    if now_starts_elsewhere {
        rekey(record, content);
    }
    let stood = record.content.overrides.get(part);
    let was_cancelled = stood.is_some_and(series::is_cancelled) || record.listed.contains(part);
    for path in changed {
        match model {
            SeriesModel::PerPart if path.part != *part => list_cancelled(record, content, &path.part)?,
            SeriesModel::Instances if path.part != *part => return Err(apart()),
            SeriesModel::PerPart | SeriesModel::Instances | SeriesModel::Whole | SeriesModel::None => {
                record.content.set(path, content.get(path).cloned());
            }
        }
    }
    if model.has_part_objects() && !part.is_master() {
        // The occurrence is an object of its own from now on, even where it says what the series says.
        record.listed.remove(part);
        let own = record.content.overrides.entry(part.clone()).or_default();
        if was_cancelled {
            // What it said before it was cancelled is gone: it says what whoever takes it back says.
            let fields = content.overrides.get(part).cloned().unwrap_or_default();
            own.retain(|name, _| fields.contains_key(name));
        }
    }
    rewrite(state, collection, &record_id);
    state.settle(&collection.id.0, &record_id);
    stored(state, collection, &object_id, "push.update")
}

/// The provider makes of it what it makes of everything.
fn rewrite(state: &mut State, collection: &RemoteCollection, record: &str) {
    let held = state.collections.get_mut(&collection.id.0);
    let record = held.and_then(|held| held.records.get_mut(record));
    if let (Some(rewrite), Some(record)) = (&state.rewrite, record) {
        rewrite(&mut record.content);
    }
}

/// Finds the record and the object that an update goes to, and checks that the object is as it was read.
fn locate(
    state: &mut State,
    collection: &RemoteCollection,
    part: &PartKey,
    target: &Target,
) -> Result<(String, RemoteId), Error> {
    let versions = state.options.versions;
    let held = state.collection(collection, "push.update")?;
    match (&target.id, &target.series) {
        (Some(id), _) => {
            let object = held.objects.get(id).ok_or_else(|| not_found("push.update"))?;
            if versions
                && target
                    .version
                    .as_ref()
                    .is_some_and(|read| *read != object.version())
            {
                return Err(stale("push.update"));
            }
            Ok((object.record.clone(), id.clone()))
        }
        (None, Some(series)) => {
            let record = held.records.get(&series.series.0);
            if !record.is_some_and(|record| has_occurrence(&record.content, part)) {
                return Err(not_found("push.update"));
            }
            let id = part_id(&series.series.0, part);
            if versions && held.objects.contains_key(&id) {
                // Somebody made the occurrence an object of its own, which the writer has not read.
                return Err(stale("push.update"));
            }
            Ok((series.series.0.clone(), id))
        }
        (None, None) => Err(Error::new(
            ErrorKind::Invalid,
            "push.update",
            "the target has neither an id nor a series",
        )),
    }
}

/// Whether the series makes the occurrence, or made it and it was changed.
fn has_occurrence(content: &Content, key: &PartKey) -> bool {
    let start = series::time_field(&content.fields, "start");
    let Some(time) = start.and_then(|start| EventTime::from_part_key(key, &start)) else {
        return false;
    };
    let day = SignedDuration::from_hours(24);
    let at = time.instant(&TimeZone::UTC);
    let (from, to) = (at.saturating_sub(day), at.saturating_add(day));
    let plain = Content::new(content.fields.clone());
    let found = expand::occurrences(&plain, from.unwrap_or(at), to.unwrap_or(at), &TimeZone::UTC);
    content.overrides.contains_key(key)
        || found.is_ok_and(|found| found.iter().any(|occurrence| occurrence.key == *key))
}

/// Moves the keys of the overrides along with the master's start.
fn rekey(record: &mut Record, content: &Content) {
    let listed: Content = Content {
        fields: record.content.fields.clone(),
        overrides: record
            .listed
            .iter()
            .map(|key| (key.clone(), series::cancelled()))
            .collect(),
    };
    record.listed = series::aligned(&listed, content).overrides.into_keys().collect();
    record.content = series::aligned(&record.content, content);
}

/// A master of [`SeriesModel::PerPart`] can list cancelled occurrences; everything else of an occurrence is an
/// object of its own.
fn list_cancelled(record: &mut Record, content: &Content, key: &PartKey) -> Result<(), Error> {
    match content.overrides.get(key) {
        Some(fields) if series::is_cancelled(fields) => {
            record.content.overrides.insert(key.clone(), series::cancelled());
            record.listed.insert(key.clone());
            Ok(())
        }
        None if record.listed.remove(key) => {
            record.content.overrides.remove(key);
            Ok(())
        }
        Some(_) | None => Err(apart()),
    }
}

fn apart() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "push.update",
        "an override is an object of its own and is not written with another part",
    )
}

fn delete(
    state: &mut State,
    collection: &RemoteCollection,
    part: &PartKey,
    target: &Target,
) -> Result<Applied, Error> {
    let versions = state.options.versions;
    let model = state.options.series;
    let held = state.collection(collection, "push.delete")?;
    let held_as = target.id.as_ref().filter(|id| held.objects.contains_key(*id));
    if let (SeriesModel::Instances, None, Some(series)) = (model, held_as, &target.series) {
        let is_exception = held.objects.contains_key(&part_id(&series.series.0, part));
        if versions && (is_exception || target.id.is_some()) {
            // It was changed since the series was read, or is as the series says again since it was read.
            return Err(stale("push.delete"));
        }
        if let Some(record) = held.records.get_mut(&series.series.0)
            && has_occurrence(&record.content, part)
        {
            record.content.overrides.insert(part.clone(), series::cancelled());
            state.settle(&collection.id.0, &series.series.0);
        }
        return Ok(Applied::Gone);
    }
    let Some(object) = target.id.as_ref().and_then(|id| held.objects.get(id)) else {
        return Ok(Applied::Gone);
    };
    if versions
        && target
            .version
            .as_ref()
            .is_some_and(|read| *read != object.version())
    {
        return Err(stale("push.delete"));
    }
    let (record_id, part) = (object.record.clone(), object.part.clone());
    if part.is_master() {
        held.records.remove(&record_id);
    } else if let Some(record) = held.records.get_mut(&record_id) {
        record.content.overrides.insert(part, series::cancelled());
    }
    state.settle(&collection.id.0, &record_id);
    Ok(Applied::Gone)
}

fn stored(
    state: &mut State,
    collection: &RemoteCollection,
    id: &RemoteId,
    operation: &'static str,
) -> Result<Applied, Error> {
    let versions = state.options.versions;
    let object = state.collection(collection, operation)?.object(id, versions);
    object
        .map(|object| Applied::Stored(Box::new(object)))
        .ok_or_else(|| not_found(operation))
}

fn not_found(operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "there is no such object")
}

fn stale(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::VersionConflict,
        operation,
        "the object changed since it was read; nothing was written",
    )
}
