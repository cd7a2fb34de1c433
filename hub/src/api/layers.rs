//! The layers around every route: request ids, the failure envelope, traces without secrets, counters.

use std::any::Any;
use std::time::Duration;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Span;

use super::error::{ApiError, Code};
use crate::state::AppState;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_ID: usize = 64;

/// A request's id, for handlers and traces.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// The id of the request that these belong to.
pub(crate) fn request_id(extensions: &Extensions) -> Option<&str> {
    extensions.get::<RequestId>().map(|id| id.0.as_str())
}

/// An answer that is a vendor's own: nothing of it is put into our envelope.
#[derive(Debug, Clone, Copy)]
pub(super) struct PassedOn;

/// Outermost: gives the request its id and writes every failure into the envelope.
pub(super) async fn finish(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = given_id(request.headers()).unwrap_or_else(|| {
        let (now_ms, random) = state.id_parts();
        format!("req_{}", model::id::time_ordered(now_ms, random))
    });
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    let vendors = response.extensions_mut().remove::<PassedOn>().is_some();
    let failure = response
        .extensions_mut()
        .remove::<ApiError>()
        .or_else(|| foreign(&response).filter(|_| !vendors));
    if let Some(failure) = failure {
        response = enveloped(response, failure, &id);
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The client's own id, if it is fit for logs.
fn given_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (!text.is_empty() && text.len() <= LONGEST_ID && text.bytes().all(fit)).then(|| text.to_owned())
}

/// A failure that did not come from our handlers: from a layer or from axum itself.
fn foreign(response: &Response) -> Option<ApiError> {
    let status = response.status();
    let ours = response
        .headers()
        .get(CONTENT_TYPE)
        // Pages for people say what is wrong themselves.
        .is_some_and(|value| value == "application/json" || value == "text/html; charset=utf-8");
    if ours || !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    Some(match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::REQUEST_TIMEOUT => {
            ApiError::new(Code::Timeout, "the answer took too long and was given up")
        }
        StatusCode::NOT_FOUND => ApiError::not_found("address"),
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(Code::PayloadTooLarge, "the body is too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => {
            ApiError::new(Code::UnsupportedMediaType, "send the body as JSON")
        }
        _ if status.is_client_error() => {
            ApiError::new(Code::InvalidHeader, "the request cannot be understood")
        }
        _ => ApiError::new(Code::Internal, "a fault of the server"),
    })
}

fn enveloped(response: Response, failure: ApiError, id: &str) -> Response {
    let status = failure.code.status();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    parts.status = status;
    let mut answer = Json(failure.into_body(id)).into_response();
    *answer.status_mut() = status;
    for (name, value) in &parts.headers {
        answer.headers_mut().insert(name.clone(), value.clone());
    }
    answer
}

pub(super) async fn no_such_route() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "there is nothing at this address; `/docs` lists what there is",
    )
}

pub(super) async fn no_such_method() -> ApiError {
    ApiError::new(Code::MethodNotAllowed, "this address does not take that method")
}

pub(super) fn panicked(_panic: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked; the request was answered with `internal`");
    ApiError::new(Code::Internal, "a fault of the server ended this request").into_response()
}

/// Refuses clients that take neither JSON nor a stream of events.
pub(super) async fn acceptable(request: Request, next: Next) -> Response {
    let accept = request
        .headers()
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok());
    let fits = |range: &str| {
        let essence = range.split(';').next().unwrap_or_default().trim();
        matches!(
            essence,
            "*/*" | "application/*" | "application/json" | "text/event-stream"
        )
    };
    // Scrapers of /metrics name their own formats, and get text.
    let is_api = request.uri().path().starts_with("/v1/");
    if is_api && accept.is_some_and(|ranges| !ranges.split(',').any(fits)) {
        return ApiError::new(Code::NotAcceptable, "this address answers in application/json")
            .into_response();
    }
    next.run(request).await
}

/// A span with the request's id; headers stay out of it, authorisation among them.
pub(super) fn span(request: &Request) -> Span {
    let id = request.extensions().get::<RequestId>().map(|id| id.0.as_str());
    tracing::info_span!(
        "request",
        id = id.unwrap_or_default(),
        method = %request.method(),
        // Without the query: search texts are nobody's business.
        path = loggable(request.uri().path()),
    )
}

/// The path of a connect link is its secret, and vendors' paths hold people's addresses.
fn loggable(path: &str) -> &str {
    if path.starts_with("/v1/passthrough/") {
        return "/v1/passthrough/...";
    }
    match path.strip_prefix("/connect/") {
        Some(rest) if !rest.starts_with("repair/") => "/connect/...",
        Some(_) | None => path,
    }
}

pub(super) fn log_answer(response: &Response, took: Duration, _span: &Span) {
    let status = response.status().as_u16();
    let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    if status >= 500 {
        tracing::warn!(status, took_ms, "answered");
    } else {
        tracing::debug!(status, took_ms, "answered");
    }
}

/// Counts and times requests by route, method and status. Paths never become labels: there are too many of them.
pub(super) async fn measure(request: Request, next: Next) -> Response {
    let begun = tokio::time::Instant::now();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = request.method().as_str().to_owned();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!("concord_http_requests_total",
        "route" => route.clone(), "method" => method.clone(), "status" => status)
    .increment(1);
    metrics::histogram!("concord_http_request_seconds", "route" => route, "method" => method)
        .record(begun.elapsed().as_secs_f64());
    response
}
