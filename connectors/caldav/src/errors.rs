//! What a server's refusal means: one place that turns statuses and failed conditions into errors for people.

use connector_sdk::{Error, ErrorKind, HttpResponse, Retry};

use crate::xml::properties::{Document, Root};
use crate::xml::reader::{self, UnreadableXml};

/// Error bodies are read up to this size.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;
/// How much of a server's own words is shown.
const MAX_WORDS: usize = 200;

/// The error that an answer stands for; for answers that are not what was hoped for.
pub(crate) fn refused(operation: &'static str, answer: &HttpResponse) -> Error {
    let status = answer.status.as_u16();
    let document = error_body(answer);
    let words = words(document.as_ref());
    let condition = document.as_ref().and_then(|document| {
        let mut conditions = document.conditions.iter();
        conditions.find_map(|name| Some((meaning(name)?, name.as_str())))
    });
    if let (400..=499 | 507, Some(((kind, reason), _))) = (status, condition)
        && !matches!(status, 401 | 412 | 429)
    {
        return Error::new(kind, operation, format!("{reason}{words}")).with_status(status);
    }
    let (kind, message) = by_status(status, answer);
    let error = Error::new(kind, operation, format!("{message}{words}")).with_status(status);
    match status {
        429 | 503 => error.with_retry(answer.retry()),
        423 => error.with_retry(Retry::Backoff),
        _ => error,
    }
}

fn by_status(status: u16, answer: &HttpResponse) -> (ErrorKind, String) {
    let host = answer.url.host_str().unwrap_or("the server");
    let text = match status {
        401 => {
            return (
                ErrorKind::Unauthorized,
                format!("{host} does not accept the user name, password or token"),
            );
        }
        403 => {
            return (
                ErrorKind::PermissionDenied,
                format!("{host} does not allow this account to do that"),
            );
        }
        404 | 410 => {
            return (
                ErrorKind::NotFound,
                format!("{host} has nothing at {}", answer.url.path()),
            );
        }
        405 | 501 => {
            return (
                ErrorKind::Unsupported,
                format!("{host} has no such operation at {}", answer.url.path()),
            );
        }
        412 => {
            return (
                ErrorKind::VersionConflict,
                "the object changed since it was read".to_owned(),
            );
        }
        423 => {
            return (
                ErrorKind::Unavailable,
                "the object is locked by another program".to_owned(),
            );
        }
        429 => return (ErrorKind::RateLimited, format!("{host} asks for fewer requests")),
        507 => {
            return (
                ErrorKind::PermissionDenied,
                "the account has no room left for it; free some space at the provider".to_owned(),
            );
        }
        300..=399 => {
            let target = answer.header("location").map(without_query).unwrap_or_default();
            let message =
                format!("{host} says that this has moved to {target}; connect with the new address");
            return (ErrorKind::Unexpected, message);
        }
        400..=499 => return (ErrorKind::Invalid, format!("{host} refuses what was sent")),
        500..=599 => {
            return (
                ErrorKind::Unavailable,
                format!("{host} failed; nothing is wrong on this side"),
            );
        }
        _ if is_web_page(answer) => format!(
            "{host} answered with a web page at {}: this address is not a CalDAV server's, or a login page stands \
             before it; check the address",
            answer.url.path()
        ),
        _ => format!("{host} answered in a way that CalDAV does not allow; check the address"),
    };
    (ErrorKind::Unexpected, text)
}

/// The conditions of RFC 4791 (5.3.2.1, 5.3.4), RFC 3744, RFC 4331, RFC 6578 and RFC 6638 in words.
fn meaning(condition: &str) -> Option<(ErrorKind, &'static str)> {
    let reason = match condition {
        "need-privileges" => {
            return Some((
                ErrorKind::PermissionDenied,
                "the account lacks the privilege to do that in this calendar",
            ));
        }
        "quota-not-exceeded" | "sufficient-disk-space" => {
            return Some((
                ErrorKind::PermissionDenied,
                "the account has no room left for it; free some space at the provider",
            ));
        }
        "valid-sync-token" => {
            return Some((
                ErrorKind::CursorExpired,
                "the server no longer knows the sync token",
            ));
        }
        "supported-report" => return Some((ErrorKind::Unsupported, "the server has no such report")),
        "no-uid-conflict" | "unique-scheduling-object-resource" => {
            "the account already holds another object with the same UID"
        }
        "max-resource-size" => "the event is larger than the server accepts",
        "valid-calendar-data" => "the server cannot read the event as iCalendar",
        "valid-calendar-object-resource" => "the server takes the event for no valid calendar object",
        "supported-calendar-data" => "the server does not take this form of calendar data",
        "supported-calendar-component" => "this calendar takes no events",
        "calendar-collection-location-ok" => "the server has no calendar at this place",
        "min-date-time" => "the event is earlier than the server accepts",
        "max-date-time" => "the event is later than the server accepts",
        "max-instances" => "the series has more occurrences than the server accepts",
        "max-attendees-per-instance" => "the event has more attendees than the server accepts",
        "allowed-organizer-scheduling-object-change" => "the server does not let the organizer change this",
        "allowed-attendee-scheduling-object-change" => {
            "the server lets an attendee change only their own answer"
        }
        "same-organizer-in-all-components" => "the server wants one organizer for the whole series",
        "number-of-matches-within-limits" => "the server finds that this asks for too much at once",
        _ => return None,
    };
    Some((ErrorKind::Invalid, reason))
}

/// The error for a body that should have been XML.
pub(crate) fn unreadable(operation: &'static str, answer: &HttpResponse, error: UnreadableXml) -> Error {
    let host = answer.url.host_str().unwrap_or("the server");
    let status = answer.status.as_u16();
    let retry = match error {
        // What breaks off may come whole the next time.
        UnreadableXml::CutShort => Retry::Backoff,
        UnreadableXml::Malformed(_)
        | UnreadableXml::NotUtf8
        | UnreadableXml::DocumentType
        | UnreadableXml::UnknownEntity
        | UnreadableXml::TooDeep
        | UnreadableXml::TooLong => Retry::Permanent,
    };
    Error::new(
        ErrorKind::Unexpected,
        operation,
        format!("the answer of {host} cannot be used: {error}"),
    )
    .with_status(status)
    .with_retry(retry)
    .with_source(error)
}

/// Whether an answer is meant for a browser.
pub(crate) fn is_web_page(answer: &HttpResponse) -> bool {
    let declared = answer
        .header("content-type")
        .is_some_and(|kind| kind.to_ascii_lowercase().contains("html"));
    let start = &answer.body[..answer.body.len().min(256)];
    let start = String::from_utf8_lossy(start).to_ascii_lowercase();
    declared || start.trim_start().starts_with("<!doctype html") || start.trim_start().starts_with("<html")
}

/// Whether the answer names this failed condition.
pub(crate) fn names_condition(answer: &HttpResponse, condition: &str) -> bool {
    error_body(answer).is_some_and(|document| document.conditions.iter().any(|name| name == condition))
}

fn error_body(answer: &HttpResponse) -> Option<Document> {
    if answer.body.is_empty() || answer.body.len() > MAX_ERROR_BODY_BYTES || is_web_page(answer) {
        return None;
    }
    let document = reader::read(&answer.body).ok()?;
    (document.root != Root::Other).then_some(document)
}

/// The server's own words, shortened, without what could disturb a log.
fn words(document: Option<&Document>) -> String {
    let Some(message) = document.and_then(|document| document.message.as_deref()) else {
        return String::new();
    };
    let clean: String = message
        .chars()
        .filter(|character| !character.is_control())
        .take(MAX_WORDS)
        .collect();
    format!("; it says: {clean}")
}

/// Addresses in messages go without query: single sign-on puts secrets there.
fn without_query(address: &str) -> &str {
    address.split(['?', '#']).next().unwrap_or_default()
}
