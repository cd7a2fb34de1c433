//! Why a delivery is refused.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// Why a delivery is refused, in a word for machines: metrics count by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A header that the scheme needs is not there.
    MissingHeader,
    /// A header that the scheme needs is there more than once: which one counts would be anybody's guess.
    DuplicateHeader,
    /// A header, a token or a body is not of the scheme's form.
    Malformed,
    /// No live secret makes this signature: other bytes, another secret, or another address' delivery.
    WrongSignature,
    /// It was sent too long ago.
    Stale,
    /// It says that it was sent in the future.
    Future,
    /// It is labelled with another algorithm than the one that is expected.
    WrongAlgorithm,
    /// It is signed for somebody else, or by somebody else (audience, issuer).
    WrongClaim,
    /// It names a key that is not in the provider's key set. Keys rotate: the caller may fetch the set once more.
    UnknownKey,
    /// There is no secret to prove it with, or none that the scheme can use.
    NoSecret,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MissingHeader,
        Self::DuplicateHeader,
        Self::Malformed,
        Self::WrongSignature,
        Self::Stale,
        Self::Future,
        Self::WrongAlgorithm,
        Self::WrongClaim,
        Self::UnknownKey,
        Self::NoSecret,
    ];

    /// The name used in the API, in metrics and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MissingHeader => "missing_header",
            Self::DuplicateHeader => "duplicate_header",
            Self::Malformed => "malformed",
            Self::WrongSignature => "wrong_signature",
            Self::Stale => "stale",
            Self::Future => "future",
            Self::WrongAlgorithm => "wrong_algorithm",
            Self::WrongClaim => "wrong_claim",
            Self::UnknownKey => "unknown_key",
            Self::NoSecret => "no_secret",
        }
    }
}

/// A refusal with words for a person. Never holds a secret or what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    detail: Cow<'static, str>,
}

impl Refused {
    /// For this reason, in these words.
    #[must_use]
    pub fn new(refusal: Refusal, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            refusal,
            detail: detail.into(),
        }
    }

    pub(crate) fn wrong_signature() -> Self {
        let detail =
            "no live secret makes this signature: the body was changed on its way, or the secret differs";
        Self::new(Refusal::WrongSignature, detail)
    }

    pub(crate) fn no_secret() -> Self {
        let detail = "there is no usable secret for this address; set the one that the provider shows";
        Self::new(Refusal::NoSecret, detail)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let message = format!("the delivery is refused and nothing was read of it: {refused}");
        Self::new(ErrorKind::BadSignature, "webhook.verify", message).with_source(refused)
    }
}

impl Error {
    /// Why a delivery was refused, where that is what this error says.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let source = self.source.as_deref()?;
        source.downcast_ref::<Refused>().map(|refused| refused.refusal)
    }
}
