//! Calls at a vendor in its own words, with a connection's credentials. They take the way that all work of the connection
//! takes: its transport, its budget, its renewal of tokens, the guarded way out. See `docs/passthrough.md`.

mod headers;
mod target;

use std::time::Duration;

use bytes::Bytes;
use connector_sdk::{Error, ErrorKind, HttpRequest, HttpResponse, Passthrough};
use http::{HeaderMap, Method};
use model::{ApiKeyId, AuditId, ConnectionId, OrganizationId};
use store::{AuditEnd, AuditLine};
use sync::ports::Provider;
use url::Url;

use crate::providers::CallPermit;
use crate::state::AppState;

pub use headers::to_caller;
pub use target::Refusal;

/// Largest body that is sent.
pub const MAX_REQUEST_BYTES: usize = 8 << 20;
/// Largest answer that is passed on.
pub const MAX_RESPONSE_BYTES: usize = 16 << 20;
/// Longest time for a call: waiting for its turn, sending it again, and the answer's whole body.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Methods that change nothing, so that they may be sent again: <https://www.rfc-editor.org/rfc/rfc9110#section-9.2.1>,
/// <https://www.rfc-editor.org/rfc/rfc4918#section-9.1>, <https://www.rfc-editor.org/rfc/rfc3253#section-3.6>.
const SAFE: &[&str] = &["GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"];
const OPERATION: &str = "passthrough";

/// A call as it came.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// The path beneath the connection's address, still encoded.
    pub path: &'a str,
    /// The query, still encoded.
    pub query: Option<&'a str>,
    /// Another place than the connection's address.
    pub origin: Option<&'a str>,
    /// The caller's headers.
    pub headers: &'a HeaderMap,
    /// What is sent.
    pub body: Bytes,
}

/// Who calls, for the audit.
pub struct By {
    /// Whose.
    pub organization: OrganizationId,
    /// The key.
    pub key: ApiKeyId,
    /// The request.
    pub request: Option<String>,
    /// With whose credentials.
    pub connection: ConnectionId,
}

/// How a call ended.
pub struct Called {
    /// The line of the audit.
    pub audit: AuditId,
    /// What came back.
    pub outcome: Result<HttpResponse, Error>,
}

/// Whether a call may be sent again without harm.
#[must_use]
pub fn is_safe(method: &Method) -> bool {
    SAFE.contains(&method.as_str())
}

/// Where a call goes, and with what but the signature.
///
/// # Errors
/// [`Refusal`]: nothing is sent.
pub fn prepare(
    call: Call<'_>,
    declared: &Passthrough,
    base: &Url,
    usual: Option<&str>,
) -> Result<HttpRequest, Refusal> {
    if !declared.methods.contains(&call.method.as_str()) {
        let known = declared.methods.join(", ");
        return Err(Refusal(format!("{} is not taken here; {known} are", call.method)));
    }
    // A connection at an address of its own goes there alone: its credentials are not the vendor's.
    let at_home = usual
        .and_then(|usual| Url::parse(usual).ok())
        .is_some_and(|usual| usual.origin() == base.origin());
    let origins = if at_home { declared.origins } else { &[] };
    let url = target::target(base, origins, call.origin, call.path, call.query)?;
    Ok(HttpRequest {
        idempotent: is_safe(&call.method),
        method: call.method,
        url,
        headers: headers::to_vendor(call.headers),
        body: call.body,
        operation: OPERATION,
    })
}

/// Makes a call: written down before, sent, and written down how it ended. It goes on to its end though nobody waits for
/// it any more.
///
/// # Errors
/// When it cannot be written down: then it is not made.
pub async fn make(
    state: &AppState,
    by: By,
    provider: Provider,
    request: HttpRequest,
    permit: CallPermit,
) -> Result<Called, store::StoreError> {
    let (now_ms, random) = state.id_parts();
    let line = AuditLine {
        id: AuditId::new(now_ms, random),
        organization: by.organization,
        action: OPERATION.to_owned(),
        key: by.key,
        request: by.request,
        connection: by.connection,
        method: request.method.to_string(),
        target: without_query(&request.url),
        request_bytes: request.body.len() as u64,
        at: state.clock().now_ms(),
        end: None,
    };
    state.unscoped_store().begin_audit(&line).await?;
    let (audit, state) = (line.id.clone(), state.clone());
    let task = tokio::spawn(async move {
        let _permit = permit;
        let outcome = send(&provider, request).await;
        end(&state, &line, &outcome).await;
        outcome
    });
    let outcome = task.await.unwrap_or_else(|error| {
        let message = "the call broke off in this server; whether it reached the vendor is not known";
        Err(Error::new(ErrorKind::Unavailable, OPERATION, message).with_source(error))
    });
    Ok(Called { audit, outcome })
}

async fn send(provider: &Provider, request: HttpRequest) -> Result<HttpResponse, Error> {
    let sent = provider.ctx.http.send(request);
    tokio::time::timeout(CALL_TIMEOUT, sent)
        .await
        .unwrap_or_else(|_| {
            let message = format!("no whole answer came within {} seconds", CALL_TIMEOUT.as_secs());
            Err(Error::new(ErrorKind::Unavailable, OPERATION, message))
        })
}

async fn end(state: &AppState, line: &AuditLine, outcome: &Result<HttpResponse, Error>) {
    let end = AuditEnd {
        outcome: match outcome {
            Ok(response) => Ok(response.status.as_u16()),
            Err(error) => Err(error.message.clone()),
        },
        response_bytes: outcome.as_ref().map_or(0, |response| response.body.len() as u64),
        at: state.clock().now_ms(),
    };
    let (store, id) = (state.unscoped_store(), &line.id);
    if let Err(error) = store.end_audit(&line.organization, id, &end).await {
        // The line stands without an end: that is what it says of a call of which nobody knows.
        tracing::error!(%error, audit = %id, "how a call at a vendor ended could not be written down");
    }
}

/// Scheme, host and path.
fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.into()
}
