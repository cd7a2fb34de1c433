//! Deliveries as this provider sends them: for tests of whoever receives them.
//!
//! ```json
//! {"notices": [
//!   {"account": "ada", "collection": "work"},
//!   {"account": "ada", "collection": "work", "order": 7, "object": {"id": "a", "version": "v7", "content": {}}},
//!   {"account": "bob", "collection": "home", "order": 8, "deleted": "b"}
//! ]}
//! ```
//!
//! A notice with an `object` or a `deleted` id is `Observed`; one without is `Dirty`, and without a collection it
//! speaks of the whole account. `account` is the route, matched with the connection's setting of that name.

use bytes::Bytes;
use connector_sdk::signature::standard_webhooks::{self, Signer};
use connector_sdk::{Error, RawRequest, RemoteId, RemoteVersion, WebhookSecret};
use http::{HeaderMap, HeaderValue, Method};
use model::Content;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The header that brings the shared secret of a provider that does not sign.
pub const TOKEN: &str = "x-memory-token";

/// The most notices that one delivery may bring.
pub const MAX_NOTICES: usize = 1_000;

/// A delivery's body.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) notices: Vec<Told>,
}

/// One notice as it is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Told {
    #[serde(default)]
    pub(crate) account: Option<String>,
    #[serde(default)]
    pub(crate) collection: Option<RemoteId>,
    #[serde(default)]
    pub(crate) order: Option<i64>,
    #[serde(default)]
    pub(crate) object: Option<ToldObject>,
    #[serde(default)]
    pub(crate) deleted: Option<RemoteId>,
}

/// An object as it is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToldObject {
    pub(crate) id: RemoteId,
    #[serde(default)]
    pub(crate) version: Option<RemoteVersion>,
    pub(crate) content: Content,
}

/// A notice that something changed in a collection.
#[must_use]
pub fn dirty(collection: &str) -> Value {
    json!({"collection": collection})
}

/// The same notice to the connection whose setting `account` says so.
#[must_use]
pub fn to_account(mut notice: Value, account: &str) -> Value {
    notice["account"] = account.into();
    notice
}

/// The body of a delivery with these notices (see [`dirty`] and [`crate::MemoryProvider::observation`]).
#[must_use]
pub fn body(notices: &[Value]) -> Bytes {
    json!({"notices": notices}).to_string().into()
}

/// The headers of a signed delivery: Standard Webhooks.
///
/// # Errors
/// As [`Signer::headers`].
pub fn headers(secret: &WebhookSecret, id: &str, now_ms: i64, body: &[u8]) -> Result<HeaderMap, Error> {
    Signer::new([secret])?.headers(id, now_ms.div_euclid(1_000), body)
}

/// A signed delivery as the receiver gets it.
///
/// # Errors
/// As [`headers`].
pub fn signed(secret: &WebhookSecret, id: &str, now_ms: i64, body: Bytes) -> Result<RawRequest, Error> {
    standard_webhooks::delivery(&Signer::new([secret])?, id, now_ms, body)
}

/// A delivery of a provider that brings a shared secret instead of signing. It has no id.
#[must_use]
pub fn with_token(token: &str, now_ms: i64, body: Bytes) -> RawRequest {
    let mut headers = HeaderMap::new();
    if let Ok(token) = HeaderValue::from_str(token) {
        headers.insert(TOKEN, token);
    }
    RawRequest {
        method: Method::POST,
        path_and_query: "/".to_owned(),
        origin: "".into(),
        headers,
        body,
        received_at_ms: now_ms,
    }
}
