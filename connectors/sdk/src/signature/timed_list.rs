//! One header with a time and signatures, as Stripe has it: `t=1492774577,v1=5257a8...,v0=6ffbb5...`.

use aws_lc_rs::{constant_time, hmac};

use super::hmac::matching_secret;
use super::refusal::{Refusal, Refused};
use super::window::{self, Unit, Window};
use super::{MAX_SIGNATURES, header, sealed};
use crate::webhooks::{Grade, RawRequest, WebhookSecrets};

/// HMAC-SHA256 over time, a divider and the body, in hexadecimal. While a secret is rotated the vendor sends a
/// signature for each; one must be right. Other members of the list are left aside.
#[derive(Debug, Clone, Copy)]
pub struct TimedList {
    header: &'static str,
    divider: char,
    time: &'static str,
    signature: &'static str,
    signed_divider: &'static str,
    window: Window,
}

impl TimedList {
    /// Stripe's form in this header (lower case): `t=...,v1=...`, signing `time.body`.
    #[must_use]
    pub const fn stripe(header: &'static str) -> Self {
        Self {
            header,
            divider: ',',
            time: "t",
            signature: "v1",
            signed_divider: ".",
            window: Window::DEFAULT,
        }
    }

    /// Paddle's form in this header (lower case): `ts=...;h1=...`, signing `time:body`.
    #[must_use]
    pub const fn paddle(header: &'static str) -> Self {
        Self {
            header,
            divider: ';',
            time: "ts",
            signature: "h1",
            signed_divider: ":",
            window: Window::DEFAULT,
        }
    }

    /// With another window.
    #[must_use]
    pub const fn within(mut self, window: Window) -> Self {
        self.window = window;
        self
    }

    fn parse<'a>(&self, text: &'a str) -> Result<(&'a str, Vec<Vec<u8>>), Refused> {
        let malformed = |what| header::malformed(self.header, what);
        let (mut time, mut signatures, mut others) = (None, Vec::new(), false);
        for (count, member) in text.split(self.divider).enumerate() {
            if count > MAX_SIGNATURES {
                return Err(malformed("has more than 16 signatures"));
            }
            let (name, value) = member
                .trim()
                .split_once('=')
                .ok_or_else(|| malformed("is not a list of `name=value`"))?;
            if name == self.time {
                if time.replace(value).is_some() {
                    return Err(malformed("names two times"));
                }
            } else if name == self.signature {
                let signature =
                    hex::decode(value).map_err(|_| malformed("has a signature that is not hexadecimal"))?;
                signatures.push(signature);
            } else {
                others = true;
            }
        }
        let time = time.ok_or_else(|| malformed("names no time"))?;
        if signatures.is_empty() {
            return Err(if others {
                let detail = format!(
                    "the header `{}` has no `{}` signature",
                    self.header, self.signature
                );
                Refused::new(Refusal::WrongAlgorithm, detail)
            } else {
                malformed("has no signature")
            });
        }
        Ok((time, signatures))
    }
}

impl sealed::Check for TimedList {
    fn grade_of_proof(&self) -> Grade {
        Grade::Signed
    }

    fn check(&self, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Result<usize, Refused> {
        let (time, signatures) = self.parse(header::text(request, self.header)?)?;
        self.window
            .admit(window::parse(time, Unit::Seconds, self.header)?, now_ms)?;
        matching_secret(secrets, |key| {
            let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
            context.update(time.as_bytes());
            context.update(self.signed_divider.as_bytes());
            context.update(&request.body);
            let tag = context.sign();
            let matches =
                |signature: &Vec<u8>| constant_time::verify_slices_are_equal(tag.as_ref(), signature).is_ok();
            signatures.iter().any(matches)
        })
    }
}
