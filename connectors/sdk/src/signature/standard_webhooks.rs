//! Standard Webhooks: `v1` (HMAC-SHA256) and `v1a` (Ed25519), both ways.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::refusal::{Refusal, Refused};
use super::window::{Unit, Window};
use super::{MAX_SIGNATURES, header, sealed, window};
use crate::error::{Error, ErrorKind};
use crate::webhooks::{Grade, RawRequest, WebhookSecret, WebhookSecrets};

/// The unique id of a message, the same whenever it is sent again.
pub const ID: &str = "webhook-id";
/// When this attempt was made, in whole epoch seconds.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Signatures, `version,base64`, with a space between them.
pub const SIGNATURE: &str = "webhook-signature";

/// The longest id that is accepted, in bytes: it becomes a key of the inbox.
pub const MAX_ID_BYTES: usize = 256;

const SYMMETRIC: &str = "v1";
const ASYMMETRIC: &str = "v1a";

/// Standard Webhooks. The secret's own prefix says which version it proves: `whsec_` (or none) `v1`, `whpk_` `v1a`,
/// so that neither can pass for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardWebhooks {
    /// How far `webhook-timestamp` may be from now.
    pub window: Window,
    /// What comes before `-id`, `-timestamp` and `-signature`.
    prefix: Prefix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prefix {
    Webhook,
    Svix,
}

impl StandardWebhooks {
    /// With a window of five minutes.
    pub const DEFAULT: Self = Self {
        window: Window::DEFAULT,
        prefix: Prefix::Webhook,
    };

    /// The same under Svix's own header names (`svix-id`, ...), which many of its customers' vendors send:
    /// <https://docs.svix.com/receiving/verifying-payloads/how-manual>.
    pub const SVIX: Self = Self {
        window: Window::DEFAULT,
        prefix: Prefix::Svix,
    };

    const fn headers(self) -> [&'static str; 3] {
        match self.prefix {
            Prefix::Webhook => [ID, TIMESTAMP, SIGNATURE],
            Prefix::Svix => ["svix-id", "svix-timestamp", "svix-signature"],
        }
    }
}

impl sealed::Check for StandardWebhooks {
    fn grade_of_proof(&self) -> Grade {
        Grade::Signed
    }

    fn check(&self, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Result<usize, Refused> {
        let [id_header, timestamp_header, signature_header] = self.headers();
        let id = header::text(request, id_header)?;
        if !valid_id(id) {
            return Err(header::malformed(
                id_header,
                "is empty, too long, or has a full stop in it",
            ));
        }
        let timestamp = header::text(request, timestamp_header)?;
        let sent_ms = window::parse(timestamp, Unit::Seconds, timestamp_header)?;
        let signatures = Signatures::parse(header::text(request, signature_header)?, signature_header)?;
        let keys = Keys::of(secrets)?;
        self.window.admit(sent_ms, now_ms)?;
        keys.prove(&signatures, &[id.as_bytes(), timestamp.as_bytes(), &request.body])
    }
}

/// The specification: neither id nor timestamp may have a full stop in it, since full stops divide what is signed.
fn valid_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= MAX_ID_BYTES
        && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

/// The signatures of the two versions, decoded.
struct Signatures {
    symmetric: Vec<Vec<u8>>,
    asymmetric: Vec<Vec<u8>>,
}

impl Signatures {
    fn parse(text: &str, name: &str) -> Result<Self, Refused> {
        let mut found = Self {
            symmetric: Vec::new(),
            asymmetric: Vec::new(),
        };
        let mut strange = false;
        for (count, piece) in text.split(' ').enumerate() {
            if count >= MAX_SIGNATURES {
                return Err(header::malformed(name, "has more than 16 signatures"));
            }
            let Some((version, signature)) = piece.split_once(',') else {
                return Err(header::malformed(name, "is not of the form `v1,base64`"));
            };
            let versions = match version {
                SYMMETRIC => &mut found.symmetric,
                ASYMMETRIC => &mut found.asymmetric,
                // A later version of the specification, beside one that is known.
                _ => {
                    strange = true;
                    continue;
                }
            };
            // One that is not base64 stands beside others that may be good.
            versions.extend(STANDARD.decode(signature).ok());
        }
        if found.symmetric.is_empty() && found.asymmetric.is_empty() {
            return Err(if strange {
                let detail = format!("the header `{name}` has neither a `v1` nor a `v1a` signature");
                Refused::new(Refusal::WrongAlgorithm, detail)
            } else {
                header::malformed(name, "has no signature that is base64")
            });
        }
        Ok(found)
    }
}

/// The live secrets, decoded, each with its index.
struct Keys {
    symmetric: Vec<(usize, hmac::Key)>,
    asymmetric: Vec<(usize, Vec<u8>)>,
}

impl Keys {
    fn of(secrets: &WebhookSecrets) -> Result<Self, Refused> {
        let mut keys = Self {
            symmetric: Vec::new(),
            asymmetric: Vec::new(),
        };
        for (index, secret) in secrets.live().iter().enumerate() {
            if let Some(public) = secret.expose().strip_prefix("whpk_") {
                let public = STANDARD.decode(public).ok().filter(|key| key.len() == 32);
                keys.asymmetric.extend(public.map(|key| (index, key)));
            } else {
                keys.symmetric
                    .extend(symmetric_key(secret).map(|key| (index, key)));
            }
        }
        if keys.symmetric.is_empty() && keys.asymmetric.is_empty() {
            return Err(Refused::no_secret());
        }
        Ok(keys)
    }

    fn prove(&self, signatures: &Signatures, parts: &[&[u8]; 3]) -> Result<usize, Refused> {
        let pairs = (!self.symmetric.is_empty() && !signatures.symmetric.is_empty())
            || (!self.asymmetric.is_empty() && !signatures.asymmetric.is_empty());
        if !pairs {
            let detail = "its signatures are of the other version than the secret: `whsec_` proves `v1`, `whpk_` `v1a`";
            return Err(Refused::new(Refusal::WrongAlgorithm, detail));
        }
        for (index, key) in &self.symmetric {
            let tag = mac(key, parts);
            let matches =
                |signature: &Vec<u8>| constant_time::verify_slices_are_equal(tag.as_ref(), signature).is_ok();
            if signatures.symmetric.iter().any(matches) {
                return Ok(*index);
            }
        }
        if !signatures.asymmetric.is_empty() {
            let message = parts.join(&b'.');
            for (index, key) in &self.asymmetric {
                let key = UnparsedPublicKey::new(&ED25519, key);
                let proves = |signature: &Vec<u8>| key.verify(&message, signature).is_ok();
                if signatures.asymmetric.iter().any(proves) {
                    return Ok(*index);
                }
            }
        }
        Err(Refused::wrong_signature())
    }
}

/// The key of a `whsec_` secret; `None` where it is none. The specification asks for 24 bytes or more; shorter ones
/// of others' making are used as they are, as long as they are not empty.
fn symmetric_key(secret: &WebhookSecret) -> Option<hmac::Key> {
    let text = secret.expose();
    if text.starts_with("whsk_") {
        return None;
    }
    let encoded = text.strip_prefix("whsec_").unwrap_or(text);
    let key = STANDARD.decode(encoded).ok().filter(|key| !key.is_empty())?;
    Some(hmac::Key::new(hmac::HMAC_SHA256, &key))
}

fn mac(key: &hmac::Key, parts: &[&[u8]; 3]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            context.update(b".");
        }
        context.update(part);
    }
    context.sign()
}

/// What the hub signs its own deliveries with: `whsec_` secrets and `whsk_` private keys, several while one takes the
/// place of another. `Debug` shows how many.
pub struct Signer {
    keys: Vec<SigningKey>,
}

enum SigningKey {
    Symmetric(Box<hmac::Key>),
    Asymmetric(Box<Ed25519KeyPair>),
}

impl Signer {
    /// With these secrets, all of which will sign.
    ///
    /// # Errors
    /// `Invalid` when there is none, or one is not `whsec_` with 24 to 64 bytes in base64, nor `whsk_` with an Ed25519
    /// seed of 32 bytes (or with its public key, 64).
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a WebhookSecret>) -> Result<Self, Error> {
        let keys: Vec<SigningKey> = secrets.into_iter().map(signing_key).collect::<Result<_, _>>()?;
        if keys.is_empty() {
            return Err(unusable("there is no secret to sign with"));
        }
        Ok(Self { keys })
    }

    /// The value of `webhook-signature` for a message. `timestamp` is this attempt's time in epoch seconds.
    ///
    /// # Errors
    /// `Invalid` for an id that is empty, longer than 256 bytes, or has a full stop or a space in it.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<String, Error> {
        if !valid_id(id) {
            return Err(unusable(
                "a message id is visible text without full stops, up to 256 bytes",
            ));
        }
        let timestamp = timestamp.to_string();
        let parts = [id.as_bytes(), timestamp.as_bytes(), body];
        let one = |key: &SigningKey| match key {
            SigningKey::Symmetric(key) => format!("{SYMMETRIC},{}", STANDARD.encode(mac(key, &parts))),
            SigningKey::Asymmetric(pair) => {
                format!("{ASYMMETRIC},{}", STANDARD.encode(pair.sign(&parts.join(&b'.'))))
            }
        };
        Ok(self.keys.iter().map(one).collect::<Vec<_>>().join(" "))
    }

    /// The three headers of a message.
    ///
    /// # Errors
    /// As [`Signer::sign`].
    pub fn headers(&self, id: &str, timestamp: i64, body: &[u8]) -> Result<HeaderMap, Error> {
        let signature = self.sign(id, timestamp, body)?;
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|error| unusable("no header value").with_source(error))
        };
        let mut headers = HeaderMap::with_capacity(3);
        headers.insert(ID, value(id)?);
        headers.insert(TIMESTAMP, HeaderValue::from(timestamp));
        headers.insert(SIGNATURE, value(&signature)?);
        Ok(headers)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("keys", &self.keys.len()).finish()
    }
}

/// The value of `webhook-signature` for a message signed with one secret.
///
/// # Errors
/// `Invalid`, as [`Signer::new`] and [`Signer::sign`] say.
pub fn sign(secret: &WebhookSecret, id: &str, timestamp: i64, body: &[u8]) -> Result<String, Error> {
    Signer::new([secret])?.sign(id, timestamp, body)
}

/// A `whsec_` secret of 32 random bytes, which come from the caller.
#[must_use]
pub fn secret(random: [u8; 32]) -> WebhookSecret {
    WebhookSecret::new(format!("whsec_{}", STANDARD.encode(random)))
}

/// The `whpk_` public key that belongs to a `whsk_` private key: what receivers are told.
///
/// # Errors
/// `Invalid` for anything else.
pub fn public_key(secret: &WebhookSecret) -> Result<String, Error> {
    match signing_key(secret)? {
        SigningKey::Asymmetric(pair) => Ok(format!("whpk_{}", STANDARD.encode(pair.public_key()))),
        SigningKey::Symmetric(_) => Err(unusable("a `whsec_` secret has no public key")),
    }
}

fn signing_key(secret: &WebhookSecret) -> Result<SigningKey, Error> {
    let text = secret.expose();
    if let Some(encoded) = text.strip_prefix("whsk_") {
        let key = STANDARD.decode(encoded).ok();
        let pair = key.as_deref().and_then(|key| match key.len() {
            32 => Ed25519KeyPair::from_seed_unchecked(key).ok(),
            64 => Ed25519KeyPair::from_seed_and_public_key(&key[..32], &key[32..]).ok(),
            _ => None,
        });
        let pair =
            pair.ok_or_else(|| unusable("a `whsk_` key holds an Ed25519 seed of 32 bytes in base64"))?;
        return Ok(SigningKey::Asymmetric(Box::new(pair)));
    }
    let key = text
        .strip_prefix("whsec_")
        .and_then(|text| STANDARD.decode(text).ok());
    match key.filter(|key| (24..=64).contains(&key.len())) {
        Some(key) => Ok(SigningKey::Symmetric(Box::new(hmac::Key::new(
            hmac::HMAC_SHA256,
            &key,
        )))),
        None => Err(unusable("a `whsec_` secret holds 24 to 64 bytes in base64")),
    }
}

fn unusable(message: &'static str) -> Error {
    Error::new(ErrorKind::Invalid, "webhook.sign", message)
}

/// A delivery signed with these secrets, as it would come in: for tests and stand-ins of vendors.
///
/// # Errors
/// As [`Signer::headers`].
pub fn delivery(signer: &Signer, id: &str, now_ms: i64, body: impl Into<Bytes>) -> Result<RawRequest, Error> {
    let body = body.into();
    Ok(RawRequest {
        method: http::Method::POST,
        path_and_query: "/".to_owned(),
        origin: "".into(),
        headers: signer.headers(id, now_ms.div_euclid(1_000), &body)?,
        body,
        received_at_ms: now_ms,
    })
}
