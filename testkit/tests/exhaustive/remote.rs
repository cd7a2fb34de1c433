//! A provider as a value: the objects of its one calendar, what is gone, and a write that is still on its way.

use std::collections::BTreeMap;

use bytes::Bytes;
use connector_sdk::{
    Access, Action, Applied, Change, Cursor, Error, ErrorKind, Listing, Page, RemoteCollection, RemoteId,
    RemoteObject, RemoteVersion, Target, Write,
};
use model::{Content, FieldPath, Fields, IntentId, Kind};
use serde_json::Value;

/// An object as its owner's calendar program shows it.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) fields: Fields,
    /// The moment of its last change, whoever made it: its version.
    pub(crate) changed: u64,
    /// The moment of the last edit by another client than the hub.
    pub(crate) edited: u64,
    /// The moment of the last write by the hub.
    pub(crate) written: u64,
    /// The last moment of which an answer told the hub.
    pub(crate) shown: u64,
}

/// A provider with versions, conditional writes, ids chosen by the client, deltas and tombstones.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    pub(crate) objects: BTreeMap<RemoteId, Object>,
    pub(crate) gone: BTreeMap<RemoteId, u64>,
    pub(crate) clock: u64,
    /// Cursors of another epoch have expired.
    pub(crate) epoch: u64,
    /// A write whose sender gave up waiting: it takes effect later, or never.
    pub(crate) in_flight: Option<Write>,
    /// Writes of the hub that took effect.
    pub(crate) writes: u32,
    /// Set when a write took effect over an edit that the hub was never shown (invariant 9).
    pub(crate) overwrote_unseen: bool,
}

impl Remote {
    pub(crate) const fn empty() -> Self {
        Self {
            objects: BTreeMap::new(),
            gone: BTreeMap::new(),
            clock: 0,
            epoch: 1,
            in_flight: None,
            writes: 0,
            overwrote_unseen: false,
        }
    }

    /// Another client makes an object.
    pub(crate) fn put(&mut self, id: &str, fields: Fields) {
        self.clock += 1;
        let object = Object {
            fields,
            changed: self.clock,
            edited: self.clock,
            written: 0,
            shown: 0,
        };
        self.objects.insert(RemoteId(id.to_owned()), object);
    }

    /// Another client edits the object.
    pub(crate) fn edit(&mut self, id: &RemoteId, field: &str, value: Value) {
        self.clock += 1;
        let now = self.clock;
        if let Some(object) = self.objects.get_mut(id) {
            object.fields.insert(field.to_owned(), value);
            object.changed = now;
            object.edited = now;
        }
    }

    /// Another client deletes the object.
    pub(crate) fn delete(&mut self, id: &RemoteId) {
        self.clock += 1;
        self.objects.remove(id);
        self.gone.insert(id.clone(), self.clock);
    }

    /// Everything, or what changed since the cursor, in one page.
    pub(crate) fn page(&mut self, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let since = match cursor.map(|cursor| cursor.0.split_once(':')) {
            None => None,
            Some(Some((epoch, clock))) if epoch == self.epoch.to_string() => clock.parse::<u64>().ok(),
            Some(_) => return Err(refused(ErrorKind::CursorExpired, "pull")),
        };
        let changed: Vec<RemoteId> = self
            .objects
            .iter()
            .filter(|(_, object)| since.is_none_or(|since| object.changed > since))
            .map(|(id, _)| id.clone())
            .collect();
        let gone = self
            .gone
            .iter()
            .filter(|(_, at)| since.is_some_and(|since| **at > since));
        let tombstones: Vec<RemoteId> = gone.map(|(id, _)| id.clone()).collect();
        let changes = changed
            .iter()
            .chain(&tombstones)
            .map(|id| self.show(id))
            .collect();
        Ok(Page {
            changes,
            cursor: Some(Cursor(format!("{}:{}", self.epoch, self.clock))),
            listing: if since.is_some() {
                Listing::Delta
            } else {
                Listing::Complete
            },
        })
    }

    /// The object as it is now. Whoever asks has seen it.
    pub(crate) fn show(&mut self, id: &RemoteId) -> Change {
        match self.object(id) {
            Some(object) => {
                if let Some(held) = self.objects.get_mut(id) {
                    held.shown = held.changed;
                }
                Change::Present(Box::new(object))
            }
            None => Change::Deleted(id.clone()),
        }
    }

    fn object(&self, id: &RemoteId) -> Option<RemoteObject> {
        let object = self.objects.get(id)?;
        Some(RemoteObject {
            id: id.clone(),
            version: Some(version(object)),
            kind: Kind::Event,
            series: None,
            content: Content::new(object.fields.clone()),
            coverage: connector_sdk::Coverage::Full,
            raw: Bytes::new(),
        })
    }

    /// Carries out a write. Nobody has seen the answer yet.
    pub(crate) fn apply(&mut self, write: &Write) -> Result<Applied, Error> {
        match &write.action {
            Action::Create { content } => {
                let id = created_id(&write.intent);
                if self.objects.contains_key(&id) || self.gone.contains_key(&id) {
                    return Err(refused(ErrorKind::AlreadyExists, "push.create"));
                }
                self.put(&id.0, content.fields.clone());
                if let Some(object) = self.objects.get_mut(&id) {
                    object.edited = 0;
                }
                self.took_effect(&id)
            }
            Action::Update {
                target,
                content,
                changed,
            } => {
                let id = self.conditional(target, "push.update")?;
                for path in changed {
                    self.write_field(&id, path, content.get(path).cloned());
                }
                self.took_effect(&id)
            }
            Action::Delete { target } => {
                if target.id.as_ref().is_none_or(|id| !self.objects.contains_key(id)) {
                    return Ok(Applied::Gone);
                }
                let id = self.conditional(target, "push.delete")?;
                self.delete(&id);
                self.writes += 1;
                Ok(Applied::Gone)
            }
        }
    }

    /// The target, if it is as the hub last read it. A write without a version is unconditional.
    fn conditional(&mut self, target: &Target, operation: &'static str) -> Result<RemoteId, Error> {
        let id = target
            .id
            .clone()
            .ok_or_else(|| refused(ErrorKind::Invalid, operation))?;
        let object = self
            .objects
            .get(&id)
            .ok_or_else(|| refused(ErrorKind::NotFound, operation))?;
        if target
            .version
            .as_ref()
            .is_some_and(|read| *read != version(object))
        {
            return Err(refused(ErrorKind::VersionConflict, operation));
        }
        self.overwrote_unseen |= object.edited > object.shown;
        Ok(id)
    }

    fn write_field(&mut self, id: &RemoteId, path: &FieldPath, value: Option<Value>) {
        if let Some(object) = self.objects.get_mut(id) {
            match value {
                Some(value) => object.fields.insert(path.field.clone(), value),
                None => object.fields.remove(&path.field),
            };
        }
    }

    fn took_effect(&mut self, id: &RemoteId) -> Result<Applied, Error> {
        self.writes += 1;
        self.clock += 1;
        let now = self.clock;
        if let Some(object) = self.objects.get_mut(id) {
            object.changed = now;
            object.written = now;
        }
        let object = self
            .object(id)
            .ok_or_else(|| refused(ErrorKind::NotFound, "push"))?;
        Ok(Applied::Stored(Box::new(object)))
    }
}

/// The id of the object that an intent creates.
pub(crate) fn created_id(intent: &IntentId) -> RemoteId {
    RemoteId(format!("made-{intent}"))
}

pub(crate) fn version(object: &Object) -> RemoteVersion {
    RemoteVersion(object.changed.to_string())
}

pub(crate) fn refused(kind: ErrorKind, operation: &'static str) -> Error {
    Error::new(kind, operation, format!("the provider answers: {}", kind.name()))
}

/// The calendar as the connector lists it.
pub(crate) fn calendar() -> RemoteCollection {
    RemoteCollection {
        id: RemoteId("cal".to_owned()),
        kind: Kind::Event,
        name: "Calendar".to_owned(),
        access: Access::ReadWrite,
        fields: Fields::new(),
    }
}
