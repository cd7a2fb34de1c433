//! Webhooks: what a provider sends by itself, proven before it is read.
//!
//! The order is fixed by types. A [`RawRequest`] can only be verified (or answered, where it is a [`Handshake`]);
//! [`Webhooks::verify`] gives a [`VerifiedRequest`], which nothing but the schemes of [`crate::signature`] can make;
//! and everything that looks inside takes a [`VerifiedRequest`]. There is no scheme "no signature".

mod handshake;
pub mod inbox;
mod notice;
mod request;
mod secrets;
mod subscription;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use handshake::Handshake;
pub use notice::{Notice, Observed, OrderingKey, Route};
pub use request::{RawRequest, VerifiedRequest};
pub use secrets::{WebhookSecret, WebhookSecrets};
pub use subscription::{SubscribeRequest, Subscription};

use crate::context::Context;
use crate::error::Error;
use crate::signature::KeySet;

/// A good default for [`Webhooks::max_body_bytes`]: vendors' deliveries are kilobytes.
pub const DEFAULT_MAX_BODY_BYTES: usize = 1 << 20;

/// How far a delivery is proven to be the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// Its bytes are signed: who knows an old delivery cannot make a new one.
    Signed,
    /// It brings a secret that both sides know: whoever once saw a delivery can say anything. So it is a reason to
    /// go and look, never a fact.
    SharedSecret,
}

/// Receiving facet: deliveries of a provider and the subscriptions behind them. All but the subscriptions is pure:
/// no clock, no network, no memory.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// The largest body that is read, in bytes; a larger request is refused before it is verified.
    fn max_body_bytes(&self) -> usize;

    /// The answer to a request that sets an address up and is no delivery: a challenge, a validation token, a hook
    /// secret handed over. `None`: it is a delivery, to be verified.
    ///
    /// Where the provider signs its challenge, a wrong signature gives `None` (and `verify` then refuses it), since an
    /// answer made from the secret tells whoever asked something about it.
    fn handshake(&self, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Option<Handshake>;

    /// Proves that a delivery is the provider's: on its raw bytes, in constant time, with any of the live secrets,
    /// and in time where the provider says when it was sent. `now_ms` is epoch milliseconds.
    ///
    /// # Errors
    /// `BadSignature`, with [`Error::refusal`] saying why in a word for machines. Nothing was read of it then.
    fn verify(
        &self,
        request: RawRequest,
        secrets: &WebhookSecrets,
        now_ms: i64,
    ) -> Result<VerifiedRequest, Error>;

    /// The keys that the provider publishes to prove its deliveries with, fetched anew; `None` where it publishes none.
    /// The hub keeps them (`signature::KeyCache`) and brings them in the secrets.
    ///
    /// # Errors
    /// When they cannot be fetched.
    async fn keys(&self, ctx: &Context) -> Result<Option<KeySet>, Error>;

    /// The provider's own id of the delivery, the same whenever it is sent again; `None` where it has none, and then
    /// no delivery is ever dropped as a double. Only what the signature covers counts as an id.
    fn delivery_id(&self, request: &VerifiedRequest) -> Option<String>;

    /// The connections that a delivery concerns, at an address which many share. Empty: it concerns none.
    fn routes(&self, request: &VerifiedRequest) -> Vec<Route>;

    /// The routes under which a connection with these settings is found: the other half of [`Self::routes`].
    fn routes_of(&self, config: &Map<String, Value>) -> Vec<Route>;

    /// What a delivery says to the connection of one route, and only to it; without a route (the connection has an
    /// address of its own) all that it says. An empty list is a delivery that says nothing of interest.
    ///
    /// # Errors
    /// `Invalid` when a proven delivery cannot be understood: it is kept and shown, and costs nothing but itself.
    fn parse(&self, request: &VerifiedRequest, route: Option<&Route>) -> Result<Vec<Notice>, Error>;

    /// Asks the provider to send deliveries. The request's id and secret are stored before this is called, since
    /// some providers validate the address before they answer.
    ///
    /// # Errors
    /// `Unsupported` where deliveries are set up by hand at the provider; what the provider refuses.
    async fn subscribe(&self, ctx: &Context, request: &SubscribeRequest<'_>) -> Result<Subscription, Error>;

    /// Makes a subscription last longer. Where the provider can only make new ones, the answer has another id, and
    /// the hub unsubscribes the old one.
    ///
    /// # Errors
    /// `NotFound` when the provider has lost it: the hub subscribes anew.
    async fn renew(
        &self,
        ctx: &Context,
        subscription: &Subscription,
        request: &SubscribeRequest<'_>,
    ) -> Result<Subscription, Error>;

    /// Ends a subscription. Ending what is not there succeeds.
    ///
    /// # Errors
    /// When it cannot be told whether it ended.
    async fn unsubscribe(&self, ctx: &Context, subscription: &Subscription) -> Result<(), Error>;
}
