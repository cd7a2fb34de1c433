//! A request as it came in, and one that is proven.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::Grade;

/// A request as it came in: bytes, nothing decoded. `Debug` shows sizes only.
#[derive(Clone)]
pub struct RawRequest {
    /// The method.
    pub method: Method,
    /// Where it was sent, as it stood in the request line.
    pub path_and_query: String,
    /// Scheme, host and port of the address that the provider was given, without a slash at the end; from the hub's
    /// configuration, never from the request. Some providers sign the whole address.
    pub origin: Arc<str>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, byte by byte.
    pub body: Bytes,
    /// When it had arrived, in epoch milliseconds.
    pub received_at_ms: i64,
}

impl RawRequest {
    /// The first query parameter of this name, decoded.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.path_and_query.split_once('?')?;
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

impl fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRequest")
            .field("method", &self.method)
            .field("headers", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .field("received_at_ms", &self.received_at_ms)
            .finish_non_exhaustive()
    }
}

/// A request that one of the schemes of [`crate::signature`] proved to be the provider's. Nothing else can make one
/// but the hub's inbox, which gives back what was proven before ([`super::inbox`]).
#[derive(Debug, Clone)]
pub struct VerifiedRequest {
    request: RawRequest,
    grade: Grade,
    secret_index: usize,
}

impl VerifiedRequest {
    pub(crate) fn new(request: RawRequest, grade: Grade, secret_index: usize) -> Self {
        Self {
            request,
            grade,
            secret_index,
        }
    }

    /// How far it is proven.
    #[must_use]
    pub fn grade(&self) -> Grade {
        self.grade
    }

    /// Which of the live secrets proved it, counted from 0; of a key set, which key.
    #[must_use]
    pub fn secret_index(&self) -> usize {
        self.secret_index
    }

    /// The request. A header that held a shared secret says `[redacted]`.
    #[must_use]
    pub fn request(&self) -> &RawRequest {
        &self.request
    }

    /// A header as text, where it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.get(name)?.to_str().ok()
    }

    /// The body, byte by byte.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.request.body
    }
}
