//! What the hub keeps of a proven request between its answer and its work. For the hub's inbox alone: giving back
//! what was proven before is the one way to a [`VerifiedRequest`] that does not go through a scheme, and a test of
//! the architecture proves that no connector takes it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::Grade;
use super::request::{RawRequest, VerifiedRequest};
use crate::error::{Error, ErrorKind};

/// All of a proven request but its body, for the inbox's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredHead {
    method: String,
    path_and_query: String,
    origin: String,
    /// Values byte by byte, each as the character of that number, since headers need not be UTF-8.
    headers: Vec<(String, String)>,
    received_at_ms: i64,
    grade: Grade,
    secret_index: usize,
}

impl StoredHead {
    /// Takes it from a proven request; the body is stored beside it as it is.
    #[must_use]
    pub fn of(verified: &VerifiedRequest) -> Self {
        let request = verified.request();
        let text = |value: &HeaderValue| value.as_bytes().iter().copied().map(char::from).collect();
        Self {
            method: request.method.as_str().to_owned(),
            path_and_query: request.path_and_query.clone(),
            origin: request.origin.to_string(),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), text(value)))
                .collect(),
            received_at_ms: request.received_at_ms,
            grade: verified.grade(),
            secret_index: verified.secret_index(),
        }
    }

    /// The request as it was proven.
    ///
    /// # Errors
    /// `Unexpected` when the row does not hold what [`StoredHead::of`] made.
    pub fn restore(self, body: Bytes) -> Result<VerifiedRequest, Error> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let bytes: Option<Vec<u8>> = value.chars().map(|char| u8::try_from(char).ok()).collect();
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(damaged)?;
            let value = HeaderValue::from_bytes(&bytes.unwrap_or_default()).map_err(damaged)?;
            headers.append(name, value);
        }
        let request = RawRequest {
            method: Method::from_bytes(self.method.as_bytes()).map_err(damaged)?,
            path_and_query: self.path_and_query,
            origin: Arc::from(self.origin),
            headers,
            body,
            received_at_ms: self.received_at_ms,
        };
        Ok(VerifiedRequest::new(request, self.grade, self.secret_index))
    }
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    let message = "a stored delivery cannot be read back; it is kept as it is, and nothing came of it";
    Error::new(ErrorKind::Unexpected, "webhook.inbox", message).with_source(error)
}
