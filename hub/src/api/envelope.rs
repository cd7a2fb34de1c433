//! What every success looks like: `{"data": ..., "page": {"next": ...}}`.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::extract::encode_cursor;

/// A success with one thing.
#[derive(Debug, Serialize, ToSchema)]
pub struct Data<T> {
    /// The thing.
    pub data: T,
}

/// A success with a piece of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct List<T> {
    /// The piece.
    pub data: Vec<T>,
    /// How to go on.
    pub page: PageInfo,
}

/// How to go on in a list.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct PageInfo {
    /// Send it as `cursor` to get what follows; null at the end.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A whole list.
    pub fn whole(data: Vec<T>) -> Self {
        Self {
            data,
            page: PageInfo::default(),
        }
    }

    /// A page of the store, each element as clients see it.
    pub fn of<S>(page: store::Page<S>, shown: impl FnMut(S) -> T) -> Self {
        Self {
            data: page.items.into_iter().map(shown).collect(),
            page: PageInfo {
                next: page.next.as_deref().map(encode_cursor),
            },
        }
    }
}

impl<T: Serialize> IntoResponse for Data<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

impl<T: Serialize> IntoResponse for List<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// 201 with the new thing and where it is.
pub fn created<T: Serialize>(location: &str, data: T) -> Response {
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(header::LOCATION, location);
    }
    (StatusCode::CREATED, headers, Json(Data { data })).into_response()
}

/// An `ETag` of a record's version: `"3"`.
#[must_use]
pub fn etag(version: i64) -> (header::HeaderName, String) {
    (header::ETAG, format!("\"{version}\""))
}

/// A moment as clients see it, RFC 3339 in UTC.
#[must_use]
pub fn moment(epoch_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(epoch_ms).map_or_else(|_| String::new(), |moment| moment.to_string())
}
