//! JSON bodies: bounded, strict, and refused with the path of what is wrong.

use axum::body::{Body as HttpBody, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use bytes::BytesMut;
use futures::StreamExt as _;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::api::error::{ApiError, Code};

/// Largest body that is read.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// How much of a body that is too large is thrown away before the answer: a client that is still sending when its
/// connection closes sees a broken connection instead of the answer.
const MAX_DISCARDED_BYTES: usize = 256 << 20;

/// A JSON body.
#[derive(Debug)]
pub struct Body<T> {
    /// What it says.
    pub value: T,
    /// SHA-256 of its bytes: tells a repeated request from another one with the same idempotency key.
    pub digest: [u8; 32],
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let declared = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(is_json);
        let bytes = read(request.into_body(), MAX_BODY_BYTES).await?;
        if !declared {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "send the body as JSON, with `Content-Type: application/json`",
            ));
        }
        Ok(Self {
            value: parse(&bytes)?,
            digest: Sha256::digest(&bytes).into(),
        })
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// A body of at most so many bytes.
///
/// # Errors
/// `payload_too_large`; `invalid_json` when it broke off.
pub(crate) async fn read(body: HttpBody, max_bytes: usize) -> Result<BytesMut, ApiError> {
    let declared_too_large = body.size_hint().lower() > max_bytes as u64;
    let mut kept = BytesMut::new();
    let mut seen = 0usize;
    let mut stream = body.into_data_stream();
    while let Some(piece) = stream.next().await {
        let piece =
            piece.map_err(|_| ApiError::new(Code::InvalidJson, "the body broke off before its end"))?;
        seen += piece.len();
        if seen > MAX_DISCARDED_BYTES {
            break;
        }
        if !declared_too_large && seen <= max_bytes {
            kept.extend_from_slice(&piece);
        }
    }
    if declared_too_large || seen > max_bytes {
        return Err(ApiError::new(
            Code::PayloadTooLarge,
            format!(
                "the body is larger than {} MiB; nothing was done",
                max_bytes >> 20
            ),
        ));
    }
    Ok(kept)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        refused(&path, &error.into_inner())
    })?;
    json.end().map_err(|error| refused("", &error))?;
    Ok(value)
}

/// serde's errors are text; their beginnings are stable and tell the cases apart.
fn refused(path: &str, error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    if !error.is_data() {
        return ApiError::new(Code::InvalidJson, format!("the body is not JSON: {text}"));
    }
    let text = match text.rfind(" at line ") {
        Some(end) => &text[..end],
        None => &text,
    };
    let named = text.split('`').nth(1).unwrap_or_default();
    let (code, path) = if text.starts_with("unknown field") {
        (Code::UnknownField, joined(path, named))
    } else if text.starts_with("missing field") {
        (Code::MissingField, joined(path, named))
    } else if text.starts_with("invalid type") || text.starts_with("invalid length") {
        (Code::WrongType, path.to_owned())
    } else {
        (Code::InvalidField, path.to_owned())
    };
    let place = if path.is_empty() || path == "." {
        "in the body".to_owned()
    } else {
        format!("at `{path}`")
    };
    ApiError::new(code, format!("{place}: {text}")).with_details(serde_json::json!({ "path": path }))
}

/// The path of a named field. serde names an unknown one in the path already, a missing one not.
fn joined(path: &str, name: &str) -> String {
    if path == "." || path.is_empty() || path == name {
        name.to_owned()
    } else if path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its type matters")]
        inner: Inner,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its type matters")]
        count: u32,
    }

    #[test]
    fn each_way_to_be_wrong_has_its_code_and_its_path() {
        for (text, code, path) in [
            (r#"{"inner": {"count": 1}"#, Code::InvalidJson, None),
            (r#"{"inner": {"count": 1}} x"#, Code::InvalidJson, None),
            ("", Code::InvalidJson, None),
            (
                r#"{"inner": {"count": "1"}}"#,
                Code::WrongType,
                Some("inner.count"),
            ),
            (
                r#"{"inner": {"count": 1, "x": 2}}"#,
                Code::UnknownField,
                Some("inner.x"),
            ),
            (
                r#"{"inner": {"count": 1}, "y": 2}"#,
                Code::UnknownField,
                Some("y"),
            ),
            (r#"{"inner": {}}"#, Code::MissingField, Some("inner.count")),
            (
                r#"{"inner": {"count": -1}}"#,
                Code::InvalidField,
                Some("inner.count"),
            ),
            ("[]", Code::WrongType, None),
        ] {
            let error = parse::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!(error.code, code, "{text}: {}", error.message);
            let named = error
                .details
                .as_ref()
                .and_then(|details| details["path"].as_str());
            assert!(path.is_none() || named == path, "{text}: {named:?}");
        }
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_is_cut_off_at_the_limit() {
        let endless = futures::stream::iter((0..64).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1 << 16])));
        let error = read(HttpBody::from_stream(endless), 1 << 20).await.unwrap_err();
        assert_eq!(error.code, Code::PayloadTooLarge);
    }
}
