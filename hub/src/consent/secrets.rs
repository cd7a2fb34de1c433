//! Secrets of links, states and browsers: random, handed out once, kept by their digests.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use sync::ports::Entropy;

/// 256 random bits as 43 characters that an address can hold.
pub fn fresh(entropy: &dyn Entropy) -> SecretString {
    let mut bytes = [0_u8; 32];
    bytes[..16].copy_from_slice(&entropy.random().to_be_bytes());
    bytes[16..].copy_from_slice(&entropy.random().to_be_bytes());
    SecretString::from(URL_SAFE_NO_PAD.encode(bytes))
}

/// What is kept of a secret. A plain digest is enough for 256 random bits: they cannot be guessed from it.
#[must_use]
pub fn digest(secret: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(secret.as_bytes()))
}

/// The PKCE verifier of a journey: only where its browser and its state come together can it be made. It is stored
/// nowhere (<https://datatracker.ietf.org/doc/html/rfc7636#section-4.1>: 43 characters of 256 bits).
pub(super) fn verifier(browser: &SecretString, state: &str) -> SecretString {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(browser.expose_secret().as_bytes()).expect("any key");
    mac.update(b"concord pkce verifier\n");
    mac.update(state.as_bytes());
    SecretString::from(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_verifier_takes_the_browser_and_the_state() {
        let (one, two) = (fresh(&SystemEntropy), fresh(&SystemEntropy));
        let of = |browser: &SecretString, state| verifier(browser, state).expose_secret().to_owned();
        assert_eq!(of(&one, "s"), of(&one, "s"));
        assert_ne!(of(&one, "s"), of(&two, "s"));
        assert_ne!(of(&one, "s"), of(&one, "t"));
        assert_eq!(of(&one, "s").len(), 43);
        assert_ne!(one.expose_secret(), two.expose_secret());
    }
}
