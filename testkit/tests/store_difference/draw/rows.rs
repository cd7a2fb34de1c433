//! Effects on records and links.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::RemoteVersion;
use model::{Content, FieldPath, Kind, LinkId, OrganizationId, RecordId};
use serde_json::{Value, json};
use sync::history::{HistoryAction, HistoryDetail, HistoryEntry};
use sync::ports::Effect;
use sync::state::{Link, LinkState, Origin, Record, RemotePart, Snapshots};

use super::Draw;
use crate::names::{START_MS, part, remote, space, uid};

impl Draw {
    pub(super) fn title(&mut self) -> Value {
        json!(self.of(&["One", "Two", "Größe \u{1F600}"]))
    }

    pub(super) fn content(&mut self) -> Content {
        let mut content = Content::default();
        let title = self.title();
        content.set(&FieldPath::master("title"), Some(title));
        if self.chance(50) {
            let uid = json!(uid(self.below(space::OTHERS)));
            content.set(&FieldPath::master("uid"), Some(uid));
        }
        if self.chance(20) {
            let path = FieldPath {
                part: part(1),
                field: "location".to_owned(),
            };
            content.set(&path, Some(Value::Null));
        }
        content
    }

    /// Whose the row says it is: nearly always the organization's own.
    pub(super) fn owner(&mut self) -> OrganizationId {
        match self.chance(1) {
            true => OrganizationId::new(1, 2),
            false => self.organization.clone(),
        }
    }

    pub(super) fn create_record(&mut self) -> Effect {
        let id = self.record();
        if self.records.contains_key(&id) && self.chance(80) {
            return self.update_record();
        }
        let record = Record {
            id: id.clone(),
            organization: self.owner(),
            kind: Kind::Event,
            version: 1,
            content: self.content(),
            clocks: BTreeMap::new(),
            home: self.chance(50).then(|| self.link()),
            deleted: false,
            merged_into: None,
            created_at: self.moment(),
            updated_at: self.moment(),
        };
        self.records.insert(id, record.clone());
        Effect::CreateRecord(Box::new(record))
    }

    pub(super) fn update_record(&mut self) -> Effect {
        let id = self.record();
        let Some(mut record) = self.records.get(&id).cloned() else {
            return match self.chance(90) {
                true => self.create_record(),
                false => Effect::Touch {
                    record: id,
                    except: None,
                },
            };
        };
        record.version += if self.chance(96) { 1 } else { 2 };
        record.content = self.content();
        record.deleted = self.chance(20);
        record.merged_into = self.chance(10).then(|| self.record());
        record.updated_at = self.moment();
        self.records.insert(id, record.clone());
        Effect::UpdateRecord(Box::new(record))
    }

    /// A link that is there, mostly.
    pub(super) fn some_link(&mut self) -> LinkId {
        let there: Vec<LinkId> = self.links.keys().cloned().collect();
        match there.is_empty() || self.chance(7) {
            true => self.link(),
            false => self.of(&there),
        }
    }

    pub(super) fn create_link(&mut self) -> Effect {
        let id = self.link();
        if self.links.contains_key(&id) && self.chance(90) {
            return self.update_link();
        }
        let there: Vec<RecordId> = self.records.keys().cloned().collect();
        let record = match there.is_empty() || self.chance(5) {
            true => self.record(),
            false => self.of(&there),
        };
        let blank = Link {
            id,
            organization: self.owner(),
            record,
            connection: self.connection(),
            collection: self.collection(),
            kind: Kind::Event,
            revision: 1,
            state: LinkState::Pending,
            parts: BTreeMap::new(),
            snapshots: Snapshots::default(),
            local: Content::default(),
            held: BTreeSet::new(),
            dirty: false,
            removing: false,
            attempts: 0,
            not_before: 0,
            traits: sync::state::Traits::default(),
        };
        let link = self.redrawn(blank);
        self.links.insert(link.id.clone(), link.clone());
        Effect::CreateLink(Box::new(link))
    }

    pub(super) fn update_link(&mut self) -> Effect {
        let id = self.some_link();
        let Some(mut link) = self.links.get(&id).cloned() else {
            return self.create_record();
        };
        link.revision += if self.chance(96) { 1 } else { 2 };
        if self.chance(12) {
            link.record = self.record();
        }
        if self.chance(4) {
            link.collection = self.collection();
        }
        if self.chance(4) {
            link.connection = self.connection();
        }
        let link = self.redrawn(link);
        self.links.insert(id, link.clone());
        Effect::UpdateLink(Box::new(link))
    }

    /// The link with something else in it. Its remote objects are drawn from those of all links, so that they clash;
    /// or two links exchange them, which needs the next effect to fit.
    pub(super) fn redrawn(&mut self, mut link: Link) -> Link {
        link.state = match self.below(3) {
            0 => LinkState::Synced,
            1 => LinkState::Pending,
            _ => LinkState::Rejected {
                reason: "full".to_owned(),
            },
        };
        match self.below(10) {
            0..4 => {}
            4 => link.parts.clear(),
            5 => {
                // The other's, whose turn may come.
                let other = self.some_link();
                if let Some(other) = self.links.get(&other) {
                    link.parts = other.parts.clone();
                }
            }
            _ => {
                let (key, object) = (part(self.below(3)), remote(self.below(space::REMOTES)));
                let version = self
                    .chance(80)
                    .then(|| RemoteVersion(format!("v{}", self.below(9))));
                let raw_outdated = self.chance(20);
                link.parts.insert(
                    key,
                    RemotePart {
                        id: object,
                        version,
                        raw_outdated,
                    },
                );
            }
        }
        link.snapshots.remote = self.content();
        link.snapshots.hub = match self.chance(50) {
            true => link.snapshots.remote.clone(),
            false => self.content(),
        };
        link.held = match self.chance(20) {
            true => BTreeSet::from([FieldPath::master("title")]),
            false => BTreeSet::new(),
        };
        link.dirty = self.chance(50);
        link.removing = self.chance(10);
        link.attempts = self.below(5);
        link.not_before = self.of(&[0, START_MS, START_MS + 50]);
        link
    }

    pub(super) fn drop_link(&mut self) -> Effect {
        let id = self.some_link();
        let revision = self.links.get(&id).map_or(1, |link| link.revision);
        self.links.remove(&id);
        Effect::DropLink {
            link: id,
            revision: if self.chance(95) { revision } else { revision - 1 },
        }
    }

    pub(super) fn touch(&mut self) -> Effect {
        let record = self.record();
        let except = self.chance(60).then(|| self.some_link());
        for link in self.links.values_mut() {
            if link.record == record && Some(&link.id) != except.as_ref() {
                link.revision += 1;
            }
        }
        Effect::Touch { record, except }
    }

    /// Told of a record that is there.
    pub(super) fn history(&mut self) -> Effect {
        let there: Vec<Record> = self.records.values().cloned().collect();
        if there.is_empty() {
            return self.create_record();
        }
        let record = self.of(&there);
        let mut detail = HistoryDetail::by(Origin::Hub);
        detail.after = Some(self.title());
        Effect::History(Box::new(HistoryEntry {
            organization: self.owner(),
            record: record.id,
            version: record.version,
            action: self.of(&[HistoryAction::Updated, HistoryAction::Kept, HistoryAction::Joined]),
            path: self.chance(50).then(|| "title".to_owned()),
            detail,
            at: self.moment(),
        }))
    }
}
