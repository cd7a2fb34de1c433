//! Writing: one request per write, conditional on the etag that was read, and nobody is mailed.
//! <https://developers.google.com/workspace/calendar/api/v3/reference/events/patch>

use std::collections::BTreeSet;

use async_trait::async_trait;
use connector_sdk::{
    Action, Applied, Change, Context, Error, ErrorKind, Push, RemoteCollection, RemoteId, RemoteVersion,
    SeriesPart, Target, Write,
};
use http::Method;
use mapping::MappingError;
use model::{Content, FieldPath, Kind, PartKey, series};
use serde_json::{Map, Value, json};

use crate::api::{Api, Body};
use crate::connector::{GoogleConnector, zone_of};
use crate::ids::created_id;
use crate::instances;
use crate::object::stored;
use crate::pull::{check_calendar, get_event};

/// The record as it shall be, as far as one write is about it.
struct Wanted<'a> {
    content: &'a Content,
    part: &'a PartKey,
    changed: &'a BTreeSet<FieldPath>,
}

#[async_trait]
impl Push for GoogleConnector {
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

    async fn probe(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        write: &Write,
    ) -> Result<Option<Applied>, Error> {
        let api = Api::new(ctx, "probe");
        let id = RemoteId(created_id(&write.intent));
        match get_event(&api, collection, &id).await? {
            Some(Change::Present(object)) => Ok(Some(Applied::Stored(object))),
            // It was made and deleted since. Its id is spent: another create of this intent is `AlreadyExists`.
            Some(Change::Deleted(_)) => Ok(Some(Applied::Gone)),
            Some(Change::Unreadable { reason, .. }) => Err(api.error(
                ErrorKind::Unexpected,
                format!("the event was created and cannot be read: {reason}"),
            )),
            Some(Change::Unchanged(_)) | None => {
                check_calendar(&api, collection).await?;
                Ok(None)
            }
        }
    }
}

async fn apply_one(ctx: &Context, collection: &RemoteCollection, write: &Write) -> Result<Applied, Error> {
    match &write.action {
        Action::Create { content } => {
            let api = Api::new(ctx, "push.create");
            create(&api, collection, write, content).await
        }
        Action::Update {
            target,
            content,
            changed,
        } => {
            let api = Api::new(ctx, "push.update");
            let wanted = Wanted {
                content,
                part: &write.part,
                changed,
            };
            match (&target.id, &target.series) {
                (Some(id), _) => update(&api, collection, id, target, &wanted).await,
                (None, Some(part)) => update_occurrence(&api, collection, part, target, &wanted).await,
                (None, None) => {
                    Err(api.error(ErrorKind::Invalid, "the target has neither an id nor a series"))
                }
            }
        }
        Action::Delete { target } => {
            let api = Api::new(ctx, "push.delete");
            delete(&api, collection, target).await
        }
    }
}

/// Inserts the master. Its id is the intent's: "only one of id and iCalUID should be supplied at event creation
/// time", so the source's UID is kept in a private extended property by the mapping.
async fn create(
    api: &Api<'_>,
    collection: &RemoteCollection,
    write: &Write,
    content: &Content,
) -> Result<Applied, Error> {
    let body = mapping::google::insert(content, &write.part, zone_of(collection));
    let mut body = body.map_err(|error| unmappable(api, &error))?;
    body["id"] = Value::from(created_id(&write.intent));
    let url = api.url(&["calendars", &collection.id.0, "events"], &[])?;
    let body = Body {
        json: &body,
        only_if: None,
    };
    let raw = api.write(Method::POST, url, body).await?;
    stored("push.create", collection, &raw)
}

async fn update(
    api: &Api<'_>,
    collection: &RemoteCollection,
    id: &RemoteId,
    target: &Target,
    wanted: &Wanted<'_>,
) -> Result<Applied, Error> {
    let raw: Option<Value> = match &target.raw {
        Some(raw) => serde_json::from_slice(raw).ok(),
        None => None,
    };
    patch(api, collection, id, raw.as_ref(), target.version.as_ref(), wanted).await
}

/// Writes an occurrence that was no object of the hub's so far.
async fn update_occurrence(
    api: &Api<'_>,
    collection: &RemoteCollection,
    part: &SeriesPart,
    target: &Target,
    wanted: &Wanted<'_>,
) -> Result<Applied, Error> {
    let found = instances::find(api, collection, part, wanted.part).await?;
    if !found.is_implied() {
        return Err(api.error(
            ErrorKind::VersionConflict,
            "someone changed this occurrence since its series was read; nothing was written",
        ));
    }
    let version = target.version.clone().or_else(|| found.version());
    let id = found.id(api)?;
    patch(api, collection, &id, Some(&found.event), version.as_ref(), wanted).await
}

async fn patch(
    api: &Api<'_>,
    collection: &RemoteCollection,
    id: &RemoteId,
    before: Option<&Value>,
    version: Option<&RemoteVersion>,
    wanted: &Wanted<'_>,
) -> Result<Applied, Error> {
    let body = wanted.body(before, zone_of(collection));
    let body = body.map_err(|error| unmappable(api, &error))?;
    if body.as_object().is_none_or(Map::is_empty) {
        // Nothing that Google holds would change.
        return match get_event(api, collection, id).await? {
            Some(Change::Present(object)) => Ok(Applied::Stored(object)),
            Some(Change::Deleted(_) | Change::Unchanged(_) | Change::Unreadable { .. }) | None => {
                Err(api.error(ErrorKind::NotFound, "the event is not there any more"))
            }
        };
    }
    let url = api.url(&["calendars", &collection.id.0, "events", &id.0], &[])?;
    let body = Body {
        json: &body,
        only_if: version,
    };
    let raw = api.write(Method::PATCH, url, body).await?;
    stored("push.update", collection, &raw)
}

impl Wanted<'_> {
    /// The fields to send and nothing else: PATCH leaves the others alone.
    fn body(&self, before: Option<&Value>, zone: &str) -> Result<Value, MappingError> {
        let own = self.content.overrides.get(self.part);
        if !self.part.is_master() && own.is_some_and(series::is_cancelled) {
            // "To delete a single instance, [...] set its status to cancelled": answered with the new etag, which
            // DELETE is not. https://developers.google.com/workspace/calendar/api/guides/recurringevents
            return Ok(json!({"status": "cancelled"}));
        }
        let mut names: BTreeSet<String> = BTreeSet::new();
        for path in self.changed {
            if path.part == *self.part {
                names.insert(path.field.clone());
            } else if self.part.is_master() {
                // A cancelled occurrence that the master itself lists: an EXDATE line.
                names.insert("recurrence".to_owned());
            }
        }
        let was_cancelled = before
            .and_then(|event| event.get("status"))
            .and_then(Value::as_str);
        if !self.part.is_master() && was_cancelled == Some("cancelled") {
            // What a cancelled occurrence says beside its status is not known: all of it is said anew.
            let schema = Kind::Event.schema();
            let supported = mapping::google::support()
                .iter()
                .filter(|support| support.writable);
            let own =
                supported.filter(|support| schema.field(support.field).is_some_and(|spec| spec.in_override));
            names.extend(own.map(|support| support.field.to_owned()));
        }
        mapping::google::patch(before, self.content, self.part, &names, zone)
    }
}

async fn delete(api: &Api<'_>, collection: &RemoteCollection, target: &Target) -> Result<Applied, Error> {
    let Some(id) = &target.id else {
        return Ok(Applied::Gone);
    };
    let url = api.url(&["calendars", &collection.id.0, "events", &id.0], &[])?;
    match api.delete(url, target.version.as_ref()).await {
        Ok(()) => Ok(Applied::Gone),
        Err(error) if error.status == Some(410) => Ok(Applied::Gone),
        Err(error) if error.kind == ErrorKind::NotFound => {
            check_calendar(api, collection).await?;
            Ok(Applied::Gone)
        }
        Err(error) => Err(error),
    }
}

/// A record that Google's event cannot express is refused before anything is sent.
fn unmappable(api: &Api<'_>, error: &MappingError) -> Error {
    api.error(ErrorKind::Invalid, error.to_string())
}
