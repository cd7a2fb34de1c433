//! Failures as clients see them: a closed list of codes, each with its status and its meaning.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use connector_sdk::ErrorKind;
use serde::Serialize;
use serde_json::Value;
use sync::ports::StoreError;
use utoipa::ToSchema;

macro_rules! codes {
    ($($name:ident = $text:literal, $status:ident, $meaning:literal;)*) => {
        /// What went wrong, for programs. The list is closed: `docs/api-errors.md` explains each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
        pub enum Code {
            $(#[doc = $meaning] #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in answers.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The status that goes with it.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// What it means and what to do.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }
        }
    };
}

codes! {
    InvalidJson = "invalid_json", BAD_REQUEST, "The body is not JSON. `message` says where it breaks.";
    InvalidQuery = "invalid_query", BAD_REQUEST, "A parameter of the address is unknown or cannot be read.";
    InvalidHeader = "invalid_header", BAD_REQUEST, "A header of the request cannot be read.";
    UnknownField = "unknown_field", UNPROCESSABLE_ENTITY, "The body names a field that there is not. `details.path` says which.";
    MissingField = "missing_field", UNPROCESSABLE_ENTITY, "The body lacks a field that is needed.";
    WrongType = "wrong_type", UNPROCESSABLE_ENTITY, "A field of the body has a value of the wrong type. `details.path` says which.";
    InvalidField = "invalid_field", UNPROCESSABLE_ENTITY, "A field of the body has a value that is not allowed. `details.path` says which.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "No API key came with the request, or one that is not known. Send `Authorization: Bearer ck_...`.";
    Forbidden = "forbidden", FORBIDDEN, "This API key may not do that: it lacks a permission. `/v1/api-keys` shows what keys may.";
    NotFound = "not_found", NOT_FOUND, "There is no such thing, or it is not yours.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "The address exists, the method does not. The header `Allow` lists those that do.";
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, "The header `Accept` allows no form that this address can answer in.";
    Conflict = "conflict", CONFLICT, "The request does not fit the present state. `message` says why; read again and decide anew.";
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT, "A request with the same `Idempotency-Key` is still being worked on. Send it again in a moment.";
    IdempotencyKeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "The same `Idempotency-Key` came before with another request. Use a new key for a new request.";
    VersionMismatch = "version_mismatch", PRECONDITION_FAILED, "The record changed since the version in `If-Match`. `details` holds the present version and what changed.";
    BadSignature = "bad_signature", UNAUTHORIZED, "A webhook's delivery is not proven to be the provider's, or there is no such address. Nothing was stored.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "The body did not arrive in time, or broke off. Nothing was stored; send it again.";
    PayloadTooLarge = "payload_too_large", PAYLOAD_TOO_LARGE, "The body is larger than this address takes: 1 MiB, 8 MiB of a call at a vendor, or what a provider's webhooks may bring.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "The body is not declared as JSON. Send `Content-Type: application/json`.";
    TooManyStreams = "too_many_streams", TOO_MANY_REQUESTS, "Your organization follows its changes over as many streams as it may (1,000 on one server). End one, or let clients share one.";
    CallRefused = "call_refused", FORBIDDEN, "A call at a vendor in its own words would go to a host, by a path or with a method that is not let through. Nothing was sent.";
    TooManyCalls = "too_many_calls", TOO_MANY_REQUESTS, "So many calls at a vendor in its own words are under way as may be at once (4 for a connection, 64 on one server). Nothing was sent; send it again in a moment.";
    ReadOnly = "read_only", FORBIDDEN, "The collection or the field cannot be written with this connection.";
    ProviderUnreachable = "provider_unreachable", UNPROCESSABLE_ENTITY, "The provider's address does not answer. Check the address and the network.";
    ProviderCertificate = "provider_certificate", UNPROCESSABLE_ENTITY, "The provider's TLS certificate has expired or is not trusted; nothing was sent. For a private authority set `extra_roots_file`.";
    ProviderUnauthorized = "provider_unauthorized", UNPROCESSABLE_ENTITY, "The provider does not accept the credentials. Give new ones.";
    ProviderForbidden = "provider_forbidden", UNPROCESSABLE_ENTITY, "The provider accepts the credentials and does not let this account do it.";
    ProviderNotSupported = "provider_not_supported", UNPROCESSABLE_ENTITY, "What answers at the address does not speak the provider's protocol, or lacks what was asked. Check the address.";
    ProviderRateLimited = "provider_rate_limited", SERVICE_UNAVAILABLE, "The provider wants fewer requests. Try again later.";
    ProviderError = "provider_error", BAD_GATEWAY, "The provider failed, or answered something that its protocol does not allow.";
    DeletesHeld = "deletes_held", CONFLICT, "A sync stopped because it would have deleted too much. Look at the `hold` of the connection's collections, and approve or reject it.";
    ChangesHeld = "changes_held", CONFLICT, "A sync stopped because it would have changed nearly everything. Look at the `hold` of the connection's collections, and approve or reject it.";
    Cancelled = "cancelled", CONFLICT, "The work was called off: its connection was paused or removed.";
    LeaseLost = "lease_lost", CONFLICT, "Another process took the work over; it goes on there.";
    Interrupted = "interrupted", SERVICE_UNAVAILABLE, "The server stopped while it worked on this. It goes on by itself after the next start.";
    Timeout = "timeout", SERVICE_UNAVAILABLE, "The request took too long and was given up.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "The server cannot serve now: its database does not answer, or it is stopping. Nothing was changed; try again.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "A fault of the server. Its log has more under the answer's `request_id`.";
}

/// A failure: becomes the envelope once the request's id is known.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// What went wrong, for programs.
    pub code: Code,
    /// What happened, what it means, what to do.
    pub message: String,
    /// More, for programs.
    pub details: Option<Value>,
}

/// The body of every failure.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureBody {
    /// The failure.
    pub error: FailureDetail,
}

/// A failure in an answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureDetail {
    /// What went wrong, for programs.
    pub code: Code,
    /// What happened, what it means, what to do.
    pub message: String,
    /// More, for programs; its shape depends on the code.
    pub details: Option<Value>,
    /// The request's id, as in the header `x-request-id` and in the server's log.
    pub request_id: String,
}

/// For `responses(...)` of a handler: everything but success.
#[derive(utoipa::IntoResponses)]
#[response(
    status = "default",
    description = "A failure; `error.code` is from the closed list"
)]
pub struct Failures(#[allow(dead_code, reason = "read by the derive only")] FailureBody);

impl ApiError {
    /// A failure.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            details: None,
        }
    }

    /// With more for programs.
    #[must_use]
    pub fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// There is no such thing, or it is another's. `what` is a word such as `connection`.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    /// Something that was joined into another one.
    #[must_use]
    pub fn merged(what: &str, into: &model::RecordId) -> Self {
        let message =
            format!("this {what} was joined into {into}, because both were the same thing; use that id");
        Self::new(Code::NotFound, message).with_details(serde_json::json!({ "merged_into": into }))
    }

    /// A field of the body whose value is not allowed.
    #[must_use]
    pub fn invalid_field(path: &str, problem: &str) -> Self {
        Self::new(Code::InvalidField, format!("`{path}` {problem}"))
            .with_details(serde_json::json!({ "path": path }))
    }

    /// What a connector could not do, in the API's words.
    #[must_use]
    pub fn from_provider(error: &connector_sdk::Error) -> Self {
        let message = match error.status {
            Some(status) => format!("{} (HTTP {status})", error.message),
            None => error.message.clone(),
        };
        Self::new(provider_code(error), message)
    }

    /// The answer's body for the request of this id.
    #[must_use]
    pub fn into_body(self, request_id: &str) -> FailureBody {
        FailureBody {
            error: FailureDetail {
                code: self.code,
                message: self.message,
                details: self.details,
                request_id: request_id.to_owned(),
            },
        }
    }
}

/// The code for a connector's error.
#[must_use]
pub fn provider_code(error: &connector_sdk::Error) -> Code {
    match error.kind {
        // The SDK's transport has one kind for all that keeps an answer from coming; its sentence tells them apart.
        ErrorKind::Unavailable if error.message.starts_with("the certificate of ") => {
            Code::ProviderCertificate
        }
        ErrorKind::Unavailable if error.status.is_none() => Code::ProviderUnreachable,
        ErrorKind::Unauthorized => Code::ProviderUnauthorized,
        ErrorKind::PermissionDenied => Code::ProviderForbidden,
        ErrorKind::RateLimited => Code::ProviderRateLimited,
        ErrorKind::NotFound | ErrorKind::Unsupported | ErrorKind::Unexpected => Code::ProviderNotSupported,
        ErrorKind::Unavailable
        | ErrorKind::VersionConflict
        | ErrorKind::AlreadyExists
        | ErrorKind::CursorExpired
        | ErrorKind::Invalid
        | ErrorKind::BadSignature => Code::ProviderError,
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Stale(_) => Self::new(
                Code::Conflict,
                "it was changed by someone else at the same moment; nothing was written, try again",
            ),
            StoreError::Fenced(_) => Self::new(Code::Conflict, error.to_string()),
            StoreError::Database(source) => {
                tracing::error!(%error, %source, "the database failed");
                Self::new(
                    Code::Unavailable,
                    "the database failed; nothing was written, try again",
                )
            }
            StoreError::Corrupt { .. } => {
                tracing::error!(%error, "a stored value cannot be read");
                Self::new(Code::Internal, "a stored value cannot be read")
            }
        }
    }
}

impl IntoResponse for ApiError {
    /// An answer without a body: the outermost layer knows the request's id and writes the envelope.
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.status();
        if self.code == Code::Unauthorized {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/api-errors.md` as this list makes it.
    fn page() -> String {
        let mut page = String::from(
            "# Error codes of the API\n\nEvery failure is `{\"error\": {\"code\", \"message\", \"details\", \
             \"request_id\"}}`. The list of codes is closed; it is\ngenerated from `hub/src/api/error.rs` and \
             checked by a test.\n\n| code | status | meaning |\n|---|---|---|\n",
        );
        for code in Code::ALL {
            page += &format!(
                "| `{}` | {} | {} |\n",
                code.name(),
                code.status().as_u16(),
                code.meaning()
            );
        }
        page
    }

    #[test]
    fn the_documented_codes_are_the_codes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/api-errors.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            written,
            page(),
            "run this test with UPDATE_DOCS=1 to write docs/api-errors.md anew"
        );
    }

    #[test]
    fn a_code_reads_the_same_in_json_and_in_documents() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
        }
    }
}
