//! What the engine needs from outside: a store, providers, ids. The clock is the SDK's.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{Connector, Context, Cursor, Known, RemoteId};
use model::{
    CollectionId, ConnectionId, InboundId, IntentId, JobId, LinkId, MirrorId, OrganizationId, PartKey,
    RecordId,
};

use crate::history::HistoryEntry;
use crate::hold::{Hold, HoldAnswer};
use crate::state::{
    ClaimedJob, Collection, Conflict, Connection, FeedEntry, Fence, Freshness, Health, Inbound, InboundEnd,
    Intent, Link, Mirror, NewJob, Pairing, Quarantine, Record,
};

/// Randomness for ids.
pub trait Entropy: Send + Sync {
    /// 128 fresh random bits.
    fn random(&self) -> u128;
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A record, link or conflict changed since it was read. Nothing was written; read again and plan anew.
    #[error("{0} changed since it was read; nothing was written")]
    Stale(String),
    /// Another node has taken over the job. Nothing was written; stop.
    #[error("the lease of {0} was lost; nothing was written")]
    Fenced(JobId),
    /// The database failed. Nothing was written.
    #[error("the database failed; nothing was written")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A stored value cannot be read.
    #[error("stored {what} cannot be read: {problem}")]
    Corrupt {
        /// What.
        what: &'static str,
        /// Why.
        problem: String,
    },
}

/// A link with its record, read together.
#[derive(Debug, Clone)]
pub struct Linked {
    /// The link.
    pub link: Link,
    /// Its record.
    pub record: Arc<Record>,
    /// The part that the remote id asked for belongs to.
    pub part: PartKey,
}

/// One change to the store. A batch of them is applied in one transaction or not at all, as if one after the other.
/// Only at the end must each remote object have one link, and must what a new row refers to be there: so links of a
/// batch may exchange their remote objects, and the order of new rows is free.
#[derive(Debug, Clone)]
pub enum Effect {
    /// A new record.
    CreateRecord(Box<Record>),
    /// The record as it now is; refused as stale unless the stored version is `record.version - 1`.
    UpdateRecord(Box<Record>),
    /// A new link. Its parts' remote ids must be free in its collection when the batch ends.
    CreateLink(Box<Link>),
    /// The link as it now is; refused as stale unless the stored revision is `link.revision - 1`.
    UpdateLink(Box<Link>),
    /// Removes a link and all that hangs on it; refused as stale unless the stored revision is this.
    DropLink {
        /// The link.
        link: LinkId,
        /// Its revision when it was read.
        revision: i64,
    },
    /// Keeps a part's object as the provider gave it.
    PutRaw {
        /// The link.
        link: LinkId,
        /// The part.
        part: PartKey,
        /// The object.
        raw: Bytes,
    },
    /// Marks the other links of a record as having something to send, and raises their revision: whoever read such
    /// a link before and would put it to rest is stale.
    Touch {
        /// The record.
        record: RecordId,
        /// The link that knows already.
        except: Option<LinkId>,
    },
    /// Moves a collection's cursor. `enumerated_at` is set when the pull was a complete enumeration.
    PutCursor {
        /// The collection.
        collection: CollectionId,
        /// The new cursor; `None` when it was lost.
        cursor: Option<Cursor>,
        /// Epoch milliseconds.
        enumerated_at: Option<i64>,
    },
    /// A new collection, or what the provider now says of one (matched by connection and remote id).
    PutCollection(Box<Collection>),
    /// Sets or clears why a collection waits for a person; refused as stale unless the stored hold's answer is
    /// `before`.
    HoldCollection {
        /// The collection.
        collection: CollectionId,
        /// The answer that the caller knows of.
        before: Option<HoldAnswer>,
        /// What it waits for.
        hold: Option<Box<Hold>>,
    },
    /// Writes down an intent.
    OpenIntent(Box<Intent>),
    /// An intent's outcome is known.
    CloseIntent(IntentId),
    /// Logs a conflict.
    PutConflict(Box<Conflict>),
    /// Someone dealt with a conflict.
    ResolveConflict {
        /// The conflict.
        conflict: model::ConflictId,
        /// Epoch milliseconds.
        at: i64,
    },
    /// Puts an object into quarantine, replacing an older entry for the same object.
    Quarantine(Box<Quarantine>),
    /// Lets an object out of quarantine, if it is in.
    Release {
        /// The collection.
        collection: CollectionId,
        /// The object.
        remote: RemoteId,
    },
    /// Appends to the feed.
    Feed(FeedEntry),
    /// Appends to a record's history; beyond [`crate::history::KEPT_PER_RECORD`] its oldest entries go.
    History(Box<HistoryEntry>),
    /// Enqueues work; joins a job of the same task that has not begun.
    Enqueue(Box<NewJob>),
    /// A connection's health.
    SetHealth {
        /// The connection.
        connection: ConnectionId,
        /// How it is doing.
        health: Health,
        /// Why, for a person.
        reason: Option<String>,
        /// Set when a sync ended well, epoch milliseconds.
        synced_at: Option<i64>,
    },
    /// A connection's collections were listed, epoch milliseconds.
    Discovered {
        /// The connection.
        connection: ConnectionId,
        /// When.
        at: i64,
    },
    /// A mirror, new or changed.
    PutMirror(Box<Mirror>),
    /// Removes a mirror. Links stay.
    DropMirror(MirrorId),
    /// Changes nothing: the batch is refused as stale while a write through this link has no known outcome.
    ExpectNoIntent(LinkId),
    /// Notes what somebody decided about a record and a collection; `None` forgets it.
    Pair {
        /// The record.
        record: RecordId,
        /// The collection.
        collection: CollectionId,
        /// What was decided.
        pairing: Option<Pairing>,
    },
    /// What became of a webhook; refused as stale unless it still waits. In the transaction of what it brought, so
    /// that it has its effect once.
    EndInbound {
        /// The webhook.
        inbound: InboundId,
        /// What became of it.
        end: InboundEnd,
        /// Epoch milliseconds.
        at: i64,
    },
    /// How new what a webhook told of a remote object was. Dropping the object's link forgets it.
    PutFreshness {
        /// The collection.
        collection: CollectionId,
        /// The object.
        remote: RemoteId,
        /// How new.
        freshness: Freshness,
        /// Epoch milliseconds.
        at: i64,
    },
}

impl Effect {
    /// Whose row it brings; `None` for an effect that names rows by their ids only.
    #[must_use]
    pub fn organization(&self) -> Option<&OrganizationId> {
        match self {
            Self::CreateRecord(record) | Self::UpdateRecord(record) => Some(&record.organization),
            Self::CreateLink(link) | Self::UpdateLink(link) => Some(&link.organization),
            Self::PutCollection(collection) => Some(&collection.organization),
            Self::OpenIntent(intent) => Some(&intent.organization),
            Self::PutConflict(conflict) => Some(&conflict.organization),
            Self::Quarantine(entry) => Some(&entry.organization),
            Self::Enqueue(job) => Some(&job.organization),
            Self::PutMirror(mirror) => Some(&mirror.organization),
            Self::History(entry) => Some(&entry.organization),
            Self::DropLink { .. }
            | Self::PutRaw { .. }
            | Self::Touch { .. }
            | Self::PutCursor { .. }
            | Self::HoldCollection { .. }
            | Self::CloseIntent(_)
            | Self::ResolveConflict { .. }
            | Self::Release { .. }
            | Self::Feed(_)
            | Self::SetHealth { .. }
            | Self::Discovered { .. }
            | Self::DropMirror(_)
            | Self::ExpectNoIntent(_)
            | Self::Pair { .. }
            | Self::EndInbound { .. }
            | Self::PutFreshness { .. } => None,
        }
    }
}

/// What the engine reads and writes. Every query takes the organization first; another organization's rows do not
/// exist for it.
#[async_trait]
pub trait Store: Send + Sync {
    /// A connection.
    async fn connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, StoreError>;

    /// The collections of a connection, in order of their names.
    async fn collections(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Collection>, StoreError>;

    /// A collection.
    async fn collection(
        &self,
        organization: &OrganizationId,
        id: &CollectionId,
    ) -> Result<Option<Collection>, StoreError>;

    /// Every remote object the hub holds of a collection, parts and quarantined objects included, with versions.
    async fn known(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Known, StoreError>;

    /// Of these remote objects those that are in quarantine, in order of the remote ids.
    async fn unreadable(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Quarantine>, StoreError>;

    /// What of a collection is in quarantine and due to be looked at again: what waits longest first, then in order
    /// of the remote ids.
    async fn unreadable_due(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Quarantine>, StoreError>;

    /// The links of remote objects, each once and in order of the remote ids; ids without a link are left out.
    async fn linked(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<Vec<Linked>, StoreError>;

    /// A link with its record.
    async fn link(&self, organization: &OrganizationId, id: &LinkId) -> Result<Option<Linked>, StoreError>;

    /// A record, deleted ones included.
    async fn record(
        &self,
        organization: &OrganizationId,
        id: &RecordId,
    ) -> Result<Option<Record>, StoreError>;

    /// The links of a record.
    async fn links_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<Vec<Link>, StoreError>;

    /// Links of a connection that may have something to send and are due, oldest first.
    async fn dirty_links(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<LinkId>, StoreError>;

    /// The objects of a link's parts as the provider gave them.
    async fn raws(
        &self,
        organization: &OrganizationId,
        link: &LinkId,
    ) -> Result<BTreeMap<PartKey, Bytes>, StoreError>;

    /// Intents of a connection whose outcome is not known.
    async fn open_intents(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Intent>, StoreError>;

    /// Mirrors that a collection is a member of.
    async fn mirrors_of(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<Vec<Mirror>, StoreError>;

    /// A mirror.
    async fn mirror(
        &self,
        organization: &OrganizationId,
        id: &MirrorId,
    ) -> Result<Option<Mirror>, StoreError>;

    /// Live records with their link in `collection`, in order of the records' ids, after `after`.
    async fn members(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Linked>, StoreError>;

    /// Live records whose `uid` is one of these, with their link in `collection`, in order of the records' ids;
    /// those without a link there are left out.
    async fn with_uid(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        uids: &[String],
    ) -> Result<Vec<Linked>, StoreError>;

    /// What was decided by hand about records and this collection.
    async fn pairings(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
    ) -> Result<BTreeMap<RecordId, Pairing>, StoreError>;

    /// What was decided by hand about this record and collections.
    async fn pairings_of(
        &self,
        organization: &OrganizationId,
        record: &RecordId,
    ) -> Result<BTreeMap<CollectionId, Pairing>, StoreError>;

    /// Live records that have a link in `collection` and another one elsewhere, in order of id, after `after`.
    async fn joined(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        after: Option<&RecordId>,
        limit: u32,
    ) -> Result<Vec<Record>, StoreError>;

    /// A conflict.
    async fn conflict(
        &self,
        organization: &OrganizationId,
        id: &model::ConflictId,
    ) -> Result<Option<Conflict>, StoreError>;

    /// Webhooks of a connection that wait and are due, oldest first.
    async fn inbox(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>, StoreError>;

    /// How new the last observations of these remote objects were; those that no webhook spoke of and that were never
    /// linked are left out.
    async fn freshness(
        &self,
        organization: &OrganizationId,
        collection: &CollectionId,
        ids: &[RemoteId],
    ) -> Result<BTreeMap<RemoteId, Freshness>, StoreError>;

    /// Applies all effects in one transaction, or none. With a fence, only while its job is still held.
    ///
    /// # Errors
    /// `Stale` and `Fenced` leave the store as it was. Of several stale rows `Stale` names any one.
    async fn commit(
        &self,
        organization: &OrganizationId,
        fence: Option<&Fence>,
        effects: Vec<Effect>,
    ) -> Result<(), StoreError>;
}

/// The queue of background work.
#[async_trait]
pub trait Jobs: Send + Sync {
    /// Claims due jobs whose lane nobody else works on: those never claimed and those whose lease ran out. The
    /// lease lasts until `now_ms + lease_ms`.
    async fn claim(
        &self,
        node: &str,
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    ) -> Result<Vec<ClaimedJob>, StoreError>;

    /// Prolongs a lease and shows progress.
    ///
    /// # Errors
    /// `Fenced` when another node has the job.
    async fn heartbeat(
        &self,
        fence: &Fence,
        until_ms: i64,
        done: u64,
        total: Option<u64>,
    ) -> Result<(), StoreError>;

    /// Ends a job with its result.
    async fn finish(
        &self,
        fence: &Fence,
        now_ms: i64,
        result: Result<serde_json::Value, JobFailure>,
    ) -> Result<(), StoreError>;
}

/// Why a job ended without success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFailure {
    /// A code of the API's closed list.
    pub code: String,
    /// What happened, what it means, what to do.
    pub message: String,
    /// Try again at this moment (epoch milliseconds); `None` ends the job for good.
    pub retry_at: Option<i64>,
}

/// A connector with the context of one connection.
#[derive(Clone)]
pub struct Provider {
    /// The connector.
    pub connector: Arc<dyn Connector>,
    /// Its context.
    pub ctx: Context,
}

/// Opens connections.
#[async_trait]
pub trait Providers: Send + Sync {
    /// The connector and context of a connection, credentials unsealed.
    ///
    /// # Errors
    /// `Invalid` when the provider is unknown or the settings are wrong.
    async fn open(&self, connection: &Connection) -> Result<Provider, connector_sdk::Error>;

    /// New credentials for a connection whose present ones were refused, as `refused` was opened with: stored, and
    /// opened again. One refresh at a time per connection on all nodes; whoever waits gets the new ones.
    ///
    /// # Errors
    /// `Unauthorized` when they cannot be refreshed.
    async fn reopen(
        &self,
        connection: &Connection,
        refused: &Provider,
    ) -> Result<Provider, connector_sdk::Error>;
}
