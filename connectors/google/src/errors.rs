//! Google's errors in the contract's words: the one place that reads them.
//!
//! The `reason` decides, not the status alone: a 403 is a matter of rate as often as of rights.
//! <https://developers.google.com/workspace/calendar/api/guides/errors>

use connector_sdk::{Error, ErrorKind, HttpResponse, Retry};
use serde_json::Value;

/// Longest vendor message that is repeated, in characters.
const MAX_MESSAGE: usize = 300;

/// Reasons of a 403 or 429 that pass with time. `quotaExceeded` is a limit of the calendar's use, which lifts after
/// hours; the growing pauses of the scheduler fit it too.
/// <https://developers.google.com/workspace/calendar/api/guides/quota>
const PASSING: &[&str] = &[
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "quotaExceeded",
    "dailyLimitExceeded",
    "variableTermLimitExceeded",
    "RATE_LIMIT_EXCEEDED",
];

/// Reasons of a 410 that speak of a sync token and not of an event.
const CURSOR_LOST: &[&str] = &["fullSyncRequired", "updatedMinTooLongAgo"];

/// What an error answer says, as far as it says anything.
#[derive(Default)]
struct Said {
    reason: String,
    message: String,
    location: String,
}

/// The error that a response stands for. Called for every status but success, and for a success whose body is an
/// error.
pub(crate) fn parse_error(operation: &'static str, response: &HttpResponse, body: Option<&Value>) -> Error {
    let parsed = serde_json::from_slice(&response.body).ok();
    let said = body.or(parsed.as_ref()).map(said).unwrap_or_default();
    let status = match body {
        Some(body) => code(body).unwrap_or(response.status.as_u16()),
        None => response.status.as_u16(),
    };
    let kind = kind_of(status, &said);
    let message = if said.message.is_empty() {
        format!("Google answered with status {status} and no explanation")
    } else if said.reason.is_empty() || said.message.contains(&said.reason) {
        said.message
    } else {
        format!("{} [{}]", said.message, said.reason)
    };
    let error = Error::new(kind, operation, message).with_status(status);
    match kind {
        ErrorKind::RateLimited | ErrorKind::Unavailable => error.with_retry(response.retry()),
        ErrorKind::Unauthorized
        | ErrorKind::PermissionDenied
        | ErrorKind::NotFound
        | ErrorKind::VersionConflict
        | ErrorKind::AlreadyExists
        | ErrorKind::CursorExpired
        | ErrorKind::Invalid
        | ErrorKind::Unsupported
        | ErrorKind::BadSignature
        | ErrorKind::Unexpected => error.with_retry(Retry::Permanent),
    }
}

fn kind_of(status: u16, said: &Said) -> ErrorKind {
    let reason = said.reason.as_str();
    match status {
        400 if said.location == "syncToken" => ErrorKind::CursorExpired,
        400 if matches!(reason, "invalid_grant" | "invalid_client" | "unauthorized_client") => {
            ErrorKind::Unauthorized
        }
        401 => ErrorKind::Unauthorized,
        403 if PASSING.contains(&reason) => ErrorKind::RateLimited,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        // Two requests met on one calendar: "retry", says the errors page of a 409 that is no duplicate.
        409 if reason == "conflict" => ErrorKind::RateLimited,
        409 => ErrorKind::AlreadyExists,
        410 if CURSOR_LOST.contains(&reason) => ErrorKind::CursorExpired,
        410 => ErrorKind::NotFound,
        412 => ErrorKind::VersionConflict,
        429 => ErrorKind::RateLimited,
        501 => ErrorKind::Unsupported,
        408 | 500..=599 => ErrorKind::Unavailable,
        400..=499 => ErrorKind::Invalid,
        _ => ErrorKind::Unexpected,
    }
}

/// Whether a body is an error, whatever the status in front of it was.
pub(crate) fn is_error(body: &Value) -> bool {
    body.get("error")
        .is_some_and(|error| error.is_object() || error.is_string())
}

fn code(body: &Value) -> Option<u16> {
    body.get("error")?
        .get("code")?
        .as_u64()
        .and_then(|code| u16::try_from(code).ok())
}

/// Reads `{"error": {"errors": [{"reason", "message", "location"}], "message"}}` of the API and
/// `{"error": "...", "error_description": "..."}` of the token endpoint (RFC 6749 section 5.2).
fn said(body: &Value) -> Said {
    let text = |value: Option<&Value>| -> String {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        text.chars()
            .filter(|c| !c.is_control())
            .take(MAX_MESSAGE)
            .collect()
    };
    let Some(error) = body.get("error") else {
        return Said::default();
    };
    if error.is_string() {
        return Said {
            reason: text(Some(error)),
            message: match text(body.get("error_description")) {
                description if description.is_empty() => text(Some(error)),
                description => description,
            },
            location: String::new(),
        };
    }
    let first = error.get("errors").and_then(|errors| errors.get(0));
    let of_first = |name: &str| text(first.and_then(|first| first.get(name)));
    let message = match text(error.get("message")) {
        message if message.is_empty() => of_first("message"),
        message => message,
    };
    Said {
        reason: match of_first("reason") {
            reason if reason.is_empty() => text(error.get("status")),
            reason => reason,
        },
        message,
        location: of_first("location"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use serde_json::json;
    use std::time::Duration;

    fn response(status: u16, body: &str, retry_after: Option<&str>) -> HttpResponse {
        let mut headers = HeaderMap::new();
        if let Some(seconds) = retry_after {
            headers.insert("retry-after", seconds.parse().unwrap());
        }
        HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from(body.to_owned()),
            url: "https://example.org/".parse().unwrap(),
        }
    }

    fn api(status: u16, reason: &str) -> HttpResponse {
        let detail = json!({"domain": "global", "reason": reason, "message": "Said so"});
        let body = json!({"error": {"errors": [detail], "code": status, "message": "Said so"}});
        response(status, &body.to_string(), None)
    }

    #[test]
    fn every_documented_reason_has_its_kind() {
        for (status, reason, kind) in [
            (400, "timeRangeEmpty", ErrorKind::Invalid),
            (401, "authError", ErrorKind::Unauthorized),
            (403, "rateLimitExceeded", ErrorKind::RateLimited),
            (403, "userRateLimitExceeded", ErrorKind::RateLimited),
            (403, "quotaExceeded", ErrorKind::RateLimited),
            (403, "forbiddenForNonOrganizer", ErrorKind::PermissionDenied),
            (403, "requiredAccessLevel", ErrorKind::PermissionDenied),
            (403, "accessNotConfigured", ErrorKind::PermissionDenied),
            (404, "notFound", ErrorKind::NotFound),
            (409, "duplicate", ErrorKind::AlreadyExists),
            (409, "conflict", ErrorKind::RateLimited),
            (410, "fullSyncRequired", ErrorKind::CursorExpired),
            (410, "updatedMinTooLongAgo", ErrorKind::CursorExpired),
            (410, "deleted", ErrorKind::NotFound),
            (412, "conditionNotMet", ErrorKind::VersionConflict),
            (413, "uploadTooLarge", ErrorKind::Invalid),
            (429, "rateLimitExceeded", ErrorKind::RateLimited),
            (500, "backendError", ErrorKind::Unavailable),
            (503, "backendError", ErrorKind::Unavailable),
            (302, "", ErrorKind::Unexpected),
        ] {
            let error = parse_error("pull", &api(status, reason), None);
            assert_eq!(error.kind, kind, "{status} {reason}");
            assert_eq!(error.status, Some(status));
            assert!(error.message.starts_with("Said so"), "{}", error.message);
            let passes = matches!(kind, ErrorKind::RateLimited | ErrorKind::Unavailable);
            assert_eq!(error.retry != Retry::Permanent, passes, "{status} {reason}");
        }
    }

    #[test]
    fn a_named_pause_is_kept() {
        let body = api(429, "rateLimitExceeded").body;
        let text = String::from_utf8(body.to_vec()).unwrap();
        let error = parse_error("pull", &response(429, &text, Some("17")), None);
        assert_eq!(error.retry, Retry::After(Duration::from_secs(17)));
    }

    #[test]
    fn an_answer_without_a_readable_body_still_has_a_kind() {
        for body in [
            "",
            "<html>Bad gateway</html>",
            "{\"error\":",
            "[1]",
            "{\"error\": 7}",
        ] {
            let error = parse_error("push.update", &response(502, body, None), None);
            assert_eq!(error.kind, ErrorKind::Unavailable, "{body}");
            assert!(error.message.contains("502"), "{}", error.message);
        }
    }

    #[test]
    fn an_error_under_a_status_of_success_counts_by_its_own_code() {
        let body = json!({"error": {"code": 404, "message": "Not Found"}});
        let error = parse_error("pull", &response(200, "", None), Some(&body));
        assert_eq!((error.kind, error.status), (ErrorKind::NotFound, Some(404)));
    }

    #[test]
    fn a_sync_token_that_is_no_token_is_a_lost_cursor() {
        let detail = json!({"reason": "invalid", "message": "Bad", "location": "syncToken"});
        let body = json!({"error": {"errors": [detail], "code": 400, "message": "Bad"}});
        let error = parse_error("pull", &response(400, &body.to_string(), None), None);
        assert_eq!(error.kind, ErrorKind::CursorExpired);
    }

    #[test]
    fn a_very_long_message_is_cut() {
        let body = json!({"error": {"code": 400, "message": "x".repeat(100_000)}});
        let error = parse_error("pull", &response(400, &body.to_string(), None), None);
        assert!(error.message.len() <= MAX_MESSAGE);
    }
}
