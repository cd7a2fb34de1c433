//! A keyed hash in a header: most vendors, each over slightly different bytes.

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::refusal::{Refusal, Refused};
use super::window::{self, Unit, Window};
use super::{header, sealed};
use crate::webhooks::{Grade, RawRequest, WebhookSecrets};

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two digits per byte, either case.
    Hex,
    /// With padding.
    Base64,
}

impl Encoding {
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex::decode(text).ok(),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }
}

/// A piece of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Text(&'static str),
    /// The body as it came.
    Body,
    /// The timestamp header as it came.
    Timestamp,
    /// The method, in capitals.
    Method,
    /// The whole address that the vendor was given: origin, path and query.
    Url,
}

/// A header that says when the delivery was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    /// Its name, in lower case.
    pub header: &'static str,
    /// In what it counts.
    pub unit: Unit,
    /// How far it may be from now.
    pub window: Window,
}

/// HMAC with one of the live secrets, whose text is the key.
#[derive(Debug, Clone, Copy)]
pub struct Hmac {
    algorithm: hmac::Algorithm,
    header: &'static str,
    encoding: Encoding,
    label: &'static str,
    signs: &'static [Part],
    timestamp: Option<Timestamp>,
}

impl Hmac {
    /// HMAC-SHA256 of the body, in this header (lower case).
    #[must_use]
    pub const fn sha256(header: &'static str, encoding: Encoding) -> Self {
        Self {
            algorithm: hmac::HMAC_SHA256,
            header,
            encoding,
            label: "",
            signs: &[Part::Body],
            timestamp: None,
        }
    }

    /// HMAC-SHA1 of the body, for vendors that have nothing better; as a MAC it is not broken.
    #[must_use]
    pub const fn sha1(header: &'static str, encoding: Encoding) -> Self {
        Self {
            algorithm: hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            ..Self::sha256(header, encoding)
        }
    }

    /// With these characters before the signature, `sha256=`.
    #[must_use]
    pub const fn labelled(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    /// Over these pieces, one after the other.
    #[must_use]
    pub const fn signing(mut self, parts: &'static [Part]) -> Self {
        self.signs = parts;
        self
    }

    /// With a time that is among the pieces.
    #[must_use]
    pub const fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    fn signature(&self, request: &RawRequest) -> Result<Vec<u8>, Refused> {
        let text = header::text(request, self.header)?;
        let Some(encoded) = text.strip_prefix(self.label) else {
            let labelled = text
                .split_once('=')
                .is_some_and(|(label, rest)| !label.is_empty() && !rest.is_empty());
            return Err(if labelled {
                let detail = format!("the header `{}` does not say `{}`", self.header, self.label);
                Refused::new(Refusal::WrongAlgorithm, detail)
            } else {
                header::malformed(self.header, "lacks its label")
            });
        };
        let signature = self.encoding.decode(encoded);
        signature.ok_or_else(|| header::malformed(self.header, "is not a signature in the expected encoding"))
    }

    fn tag(&self, key: &[u8], request: &RawRequest, timestamp: &str) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&hmac::Key::new(self.algorithm, key));
        for part in self.signs {
            match part {
                Part::Text(text) => context.update(text.as_bytes()),
                Part::Body => context.update(&request.body),
                Part::Timestamp => context.update(timestamp.as_bytes()),
                Part::Method => context.update(request.method.as_str().as_bytes()),
                Part::Url => {
                    context.update(request.origin.as_bytes());
                    context.update(request.path_and_query.as_bytes());
                }
            }
        }
        context.sign()
    }
}

impl sealed::Check for Hmac {
    fn grade_of_proof(&self) -> Grade {
        Grade::Signed
    }

    fn check(&self, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Result<usize, Refused> {
        let signature = self.signature(request)?;
        let timestamp = match self.timestamp {
            None => "",
            Some(at) => {
                let text = header::text(request, at.header)?;
                let sent_ms = window::parse(text, at.unit, at.header)?;
                at.window.admit(sent_ms, now_ms)?;
                text
            }
        };
        matching_secret(secrets, |key| {
            let tag = self.tag(key, request, timestamp);
            constant_time::verify_slices_are_equal(tag.as_ref(), &signature).is_ok()
        })
    }
}

/// The index of the first secret, as bytes of its text, that `proves` accepts. Empty ones are none.
pub(super) fn matching_secret(
    secrets: &WebhookSecrets,
    mut proves: impl FnMut(&[u8]) -> bool,
) -> Result<usize, Refused> {
    let mut usable = false;
    for (index, secret) in secrets.live().iter().enumerate() {
        let key = secret.expose().as_bytes();
        if key.is_empty() {
            continue;
        }
        usable = true;
        if proves(key) {
            return Ok(index);
        }
    }
    Err(if usable {
        Refused::wrong_signature()
    } else {
        Refused::no_secret()
    })
}
