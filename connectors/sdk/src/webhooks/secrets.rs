//! The secrets that deliveries are proven with.

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use crate::signature::KeySet;

/// A secret, or a provider's public key, in the form in which the provider shows it. `Debug` shows nothing.
#[derive(Clone)]
pub struct WebhookSecret(SecretString);

impl WebhookSecret {
    /// Takes it as the provider shows it: text, hexadecimal, base64, `whsec_...`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The plain text: for sealing, and for telling it to the provider when subscribing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

/// Everything that a delivery at one address may be proven with. None at all: every delivery is refused.
#[derive(Debug, Clone, Default)]
pub struct WebhookSecrets {
    live: Vec<WebhookSecret>,
    keys: Option<Arc<KeySet>>,
    audiences: Vec<String>,
}

impl WebhookSecrets {
    /// These secrets, the newest first; while one takes the place of another both are live.
    #[must_use]
    pub fn new(live: impl IntoIterator<Item = WebhookSecret>) -> Self {
        Self {
            live: live.into_iter().collect(),
            keys: None,
            audiences: Vec::new(),
        }
    }

    /// One secret.
    #[must_use]
    pub fn one(text: impl Into<String>) -> Self {
        Self::new([WebhookSecret::new(text)])
    }

    /// All of them, in order.
    #[must_use]
    pub fn live(&self) -> &[WebhookSecret] {
        &self.live
    }

    /// The provider's published keys.
    #[must_use]
    pub fn keys(&self) -> Option<&KeySet> {
        self.keys.as_deref()
    }

    /// The audiences that tokens may be meant for.
    #[must_use]
    pub fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// With the provider's published keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Arc<KeySet>) -> Self {
        self.keys = Some(keys);
        self
    }

    /// With the audiences that tokens may be meant for: our client id, or our address.
    #[must_use]
    pub fn with_audiences(mut self, audiences: impl IntoIterator<Item = String>) -> Self {
        self.audiences = audiences.into_iter().collect();
        self
    }
}
