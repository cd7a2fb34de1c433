//! The connector itself: a description and its facets.

use async_trait::async_trait;
use jiff::Timestamp;
use model::{Content, Kind};
use serde::Serialize;

use crate::auth::Auth;
use crate::capability::Capability;
use crate::collection::RemoteCollection;
use crate::context::Context;
use crate::error::Error;
use crate::passthrough::Passthrough;
use crate::pull::Pull;
use crate::push::Push;
use crate::webhooks::Webhooks;

/// What a connector is, for people and for the registry.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectorInfo {
    /// The provider's name in the API: `caldav`, `google`.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// The kinds it exchanges.
    pub kinds: &'static [Kind],
    /// How a connection's address may begin; [`WEB`] for what is spoken to by HTTP.
    pub schemes: &'static [&'static str],
    /// The address it speaks to when a connection names none; `None` when a connection must name one.
    pub default_base_url: Option<&'static str>,
    /// What the vendor allows.
    pub limits: Limits,
    /// What calls in the vendor's own words may do; `None` where it speaks no HTTP.
    pub passthrough: Option<Passthrough>,
    /// The vendor's documentation.
    pub docs_url: &'static str,
}

/// The schemes of addresses that are spoken to by HTTP.
pub const WEB: &[&str] = &["https", "http"];

/// What a vendor allows one connection.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Limits {
    /// Requests per second, kept under by the rate limit layer; `None` when the vendor names none.
    pub requests_per_second: Option<u32>,
    /// Longest wait for one answer, in milliseconds.
    pub timeout_ms: u64,
    /// Largest answer that is read, in bytes.
    pub max_response_bytes: usize,
}

/// A connector: stateless, shared by all connections of its provider.
pub trait Connector: Send + Sync {
    /// What it is.
    fn info(&self) -> &ConnectorInfo;

    /// What it can do with a kind; all zero for kinds it does not know.
    fn capability(&self, kind: Kind) -> Capability;

    /// How its connections prove who they are.
    fn auth(&self) -> &dyn Auth;

    /// Reading; present if and only if some kind's capability says `read`.
    fn pull(&self) -> Option<&dyn Pull>;

    /// Writing; present if and only if some kind's capability says `create`, `update` or `delete`.
    fn push(&self) -> Option<&dyn Push>;

    /// Receiving; present if and only if some kind's capability says `webhook`.
    fn webhooks(&self) -> Option<&dyn Webhooks>;

    /// Queries and acts that are not records.
    fn actions(&self) -> Option<&dyn Actions>;

    /// What would be read back if this content were written: the lossy projection of a hub value onto what the
    /// provider can hold. Pure; applying it twice is applying it once.
    fn project(&self, collection: &RemoteCollection, content: &Content) -> Content;
}

/// Queries and acts at the vendor that are not records.
#[async_trait]
pub trait Actions: Send + Sync {
    /// When the collection's owner is busy, in order, overlaps merged.
    ///
    /// # Errors
    /// `Unsupported` where the server has no such query; the hub then answers from its own records.
    async fn free_busy(
        &self,
        ctx: &Context,
        collection: &RemoteCollection,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<BusyPeriod>, Error>;
}

/// A stretch of time that is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BusyPeriod {
    /// From this instant.
    pub from: Timestamp,
    /// To this instant, not included.
    pub to: Timestamp,
}
