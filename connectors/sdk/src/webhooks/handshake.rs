//! Answers to requests that set an address up.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::secrets::WebhookSecret;

/// What to answer to a request that sets an address up.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The status.
    pub status: StatusCode,
    /// The headers, the body's type among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// A secret that the provider hands over with this request (Asana's `X-Hook-Secret`). The hub stores it before it
    /// answers, and only where it has asked for a subscription that has no secret yet; else it answers 404.
    pub secret: Option<WebhookSecret>,
}

impl Handshake {
    /// Answers 200 with this text and nothing else.
    #[must_use]
    pub fn text(body: impl Into<Bytes>) -> Self {
        Self::answer("text/plain; charset=utf-8", body.into())
    }

    /// Answers 200 with this JSON.
    #[must_use]
    pub fn json(body: &serde_json::Value) -> Self {
        Self::answer("application/json", body.to_string().into())
    }

    fn answer(content_type: &'static str, body: Bytes) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        // The text comes from whoever called: nobody's browser shall take it for a page.
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        Self {
            status: StatusCode::OK,
            headers,
            body,
            secret: None,
        }
    }
}
