//! The contract a connector implements, and all that a partner's crate depends on.
//!
//! A [`Connector`] is a set of facets: object-safe traits, none with default bodies, present exactly when
//! [`Capability`] says so. It owns no HTTP client, no token store and no retry loop: a [`Context`] brings
//! transport, credentials, clock and cancellation, and the layers around the transport do the rest.
//! `docs/specs/connector.md` states the contract in MUSTs; the conformance suite in `testkit` executes it.

pub mod auth;
pub mod capability;
pub mod clock;
pub mod collection;
pub mod connector;
pub mod context;
pub mod credentials;
pub mod dial;
pub mod error;
pub mod http;
pub mod layers;
pub mod oauth;
pub mod passthrough;
pub mod pull;
pub mod push;
pub mod signature;
pub mod webhooks;

pub use auth::{Account, Auth};
pub use capability::{Capability, Conditional, Notifies, SeriesModel, WebhookProof};
pub use clock::{Clock, SystemClock};
pub use collection::{Access, RemoteCollection};
pub use connector::{Actions, BusyPeriod, Connector, ConnectorInfo, Limits, WEB};
pub use context::Context;
pub use credentials::{AuthScheme, Credentials};
pub use dial::{ByteStream, Dial, Endpoint, NoDial, Security};
pub use error::{Error, ErrorKind, Retry};
pub use http::{HttpRequest, HttpResponse, HttpTransport};
pub use mapping::FieldSupport;
pub use passthrough::Passthrough;
pub use pull::{Change, Coverage, Cursor, Known, Listing, Page, Pull, PullRequest, RemoteObject, SeriesPart};
pub use push::{Action, Applied, Push, Target, Write};
pub use webhooks::{
    Grade, Handshake, Notice, Observed, OrderingKey, RawRequest, Route, SubscribeRequest, Subscription,
    VerifiedRequest, WebhookSecret, WebhookSecrets, Webhooks,
};

use serde::{Deserialize, Serialize};

/// A provider's own name for an object: opaque, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteId(pub String);

/// A provider's version of an object (etag, change key): opaque, compared byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RemoteVersion(pub String);

impl std::fmt::Display for RemoteId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
