//! One link and its record while they are being worked on: changed in memory, then committed as one batch.

mod batch;
mod budget;
mod habits;
mod late;
mod remote;
mod revival;

pub(crate) use revival::{gist, means_the_same};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use conflict::{Clash, Rule, Side};
use connector_sdk::RemoteObject;
use model::{ConflictId, ConnectionId, Content, FieldPath, Fields, LinkId, PartKey, RecordId, series};

use crate::engine::Desk;
use crate::plan;
use crate::scene::Scene;
use crate::state::{
    Conflict, DELETED, FeedAction, FieldClock, Link, LinkState, Origin, Record, RemotePart, Snapshots, Traits,
};

pub(crate) use batch::{pending_link, push_job, push_job_for};

/// A link and its record, with what has changed about them.
#[derive(Clone)]
pub(crate) struct Work {
    pub(crate) link: Link,
    pub(crate) record: Arc<Record>,
    fresh: bool,
    link_changed: bool,
    dropped: bool,
    changed: BTreeSet<FieldPath>,
    born: bool,
    died: bool,
    raws: BTreeMap<PartKey, Bytes>,
    conflicts: Vec<Conflict>,
    /// Links of the same record to other collections that have to be made.
    siblings: Vec<Link>,
    /// What the master said before something else of the same work changed it: an override that was read earlier may
    /// still inherit that.
    pub(crate) earlier_master: Option<Fields>,
    was: Was,
}

/// What history compares with.
#[derive(Clone)]
struct Was {
    record: Arc<Record>,
    local: Content,
    /// Whether the link had an object.
    there: bool,
}

impl Work {
    /// A link and record as they are stored.
    pub(crate) fn stored(link: Link, record: Arc<Record>) -> Self {
        let was = Was {
            record: record.clone(),
            local: link.local.clone(),
            there: link.parts.contains_key(&PartKey::MASTER),
        };
        Self {
            was,
            link,
            record,
            fresh: false,
            link_changed: false,
            dropped: false,
            changed: BTreeSet::new(),
            born: false,
            died: false,
            raws: BTreeMap::new(),
            conflicts: Vec::new(),
            siblings: Vec::new(),
            earlier_master: None,
        }
    }

    /// A record and its first link for an object the hub has not seen before.
    /// The collections that it has to appear in get their links, unless it is awaited: then it may be joined first.
    pub(crate) fn from_remote(desk: &Desk, scene: &Scene, object: &RemoteObject, awaited: bool) -> Self {
        let (shared, local) = plan::split(object.kind, object.content.clone(), &Content::default());
        let (link_id, record_id) = (desk.link_id(), desk.record_id());
        let organization = scene.collection.organization.clone();
        let snapshots = Snapshots {
            remote: object.content.clone(),
            hub: object.content.clone(),
        };
        let mut link = Link {
            id: link_id.clone(),
            organization: organization.clone(),
            record: record_id.clone(),
            connection: scene.collection.connection.clone(),
            collection: scene.collection.id.clone(),
            kind: object.kind,
            revision: 1,
            state: LinkState::Synced,
            parts: [(
                PartKey::MASTER,
                RemotePart {
                    id: object.id.clone(),
                    version: object.version.clone(),
                    raw_outdated: false,
                },
            )]
            .into(),
            snapshots,
            local,
            held: BTreeSet::new(),
            dirty: false,
            removing: false,
            attempts: 0,
            not_before: 0,
            traits: Traits::default(),
        };
        let record = Record {
            id: record_id,
            organization,
            kind: object.kind,
            version: 1,
            content: shared,
            clocks: BTreeMap::new(),
            home: Some(link_id),
            deleted: false,
            merged_into: None,
            created_at: scene.now_ms,
            updated_at: scene.now_ms,
        };
        // What the object says of occurrences that its series does not reach is nothing to the hub, and stays as it is.
        link.snapshots.hub = plan::hub_side(&record, &link);
        let mut work = Self {
            fresh: true,
            born: true,
            ..Self::stored(link, Arc::new(record))
        };
        work.raws.insert(PartKey::MASTER, object.raw.clone());
        for target in scene.targets.iter().filter(|_| !awaited) {
            let sibling = pending_link(desk, &work.record, target);
            work.siblings.push(sibling);
        }
        work
    }

    /// Whether anything is to be committed.
    pub(crate) fn is_changed(&self) -> bool {
        self.fresh || self.link_changed || self.dropped || !self.changed.is_empty() || self.died || self.born
    }

    /// What changed at the record, for summaries.
    pub(crate) fn action(&self) -> Option<FeedAction> {
        if self.died {
            Some(FeedAction::Deleted)
        } else if self.born {
            Some(FeedAction::Created)
        } else if self.changed.is_empty() {
            None
        } else {
            Some(FeedAction::Updated)
        }
    }

    /// Whether the record is a new one, made with this batch.
    pub(crate) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether a deleted record lives again.
    pub(crate) const fn is_revived(&self) -> bool {
        self.born && !self.fresh
    }

    /// Whether another collection's links must hear of it.
    pub(crate) fn concerns_others(&self) -> bool {
        self.action().is_some()
    }

    /// The record's shared fields as they shall be; clocks and version follow.
    pub(crate) fn set_content(&mut self, shared: Content, origin: &Origin, now_ms: i64) {
        let paths = self.record.content.differences(&shared);
        if paths.is_empty() {
            return;
        }
        let version = self.next_version();
        let record = Arc::make_mut(&mut self.record);
        for path in paths {
            record.clocks.insert(
                path.to_string(),
                FieldClock {
                    version,
                    origin: origin.clone(),
                },
            );
            self.changed.insert(path);
        }
        record.content = shared;
        record.updated_at = now_ms;
    }

    /// The version that the record will have once this is committed.
    pub(crate) fn next_version(&self) -> i64 {
        if self.fresh {
            self.record.version
        } else {
            self.record.version + 1
        }
    }

    /// Sets whether there is something to send. What was refused for good, or waits for an approval, is not tried again
    /// by itself: only an edit or a person wakes it.
    pub(crate) fn mark_dirty(&mut self, dirty: bool) {
        let still_differs = dirty;
        let dirty = dirty && (!self.link.state.rests() || self.link.dirty);
        let state = match (&self.link.state, dirty) {
            (state, _) if still_differs && state.rests() => state.clone(),
            (LinkState::Waiting { .. }, true) => self.link.state.clone(),
            (_, true) => LinkState::Pending,
            (_, false) => LinkState::Synced,
        };
        if !dirty {
            let unchanged = self.action().is_none();
            let version = if unchanged {
                self.record.version
            } else {
                self.next_version()
            };
            self.link.traits.rested = Some(version);
        }
        if dirty != self.link.dirty || state != self.link.state {
            self.link.dirty = dirty;
            self.link.state = state;
            self.link_changed = true;
        }
    }

    /// The record is deleted; its other links are to follow.
    pub(crate) fn die(&mut self, now_ms: i64) {
        let clock = FieldClock {
            version: self.next_version(),
            origin: Origin::Link(self.link.id.clone()),
        };
        let record = Arc::make_mut(&mut self.record);
        record.clocks.insert(DELETED.to_owned(), clock);
        record.deleted = true;
        record.updated_at = now_ms;
        self.died = true;
    }

    /// The link goes with this batch.
    pub(crate) fn drop_link(&mut self) {
        self.dropped = true;
    }

    /// The provider refuses for good.
    pub(crate) fn reject(&mut self, reason: String) {
        self.link.state = LinkState::Rejected { reason };
        self.link.dirty = false;
        self.link.attempts += 1;
        self.link_changed = true;
    }

    /// Not to be sent before somebody agrees to whom it would mail.
    pub(crate) fn ask(&mut self, reason: String) {
        self.link.state = LinkState::NeedsApproval { reason };
        self.link.dirty = false;
        self.link_changed = true;
    }

    /// Not to be sent before the budget allows it again. Whether that is news.
    pub(crate) fn wait(&mut self, reason: String) -> bool {
        let state = LinkState::Waiting { reason };
        let news = self.link.state != state;
        self.link.state = state;
        self.link_changed |= news;
        news
    }

    /// The link changed in what only its own file knows of.
    pub(crate) fn link_changes(&mut self) {
        self.link_changed = true;
    }

    /// Try again later.
    pub(crate) fn postpone(&mut self, not_before: i64) {
        self.link.attempts += 1;
        self.link.not_before = not_before;
        self.link_changed = true;
    }

    /// Logs a clash.
    pub(crate) fn log(&mut self, desk: &Desk, now_ms: i64, clash: Clash) {
        let whole = clash.path.field.is_empty();
        let anchor = series::anchor(&clash.path, &self.record.content);
        self.conflicts.push(Conflict {
            id: desk.conflict_id(),
            organization: self.record.organization.clone(),
            record: self.record.id.clone(),
            link: self.link.id.clone(),
            path: (!whole).then_some(clash.path),
            anchor,
            base: clash.base,
            hub: clash.hub,
            remote: clash.remote,
            winner: clash.winner,
            rule: clash.rule,
            resolved_at: None,
            created_at: now_ms,
        });
    }

    /// Adds a link to another collection.
    pub(crate) fn add_sibling(&mut self, link: Link) {
        self.siblings.push(link);
    }

    /// The record's id.
    pub(crate) fn record_id(&self) -> &RecordId {
        &self.record.id
    }

    /// Connections that the new sibling links are on.
    pub(crate) fn sibling_connections(&self) -> impl Iterator<Item = &ConnectionId> {
        self.siblings.iter().map(|link| &link.connection)
    }
}

/// A clash about the record as a whole.
fn whole_record(winner: Side) -> Clash {
    Clash {
        path: FieldPath::master(""),
        base: None,
        hub: None,
        remote: None,
        winner: Some(winner),
        rule: Rule::LastWriter,
    }
}

impl Desk {
    /// A new link's id.
    pub(crate) fn link_id(&self) -> LinkId {
        LinkId::new(self.epoch_ms(), self.random())
    }

    /// A new record's id.
    pub(crate) fn record_id(&self) -> RecordId {
        RecordId::new(self.epoch_ms(), self.random())
    }

    /// A new conflict's id.
    pub(crate) fn conflict_id(&self) -> ConflictId {
        ConflictId::new(self.epoch_ms(), self.random())
    }
}

impl Work {
    /// How many clashes were logged.
    pub(crate) fn conflict_count(&self) -> u64 {
        self.conflicts.len() as u64
    }

    /// The paths of the record that changed.
    pub(crate) fn changed_paths(&self) -> Vec<String> {
        self.changed.iter().map(ToString::to_string).collect()
    }
}
