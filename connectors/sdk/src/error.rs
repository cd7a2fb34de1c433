//! The one error of the contract: what sort, whether to try again, in which operation, and what it means.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What went wrong, in words that every provider shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The credentials are not accepted (any more).
    Unauthorized,
    /// The account may not do this.
    PermissionDenied,
    /// The object or collection is not there.
    NotFound,
    /// The object changed since it was read; nothing was written.
    VersionConflict,
    /// The object exists already; nothing was written.
    AlreadyExists,
    /// The cursor is too old; a full enumeration is needed.
    CursorExpired,
    /// Too many requests.
    RateLimited,
    /// The provider, or the connector before it, refuses what was sent.
    Invalid,
    /// The provider has no such operation.
    Unsupported,
    /// The provider cannot be reached, or failed; what was sent may or may not have taken effect.
    Unavailable,
    /// A signature is missing or wrong.
    BadSignature,
    /// The provider answered something that its protocol does not allow.
    Unexpected,
}

impl ErrorKind {
    /// The name used in the API and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::PermissionDenied => "permission_denied",
            Self::NotFound => "not_found",
            Self::VersionConflict => "version_conflict",
            Self::AlreadyExists => "already_exists",
            Self::CursorExpired => "cursor_expired",
            Self::RateLimited => "rate_limited",
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::BadSignature => "bad_signature",
            Self::Unexpected => "unexpected",
        }
    }
}

/// Whether the same call may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will not.
    Permanent,
    /// After this long, as the provider said.
    After(Duration),
    /// Later, with growing pauses.
    Backoff,
}

/// An error of a connector.
#[derive(Debug, thiserror::Error)]
pub struct Error {
    /// What sort of failure.
    pub kind: ErrorKind,
    /// Whether to try again.
    pub retry: Retry,
    /// The operation that failed: `discover`, `pull`, `push.update`.
    pub operation: &'static str,
    /// What happened, for a person; never a secret.
    pub message: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
    /// What lies beneath.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)?;
        if let Some(status) = self.status {
            write!(f, " (HTTP {status})")?;
        }
        Ok(())
    }
}

impl Error {
    /// An error whose retry follows from its kind.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::RateLimited | ErrorKind::Unavailable => Retry::Backoff,
            ErrorKind::Unauthorized
            | ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::VersionConflict
            | ErrorKind::AlreadyExists
            | ErrorKind::CursorExpired
            | ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::BadSignature
            | ErrorKind::Unexpected => Retry::Permanent,
        };
        Self {
            kind,
            retry,
            operation,
            message: message.into(),
            status: None,
            source: None,
        }
    }

    /// With the HTTP status that was answered.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// With what lies beneath.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// With the provider's own word on when to come back.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Whether a write that failed so may nevertheless have taken effect.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::Unexpected)
    }
}
