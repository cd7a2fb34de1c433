//! Headers with a meaning: `If-Match`, `Idempotency-Key`.

use axum::extract::FromRequestParts;
use axum::http::header::{HeaderMap, IF_MATCH};
use axum::http::request::Parts;

use crate::api::error::{ApiError, Code};

const LONGEST_KEY: usize = 255;

/// The record version that a change rests on; `None` when the client sets none (or `*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IfMatch(pub Option<i64>);

impl IfMatch {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get(IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let bare = text.strip_prefix("W/").unwrap_or(text).trim_matches('"');
        match bare.parse::<i64>() {
            Ok(version) if version > 0 => Ok(Self(Some(version))),
            Ok(_) | Err(_) => Err(ApiError::new(
                Code::InvalidHeader,
                "`If-Match` must be one version as in the answer's `ETag`, for example \"3\"",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}

/// The client's name for one create: the same name never creates twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl IdempotencyKey {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let Some(value) = headers.get("idempotency-key") else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok(text) if !text.trim().is_empty() && text.len() <= LONGEST_KEY => {
                Ok(Self(Some(text.trim().to_owned())))
            }
            Ok(_) | Err(_) => Err(ApiError::new(
                Code::InvalidHeader,
                format!("`Idempotency-Key` must be 1 to {LONGEST_KEY} visible ASCII characters"),
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn if_match(value: &'static str) -> Result<IfMatch, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, value.parse().unwrap());
        IfMatch::of(&headers)
    }

    #[test]
    fn versions_are_read_with_and_without_quotes() {
        for text in ["\"3\"", "3", "W/\"3\""] {
            assert_eq!(if_match(text).unwrap(), IfMatch(Some(3)), "{text}");
        }
        assert_eq!(if_match("*").unwrap(), IfMatch(None));
        assert_eq!(IfMatch::of(&HeaderMap::new()).unwrap(), IfMatch(None));
    }

    #[test]
    fn what_is_no_version_is_refused_and_never_ignored() {
        for text in ["abc", "\"\"", "-1", "\"1\", \"2\""] {
            assert_eq!(if_match(text).unwrap_err().code, Code::InvalidHeader, "{text}");
        }
    }
}
