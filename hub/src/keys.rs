//! Making API keys: `ck_` and 52 characters of 256 random bits.

use connector_sdk::Clock;
use model::{ApiKeyId, OrganizationId};
use store::{ApiKey, KeyPermission};
use sync::ports::Entropy;

use crate::state::id_parts;

/// Longest name of a key, in bytes.
pub const LONGEST_NAME: usize = 200;
/// How much of a secret is kept to tell keys apart: `ck_` and 25 of its 256 bits.
const PREFIX_CHARS: usize = 8;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A new key with its secret. Deliberately without `Debug`.
pub struct Fresh {
    /// The key.
    pub key: ApiKey,
    /// Its secret: shown once, stored as a hash.
    pub secret: String,
}

impl Fresh {
    /// Makes a key; it opens nothing until it is stored.
    pub fn make(
        organization: OrganizationId,
        name: String,
        permissions: Vec<KeyPermission>,
        clock: &dyn Clock,
        entropy: &dyn Entropy,
    ) -> Self {
        let (now_ms, random) = id_parts(clock, entropy);
        let secret = format!("ck_{}{}", letters(entropy.random()), letters(entropy.random()));
        let key = ApiKey {
            id: ApiKeyId::new(now_ms, random),
            organization,
            name,
            prefix: secret.chars().take(PREFIX_CHARS).collect(),
            permissions,
            created_at: clock.now_ms(),
            last_used_at: None,
            revoked_at: None,
        };
        Self { key, secret }
    }
}

fn letters(mut bits: u128) -> String {
    let mut text = String::with_capacity(26);
    for _ in 0..26 {
        text.push(char::from(ALPHABET[(bits & 31) as usize]));
        bits >>= 5;
    }
    text
}

#[cfg(test)]
mod tests {
    use connector_sdk::SystemClock;

    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn each_secret_is_new_and_long() {
        let organization: OrganizationId = "org_1".parse().unwrap();
        let make = || {
            let name = "a".to_owned();
            Fresh::make(
                organization.clone(),
                name,
                Vec::new(),
                &SystemClock,
                &SystemEntropy,
            )
        };
        let (one, two) = (make(), make());
        assert_ne!(one.secret, two.secret);
        assert_eq!(one.secret.len(), "ck_".len() + 52);
        assert!(one.secret.starts_with(&one.key.prefix));
    }
}
