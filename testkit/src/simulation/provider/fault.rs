//! Trouble that passes: which call fails, how, and whether it takes effect all the same.

use std::time::Duration;

use connector_sdk::{Error, ErrorKind, Retry};
use rand::Rng;
use rand::seq::IndexedRandom as _;
use serde::{Deserialize, Serialize};

/// The name of a page's operation when a cursor was sent with it.
pub(super) const WITH_CURSOR: &str = "pull.delta";

/// A call that the provider answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// The list of collections.
    Collections,
    /// One page of a pull.
    Page,
    /// Single objects.
    Fetch,
    /// A create, update or delete.
    Write,
    /// The look for a created object.
    Probe,
}

/// What the caller is told instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// `401`.
    Unauthorized,
    /// `403`.
    Forbidden,
    /// `404`.
    NotFound,
    /// `409`: of an update or delete that the object changed, though it may not have. Of a create, and of a read, that
    /// the server is busy with something else: it does not say that an object exists which does not.
    Conflict,
    /// `412`, likewise.
    PreconditionFailed,
    /// `410`: a cursor is not accepted any more. Where none was sent the server is merely broken.
    Gone,
    /// `429`, with or without a word on when to come back, in seconds.
    TooManyRequests {
        /// `Retry-After`.
        retry_after: Option<u16>,
    },
    /// `503`.
    ServerError,
    /// None at all.
    Timeout,
    /// The connection broke in the middle of it.
    HalfBody,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nothing happens at the provider.
    Before(Answer),
    /// It takes effect; only the answer is lost. For one that reads it is the same as `Before`.
    After(Answer),
    /// A proxy sends the request twice, and the second answer is the one that arrives. Only writes are doubled, and of
    /// creates only those that the provider can tell are the same: no proxy repeats a plain `POST` (RFC 9110 section
    /// 9.2.2).
    Doubled,
    /// The caller is told of a timeout; the write takes effect after so many further operations of this client.
    Late {
        /// How many pass before it takes effect: with none it does at the start of the next one.
        operations: u8,
    },
}

/// One failure to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Of which call.
    pub operation: Operation,
    /// How many such calls pass unharmed first.
    pub skip: u32,
    /// How.
    pub trouble: Trouble,
}

impl Fault {
    /// The next such call fails so.
    #[must_use]
    pub const fn next(operation: Operation, trouble: Trouble) -> Self {
        Self {
            operation,
            skip: 0,
            trouble,
        }
    }

    /// The same, after so many calls that pass.
    #[must_use]
    pub const fn after(mut self, skip: u32) -> Self {
        self.skip = skip;
        self
    }

    /// Some failure that a vendor could cause.
    #[must_use]
    pub fn random(rng: &mut impl Rng) -> Self {
        use Operation::{Collections, Fetch, Page, Probe, Write};
        let operation = *[Collections, Page, Page, Fetch, Write, Write, Write, Write, Probe]
            .choose(rng)
            .unwrap_or(&Write);
        let doubtful = [Answer::Timeout, Answer::ServerError, Answer::HalfBody];
        let lost = *doubtful.choose(rng).unwrap_or(&Answer::Timeout);
        let trouble = match (operation, rng.random_range(0..6)) {
            (Write, 0 | 1) => Trouble::After(lost),
            (Write, 2) => Trouble::Doubled,
            (Write, 3) => Trouble::Late {
                operations: rng.random_range(0..=3),
            },
            (Collections | Page | Fetch | Write | Probe, _) => {
                Trouble::Before(Answer::random(rng, operation))
            }
        };
        Self {
            operation,
            skip: rng.random_range(0..=3),
            trouble,
        }
    }
}

impl Answer {
    fn random(rng: &mut impl Rng, operation: Operation) -> Self {
        let retry_after = rng.random_bool(0.5).then(|| rng.random_range(1..=120));
        let mut answers = vec![
            Self::Forbidden,
            Self::NotFound,
            Self::TooManyRequests { retry_after },
            Self::TooManyRequests { retry_after },
            Self::ServerError,
            Self::ServerError,
            Self::Timeout,
            Self::Timeout,
            Self::HalfBody,
            Self::Unauthorized,
        ];
        match operation {
            Operation::Write => answers.extend([Self::Conflict, Self::PreconditionFailed]),
            Operation::Page => answers.push(Self::Gone),
            Operation::Collections | Operation::Fetch | Operation::Probe => {}
        }
        *answers.choose(rng).unwrap_or(&Self::Timeout)
    }

    /// The error that a connector makes of it.
    pub(super) fn error(self, operation: &'static str) -> Error {
        let conditional = matches!(operation, "push.update" | "push.delete");
        let (kind, status) = match self {
            Self::Unauthorized => (ErrorKind::Unauthorized, Some(401)),
            Self::Forbidden => (ErrorKind::PermissionDenied, Some(403)),
            Self::NotFound => (ErrorKind::NotFound, Some(404)),
            Self::Conflict if conditional => (ErrorKind::VersionConflict, Some(409)),
            Self::Conflict => (ErrorKind::Unavailable, Some(409)),
            Self::PreconditionFailed if conditional => (ErrorKind::VersionConflict, Some(412)),
            Self::PreconditionFailed => (ErrorKind::Unavailable, Some(412)),
            Self::Gone if operation == WITH_CURSOR => (ErrorKind::CursorExpired, Some(410)),
            Self::Gone => (ErrorKind::Unavailable, Some(410)),
            Self::TooManyRequests { .. } => (ErrorKind::RateLimited, Some(429)),
            Self::ServerError => (ErrorKind::Unavailable, Some(503)),
            Self::Timeout => (ErrorKind::Unavailable, None),
            Self::HalfBody => (ErrorKind::Unexpected, Some(200)),
        };
        let error = Error::new(kind, operation, format!("the provider answers: {}", kind.name()));
        let error = match self {
            Self::TooManyRequests {
                retry_after: Some(seconds),
            } => error.with_retry(Retry::After(Duration::from_secs(seconds.into()))),
            Self::TooManyRequests { retry_after: None }
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound
            | Self::Conflict
            | Self::PreconditionFailed
            | Self::Gone
            | Self::ServerError
            | Self::Timeout
            | Self::HalfBody => error,
        };
        match status {
            Some(status) => error.with_status(status),
            None => error,
        }
    }
}
