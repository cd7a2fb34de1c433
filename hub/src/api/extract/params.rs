//! Parameters of the address, and the piece of a list that they ask for.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use store::Paging;

use crate::api::error::{ApiError, Code};

/// Most elements of a list in one answer.
pub const MAX_LIMIT: u32 = 200;
const USUAL_LIMIT: u32 = 50;

/// The parameters of the address. `T` says `deny_unknown_fields`, so that a mistyped filter is an error and not a
/// longer list.
#[derive(Debug, Clone)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => {
                let text = rejection.body_text();
                let problem = text
                    .rsplit_once("query string: ")
                    .map_or(text.as_str(), |(_, rest)| rest);
                Err(ApiError::new(
                    Code::InvalidQuery,
                    format!("in the address: {problem}"),
                ))
            }
        }
    }
}

/// Which piece of a list `limit` and `cursor` of the address ask for.
///
/// # Errors
/// `invalid_query` when the limit is out of range or the cursor is none of ours.
pub fn paging(limit: Option<u32>, cursor: Option<&str>) -> Result<Paging, ApiError> {
    let limit = limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        let message = format!("`limit` must be from 1 to {MAX_LIMIT}");
        return Err(ApiError::new(Code::InvalidQuery, message));
    }
    let after = cursor.map(decode).transpose()?;
    Ok(Paging { after, limit })
}

/// The store's cursor in the form that clients get: opaque, so that nobody builds their own.
#[must_use]
pub fn encode_cursor(cursor: &str) -> String {
    URL_SAFE_NO_PAD.encode(cursor)
}

fn decode(cursor: &str) -> Result<String, ApiError> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            ApiError::new(
                Code::InvalidQuery,
                "`cursor` must be the `page.next` of an earlier answer",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_place() {
        let cursor = encode_cursor("conn_01");
        assert_eq!(
            paging(None, Some(&cursor)).unwrap().after.as_deref(),
            Some("conn_01")
        );
    }

    #[test]
    fn limits_out_of_range_and_foreign_cursors_are_refused() {
        for (limit, cursor) in [(Some(0), None), (Some(201), None), (None, Some("%%%"))] {
            assert_eq!(paging(limit, cursor).unwrap_err().code, Code::InvalidQuery);
        }
        assert_eq!(paging(Some(200), None).unwrap().limit, 200);
    }
}
