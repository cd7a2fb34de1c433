//! Writes: PUT and DELETE of whole objects, conditional on the version that was read wherever there is one.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{
    Action, Applied, Change, Context, Coverage, Error, ErrorKind, HttpResponse, Push, RemoteCollection,
    RemoteId, RemoteObject, RemoteVersion, Target, Write,
};
use mapping::ical::Stamp;
use model::{Content, FieldPath, IntentId, Kind};
use serde_json::Value;

use crate::dav::{Ask, Dav};
use crate::errors;
use crate::hrefs::Collection;
use crate::multiget::{self, hashed, is_etag};
use crate::scheduling;

#[derive(Debug)]
pub(crate) struct CaldavPush;

#[async_trait]
impl Push for CaldavPush {
    async fn apply(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        writes: &[Write],
    ) -> Vec<Result<Applied, Error>> {
        let mut outcomes = Vec::with_capacity(writes.len());
        for write in writes {
            outcomes.push(apply_one(ctx, collection, write).await);
        }
        outcomes
    }

    /// What the object says now decides, not what is to be written: people who are new are marked.
    async fn notified(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Vec<String>, Error> {
        let dav = Dav::new(ctx, "notified");
        let place = Collection::new(&ctx.base_url, &collection.id, dav.operation)?;
        let target = match &write.action {
            Action::Create { .. } => return Ok(Vec::new()),
            Action::Update { target, .. } | Action::Delete { target } => target,
        };
        if let Some(raw) = &target.raw {
            return scheduling::mailed(&dav, &place, raw).await;
        }
        match current(&dav, &place, &named(&dav, target)?).await? {
            Current::There(object) => scheduling::mailed(&dav, &place, &object.raw).await,
            Current::Gone => Ok(Vec::new()),
        }
    }

    /// The id of a created object follows from its intent, so one look tells.
    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let dav = Dav::new(ctx, "probe");
        let place = Collection::new(&ctx.base_url, &collection.id, dav.operation)?;
        let id = created_id(&place, &write.intent);
        Ok(match current(&dav, &place, &id).await? {
            Current::There(object) => Some(Applied::Stored(object)),
            // Nothing tells what was deleted from what never was.
            Current::Gone => None,
        })
    }
}

async fn apply_one(ctx: &Context, collection: &RemoteCollection, write: &Write) -> Result<Applied, Error> {
    let operation = match &write.action {
        Action::Create { .. } => "push.create",
        Action::Update { .. } => "push.update",
        Action::Delete { .. } => "push.delete",
    };
    let dav = Dav::new(ctx, operation);
    if write.kind != Kind::Event {
        return Err(dav.error(ErrorKind::Unsupported, "a CalDAV calendar holds events only"));
    }
    let place = Collection::new(&ctx.base_url, &collection.id, operation)?;
    match &write.action {
        Action::Create { content } => create(&dav, &place, &write.intent, content).await,
        Action::Update {
            target,
            content,
            changed,
        } => update(&dav, &place, target, content, changed).await,
        Action::Delete { target } => delete(&dav, &place, target).await,
    }
}

fn stamp(ctx: &Context) -> Stamp {
    Stamp { now: ctx.clock.now() }
}

fn unwritable(dav: &Dav<'_>, error: mapping::MappingError) -> Error {
    dav.error(ErrorKind::Invalid, error.to_string())
        .with_source(error)
}

fn created_id(place: &Collection, intent: &IntentId) -> RemoteId {
    place.member_named(&format!("{}.ics", intent.as_str().to_ascii_lowercase()))
}

async fn update(
    dav: &Dav<'_>,
    place: &Collection,
    target: &Target,
    content: &Content,
    changed: &BTreeSet<FieldPath>,
) -> Result<Applied, Error> {
    let (id, base) = basis(dav, place, target).await?;
    let text = mapping::ical::write(Some(&base.raw), content, changed, stamp(dav.ctx))
        .map_err(|error| unwritable(dav, error))?;
    if text == base.raw {
        // It says what is wanted already: nothing is sent, and what is there is told.
        return match current(dav, place, &id).await? {
            Current::There(object) if is_still(target, &object) => Ok(Applied::Stored(object)),
            Current::There(_) => Err(changed_since(dav)),
            Current::Gone => Err(no_longer_there(dav)),
        };
    }
    let text = scheduling::silenced(dav, place, text, Some(&base.raw)).await?;
    put(dav, place, id, text, base.condition()).await
}

fn changed_since(dav: &Dav<'_>) -> Error {
    dav.error(ErrorKind::VersionConflict, "the object changed since it was read")
}

fn no_longer_there(dav: &Dav<'_>) -> Error {
    dav.error(ErrorKind::NotFound, "the object is no longer there")
}

async fn create(
    dav: &Dav<'_>,
    place: &Collection,
    intent: &IntentId,
    content: &Content,
) -> Result<Applied, Error> {
    let mut content = content.clone();
    content
        .fields
        .entry("uid".to_owned())
        .or_insert_with(|| Value::from(intent.as_str()));
    let every = content.paths().collect();
    let text = mapping::ical::write(None, &content, &every, stamp(dav.ctx))
        .map_err(|error| unwritable(dav, error))?;
    let text = scheduling::silenced(dav, place, text, None).await?;
    put(dav, place, created_id(place, intent), text, Condition::Absent).await
}

/// On what a write depends.
enum Condition {
    /// Nothing is there yet.
    Absent,
    /// This version is there.
    Version(RemoteVersion),
    /// Nothing that the server could check; it was looked at just before.
    Nothing,
}

/// What an update starts from.
struct Basis {
    raw: Bytes,
    version: Option<RemoteVersion>,
}

impl Basis {
    fn condition(self) -> Condition {
        self.version.map_or(Condition::Nothing, Condition::Version)
    }
}

/// The object as last seen. Where the server has no versions, or the object's text is not at hand, it is read now
/// and must still be what the hub saw.
async fn basis(dav: &Dav<'_>, place: &Collection, target: &Target) -> Result<(RemoteId, Basis), Error> {
    let id = named(dav, target)?;
    let version = target.version.clone().filter(is_etag);
    if let (Some(raw), Some(_)) = (&target.raw, &version) {
        return Ok((
            id,
            Basis {
                raw: raw.clone(),
                version,
            },
        ));
    }
    let Current::There(object) = current(dav, place, &id).await? else {
        return Err(no_longer_there(dav));
    };
    if !is_still(target, &object) {
        return Err(changed_since(dav));
    }
    let raw = target.raw.clone().unwrap_or(object.raw);
    Ok((
        id,
        Basis {
            raw,
            version: object.version.filter(is_etag),
        },
    ))
}

fn is_still(target: &Target, object: &RemoteObject) -> bool {
    match (&target.version, &target.raw) {
        (Some(version), _) if is_etag(version) => object.version.as_ref() == Some(version),
        (Some(version), _) => *version == hashed(&object.raw),
        (None, Some(raw)) => *raw == object.raw,
        (None, None) => true,
    }
}

fn named(dav: &Dav<'_>, target: &Target) -> Result<RemoteId, Error> {
    target.id.clone().ok_or_else(|| {
        let message = "CalDAV keeps a series in one object: an override has no object of its own";
        dav.error(ErrorKind::Invalid, message)
    })
}

enum Current {
    There(Box<RemoteObject>),
    Gone,
}

/// The object as the server holds it now.
async fn current(dav: &Dav<'_>, place: &Collection, id: &RemoteId) -> Result<Current, Error> {
    let ids = std::slice::from_ref(id);
    match multiget::fetch(dav.ctx, dav.operation, place, ids).await?.pop() {
        Some(Change::Present(object)) => Ok(Current::There(object)),
        Some(Change::Deleted(_)) => Ok(Current::Gone),
        Some(Change::Unreadable { reason, .. }) => Err(dav.error(ErrorKind::Unexpected, reason)),
        Some(Change::Unchanged(_)) | None => {
            Err(dav.error(ErrorKind::Unexpected, "the server says nothing about the object"))
        }
    }
}

async fn put(
    dav: &Dav<'_>,
    place: &Collection,
    id: RemoteId,
    text: Vec<u8>,
    condition: Condition,
) -> Result<Applied, Error> {
    let body = Bytes::from(text);
    // What cannot be read back is not written.
    let content = mapping::ical::read(&body).map_err(|error| unwritable(dav, error))?;
    let mut url = place.url.clone();
    url.set_path(place.href(&id));
    let mut headers = vec![("content-type", "text/calendar; charset=utf-8")];
    match &condition {
        Condition::Absent => headers.push(("if-none-match", "*")),
        Condition::Version(version) => headers.push(("if-match", &version.0)),
        Condition::Nothing => {}
    }
    let ask = Ask {
        method: "PUT",
        url: &url,
        headers: &headers,
        body: body.clone(),
    };
    let answer = dav.send(ask).await?;
    match (answer.status.as_u16(), condition) {
        (200..=299, _) => match strong_etag(dav, &answer) {
            Some(version) => Ok(Applied::Stored(Box::new(RemoteObject {
                id,
                version: Some(version),
                kind: Kind::Event,
                series: None,
                coverage: Coverage::Full,
                content,
                raw: body,
            }))),
            None => read_back(dav, place, &id).await,
        },
        (412, Condition::Absent) => Err(dav
            .error(ErrorKind::AlreadyExists, "the object is there already")
            .with_status(412)),
        _ => Err(errors::refused(dav.operation, &answer)),
    }
}

/// With a strong etag the object is stored as it was sent (RFC 4791 section 5.3.4); without one it is read back.
/// `read_back: true` in the connection's settings is for servers that rewrite and send an etag all the same.
fn strong_etag(dav: &Dav<'_>, answer: &HttpResponse) -> Option<RemoteVersion> {
    let always = dav.ctx.config.get("read_back").and_then(Value::as_bool);
    let etag = answer.header("etag").map(str::trim)?;
    let is_strong = etag.len() > 2 && etag.starts_with('"');
    (is_strong && always != Some(true)).then(|| RemoteVersion(etag.to_owned()))
}

/// What the server made of a write. The write took effect: whatever goes wrong now leaves it in doubt.
async fn read_back(dav: &Dav<'_>, place: &Collection, id: &RemoteId) -> Result<Applied, Error> {
    match current(dav, place, id).await {
        Ok(Current::There(object)) => Ok(Applied::Stored(object)),
        Ok(Current::Gone) => {
            let message = "the server said that it stored the object and does not have it";
            Err(dav.error(ErrorKind::Unexpected, message))
        }
        Err(error) if error.is_doubtful() => Err(error),
        Err(error) => {
            let message = format!(
                "the object was written and could not be read back: {}",
                error.message
            );
            Err(dav
                .error(ErrorKind::Unavailable, message)
                .with_retry(error.retry)
                .with_source(error))
        }
    }
}

async fn delete(dav: &Dav<'_>, place: &Collection, target: &Target) -> Result<Applied, Error> {
    let id = named(dav, target)?;
    let version = target.version.clone().filter(is_etag);
    if version.is_none() {
        match current(dav, place, &id).await? {
            Current::Gone => return Ok(Applied::Gone),
            Current::There(object) if !is_still(target, &object) => {
                return Err(changed_since(dav));
            }
            Current::There(_) => {}
        }
    }
    let mut url = place.url.clone();
    url.set_path(place.href(&id));
    // An attendee who deletes an event would otherwise decline it by mail (RFC 6638 section 8.1).
    let mut headers = vec![("schedule-reply", "F")];
    if let Some(version) = &version {
        headers.push(("if-match", &version.0));
    }
    let ask = Ask {
        method: "DELETE",
        url: &url,
        headers: &headers,
        body: Bytes::new(),
    };
    let answer = dav.send(ask).await?;
    match answer.status.as_u16() {
        200..=299 | 404 | 410 => Ok(Applied::Gone),
        // What is not there has no version either.
        412 if matches!(current(dav, place, &id).await, Ok(Current::Gone)) => Ok(Applied::Gone),
        _ => Err(errors::refused(dav.operation, &answer)),
    }
}
