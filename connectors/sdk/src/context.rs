//! What a connector is given for one piece of work.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use url::Url;

use crate::clock::Clock;
use crate::credentials::Credentials;
use crate::dial::Dial;
use crate::http::HttpTransport;

/// Everything a connector needs for one piece of work on one connection. Cheap to clone.
#[derive(Clone)]
pub struct Context {
    /// Sends requests, through the layers.
    pub http: Arc<dyn HttpTransport>,
    /// Opens streams to providers that do not speak HTTP.
    pub dial: Arc<dyn Dial>,
    /// Where the provider is.
    pub base_url: Url,
    /// What the connection proves itself with.
    pub credentials: Arc<Credentials>,
    /// Settings of the connection that only its connector understands.
    pub config: Arc<serde_json::Map<String, serde_json::Value>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Cancelled when the work is to stop; streams end early and without a new cursor.
    pub cancel: CancellationToken,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("base_url", &self.base_url.as_str())
            .finish_non_exhaustive()
    }
}
