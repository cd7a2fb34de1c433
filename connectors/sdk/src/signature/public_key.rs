//! Signatures that are proven with the vendor's public key, over a time and the body: Ed25519 and ECDSA P-256.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::hmac::{Encoding, Timestamp};
use super::refusal::Refused;
use super::{header, sealed, window};
use crate::webhooks::{Grade, RawRequest, WebhookSecret, WebhookSecrets};

/// What comes before the point in the `SubjectPublicKeyInfo` of a P-256 key (RFC 5480): the algorithm, the curve, and
/// the length of an uncompressed point.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A public-key signature over the timestamp header and the body.
#[derive(Debug, Clone, Copy)]
pub struct PublicKeySignature {
    kind: Kind,
    header: &'static str,
    encoding: Encoding,
    timestamp: Timestamp,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Ed25519,
    EcdsaP256,
}

impl PublicKeySignature {
    /// Ed25519, signature and key in hexadecimal.
    #[must_use]
    pub const fn ed25519(header: &'static str, timestamp: Timestamp) -> Self {
        Self {
            kind: Kind::Ed25519,
            header,
            encoding: Encoding::Hex,
            timestamp,
        }
    }

    /// ECDSA on P-256 with SHA-256, the signature as ASN.1 in base64, the key as `SubjectPublicKeyInfo` in base64.
    #[must_use]
    pub const fn ecdsa_p256(header: &'static str, timestamp: Timestamp) -> Self {
        Self {
            kind: Kind::EcdsaP256,
            header,
            encoding: Encoding::Base64,
            timestamp,
        }
    }

    fn algorithm(&self) -> &'static dyn VerificationAlgorithm {
        match self.kind {
            Kind::Ed25519 => &ED25519,
            Kind::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
        }
    }

    fn key(&self, secret: &WebhookSecret) -> Option<Vec<u8>> {
        let text = secret.expose().trim();
        match self.kind {
            Kind::Ed25519 => hex::decode(text).ok().filter(|key| key.len() == 32),
            Kind::EcdsaP256 => {
                let der = STANDARD.decode(text).ok()?;
                let point = der.strip_prefix(&P256_SPKI_PREFIX)?;
                (point.len() == 65).then(|| point.to_vec())
            }
        }
    }
}

impl sealed::Check for PublicKeySignature {
    fn grade_of_proof(&self) -> Grade {
        Grade::Signed
    }

    fn check(&self, request: &RawRequest, secrets: &WebhookSecrets, now_ms: i64) -> Result<usize, Refused> {
        let signature = self.encoding.decode(header::text(request, self.header)?);
        let signature = signature
            .ok_or_else(|| header::malformed(self.header, "is not a signature in the expected encoding"))?;
        let at = self.timestamp;
        let timestamp = header::text(request, at.header)?;
        at.window
            .admit(window::parse(timestamp, at.unit, at.header)?, now_ms)?;
        let message = [timestamp.as_bytes(), &request.body].concat();
        let mut usable = false;
        for (index, secret) in secrets.live().iter().enumerate() {
            let Some(key) = self.key(secret) else {
                continue;
            };
            usable = true;
            if UnparsedPublicKey::new(self.algorithm(), key)
                .verify(&message, &signature)
                .is_ok()
            {
                return Ok(index);
            }
        }
        Err(if usable {
            Refused::wrong_signature()
        } else {
            Refused::no_secret()
        })
    }
}
