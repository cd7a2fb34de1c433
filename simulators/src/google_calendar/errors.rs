//! Error answers in the exact shape that Google sends.
//! <https://developers.google.com/workspace/calendar/api/guides/errors>

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::faults::{Fault, FaultAnswer};

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// HTTP status, repeated as `error.code`.
    pub status: u16,
    /// `error.errors[0].domain`: `global`, `calendar`, `usageLimits`, `push`.
    pub domain: &'static str,
    /// `error.errors[0].reason`: what a client acts on.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    location: Option<(&'static str, String)>,
}

impl ApiError {
    pub(crate) fn new(
        status: u16,
        domain: &'static str,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            domain,
            reason,
            message: message.into(),
            location: None,
        }
    }

    fn at(mut self, kind: &'static str, name: &str) -> Self {
        self.location = Some((kind, name.to_owned()));
        self
    }

    /// 400: a field or parameter has an unusable value.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "global", "invalid", message)
    }

    pub(crate) fn invalid_parameter(name: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).at("parameter", name)
    }

    /// 400: a field that has to be there is not.
    pub(crate) fn required(message: impl Into<String>) -> Self {
        Self::new(400, "global", "required", message)
    }

    pub(crate) fn parse_error() -> Self {
        Self::new(400, "global", "parseError", "Parse Error")
    }

    pub(crate) fn time_range_empty() -> Self {
        Self::new(
            400,
            "calendar",
            "timeRangeEmpty",
            "The specified time range is empty.",
        )
        .at("parameter", "timeMax")
    }

    pub(crate) fn auth_error() -> Self {
        Self::new(401, "global", "authError", "Invalid Credentials").at("header", "Authorization")
    }

    pub(crate) fn login_required() -> Self {
        Self::new(401, "global", "required", "Login Required").at("header", "Authorization")
    }

    pub(crate) fn required_access_level(needed: &str) -> Self {
        let message = format!("You need to have {needed} access to this calendar.");
        Self::new(403, "calendar", "requiredAccessLevel", message)
    }

    pub(crate) fn forbidden_for_non_organizer() -> Self {
        let message = "Shared properties can only be changed by the organizer of the event.";
        Self::new(403, "calendar", "forbiddenForNonOrganizer", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "global", "notFound", "Not Found")
    }

    pub(crate) fn duplicate() -> Self {
        Self::new(
            409,
            "global",
            "duplicate",
            "The requested identifier already exists.",
        )
    }

    pub(crate) fn full_sync_required() -> Self {
        let message = "Sync token is no longer valid, a full sync is required.";
        Self::new(410, "calendar", "fullSyncRequired", message).at("parameter", "syncToken")
    }

    pub(crate) fn updated_min_too_long_ago() -> Self {
        let message = "The requested minimum modification time lies too far in the past.";
        Self::new(410, "calendar", "updatedMinTooLongAgo", message).at("parameter", "updatedMin")
    }

    pub(crate) fn deleted() -> Self {
        Self::new(410, "global", "deleted", "Resource has been deleted")
    }

    pub(crate) fn condition_not_met() -> Self {
        Self::new(412, "global", "conditionNotMet", "Precondition Failed").at("header", "If-Match")
    }

    /// An operation that Google has and this stand-in has not: never mistaken for an answer of Google's.
    pub(crate) fn not_simulated() -> Self {
        Self::new(
            501,
            "global",
            "notSimulated",
            "This operation is not part of the simulator.",
        )
    }

    /// The body as sent.
    pub fn body(&self) -> Value {
        let mut detail = json!({"domain": self.domain, "reason": self.reason, "message": self.message});
        if let Some((kind, name)) = &self.location {
            detail["locationType"] = json!(kind);
            detail["location"] = json!(name);
        }
        json!({"error": {"errors": [detail], "code": self.status, "message": self.message}})
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.body())).into_response();
        if self.status == 401 {
            let challenge = HeaderValue::from_static("Bearer realm=\"https://accounts.google.com/\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Troubles on Google's side that the usage limits and errors pages name, to be injected with
/// [`crate::faults::Faults`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// 403 `rateLimitExceeded`.
    RateLimitExceeded,
    /// 403 `userRateLimitExceeded`.
    UserRateLimitExceeded,
    /// 403 `quotaExceeded`: calendar usage limits, not a matter of seconds.
    QuotaExceeded,
    /// 429 `rateLimitExceeded`.
    TooManyRequests,
    /// 500 `backendError`.
    BackendError,
    /// 401 `authError`.
    InvalidCredentials,
}

impl Trouble {
    pub(crate) fn error(self) -> ApiError {
        let limits = "usageLimits";
        match self {
            Self::RateLimitExceeded => ApiError::new(403, limits, "rateLimitExceeded", "Rate Limit Exceeded"),
            Self::UserRateLimitExceeded => {
                ApiError::new(403, limits, "userRateLimitExceeded", "User Rate Limit Exceeded")
            }
            Self::QuotaExceeded => {
                ApiError::new(403, limits, "quotaExceeded", "Calendar usage limits exceeded.")
            }
            Self::TooManyRequests => ApiError::new(429, limits, "rateLimitExceeded", "Rate Limit Exceeded"),
            Self::BackendError => ApiError::new(500, "global", "backendError", "Backend Error"),
            Self::InvalidCredentials => ApiError::auth_error(),
        }
    }

    /// The fault that answers with this error.
    pub fn fault(self) -> Fault {
        let error = self.error();
        let headers = vec![(
            "content-type".to_owned(),
            "application/json; charset=UTF-8".to_owned(),
        )];
        Fault::Answer(FaultAnswer {
            status: error.status,
            headers,
            body: error.body().to_string(),
        })
    }
}
