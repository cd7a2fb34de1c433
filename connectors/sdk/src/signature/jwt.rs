//! JSON Web Tokens of a provider that publishes its keys: RS256 and ES256, one of them pinned.
//!
//! What a token proves depends on where it is. As the whole body, or with a hash of the body among its claims, it
//! signs the delivery. As a bearer token beside the body it only says who sent something at about this time: whoever
//! gets hold of one can put any body beside it, so it counts as a shared secret.

use aws_lc_rs::{constant_time, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::refusal::{Refusal, Refused};
use super::window::Window;
use super::{header, sealed};
use crate::webhooks::{Grade, RawRequest, VerifiedRequest, WebhookSecrets};

/// The longest token that is read, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;
const HEADER: &str = "authorization";

/// The one algorithm that a provider signs with. Which one is the connector's word, never the token's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSA with PKCS#1 v1.5 and SHA-256; keys of 2048 bits and more.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl JwtAlgorithm {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// A token signed with a key of the provider's published set ([`WebhookSecrets::with_keys`]), for an audience of ours
/// ([`WebhookSecrets::with_audiences`]).
#[derive(Debug, Clone, Copy)]
pub struct Jwt {
    place: Place,
    algorithm: JwtAlgorithm,
    issuers: &'static [&'static str],
    leeway: Window,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Body,
    Bearer,
    BesideBody {
        header: &'static str,
        hash_claim: &'static str,
    },
}

impl Jwt {
    /// The body is the token (security event tokens, RFC 8417). Grade: signed.
    #[must_use]
    pub const fn body(algorithm: JwtAlgorithm, issuers: &'static [&'static str]) -> Self {
        Self {
            place: Place::Body,
            algorithm,
            issuers,
            leeway: Window::DEFAULT,
        }
    }

    /// `Authorization: Bearer` beside a body that it does not cover (Google Pub/Sub push). Grade: shared secret.
    #[must_use]
    pub const fn bearer(algorithm: JwtAlgorithm, issuers: &'static [&'static str]) -> Self {
        Self {
            place: Place::Bearer,
            ..Self::body(algorithm, issuers)
        }
    }

    /// A header (lower case) whose claim `hash_claim` is the body's SHA-256 in hexadecimal. Grade: signed.
    #[must_use]
    pub const fn with_body_hash(
        header: &'static str,
        hash_claim: &'static str,
        algorithm: JwtAlgorithm,
        issuers: &'static [&'static str],
    ) -> Self {
        Self {
            place: Place::BesideBody { header, hash_claim },
            ..Self::body(algorithm, issuers)
        }
    }

    fn token<'a>(&self, request: &'a RawRequest) -> Result<&'a str, Refused> {
        match self.place {
            Place::Body => {
                let text = std::str::from_utf8(&request.body).ok().map(str::trim_ascii);
                let text = text.filter(|text| text.len() <= MAX_TOKEN_BYTES);
                text.ok_or_else(|| Refused::new(Refusal::Malformed, "the body is no JSON Web Token"))
            }
            Place::Bearer => {
                let text = header::text(request, HEADER)?;
                let token = text
                    .split_once(' ')
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
                let (_, token) = token.ok_or_else(|| header::malformed(HEADER, "is no bearer token"))?;
                Ok(token.trim_ascii())
            }
            Place::BesideBody { header, .. } => header::text(request, header),
        }
    }

    fn covers_body(&self, claims: &Map<String, Value>, body: &[u8]) -> Result<(), Refused> {
        let hash_claim = match self.place {
            Place::Body | Place::Bearer => return Ok(()),
            Place::BesideBody { hash_claim, .. } => hash_claim,
        };
        let told = claims
            .get(hash_claim)
            .and_then(Value::as_str)
            .and_then(|text| hex::decode(text).ok());
        let told = told.ok_or_else(|| malformed("the token does not say the body's hash"))?;
        let hash = digest::digest(&digest::SHA256, body);
        constant_time::verify_slices_are_equal(hash.as_ref(), &told).map_err(|_| Refused::wrong_signature())
    }

    fn check_claims(
        &self,
        claims: &Map<String, Value>,
        secrets: &WebhookSecrets,
        now_ms: i64,
    ) -> Result<(), Refused> {
        let issuer = claims.get("iss").and_then(Value::as_str);
        if !issuer.is_some_and(|issuer| self.issuers.contains(&issuer)) {
            return Err(Refused::new(Refusal::WrongClaim, "the token is another issuer's"));
        }
        let ours = |audience: &str| secrets.audiences().iter().any(|own| own == audience);
        let for_us = match claims.get("aud") {
            Some(Value::String(audience)) => ours(audience),
            Some(Value::Array(audiences)) => audiences.iter().filter_map(Value::as_str).any(ours),
            _ => false,
        };
        if !for_us {
            return Err(Refused::new(
                Refusal::WrongClaim,
                "the token is for another audience",
            ));
        }
        let leeway_ms = self.leeway.as_ms();
        let expires_ms =
            moment(claims, "exp")?.ok_or_else(|| malformed("the token does not say when it expires"))?;
        if now_ms > expires_ms.saturating_add(leeway_ms) {
            return Err(Refused::new(Refusal::Stale, "the token has expired"));
        }
        for claim in ["nbf", "iat"] {
            let from_ms = moment(claims, claim)?;
            if from_ms.is_some_and(|from_ms| from_ms > now_ms.saturating_add(leeway_ms)) {
                return Err(Refused::new(Refusal::Future, "the token is from the future"));
            }
        }
        Ok(())
    }
}

impl sealed::Check for Jwt {
    fn grade_of_proof(&self) -> Grade {
        match self.place {
            Place::Body | Place::BesideBody { .. } => Grade::Signed,
            Place::Bearer => Grade::SharedSecret,
        }
    }

    fn check(&self, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Result<usize, Refused> {
        let token = self.token(request)?;
        let kid = self.pinned(token)?;
        let keys = secrets
            .keys()
            .filter(|keys| !keys.is_empty())
            .ok_or_else(Refused::no_secret)?;
        if secrets.audiences().is_empty() {
            return Err(Refused::no_secret());
        }
        let (index, key) = keys.find(kid.as_deref(), self.algorithm).ok_or_else(|| {
            let detail = "the token names a key that the provider does not publish";
            Refused::new(Refusal::UnknownKey, detail)
        })?;
        let (message, signature) = token
            .rsplit_once('.')
            .ok_or_else(|| malformed("a token has three parts"))?;
        let signature = URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| malformed("the token's signature is not base64url"))?;
        if !key.proves(message.as_bytes(), &signature) {
            return Err(Refused::wrong_signature());
        }
        let claims = message.split_once('.').and_then(|(_, claims)| part(claims));
        let claims = claims.ok_or_else(|| malformed("the token's claims are not JSON"))?;
        self.check_claims(&claims, secrets, now_ms)?;
        self.covers_body(&claims, &request.body)?;
        Ok(index)
    }

    fn redact(&self, request: &mut RawRequest) {
        header::redact(request, header::ALWAYS_REDACTED);
        if let Place::BesideBody { header, .. } = self.place {
            header::redact(request, &[header]);
        }
    }
}

impl Jwt {
    /// The key's name, once the token's own header agrees with the pinned algorithm.
    fn pinned(&self, token: &str) -> Result<Option<String>, Refused> {
        let parts: Vec<&str> = token.split('.').collect();
        let [head, _, _] = parts[..] else {
            return Err(malformed("a token has three parts"));
        };
        let head = part(head).ok_or_else(|| malformed("the token's header is not JSON"))?;
        if head.get("alg").and_then(Value::as_str) != Some(self.algorithm.name()) {
            let detail = format!("the token is not signed with {}", self.algorithm.name());
            return Err(Refused::new(Refusal::WrongAlgorithm, detail));
        }
        // RFC 7515, section 4.1.11: what must be understood and is not makes the token invalid.
        if head.contains_key("crit") {
            return Err(malformed("the token asks for extensions that are not known"));
        }
        match head.get("kid") {
            None => Ok(None),
            Some(Value::String(kid)) => Ok(Some(kid.clone())),
            Some(_) => Err(malformed("the token names its key in no text")),
        }
    }
}

/// The claims of a delivery whose body is a token.
#[must_use]
pub fn body_claims(request: &VerifiedRequest) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(request.body()).ok()?.trim_ascii();
    part(text.split('.').nth(1)?)
}

fn part(encoded: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()
}

/// A claim that is a time, in epoch milliseconds.
fn moment(claims: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, Refused> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let seconds = value.as_i64().filter(|seconds| *seconds >= 0);
    match seconds.and_then(|seconds| seconds.checked_mul(1_000)) {
        Some(ms) => Ok(Some(ms)),
        None => Err(malformed("a time in the token is no whole number of seconds")),
    }
}

fn malformed(detail: &'static str) -> Refused {
    Refused::new(Refusal::Malformed, detail)
}
