//! What is signed with: an endpoint's live secrets, unsealed as long as its task needs them.

use connector_sdk::signature::standard_webhooks::{self, Signer};
use connector_sdk::webhooks::WebhookSecret;
use http::HeaderMap;
use store::{SqliteStore, WebhookEndpoint};
use sync::ports::Entropy;
use url::Url;
use zeroize::Zeroizing;

/// The keys of an endpoint, and where it is.
pub(super) struct Keys {
    signer: Signer,
    url: Url,
    updated_at: i64,
    /// When the first of them stops signing, epoch milliseconds.
    until: Option<i64>,
}

impl Keys {
    /// Reads them.
    pub(super) async fn load(store: &SqliteStore, endpoint: &WebhookEndpoint) -> Result<Self, String> {
        let secrets = store
            .webhook_secrets(&endpoint.organization, &endpoint.id)
            .await
            .map_err(|error| error.to_string())?;
        let until = secrets.iter().filter_map(|secret| secret.expires_at).min();
        let live = secrets
            .iter()
            .map(|secret| WebhookSecret::new(secret.text.as_str()));
        let live: Vec<WebhookSecret> = live.collect();
        Ok(Self {
            signer: Signer::new(&live).map_err(|error| error.to_string())?,
            url: Url::parse(&endpoint.url).map_err(|error| error.to_string())?,
            updated_at: endpoint.updated_at,
            until,
        })
    }

    /// Whether they are still those of the endpoint.
    pub(super) fn fit(&self, endpoint: &WebhookEndpoint, now_ms: i64) -> bool {
        self.updated_at == endpoint.updated_at && self.until.is_none_or(|until| now_ms < until)
    }

    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The headers of an attempt at this time, epoch seconds.
    pub(super) fn headers(&self, id: &str, timestamp: i64, body: &[u8]) -> HeaderMap {
        // Our ids are fit for it; without its headers a message is refused, and tried again.
        let signed = self.signer.headers(id, timestamp, body);
        signed.unwrap_or_else(|error| {
            tracing::error!(%error, "a message cannot be signed");
            HeaderMap::new()
        })
    }
}

/// A new secret, from 256 random bits.
pub(crate) fn new_secret(entropy: &dyn Entropy) -> WebhookSecret {
    let mut key = Zeroizing::new([0_u8; 32]);
    key[..16].copy_from_slice(&entropy.random().to_be_bytes());
    key[16..].copy_from_slice(&entropy.random().to_be_bytes());
    standard_webhooks::secret(*key)
}
