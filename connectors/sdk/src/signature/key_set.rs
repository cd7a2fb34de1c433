//! The keys that a provider publishes (JWKS, RFC 7517), and a cache for whoever fetches them.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use super::jwt::JwtAlgorithm;
use crate::context::Context;
use crate::error::{Error, ErrorKind};
use crate::http::HttpRequest;
use crate::webhooks::Webhooks;

/// The most keys that are taken from a set.
const MAX_KEYS: usize = 64;
/// The largest set that is read, in bytes.
const MAX_SET_BYTES: usize = 256 << 10;

/// A provider's public keys.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<PublishedKey>,
}

#[derive(Clone)]
struct PublishedKey {
    id: Option<String>,
    algorithm: JwtAlgorithm,
    key: PublicKey,
}

/// A public key; whether it is one is found when something is proven with it.
#[derive(Clone)]
pub(super) enum PublicKey {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
}

impl PublicKey {
    /// Whether this is the message's signature, as JSON Web Signatures write it (RFC 7518, sections 3.3 and 3.4).
    pub(super) fn proves(&self, message: &[u8], signature: &[u8]) -> bool {
        let proven = match self {
            Self::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            Self::P256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
        };
        proven.is_ok()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("keys", &self.keys.len()).finish()
    }
}

impl KeySet {
    /// Reads a set. Keys of other kinds or for other uses are left aside.
    ///
    /// # Errors
    /// `Unexpected` when it is no key set, or larger than 256 KiB.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let set: Option<Value> = Some(json)
            .filter(|json| json.len() <= MAX_SET_BYTES)
            .and_then(|json| serde_json::from_slice(json).ok());
        let keys = set.as_ref().and_then(|set| set.get("keys")?.as_array());
        let keys = keys.ok_or_else(|| {
            let message = "the provider's key set is not of the form that RFC 7517 says";
            Error::new(ErrorKind::Unexpected, "webhook.keys", message)
        })?;
        let keys = keys.iter().take(MAX_KEYS).filter_map(published).collect();
        Ok(Self { keys })
    }

    /// Fetches a set through the context's transport.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be fetched, `Unexpected` when it is none.
    pub async fn fetch(ctx: &Context, url: Url) -> Result<Self, Error> {
        let request = HttpRequest {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            operation: "webhook.keys",
            idempotent: true,
        };
        let answer = ctx.http.send(request).await?;
        if !answer.status.is_success() {
            let message =
                "the provider does not hand out its keys; its deliveries cannot be proven until it does";
            let status = answer.status.as_u16();
            return Err(Error::new(ErrorKind::Unavailable, "webhook.keys", message).with_status(status));
        }
        Self::from_json(&answer.body)
    }

    /// Whether there is no key in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of this name; without a name the only key there is.
    pub(super) fn find(&self, id: Option<&str>, algorithm: JwtAlgorithm) -> Option<(usize, &PublicKey)> {
        let mut fitting = self
            .keys
            .iter()
            .enumerate()
            .filter(|(_, key)| key.algorithm == algorithm);
        let (index, found) = match id {
            Some(id) => fitting.find(|(_, key)| key.id.as_deref() == Some(id))?,
            None if self.keys.len() == 1 => fitting.next()?,
            None => return None,
        };
        Some((index, &found.key))
    }
}

/// A key as RFC 7517 writes it, and RFC 7518 for its numbers. Members that no signature needs are not read.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

fn published(json: &Value) -> Option<PublishedKey> {
    let jwk = Jwk::deserialize(json).ok()?;
    let number = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    let (algorithm, key) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => {
            let [n, e] = [&jwk.n, &jwk.e].map(|text| {
                let bytes = number(text)?;
                let leading = bytes.iter().take_while(|byte| **byte == 0).count();
                Some(bytes[leading..].to_vec())
            });
            (JwtAlgorithm::Rs256, PublicKey::Rsa { n: n?, e: e? })
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (number(&jwk.x)?, number(&jwk.y)?);
            let point = [&[4], &x[..], &y[..]].concat();
            let whole = x.len() == 32 && y.len() == 32;
            (JwtAlgorithm::Es256, PublicKey::P256(whole.then_some(point)?))
        }
        _ => return None,
    };
    let signs = jwk.purpose.is_none_or(|purpose| purpose == "sig");
    let fits = jwk.alg.is_none_or(|said| said == algorithm.name());
    (signs && fits).then_some(PublishedKey {
        id: jwk.kid,
        algorithm,
        key,
    })
}

/// Keeps a provider's key set, for the hub.
#[derive(Debug, Default)]
pub struct KeyCache {
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    keys: Arc<KeySet>,
    fetched_at_ms: i64,
}

impl KeyCache {
    /// How long a set is used before it is fetched again.
    pub const MAX_AGE_MS: i64 = 3_600_000;
    /// How long a set is used when it cannot be fetched again.
    pub const MAX_STALE_MS: i64 = 24 * 3_600_000;
    /// How often a set is fetched at most, however many deliveries name keys that are not in it.
    pub const MIN_AGE_MS: i64 = 60_000;

    /// The provider's keys; `None` where its deliveries are not proven with any.
    ///
    /// # Errors
    /// When they cannot be fetched, and none younger than a day are held.
    pub async fn keys(&self, facet: &dyn Webhooks, ctx: &Context) -> Result<Option<Arc<KeySet>>, Error> {
        self.younger_than(Self::MAX_AGE_MS, facet, ctx).await
    }

    /// The same after a delivery named a key that is not in the set, since keys rotate.
    ///
    /// # Errors
    /// As [`Self::keys`].
    pub async fn after_unknown_key(
        &self,
        facet: &dyn Webhooks,
        ctx: &Context,
    ) -> Result<Option<Arc<KeySet>>, Error> {
        self.younger_than(Self::MIN_AGE_MS, facet, ctx).await
    }

    async fn younger_than(
        &self,
        age_ms: i64,
        facet: &dyn Webhooks,
        ctx: &Context,
    ) -> Result<Option<Arc<KeySet>>, Error> {
        let now_ms = ctx.clock.now_ms();
        let mut held = self.held.lock().await;
        let age = held.as_ref().map(|held| now_ms - held.fetched_at_ms);
        if let Some(held) = held.as_ref().filter(|_| age.is_some_and(|age| age < age_ms)) {
            return Ok(Some(Arc::clone(&held.keys)));
        }
        match facet.keys(ctx).await {
            Ok(None) => Ok(None),
            Ok(Some(keys)) => {
                let keys = Arc::new(keys);
                *held = Some(Held {
                    keys: Arc::clone(&keys),
                    fetched_at_ms: now_ms,
                });
                Ok(Some(keys))
            }
            Err(error) => match held
                .as_ref()
                .filter(|_| age.is_some_and(|age| age < Self::MAX_STALE_MS))
            {
                Some(held) => Ok(Some(Arc::clone(&held.keys))),
                None => Err(error),
            },
        }
    }
}
