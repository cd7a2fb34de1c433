//! What a write does at the provider, and what is written down of it.

use std::collections::BTreeSet;

use connector_sdk::{
    Action, Applied, Context, Error, ErrorKind, Push as _, RemoteCollection, RemoteId, RemoteVersion, Target,
    Write,
};
use futures::FutureExt as _;
use model::{Content, FieldPath, IntentId, PartKey};
use serde_json::{Map, Value};

use super::connector::takes;
use super::log::{Act, Earlier, note};
use super::normal::Pass;
use super::pull::is_hidden;
use super::put::{raw_of, replaced};
use super::quirks::{Creation, Hiding, Layout, Versions};
use super::state::{Notes, State};

pub(super) fn carry_out(
    state: &mut State,
    ctx: &Context,
    collection: &RemoteCollection,
    write: &Write,
) -> Result<Applied, Error> {
    match &write.action {
        Action::Create { content } => create(state, ctx, collection, write, content),
        Action::Update {
            target,
            content,
            changed,
        } => update(state, ctx, collection, write, (target, content, changed)),
        Action::Delete { target } => delete(state, ctx, collection, write, target),
    }
}

/// The id of the object that an intent creates where clients choose ids.
pub(super) fn chosen_id(intent: &IntentId) -> RemoteId {
    RemoteId(format!(
        "m{}",
        intent.as_str().trim_start_matches(IntentId::PREFIX)
    ))
}

/// The object that an update goes to.
pub(super) fn as_it_is(
    state: &mut State,
    collection: &str,
    part: &PartKey,
    target: &Target,
) -> Result<Applied, Error> {
    let id = target_id(target, part);
    check_sight(state, collection, &id, "push.update")?;
    let object = state.show(collection, &id);
    object
        .map(|object| Applied::Stored(Box::new(object)))
        .ok_or_else(|| not_found("push.update"))
}

fn target_id(target: &Target, part: &PartKey) -> RemoteId {
    match (&target.id, &target.series) {
        (Some(id), _) => id.clone(),
        (None, Some(series)) => connector_memory::part_id(&series.series.0, part),
        (None, None) => RemoteId(String::new()),
    }
}

fn create(
    state: &mut State,
    ctx: &Context,
    collection: &RemoteCollection,
    write: &Write,
    content: &Content,
) -> Result<Applied, Error> {
    let marker = write.intent.as_str().to_owned();
    let name = match state.quirks.creation {
        Creation::ClientId => write.intent.clone(),
        Creation::Marker | Creation::Blind => {
            if let Some((shelf, id)) = state.markers.get(&marker).cloned() {
                // The same word again: the object of the first create, if it is still there.
                let object = state.shelves.get(&shelf).and_then(|shelf| shelf.objects.get(&id));
                let object = object.map(|seen| seen.object.clone());
                return object
                    .map(|object| Applied::Stored(Box::new(object)))
                    .ok_or_else(|| exists("push.create"));
            }
            state.given += 1;
            given_name(state.given)?
        }
    };
    let mut content = content.clone();
    content.retain(|_, field| takes(&state.quirks, field));
    if state.quirks.own_uid {
        let uid = format!("{}@{}", chosen_id(&name), state.name);
        content.fields.insert("uid".to_owned(), uid.into());
    }
    let content = state.normalised(&content, Pass::First);
    let made = send(
        state,
        ctx,
        collection,
        Write {
            intent: name,
            kind: write.kind,
            part: write.part.clone(),
            action: Action::Create { content },
        },
    )?;
    let Applied::Stored(object) = &made else {
        return Ok(made);
    };
    let (shelf, record) = (collection.id.0.as_str(), object.id.0.as_str());
    let complement = Map::from_iter([("etag_seed".to_owned(), Value::from(state.given + state.seq))]);
    state
        .shelf(shelf)
        .notes
        .insert(record.to_owned(), Notes::of(complement));
    if state.quirks.creation == Creation::Marker {
        state
            .markers
            .insert(marker, (shelf.to_owned(), object.id.clone()));
    }
    let id = object.id.clone();
    settle(state, shelf, record);
    let changed = written(write);
    note(
        state,
        shelf,
        record,
        (&write.intent, &write.part),
        Act::Create,
        changed,
        Earlier::default(),
    );
    answered(state, shelf, &id, "push.create")
}

/// An intent in whose place the reference provider makes an object with a server's id.
fn given_name(number: u64) -> Result<IntentId, Error> {
    format!("{}s{number}", IntentId::PREFIX).parse().map_err(|error| {
        Error::new(ErrorKind::Unexpected, "push.create", "no id can be given").with_source(error)
    })
}

fn update(
    state: &mut State,
    ctx: &Context,
    collection: &RemoteCollection,
    write: &Write,
    (target, content, changed): (&Target, &Content, &BTreeSet<FieldPath>),
) -> Result<Applied, Error> {
    let shelf = collection.id.0.as_str();
    let id = target_id(target, &write.part);
    check_sight(state, shelf, &id, "push.update")?;
    check_version(state, shelf, &id, target, "push.update")?;
    check_still_plain(state, shelf, &id, target)?;
    let record = match (&target.series, state.shelf(shelf).objects.get(&id)) {
        (_, Some(seen)) => seen.record.clone(),
        (Some(series), None) => series.series.0.clone(),
        (None, None) => return Err(not_found("push.update")),
    };
    let earlier = Earlier::of(state, shelf, &record, (&id, target));
    let (content, named) = if state.quirks.whole_put {
        replaced(state, shelf, &id, write, (target, content, changed))
    } else {
        (content.clone(), changed.clone())
    };
    let named = named
        .into_iter()
        .filter(|path| takes(&state.quirks, &path.field))
        .collect();
    let content = state.normalised(&content, Pass::First);
    let target = Target {
        version: None,
        ..target.clone()
    };
    let action = Action::Update {
        target,
        content,
        changed: named,
    };
    send(state, ctx, collection, with_action(write, action))?;
    if state.quirks.whole_put && write.part.is_master() {
        let raw = raw_of(write);
        let vendor = raw.map(|raw| raw.vendor).unwrap_or_default();
        state
            .shelf(shelf)
            .notes
            .entry(record.clone())
            .or_default()
            .complement = vendor;
    }
    settle(state, shelf, &record);
    note(
        state,
        shelf,
        &record,
        (&write.intent, &write.part),
        Act::Update,
        changed.clone(),
        earlier,
    );
    answered(state, shelf, &id, "push.update")
}

fn delete(
    state: &mut State,
    ctx: &Context,
    collection: &RemoteCollection,
    write: &Write,
    target: &Target,
) -> Result<Applied, Error> {
    let shelf = collection.id.0.as_str();
    let id = target_id(target, &write.part);
    check_sight(state, shelf, &id, "push.delete")?;
    check_version(state, shelf, &id, target, "push.delete")?;
    let instances = state.quirks.layout == Layout::Instances;
    let has_versions = matches!(state.quirks.versions, Versions::Strong | Versions::Second);
    let held = state.shelf(shelf).objects.contains_key(&id);
    let record = match (state.shelf(shelf).objects.get(&id), &target.series) {
        (Some(seen), _) => seen.record.clone(),
        // It was an exception when it was read, and is as its series says again.
        (None, Some(_)) if instances && has_versions && target.id.is_some() => {
            return Err(stale("push.delete"));
        }
        // An occurrence without an object is cancelled through its series.
        (None, Some(series)) if instances => series.series.0.clone(),
        (None, _) => return Ok(Applied::Gone),
    };
    let earlier = Earlier::of(state, shelf, &record, (&id, target));
    if id.0 == record {
        state.bury(shelf, &record);
    }
    let target = Target {
        id: target.id.clone().filter(|_| held),
        version: None,
        ..target.clone()
    };
    send(
        state,
        ctx,
        collection,
        with_action(write, Action::Delete { target }),
    )?;
    state.absorb(shelf, &record);
    note(
        state,
        shelf,
        &record,
        (&write.intent, &write.part),
        Act::Delete,
        BTreeSet::new(),
        earlier,
    );
    Ok(Applied::Gone)
}

fn with_action(write: &Write, action: Action) -> Write {
    Write {
        intent: write.intent.clone(),
        kind: write.kind,
        part: write.part.clone(),
        action,
    }
}

/// Hands a write to the reference provider, which lays it out. Conditions were looked at before.
fn send(state: &State, ctx: &Context, collection: &RemoteCollection, write: Write) -> Result<Applied, Error> {
    let outcome = state.writer.apply(ctx, collection, &[write]).now_or_never();
    let outcome = outcome.and_then(|mut outcomes| outcomes.pop());
    outcome.unwrap_or_else(|| {
        Err(Error::new(
            ErrorKind::Unexpected,
            "push",
            "the provider does not answer",
        ))
    })
}

fn settle(state: &mut State, shelf: &str, record: &str) {
    state.absorb(shelf, record);
    state.rewrite_later(shelf, record);
}

/// The object as the provider holds it now. It counts as shown when the answer arrives.
fn answered(
    state: &mut State,
    shelf: &str,
    id: &RemoteId,
    operation: &'static str,
) -> Result<Applied, Error> {
    let seen = state.shelf(shelf).objects.get(id);
    seen.map(|seen| Applied::Stored(Box::new(seen.object.clone())))
        .ok_or_else(|| not_found(operation))
}

fn written(write: &Write) -> BTreeSet<FieldPath> {
    match &write.action {
        Action::Create { content } => content.paths().collect(),
        Action::Update { changed, .. } => changed.clone(),
        Action::Delete { .. } => BTreeSet::new(),
    }
}

fn check_sight(state: &State, shelf: &str, id: &RemoteId, operation: &'static str) -> Result<(), Error> {
    if !is_hidden(state, shelf, id) {
        return Ok(());
    }
    Err(match state.quirks.hiding {
        Hiding::Denied => {
            let message = "the account may not see this object";
            Error::new(ErrorKind::PermissionDenied, operation, message).with_status(403)
        }
        Hiding::NotFound => not_found(operation),
    })
}

/// An occurrence that was no object when it was read and is one now has changed since.
fn check_still_plain(state: &mut State, shelf: &str, id: &RemoteId, target: &Target) -> Result<(), Error> {
    let conditional = matches!(state.quirks.versions, Versions::Strong | Versions::Second);
    if !conditional || target.id.is_some() || !state.shelf(shelf).objects.contains_key(id) {
        return Ok(());
    }
    let message = "the occurrence was changed since its series was read; nothing was written";
    Err(Error::new(ErrorKind::VersionConflict, "push.update", message).with_status(412))
}

/// A write is refused when the object is not as it was read, as far as the provider can tell.
fn check_version(
    state: &mut State,
    shelf: &str,
    id: &RemoteId,
    target: &Target,
    operation: &'static str,
) -> Result<(), Error> {
    let Some(read) = &target.version else {
        return Ok(());
    };
    let grade = state.quirks.versions;
    let Some(seen) = state.shelf(shelf).objects.get(id) else {
        return Ok(());
    };
    let second = |version: &RemoteVersion| version.0.split('-').next().map(str::to_owned);
    let same = match (grade, &seen.object.version) {
        (Versions::Strong, Some(now)) => now == read,
        (Versions::Second, Some(now)) => second(now) == second(read),
        (Versions::Weak | Versions::None, _) | (Versions::Strong | Versions::Second, None) => true,
    };
    if same {
        return Ok(());
    }
    Err(stale(operation))
}

fn stale(operation: &'static str) -> Error {
    let message = "the object changed since it was read; nothing was written";
    Error::new(ErrorKind::VersionConflict, operation, message).with_status(412)
}

fn not_found(operation: &'static str) -> Error {
    Error::new(ErrorKind::NotFound, operation, "there is no such object").with_status(404)
}

fn exists(operation: &'static str) -> Error {
    let message = "an object with this id exists or existed; nothing was written";
    Error::new(ErrorKind::AlreadyExists, operation, message).with_status(409)
}
