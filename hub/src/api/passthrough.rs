//! `/v1/passthrough/{connection_id}/{path}`: any call at a vendor, with a connection's credentials.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use connector_sdk::{Error, ErrorKind, HttpResponse};
use model::ConnectionId;
use store::KeyPermission;
use sync::ports::Store as _;
use utoipa::OpenApi;

use super::connections::awake;
use super::error::{ApiError, Code, Failures};
use super::extract::{Caller, read_body};
use super::layers::PassedOn;
use crate::passthrough::{self, By, Call, MAX_REQUEST_BYTES, Refusal};
use crate::state::AppState;

/// Chooses another place than the connection's base address.
const ORIGIN: HeaderName = HeaderName::from_static("concord-origin");
/// On every answer that is the vendor's: the provider.
const MARK: HeaderName = HeaderName::from_static("concord-passthrough");
/// The line of the audit.
const AUDIT: HeaderName = HeaderName::from_static("concord-audit-id");

#[derive(OpenApi)]
#[openapi(paths(pass))]
struct Documented;

/// Its part of the document. A document has no word for methods such as `PROPFIND`; the route takes those, too.
pub fn document() -> utoipa::openapi::OpenApi {
    Documented::openapi()
}

/// Its routes. They answer in whatever the vendor answers in, so `Accept` is the vendor's to judge.
pub fn router() -> Router<AppState> {
    Router::new()
        .route("/v1/passthrough/{id}", any(pass))
        .route("/v1/passthrough/{id}/", any(pass))
        .route("/v1/passthrough/{id}/{*path}", any(pass))
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::new(Code::CallRefused, refusal.to_string())
    }
}

/// Any call at the vendor, relative to the connection's `base_url`, signed with its credentials. The vendor's status,
/// headers and body are passed on, marked by the header `concord-passthrough`; an answer without it is this server's own.
/// Needs a key with the permission `passthrough`. Other methods that the provider speaks (`PROPFIND`, `REPORT`) are taken,
/// too. `docs/passthrough.md` has the limits.
#[utoipa::path(method(get, post, put, patch, delete), path = "/v1/passthrough/{id}/{path}", tag = "passthrough",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The connection"),
        ("path" = String, Path, description = "The rest of the vendor's address, with its query"),
        ("concord-origin" = Option<String>, Header,
            description = "Another place than `base_url`: its own scheme and host, from the root, or one of \
                `passthrough.origins` of `/v1/connectors`")),
    responses((status = 200, description = "What the vendor answered, with its own status"), Failures))]
async fn pass(caller: Caller, State(state): State<AppState>, request: Request) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let (id, path) = parts(head.uri.path()).ok_or_else(|| ApiError::not_found("connection"))?;
    // Another's connection is not found, whatever the key may do.
    let connection = caller.store().connection(&caller.organization, &id).await?;
    let connection = connection.ok_or_else(|| ApiError::not_found("connection"))?;
    if !caller.may(KeyPermission::Passthrough) {
        let message = "this key may not call vendors with the credentials of connections; make one with the permission \
                       `passthrough`";
        return Err(ApiError::new(Code::Forbidden, message));
    }
    awake(&connection)?;
    let providers = state.providers();
    let connector = providers.connector(&connection.provider);
    let declared = connector.and_then(|connector| connector.info().passthrough);
    let (Some(connector), Some(declared)) = (connector, declared) else {
        let message = "this provider is not spoken to in HTTP requests that could be passed on";
        return Err(ApiError::new(Code::ProviderNotSupported, message));
    };
    let usual = connector.info().default_base_url;
    let body = read_body(body, MAX_REQUEST_BYTES).await?.freeze();
    let call = Call {
        method: head.method,
        path,
        query: head.uri.query(),
        origin: origin(&head.headers)?,
        headers: &head.headers,
        body,
    };
    let base = crate::providers::base_url(&connection.config, usual, connector_sdk::WEB);
    let base = base.map_err(|error| ApiError::from_provider(&error))?;
    let mut request = passthrough::prepare(call, &declared, &base, usual)?;
    let permit = providers.call_permit(&connection);
    let permit = permit.map_err(|error| ApiError::from_provider(&error))?;
    let permit = permit.ok_or_else(|| {
        let message = "too many calls at vendors are under way; nothing was sent, try again in a moment";
        ApiError::new(Code::TooManyCalls, message)
    })?;
    let provider = providers
        .open_for_call(&connection, passthrough::MAX_RESPONSE_BYTES)
        .await
        .map_err(|error| ApiError::from_provider(&error))?;
    (declared.sign)(&provider.ctx.credentials, &mut request.headers)
        .map_err(|error| ApiError::from_provider(&error))?;
    let safe = request.idempotent;
    let by = By {
        organization: caller.organization.clone(),
        key: caller.key.clone(),
        request: caller.request().map(str::to_owned),
        connection: connection.id.clone(),
    };
    let called = passthrough::make(&state, by, provider, request, permit).await?;
    let mut response = match called.outcome {
        Ok(answer) => passed_on(answer, &connection.provider),
        Err(error) => no_answer(&error, safe).into_response(),
    };
    if let Ok(id) = HeaderValue::from_str(called.audit.as_str()) {
        response.headers_mut().insert(AUDIT, id);
    }
    Ok(response)
}

/// The connection, and what stands behind it as it came: decoded by nobody on the way.
fn parts(path: &str) -> Option<(ConnectionId, &str)> {
    let rest = path.strip_prefix("/v1/passthrough/")?;
    let (id, path) = rest.split_once('/').unwrap_or((rest, ""));
    Some((id.parse().ok()?, path))
}

fn origin(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    let mut values = headers.get_all(&ORIGIN).iter();
    let first = values.next().map(HeaderValue::to_str).transpose();
    match (first, values.next()) {
        (Ok(text), None) => Ok(text),
        (Ok(_) | Err(_), _) => Err(ApiError::new(
            Code::InvalidHeader,
            "`Concord-Origin` must be one scheme and host: https://api.example.com",
        )),
    }
}

fn passed_on(answer: HttpResponse, provider: &str) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = passthrough::to_caller(&answer.headers);
    if let Ok(provider) = HeaderValue::from_str(provider) {
        response.headers_mut().insert(MARK, provider);
    }
    response.extensions_mut().insert(PassedOn);
    response
}

/// Why there is no answer, and what that means for what was sent.
fn no_answer(error: &Error, safe: bool) -> ApiError {
    let too_large = error.kind == ErrorKind::Unexpected && error.status.is_some();
    let mut failure = ApiError::from_provider(error);
    if too_large {
        failure.code = Code::ProviderError;
    }
    if !safe && error.is_doubtful() {
        failure.message +=
            "; what was sent may have taken effect all the same: look before you send it again";
    }
    failure
}
