//! The small space of ids, and the operations on it.

use connector_sdk::RemoteId;
use model::{CollectionId, ConflictId, ConnectionId, LinkId, MirrorId, OrganizationId, PartKey, RecordId};
use sync::ports::{Effect, JobFailure};
use sync::state::{Fence, NewJob};

/// A moment.
pub(crate) const START_MS: i64 = 1_780_000_000_000;

/// How many different ones there are of each sort.
pub(crate) mod space {
    pub(crate) const CONNECTIONS: u32 = 2;
    pub(crate) const COLLECTIONS: u32 = 4;
    pub(crate) const RECORDS: u32 = 5;
    pub(crate) const LINKS: u32 = 8;
    pub(crate) const REMOTES: u32 = 6;
    pub(crate) const OTHERS: u32 = 3;
    pub(crate) const JOBS: u32 = 12;
}

/// Something to do or to ask.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Commit(OrganizationId, Option<Fence>, Vec<Effect>),
    Enqueue(NewJob),
    Claim {
        now_ms: i64,
        lease_ms: i64,
        limit: u32,
    },
    Heartbeat(Fence, i64),
    Finish(Fence, i64, Result<serde_json::Value, JobFailure>),
    /// The process dies, and another one opens the store.
    Reopen,
    Ask(OrganizationId, Question),
}

impl Operation {
    pub(crate) fn is_commit(&self) -> bool {
        matches!(self, Self::Commit(..))
    }

    pub(crate) fn is_claim(&self) -> bool {
        matches!(self, Self::Claim { .. })
    }
}

/// A call of a method that reads.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    Connection(ConnectionId),
    Collections(ConnectionId),
    Collection(CollectionId),
    Known(CollectionId),
    Linked(CollectionId, Vec<RemoteId>),
    Link(LinkId),
    Record(RecordId),
    LinksOf(RecordId),
    DirtyLinks(ConnectionId, i64, u32),
    Raws(LinkId),
    OpenIntents(ConnectionId),
    MirrorsOf(CollectionId),
    Mirror(MirrorId),
    Joined(CollectionId, Option<RecordId>, u32),
    Conflict(ConflictId),
    Members(CollectionId, Option<RecordId>, u32),
    WithUid(CollectionId, Vec<String>),
    Pairings(CollectionId),
    PairingsOf(RecordId),
}

pub(crate) fn remote(number: u32) -> RemoteId {
    RemoteId(format!("object {number}"))
}

pub(crate) fn part(number: u32) -> PartKey {
    match number {
        0 => PartKey::MASTER,
        _ => PartKey::occurrence(format!("2026-03-0{number}T09:00:00")),
    }
}

pub(crate) fn uid(number: u32) -> String {
    format!("uid {number}")
}
