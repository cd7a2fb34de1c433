//! What the engine persists: connections, collections, records, links, intents, mirrors, conflicts.

mod inbox;
mod mirrors;
mod traits;

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::{Cursor, RemoteCollection, RemoteId, RemoteVersion};
use model::{
    CollectionId, ConflictId, ConnectionId, Content, EventTime, FieldPath, InboundId, IntentId, JobId, Kind,
    LinkId, MirrorId, OrganizationId, PartKey, QuarantineId, RecordId, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::hold::Hold;

pub use inbox::{Freshness, Inbound, InboundEnd, InboundOutcome};
pub use mirrors::{FieldOwner, Member, MemberRole, Mirror, Pairing, TargetEdits};
pub(crate) use traits::fingerprint;
pub use traits::{Rewrite, Traits};

/// An authorised account at a provider. Its credentials are not in here: they are sealed in the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Its id.
    pub id: ConnectionId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connector that serves it.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// The user whose account it is, where it is personal.
    pub owner: Option<UserId>,
    /// Settings: `base_url` and what only the connector understands.
    pub config: Map<String, Value>,
    /// How it is doing.
    pub health: Health,
    /// Why it is not `active`, for a person.
    pub health_reason: Option<String>,
    /// When its collections were last listed, epoch milliseconds.
    pub discovered_at: Option<i64>,
    /// When a sync last ended well, epoch milliseconds.
    pub synced_at: Option<i64>,
    /// Epoch milliseconds.
    pub created_at: i64,
}

/// How a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Working.
    Active,
    /// The last attempt failed; it is tried again by itself.
    Degraded,
    /// Its credentials are refused; someone has to give new ones.
    NeedsReauth,
    /// Someone paused it.
    Paused,
}

/// A container on a connection, as the hub keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Its id.
    pub id: CollectionId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connection it is on.
    pub connection: ConnectionId,
    /// What the provider says of it.
    pub remote: RemoteCollection,
    /// Where the hub stands in its history; `None` before the first complete pull and after a lost cursor.
    pub cursor: Option<Cursor>,
    /// When it was last completely enumerated, epoch milliseconds.
    pub enumerated_at: Option<i64>,
    /// Whether it is synced.
    pub enabled: bool,
    /// Set when a pull stopped because it would have deleted or changed too much.
    pub hold: Option<Hold>,
}

/// The hub's object of a kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Its id.
    pub id: RecordId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its kind.
    pub kind: Kind,
    /// Rises by one with every change.
    pub version: i64,
    /// The shared fields, canonical.
    pub content: Content,
    /// When and from where each field last changed; fields that still have their first value are not listed.
    pub clocks: BTreeMap<String, FieldClock>,
    /// The link it came from; per-link fields shown with the record are those of this link.
    pub home: Option<LinkId>,
    /// Whether it was deleted. Deleted records stay, so that nothing brings them back.
    pub deleted: bool,
    /// The record that it was joined into, because both were the same thing. It is deleted then, and has no links.
    pub merged_into: Option<RecordId>,
    /// Epoch milliseconds.
    pub created_at: i64,
    /// Epoch milliseconds.
    pub updated_at: i64,
}

impl Collection {
    /// Whether it was completely read at least once: only then does the hub know what it holds.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.enumerated_at.is_some()
    }
}

impl Record {
    /// What all copies of the thing have in common, whoever holds them: an event's or a contact's UID.
    #[must_use]
    pub fn uid(&self) -> Option<&str> {
        self.content.fields.get("uid")?.as_str()
    }
}

/// Stands among the clocks for the delete of the record itself.
pub(crate) const DELETED: &str = "deleted";

/// When and from where a field last changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldClock {
    /// The record version that the change made.
    pub version: i64,
    /// Who made it.
    pub origin: Origin,
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "type", content = "id", rename_all = "snake_case")]
pub enum Origin {
    /// A client of the API, by its key's id.
    Api(String),
    /// A provider, through this link.
    Link(LinkId),
    /// Someone who resolved this conflict.
    Conflict(ConflictId),
    /// The hub itself.
    Hub,
}

/// The tie between a record and one remote object.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The record.
    pub record: RecordId,
    /// The connection of the remote object.
    pub connection: ConnectionId,
    /// The collection of the remote object.
    pub collection: CollectionId,
    /// The record's kind.
    pub kind: Kind,
    /// Rises by one with every change of the link: its optimistic lock.
    pub revision: i64,
    /// How it stands.
    pub state: LinkState,
    /// The remote object of each part. With [`connector_sdk::SeriesModel::Whole`] only the master has one.
    pub parts: BTreeMap<PartKey, RemotePart>,
    /// The two snapshots.
    pub snapshots: Snapshots,
    /// The hub's side of the per-link fields.
    pub local: Content,
    /// Paths that wait for a person's decision: neither taken nor sent.
    pub held: BTreeSet<FieldPath>,
    /// Whether the hub's side may have something to send.
    pub dirty: bool,
    /// Whether the remote object is to go.
    pub removing: bool,
    /// Failed attempts to write since the last that succeeded.
    pub attempts: u32,
    /// Not to be written before, epoch milliseconds.
    pub not_before: i64,
    /// What else is known about writing through it.
    pub traits: Traits,
}

impl Link {
    /// Whether it has a remote object, and is not only waiting for one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.parts.contains_key(&PartKey::MASTER)
    }
}

/// Where a part lives at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemotePart {
    /// Its id there.
    pub id: RemoteId,
    /// The version last seen.
    pub version: Option<RemoteVersion>,
    /// The kept original is older than this version: what changed since came as a sparse delta. It is read anew before
    /// a write builds on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw_outdated: bool,
}

/// What the hub last agreed on with the provider, on both sides and in canonical form.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "SnapshotsDocument", into = "SnapshotsDocument")]
pub struct Snapshots {
    /// The provider's last value.
    pub remote: Content,
    /// The hub value that it stands for.
    pub hub: Content,
}

/// The stored form: the hub's snapshot is left out where it equals the provider's, as it nearly always does.
#[derive(Serialize, Deserialize)]
struct SnapshotsDocument {
    remote: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hub: Option<Content>,
}

impl From<SnapshotsDocument> for Snapshots {
    fn from(document: SnapshotsDocument) -> Self {
        let hub = document.hub.unwrap_or_else(|| document.remote.clone());
        Self {
            remote: document.remote,
            hub,
        }
    }
}

impl From<Snapshots> for SnapshotsDocument {
    fn from(snapshots: Snapshots) -> Self {
        let hub = (snapshots.hub != snapshots.remote).then_some(snapshots.hub);
        Self {
            remote: snapshots.remote,
            hub,
        }
    }
}

/// How a link stands, visible to everyone who sees the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum LinkState {
    /// Both sides agree.
    Synced,
    /// Something is on its way.
    Pending,
    /// Something is on its way, and held back for a while.
    Waiting {
        /// Why, and until when.
        reason: String,
    },
    /// Sending it would make the provider mail people. Approve or revert.
    NeedsApproval {
        /// Who would be mailed.
        reason: String,
    },
    /// The provider refuses the hub's value for good. Retry or revert.
    Rejected {
        /// Why, in the provider's words.
        reason: String,
    },
}

impl LinkState {
    /// Whether nothing is written until a person says so or somebody edits the record.
    pub(crate) const fn rests(&self) -> bool {
        match self {
            Self::Rejected { .. } | Self::NeedsApproval { .. } => true,
            Self::Synced | Self::Pending | Self::Waiting { .. } => false,
        }
    }
}

/// A remote write, written down before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// Its id; a created object's remote id derives from it.
    pub id: IntentId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The link it writes through.
    pub link: LinkId,
    /// The connection of the link.
    pub connection: ConnectionId,
    /// The part it writes.
    pub part: PartKey,
    /// What it does.
    pub action: IntentAction,
    /// The hub's side that was sent, per-link fields included.
    pub sent: Content,
    /// The paths it writes.
    pub changed: BTreeSet<FieldPath>,
    /// Epoch milliseconds.
    pub created_at: i64,
}

/// What an intent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntentAction {
    /// Makes a remote object.
    Create,
    /// Changes one.
    Update,
    /// Removes one.
    Delete,
}

impl IntentAction {
    /// The name in the store and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// A clash of edits, and the value that lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Its id.
    pub id: ConflictId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The record.
    pub record: RecordId,
    /// The link at which the sides met.
    pub link: LinkId,
    /// The field; `None` when a whole record was deleted on one side and edited on the other.
    pub path: Option<FieldPath>,
    /// The start of the series of which the path's key speaks: the key moves with it. `None` where no occurrence is
    /// meant.
    pub anchor: Option<EventTime>,
    /// The value both had before.
    pub base: Option<Value>,
    /// The hub's value.
    pub hub: Option<Value>,
    /// The provider's value.
    pub remote: Option<Value>,
    /// Who was given right; `None` while a person is asked.
    pub winner: Option<conflict::Side>,
    /// Which rule decided.
    pub rule: conflict::Rule,
    /// Whether someone has dealt with it.
    pub resolved_at: Option<i64>,
    /// Epoch milliseconds.
    pub created_at: i64,
}

/// Something a provider sent, or refused, that could not be dealt with, kept with its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Quarantine {
    /// Its id.
    pub id: QuarantineId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Where it came from.
    pub collection: CollectionId,
    /// The remote object.
    pub remote: RemoteId,
    /// The version that could not be read; it is looked at again when that changes.
    pub version: Option<RemoteVersion>,
    /// What is wrong, for a person.
    pub reason: String,
    /// What was sent.
    pub raw: bytes::Bytes,
    /// Epoch milliseconds.
    pub created_at: i64,
    /// How often this version was looked at again in vain.
    pub tries: u32,
    /// When it is looked at again, whether or not it changed; epoch milliseconds.
    pub retry_at: i64,
}

/// An entry of the feed, before the store gives it its `seq`.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEntry {
    /// What happened.
    pub action: FeedAction,
    /// What it happened to: a record, or a connection, conflict, ... by its id's text.
    pub subject: String,
    /// Its kind: a record's kind, or `connection`, `conflict`, `mirror`.
    pub kind: String,
    /// The record's version after it.
    pub version: i64,
    /// The paths that changed.
    pub changed: Vec<String>,
    /// Who did it.
    pub origin: Origin,
    /// Epoch milliseconds.
    pub at: i64,
}

/// What happened to a subject of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedAction {
    /// It is new.
    Created,
    /// It changed.
    Updated,
    /// It is gone.
    Deleted,
}

impl FeedAction {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Deleted => "deleted",
        }
    }
}

/// Background work, before it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What to do.
    pub task: JobTask,
    /// Not before, epoch milliseconds.
    pub run_at: i64,
}

/// Some of a connection's collections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These.
    Only(Vec<CollectionId>),
    /// All but these: they have schedules of their own.
    Except(Vec<CollectionId>),
}

impl Selection {
    /// Whether it names this one.
    #[must_use]
    pub fn takes(&self, collection: &CollectionId) -> bool {
        match self {
            Self::Only(named) => named.contains(collection),
            Self::Except(named) => !named.contains(collection),
        }
    }
}

/// What a job does. Work on one connection never runs twice at once, whatever its task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum JobTask {
    /// Pull all collections of a connection, then push.
    Sync {
        /// The connection.
        connection: ConnectionId,
        /// List the collections anew, however recent the last listing is.
        discover: bool,
        /// Carry out deletes even if they exceed the breaker's share.
        approve_deletes: bool,
    },
    /// Pull what a schedule names of a connection's collections, then push.
    Poll {
        /// The connection.
        connection: ConnectionId,
        /// Which of its collections.
        collections: Selection,
    },
    /// Push what is dirty on a connection.
    Push {
        /// The connection.
        connection: ConnectionId,
    },
    /// Work through what webhooks brought for a connection.
    Inbox {
        /// The connection.
        connection: ConnectionId,
    },
    /// Link the records of a mirror's sources to its targets.
    Mirror {
        /// The mirror.
        mirror: MirrorId,
    },
    /// Take records apart that no mirror joins any more.
    Unlink {
        /// The collections that were members.
        members: Vec<CollectionId>,
    },
}

impl JobTask {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Sync { .. } | Self::Poll { .. } => "sync",
            Self::Push { .. } => "push",
            Self::Inbox { .. } => "inbox",
            Self::Mirror { .. } => "mirror",
            Self::Unlink { .. } => "unlink",
        }
    }

    /// Whether the job is kept once it has done its work. Webhooks tell themselves what became of them, and there are
    /// too many of their jobs.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        match self {
            Self::Inbox { .. } => false,
            Self::Sync { .. }
            | Self::Poll { .. }
            | Self::Push { .. }
            | Self::Mirror { .. }
            | Self::Unlink { .. } => true,
        }
    }

    /// How much longer other work must have waited to go before it, in milliseconds: what people and vendors wait for
    /// goes before polls and backfill. A bound, so that nothing starves.
    #[must_use]
    pub const fn head_start_ms(&self) -> i64 {
        match self {
            Self::Inbox { .. } | Self::Push { .. } => 5_000,
            Self::Sync { .. } | Self::Poll { .. } | Self::Mirror { .. } | Self::Unlink { .. } => 0,
        }
    }

    /// What must not be worked on by two jobs at once.
    #[must_use]
    pub fn lane(&self) -> String {
        match self {
            Self::Sync { connection, .. }
            | Self::Poll { connection, .. }
            | Self::Push { connection }
            | Self::Inbox { connection } => connection.to_string(),
            Self::Mirror { mirror } => mirror.to_string(),
            Self::Unlink { .. } => "unlink".to_owned(),
        }
    }
}

/// A claimed job and the right to commit in its name.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// Its id.
    pub id: JobId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// What to do.
    pub task: JobTask,
    /// How often it was claimed before.
    pub attempts: u32,
    /// The right to commit.
    pub fence: Fence,
    /// The webhook that it goes back to, where one brought it about. Nothing is decided by it.
    pub webhook: Option<InboundId>,
}

/// Proof that a node still holds a job: checked in every commit, so that a node that slept cannot write late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// The job.
    pub job: JobId,
    /// Rises with every claim.
    pub token: i64,
}

/// Something kept per collection while a run lasts.
pub(crate) type CollectionCache<T> = BTreeMap<CollectionId, T>;
