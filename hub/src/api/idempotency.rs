//! `Idempotency-Key`: a create that is sent twice happens once, and both get the same answer.

use std::fmt::Write as _;

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderName, StatusCode};
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use store::IdempotencyClaim;

use super::error::{ApiError, Code};
use super::extract::{Caller, IdempotencyKey};

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const LARGEST_ANSWER: usize = 4 << 20;

/// Carries out `create` unless a request with this key was carried out before: then its answer is given again.
/// Failures are not kept: whoever puts the request right may use the same key.
///
/// # Errors
/// Those of `create`; `idempotency_in_progress` and `idempotency_key_reused`.
pub async fn once(
    caller: &Caller,
    key: IdempotencyKey,
    route: &str,
    digest: &[u8; 32],
    create: impl Future<Output = Result<Response, ApiError>>,
) -> Result<Response, ApiError> {
    let Some(key) = key.0 else {
        return create.await;
    };
    let (store, organization) = (caller.store(), &caller.organization);
    match store
        .claim_idempotency(organization, &key, &fingerprint(route, digest))
        .await?
    {
        IdempotencyClaim::Fresh => {}
        IdempotencyClaim::InProgress => {
            let message = "a request with this `Idempotency-Key` is still being worked on";
            return Err(ApiError::new(Code::IdempotencyInProgress, message));
        }
        IdempotencyClaim::Mismatch => {
            let message = "this `Idempotency-Key` came before with another request";
            return Err(ApiError::new(Code::IdempotencyKeyReused, message));
        }
        IdempotencyClaim::Replay { status, body } => return Ok(replay(status, body)),
    }
    match create.await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let bytes = to_bytes(body, LARGEST_ANSWER)
                .await
                .map_err(|_| ApiError::new(Code::Internal, "the answer could not be kept"))?;
            let text = String::from_utf8_lossy(&bytes);
            store
                .complete_idempotency(organization, &key, parts.status.as_u16(), &text)
                .await?;
            Ok(Response::from_parts(parts, Body::from(bytes)))
        }
        Err(error) => {
            store.abandon_idempotency(organization, &key).await?;
            Err(error)
        }
    }
}

fn fingerprint(route: &str, digest: &[u8; 32]) -> String {
    let hash = Sha256::new().chain_update(route).chain_update(digest).finalize();
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn replay(status: u16, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
