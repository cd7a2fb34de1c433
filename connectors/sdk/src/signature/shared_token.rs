//! A secret that both sides know and each delivery brings: Google's channel token, Graph's `clientState`, GitLab's
//! token. It proves that the sender knows the secret, nothing about the rest of the request.

use aws_lc_rs::constant_time;

use super::refusal::{Refusal, Refused};
use super::{MAX_SIGNATURES, header, sealed};
use crate::webhooks::{Grade, RawRequest, WebhookSecrets};

/// The shortest secret that is taken for one, in bytes: an empty or guessable one proves nothing.
pub const MIN_TOKEN_BYTES: usize = 16;

/// Finds the tokens that a body brings; `None` where it brings none. It sees the request and no secrets.
pub type FindTokens = fn(&RawRequest) -> Option<Vec<String>>;

/// A shared token. All that a delivery brings must be the same live secret.
#[derive(Debug, Clone, Copy)]
pub struct SharedToken {
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Header(&'static str),
    Body(FindTokens),
}

impl SharedToken {
    /// In a header (lower case). Its value is taken out of the proven request.
    #[must_use]
    pub const fn header(name: &'static str) -> Self {
        Self {
            place: Place::Header(name),
        }
    }

    /// In the body, which may hold several notifications with a token each.
    #[must_use]
    pub const fn body(find: FindTokens) -> Self {
        Self {
            place: Place::Body(find),
        }
    }

    fn presented(&self, request: &RawRequest) -> Result<Vec<Vec<u8>>, Refused> {
        match self.place {
            Place::Header(name) => Ok(vec![header::bytes(request, name)?.to_vec()]),
            Place::Body(find) => {
                let tokens = find(request).filter(|tokens| !tokens.is_empty());
                let detail = "the body does not bring the shared secret where the provider puts it";
                let tokens = tokens.ok_or_else(|| Refused::new(Refusal::Malformed, detail))?;
                Ok(tokens.into_iter().map(String::into_bytes).collect())
            }
        }
    }
}

impl sealed::Check for SharedToken {
    fn grade_of_proof(&self) -> Grade {
        Grade::SharedSecret
    }

    fn check(&self, request: &RawRequest, secrets: &WebhookSecrets, _now_ms: i64) -> Result<usize, Refused> {
        let mut presented = self.presented(request)?;
        // A provider that bundles notifications repeats one token many times.
        presented.sort_unstable();
        presented.dedup();
        if presented.len() > MAX_SIGNATURES {
            let detail = "it brings more than 16 different shared secrets";
            return Err(Refused::new(Refusal::Malformed, detail));
        }
        let mut usable = false;
        for (index, secret) in secrets.live().iter().enumerate() {
            let secret = secret.expose().as_bytes();
            if secret.len() < MIN_TOKEN_BYTES {
                continue;
            }
            usable = true;
            let same = |token: &Vec<u8>| constant_time::verify_slices_are_equal(token, secret).is_ok();
            if presented.iter().all(same) {
                return Ok(index);
            }
        }
        Err(if usable {
            Refused::wrong_signature()
        } else {
            Refused::no_secret()
        })
    }

    fn redact(&self, request: &mut RawRequest) {
        header::redact(request, header::ALWAYS_REDACTED);
        if let Place::Header(name) = self.place {
            header::redact(request, &[name]);
        }
    }
}
