//! What the provider holds: records, the objects they are seen as, and when each object last changed.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use connector_sdk::{Change, Coverage, RemoteId, RemoteObject, RemoteVersion, SeriesModel, SeriesPart};
use model::{Content, EventTime, FieldPath, Fields, Kind, PartKey, series};

/// A record as its calendar's owner thinks of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    /// What it says. An empty override is one that was taken back: its object stays, and says what the series says.
    pub(crate) content: Content,
    /// Cancelled occurrences that the master itself lists (as an iCalendar `EXDATE`); the others are objects.
    pub(crate) listed: BTreeSet<PartKey>,
    /// People whom the connector invited, and the provider was told to leave alone.
    pub(crate) silenced: BTreeSet<String>,
}

impl Record {
    /// Everybody invited to any part.
    pub(crate) fn guests(&self) -> BTreeSet<String> {
        let content = &self.content;
        let parts = std::iter::once(&content.fields).chain(content.overrides.values());
        let people = parts.filter_map(|fields| fields.get("attendees")?.as_array());
        people
            .flatten()
            .filter_map(|person| person.get("address")?.as_str())
            .map(str::to_owned)
            .collect()
    }
}

/// An object as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    pub(crate) record: String,
    pub(crate) part: PartKey,
    pub(crate) series: Option<SeriesPart>,
    pub(crate) content: Content,
    /// The moment of its last change.
    pub(crate) changed: u64,
    /// When each field last changed, those that are gone included.
    pub(crate) touched: BTreeMap<FieldPath, u64>,
}

/// A calendar.
#[derive(Debug)]
pub(crate) struct Collection {
    pub(crate) name: String,
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) objects: BTreeMap<RemoteId, Object>,
    /// Objects that are gone, and since when.
    pub(crate) tombstones: BTreeMap<RemoteId, u64>,
    /// Objects that the connector cannot understand, and why.
    pub(crate) poisoned: BTreeMap<RemoteId, String>,
}

impl Collection {
    pub(crate) fn new(name: String) -> Self {
        Self {
            name,
            records: BTreeMap::new(),
            objects: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            poisoned: BTreeMap::new(),
        }
    }

    /// Makes the objects agree with the record after a change at `now`. Only objects that now say something else
    /// get a new version.
    pub(crate) fn settle(&mut self, id: &str, model: SeriesModel, now: u64) {
        let wanted = self
            .records
            .get(id)
            .map(|record| objects_of(id, record, model))
            .unwrap_or_default();
        let gone: Vec<RemoteId> = self
            .objects
            .iter()
            .filter(|(remote, object)| object.record == id && !wanted.contains_key(*remote))
            .map(|(remote, _)| remote.clone())
            .collect();
        for remote in gone {
            self.objects.remove(&remote);
            self.tombstones.insert(remote, now);
        }
        for (remote, mut object) in wanted {
            let before = self.objects.get(&remote);
            if before.is_some_and(|before| before.content == object.content && before.series == object.series)
            {
                continue;
            }
            object.changed = now;
            object.touch(before, now);
            self.tombstones.remove(&remote);
            self.objects.insert(remote, object);
        }
    }

    /// The present state of one object.
    pub(crate) fn change(&self, id: &RemoteId, versions: bool) -> Change {
        match self.object(id, versions) {
            Some(object) if self.poisoned.contains_key(id) => Change::Unreadable {
                id: object.id,
                version: object.version,
                reason: self.poisoned.get(id).cloned().unwrap_or_default(),
                raw: object.raw,
            },
            Some(object) => Change::Present(Box::new(object)),
            None => Change::Deleted(id.clone()),
        }
    }

    /// What changed of an object since a moment; the whole of its overrides that changed.
    pub(crate) fn sparse(&self, mut whole: RemoteObject, since: u64) -> RemoteObject {
        let Some(object) = self.objects.get(&whole.id) else {
            return whole;
        };
        let changed = object.touched.iter().filter(|(_, when)| **when > since);
        let mut said = Content::default();
        for (path, _) in changed {
            if path.part.is_master() {
                let value = object.content.get(path).cloned().unwrap_or_default();
                said.fields.insert(path.field.clone(), value);
            } else {
                let fields = object.content.overrides.get(&path.part);
                said.overrides
                    .insert(path.part.clone(), fields.cloned().unwrap_or_default());
            }
        }
        whole.raw = serde_json::to_vec(&said).map(Bytes::from).unwrap_or_default();
        whole.content = said;
        whole.coverage = Coverage::Sparse;
        whole
    }

    /// The object as clients see it.
    pub(crate) fn object(&self, id: &RemoteId, versions: bool) -> Option<RemoteObject> {
        let mut object = self.bare(id, versions)?;
        object.raw = serde_json::to_vec(&object.content)
            .map(Bytes::from)
            .unwrap_or_default();
        Some(object)
    }

    /// The object without the form in which it is sent.
    pub(crate) fn bare(&self, id: &RemoteId, versions: bool) -> Option<RemoteObject> {
        let object = self.objects.get(id)?;
        Some(RemoteObject {
            id: id.clone(),
            version: versions.then(|| object.version()),
            kind: Kind::Event,
            series: object.series.clone(),
            coverage: Coverage::Full,
            content: object.content.clone(),
            raw: Bytes::new(),
        })
    }
}

impl Object {
    pub(crate) fn version(&self) -> RemoteVersion {
        RemoteVersion(format!("v{}", self.changed))
    }

    /// Notes which fields changed.
    fn touch(&mut self, before: Option<&Self>, now: u64) {
        let nothing = Content::default();
        let earlier = before.map_or(&nothing, |before| &before.content);
        self.touched = before.map(|before| before.touched.clone()).unwrap_or_default();
        for path in self.content.differences(earlier) {
            self.touched.insert(path, now);
        }
    }
}

/// The objects that a record is laid out as.
fn objects_of(id: &str, record: &Record, model: SeriesModel) -> BTreeMap<RemoteId, Object> {
    let start = series::time_field(&record.content.fields, "start");
    let mut objects = BTreeMap::new();
    let mut master = Content::new(record.content.fields.clone());
    for (key, sparse) in &record.content.overrides {
        let original_start = start
            .as_ref()
            .and_then(|start| EventTime::from_part_key(key, start));
        let listed = match model {
            SeriesModel::PerPart => record.listed.contains(key),
            SeriesModel::Instances => series::is_cancelled(sparse),
            SeriesModel::Whole | SeriesModel::None => true,
        };
        let Some(part) = original_start.filter(|_| !listed) else {
            master.overrides.insert(key.clone(), sparse.clone());
            continue;
        };
        let object = Object {
            record: id.to_owned(),
            part: key.clone(),
            series: Some(SeriesPart {
                series: RemoteId(id.to_owned()),
                original_start: part,
            }),
            content: Content::new(occurrence(&record.content.fields, key, sparse)),
            changed: 0,
            touched: BTreeMap::new(),
        };
        objects.insert(part_id(id, key), object);
    }
    let master = Object {
        record: id.to_owned(),
        part: PartKey::MASTER,
        series: None,
        content: master,
        changed: 0,
        touched: BTreeMap::new(),
    };
    objects.insert(RemoteId(id.to_owned()), master);
    objects
}

fn occurrence(master: &Fields, key: &PartKey, sparse: &Fields) -> Fields {
    if series::is_cancelled(sparse) {
        series::cancelled()
    } else {
        series::full(Kind::Event, master, key, sparse)
    }
}

/// The id of an override's object.
#[must_use]
pub fn part_id(record: &str, key: &PartKey) -> RemoteId {
    let start: String = key.as_str().chars().filter(char::is_ascii_alphanumeric).collect();
    RemoteId(format!("{record}_{start}"))
}
