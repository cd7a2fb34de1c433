//! Proofs that a delivery is the provider's: the schemes in use, each as a value that a connector names.
//!
//! A [`Scheme`] is the only way to a [`VerifiedRequest`], and connectors cannot add one. All of them work on the raw
//! bytes, compare in constant time, take any of several live secrets (rotation), and fail closed: whatever is
//! missing, doubled, malformed or merely unknown is refused, with a [`Refusal`] for machines. The table of schemes,
//! their headers, windows and sources is `docs/webhooks-signatures.md`.

mod header;
mod hmac;
pub mod jwt;
mod key_set;
mod public_key;
mod refusal;
mod shared_token;
pub mod standard_webhooks;
mod timed_list;
pub mod vendors;
mod window;

pub use hmac::{Encoding, Hmac, Part, Timestamp};
pub use jwt::{Jwt, JwtAlgorithm};
pub use key_set::{KeyCache, KeySet};
pub use public_key::PublicKeySignature;
pub use refusal::{Refusal, Refused};
pub use shared_token::{FindTokens, MIN_TOKEN_BYTES, SharedToken};
pub use standard_webhooks::StandardWebhooks;
pub use timed_list::TimedList;
pub use window::{Unit, Window};

use crate::error::Error;
use crate::webhooks::{Grade, RawRequest, VerifiedRequest, WebhookSecrets};

/// The largest number of signatures that one delivery may bring: enough for any rotation, few enough to be cheap.
pub const MAX_SIGNATURES: usize = 16;

/// A way to prove a delivery.
pub trait Scheme: sealed::Check {
    /// What the proof is worth.
    fn grade(&self) -> Grade {
        self.grade_of_proof()
    }

    /// Proves a delivery with any of the live secrets.
    ///
    /// # Errors
    /// `BadSignature`, with [`Error::refusal`] saying why.
    fn verify(
        &self,
        mut request: RawRequest,
        secrets: &WebhookSecrets,
        now_ms: i64,
    ) -> Result<VerifiedRequest, Error> {
        let secret_index = self.check(&request, secrets, now_ms)?;
        self.redact(&mut request);
        Ok(VerifiedRequest::new(request, self.grade_of_proof(), secret_index))
    }
}

impl<T: sealed::Check> Scheme for T {}

mod sealed {
    use super::Refused;
    use crate::webhooks::{Grade, RawRequest, WebhookSecrets};

    /// What a scheme is inside; out of the reach of connectors.
    pub trait Check: Send + Sync {
        fn grade_of_proof(&self) -> Grade;

        /// The index of the secret that proves the request.
        fn check(
            &self,
            request: &RawRequest,
            secrets: &WebhookSecrets,
            now_ms: i64,
        ) -> Result<usize, Refused>;

        /// Takes secrets out of a request that is proven, since it will be stored and shown.
        fn redact(&self, request: &mut RawRequest) {
            super::header::redact(request, super::header::ALWAYS_REDACTED);
        }
    }
}
