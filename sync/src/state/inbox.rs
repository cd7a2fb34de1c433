//! The inbox: webhooks that came in, durable before they were answered, and what became of them.

use bytes::Bytes;
use connector_sdk::RemoteVersion;
use model::{ConnectionId, InboundId, OrganizationId};
use serde::{Deserialize, Serialize};

/// A webhook that waits for its connection's worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Inbound {
    /// Its id.
    pub id: InboundId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connection that it concerns.
    pub connection: ConnectionId,
    /// The request without its body: a document that only the inbox reads (ADR 7).
    pub head: String,
    /// Under which key it found the connection, at an address that many share.
    pub route: Option<String>,
    /// The body, byte by byte.
    pub body: Bytes,
    /// Epoch milliseconds.
    pub received_at: i64,
    /// Failed attempts so far.
    pub attempts: u32,
}

/// What became of an attempt to work on a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboundEnd {
    /// It has had its effect.
    Done(InboundOutcome),
    /// It failed, and is tried again at this moment, epoch milliseconds.
    Retry {
        /// When.
        at: i64,
        /// Why it failed.
        reason: String,
    },
    /// It failed too often, or can never be understood. It is kept with its reason; a replay tries it anew.
    Quarantined(String),
    /// There is nothing left that it could be applied to.
    Dropped(String),
}

/// What a webhook's notices came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InboundOutcome {
    /// Changes that were taken in as they were told.
    pub applied: u32,
    /// Changes that were older than what the hub knew already.
    pub outdated: u32,
    /// Notices that made the connection look for itself.
    pub dirty: u32,
}

/// How new the last observation of a remote object was that a webhook brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The connector's ordering key; `None` once the object's link is gone: nobody knows then how new "new" is.
    pub ordering: Option<i64>,
    /// The version that it spoke of; `None` of a delete.
    pub version: Option<RemoteVersion>,
}
