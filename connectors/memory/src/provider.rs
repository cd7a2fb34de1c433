//! The provider and the handle on it: what other clients do there, what is counted, what goes wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_sdk::{
    Access, Error, ErrorKind, Notifies, RemoteCollection, RemoteId, RemoteObject, RemoteVersion, SeriesModel,
    WebhookProof,
};
use model::{Content, Fields, Kind, PartKey, series};
use url::Url;

use crate::fault::{Fault, Operation, When};
use crate::state::{Collection, Record};

/// What sort of provider it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How series are laid out.
    pub series: SeriesModel,
    /// Objects per page.
    pub page_size: usize,
    /// Whether objects have versions, so that writes can be conditional.
    pub versions: bool,
    /// Whether it can tell what changed since a cursor.
    pub incremental: bool,
    /// Whether its deltas name what was deleted.
    pub reports_deletes: bool,
    /// Whether its deltas say of an object only what changed of it.
    pub sparse_deltas: bool,
    /// How its deliveries are proven.
    pub webhook: WebhookProof,
    /// Whether it mails the people invited when an event of theirs is written.
    pub notifies: Notifies,
}

impl Options {
    /// One object per series, everything else as one would wish.
    pub const WHOLE: Self = Self {
        series: SeriesModel::Whole,
        page_size: 100,
        versions: true,
        incremental: true,
        reports_deletes: true,
        sparse_deltas: false,
        webhook: WebhookProof::Signed,
        notifies: Notifies::Never,
    };

    /// One object per master and override, everything else as one would wish.
    pub const PER_PART: Self = Self {
        series: SeriesModel::PerPart,
        ..Self::WHOLE
    };

    /// One object per master and changed occurrence, and none for a cancelled one; everything else as one would wish.
    pub const INSTANCES: Self = Self {
        series: SeriesModel::Instances,
        ..Self::WHOLE
    };
}

/// What the provider makes of the content that the connector writes.
type Rewrite = Box<dyn Fn(&mut Content) + Send>;
type Hook = Box<dyn FnOnce(&MemoryProvider) + Send>;

pub(crate) struct State {
    pub(crate) options: Options,
    pub(crate) collections: BTreeMap<String, Collection>,
    /// Counts changes; the present end of history.
    pub(crate) clock: u64,
    /// Cursors of another epoch have expired.
    pub(crate) epoch: u64,
    revoked: bool,
    writes: usize,
    reads: usize,
    pub(crate) mails: usize,
    faults: Vec<Fault>,
    before_write: Option<Hook>,
    before_page: Option<Hook>,
    pub(crate) rewrite: Option<Rewrite>,
    /// Standing orders for deliveries: where to, and until when.
    pub(crate) subscriptions: BTreeMap<String, (Url, i64)>,
}

/// A provider in memory. Clones share it.
#[derive(Clone)]
pub struct MemoryProvider {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for MemoryProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryProvider")
            .field("options", &self.options())
            .finish_non_exhaustive()
    }
}

impl MemoryProvider {
    /// An empty provider.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let state = State {
            options,
            collections: BTreeMap::new(),
            clock: 0,
            epoch: 1,
            revoked: false,
            writes: 0,
            reads: 0,
            mails: 0,
            faults: Vec::new(),
            before_write: None,
            before_page: None,
            rewrite: None,
            subscriptions: BTreeMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// What sort of provider it is.
    #[must_use]
    pub fn options(&self) -> Options {
        self.lock().options
    }

    /// Adds a calendar.
    pub fn add_collection(&self, id: &str, name: &str) -> RemoteCollection {
        let mut state = self.lock();
        state
            .collections
            .entry(id.to_owned())
            .or_insert_with(|| Collection::new(name.to_owned()));
        remote_collection(id, name)
    }

    /// Another client stores a record, new or in the place of the one with this id. Its overrides become objects
    /// of their own where the provider is so.
    pub fn put(&self, collection: &str, id: &str, content: Content) {
        self.change(collection, id, |record| {
            *record = Record {
                content,
                ..Record::default()
            };
        });
    }

    /// Another client changes a record; `false` when it is not there.
    pub fn edit(&self, collection: &str, id: &str, edit: impl FnOnce(&mut Content)) -> bool {
        let there = self.content(collection, id).is_some();
        if there {
            self.change(collection, id, |record| edit(&mut record.content));
        }
        there
    }

    /// Another client sets fields of a record's master; `null` removes.
    pub fn set(&self, collection: &str, id: &str, fields: Fields) -> bool {
        self.edit(collection, id, |content| {
            for (name, value) in fields {
                content.set(&model::FieldPath::master(name), Some(value));
            }
        })
    }

    /// Another client deletes a record with all its overrides; `false` when it is not there.
    pub fn delete(&self, collection: &str, id: &str) -> bool {
        let mut state = self.lock();
        let there = state
            .collections
            .get_mut(collection)
            .is_some_and(|collection| collection.records.remove(id).is_some());
        if there {
            state.settle(collection, id);
        }
        there
    }

    /// From now on the connector does not understand an object, for this reason; `None`: it does again. Its version
    /// stays the same.
    pub fn poison(&self, collection: &str, object: &RemoteId, reason: Option<&str>) {
        if let Some(collection) = self.lock().collections.get_mut(collection) {
            match reason {
                Some(reason) => collection.poisoned.insert(object.clone(), reason.to_owned()),
                None => collection.poisoned.remove(object),
            };
        }
    }

    /// What a record says.
    #[must_use]
    pub fn content(&self, collection: &str, id: &str) -> Option<Content> {
        let state = self.lock();
        state.collections.get(collection)?.records.get(id).map(visible)
    }

    /// The ids of a collection's records, in order.
    #[must_use]
    pub fn records(&self, collection: &str) -> Vec<String> {
        let state = self.lock();
        let held = state.collections.get(collection);
        held.into_iter()
            .flat_map(|held| held.records.keys().cloned())
            .collect()
    }

    /// What all records of a collection say, by id.
    #[must_use]
    pub fn contents(&self, collection: &str) -> BTreeMap<String, Content> {
        let state = self.lock();
        let records = state
            .collections
            .get(collection)
            .map(|collection| &collection.records);
        records
            .into_iter()
            .flatten()
            .map(|(id, record)| (id.clone(), visible(record)))
            .collect()
    }

    /// The objects that a record is laid out as, as clients see them but for their raw form.
    #[must_use]
    pub fn objects(&self, collection: &str, record: &str) -> Vec<RemoteObject> {
        let state = self.lock();
        let Some(held) = state.collections.get(collection) else {
            return Vec::new();
        };
        let ids = held.objects.iter().filter(|(_, object)| object.record == record);
        ids.filter_map(|(id, _)| held.bare(id, true)).collect()
    }

    /// The version of an object; `None` when it is not there.
    #[must_use]
    pub fn version(&self, collection: &str, object: &RemoteId) -> Option<RemoteVersion> {
        let state = self.lock();
        let object = state.collections.get(collection)?.objects.get(object)?;
        Some(object.version())
    }

    /// All cursors given out so far stop working.
    pub fn expire_cursors(&self) {
        self.lock().epoch += 1;
    }

    /// From now on nobody is let in.
    pub fn revoke(&self) {
        self.lock().revoked = true;
    }

    /// Lets everybody in again.
    pub fn restore(&self) {
        self.lock().revoked = false;
    }

    /// Writes that took effect for the connector, those of other clients not counted.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.lock().writes
    }

    /// Mails that the connector's writes sent to people invited.
    #[must_use]
    pub fn mails(&self) -> usize {
        self.lock().mails
    }

    /// Pages, fetches, probes and lists of collections that were answered.
    #[must_use]
    pub fn reads(&self) -> usize {
        self.lock().reads
    }

    /// Makes a call to come fail.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Runs just before the connector's next write: another client that gets in first.
    pub fn before_next_write(&self, hook: impl FnOnce(&Self) + Send + 'static) {
        self.lock().before_write = Some(Box::new(hook));
    }

    /// Rewrites what the connector writes from now on, before the write is answered.
    pub fn rewrite_writes(&self, rewrite: impl Fn(&mut Content) + Send + 'static) {
        self.lock().rewrite = Some(Box::new(rewrite));
    }

    /// Runs just before the next page is read: what happens between a probe and a pull.
    pub fn before_next_page(&self, hook: impl FnOnce(&Self) + Send + 'static) {
        self.lock().before_page = Some(Box::new(hook));
    }

    /// Where deliveries were ordered to, by subscription.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeMap<String, Url> {
        let state = self.lock();
        let held = state.subscriptions.iter();
        held.map(|(id, (url, _))| (id.clone(), url.clone())).collect()
    }

    /// Loses all subscriptions without a word.
    pub fn forget_subscriptions(&self) {
        self.lock().subscriptions.clear();
    }

    /// What a delivery says of an object as it is now, for [`crate::delivery::body`]. Each call has a greater ordering key.
    pub fn observation(&self, collection: &str, object: &RemoteId) -> serde_json::Value {
        let mut state = self.lock();
        state.clock += 1;
        let (order, versions) = (state.clock, state.options.versions);
        let held = state.collections.get(collection);
        match held.and_then(|held| held.bare(object, versions)) {
            Some(object) => serde_json::json!({
                "collection": collection, "order": order,
                "object": {"id": object.id, "version": object.version, "content": object.content},
            }),
            None => serde_json::json!({"collection": collection, "order": order, "deleted": object}),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a read.
    pub(crate) fn read<T>(
        &self,
        operation: Operation,
        name: &'static str,
        answer: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let hook = match operation {
            Operation::Page => self.lock().before_page.take(),
            Operation::Collections | Operation::Fetch | Operation::Write | Operation::Probe => None,
        };
        if let Some(hook) = hook {
            hook(self);
        }
        let mut state = self.lock();
        state.admit(name)?;
        if let Some(fault) = state.fault(operation) {
            return Err(failed(fault.kind, name));
        }
        state.reads += 1;
        answer(&mut state)
    }

    /// Carries out a write.
    pub(crate) fn write<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let hook = self.lock().before_write.take();
        if let Some(hook) = hook {
            hook(self);
        }
        let mut state = self.lock();
        state.admit(name)?;
        let fault = state.fault(Operation::Write);
        if let Some(fault) = fault
            && fault.when == When::Before
        {
            return Err(failed(fault.kind, name));
        }
        let outcome = effect(&mut state);
        state.writes += usize::from(outcome.is_ok());
        match (fault, outcome) {
            (Some(fault), Ok(_)) => Err(failed(fault.kind, name)),
            (_, outcome) => outcome,
        }
    }

    fn change(&self, collection: &str, id: &str, change: impl FnOnce(&mut Record)) {
        let mut state = self.lock();
        let records = state
            .collections
            .entry(collection.to_owned())
            .or_insert_with(|| Collection::new(collection.to_owned()));
        change(records.records.entry(id.to_owned()).or_default());
        state.settle(collection, id);
    }
}

impl State {
    /// Lets objects follow a record that was changed just now.
    pub(crate) fn settle(&mut self, collection: &str, id: &str) {
        self.clock += 1;
        let (model, now) = (self.options.series, self.clock);
        let Some(collection) = self.collections.get_mut(collection) else {
            return;
        };
        if let Some(record) = collection.records.get_mut(id) {
            let overrides = &record.content.overrides;
            record
                .listed
                .retain(|key| overrides.get(key).is_some_and(series::is_cancelled));
            if !model.has_part_objects() {
                record.content.overrides.retain(|_, fields| !fields.is_empty());
            }
        }
        collection.settle(id, model, now);
    }

    pub(crate) fn collection(
        &mut self,
        collection: &RemoteCollection,
        operation: &'static str,
    ) -> Result<&mut Collection, Error> {
        self.collections.get_mut(&collection.id.0).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, operation, "there is no such collection").with_status(404)
        })
    }

    fn admit(&self, operation: &'static str) -> Result<(), Error> {
        if self.revoked {
            return Err(failed(ErrorKind::Unauthorized, operation));
        }
        Ok(())
    }

    fn fault(&mut self, operation: Operation) -> Option<Fault> {
        let mut hit = None;
        for (index, fault) in self.faults.iter_mut().enumerate() {
            if fault.operation != operation {
                continue;
            }
            if fault.skip == 0 {
                hit = Some(index);
                break;
            }
            fault.skip -= 1;
        }
        hit.map(|index| self.faults.remove(index))
    }
}

/// A calendar as the connector lists it.
pub(crate) fn remote_collection(id: &str, name: &str) -> RemoteCollection {
    RemoteCollection {
        id: RemoteId(id.to_owned()),
        kind: Kind::Event,
        name: name.to_owned(),
        access: Access::ReadWrite,
        fields: Fields::from([("name".to_owned(), name.into())]),
    }
}

/// Without overrides that were taken back.
fn visible(record: &Record) -> Content {
    let mut content = record.content.clone();
    content.overrides.retain(|_: &PartKey, fields| !fields.is_empty());
    content
}

fn failed(kind: ErrorKind, operation: &'static str) -> Error {
    Error::new(kind, operation, format!("the provider answers: {}", kind.name()))
}
