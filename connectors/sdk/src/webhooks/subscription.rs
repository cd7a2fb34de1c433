//! Standing orders for deliveries.

use url::Url;

use super::secrets::WebhookSecret;
use crate::collection::RemoteCollection;

/// What to ask the provider for.
#[derive(Debug, Clone, Copy)]
pub struct SubscribeRequest<'a> {
    /// The hub's id of it, new for each attempt and stored before; where the provider lets the client choose, it is
    /// the subscription's id.
    pub id: &'a str,
    /// Where deliveries shall go.
    pub callback_url: &'a Url,
    /// The secret for this subscription, where the client chooses it: 32 random bytes as hexadecimal text.
    pub secret: &'a WebhookSecret,
    /// Of which collection; `None`: of the account.
    pub collection: Option<&'a RemoteCollection>,
    /// How long it shall last, in milliseconds; the provider may cut it.
    pub lasting_ms: i64,
}

/// A subscription as the provider holds it.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// The provider's id of it.
    pub id: String,
    /// The provider's id of what is watched, where it needs both to end it (Google's `resourceId`).
    pub resource_id: Option<String>,
    /// The secret, where the provider chose it: stored in the place of the one that was asked with.
    pub secret: Option<WebhookSecret>,
    /// When it ends by itself, in epoch milliseconds; `None`: never.
    pub expires_at_ms: Option<i64>,
}
