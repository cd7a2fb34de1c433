//! Contexts for tests.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_sdk::dial::{NetworkDialer, SystemLookup};
use connector_sdk::http::NetworkTransport;
use connector_sdk::{
    Context, Credentials, Dial, Error, ErrorKind, HttpRequest, HttpResponse, HttpTransport, NoDial,
    SystemClock,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RESPONSE_BYTES: usize = 64 << 20;

/// A context that sends over the network, without any layer around the transport. `credentials` and `config` are
/// JSON objects.
///
/// # Errors
/// A `base_url` that is none, or members that are no text.
pub fn context(base_url: &str, credentials: &Value, config: &Value) -> anyhow::Result<Context> {
    let transport = NetworkTransport::new(TIMEOUT, MAX_RESPONSE_BYTES, &[])?;
    let dialer = NetworkDialer::new(&[], Arc::new(SystemLookup))?;
    made(
        Arc::new(transport),
        Arc::new(dialer),
        base_url,
        credentials,
        config,
    )
}

/// A context for a provider inside the process: whatever it tries to send fails.
///
/// # Errors
/// A `base_url` that is none.
pub fn no_network(base_url: &str) -> anyhow::Result<Context> {
    made(
        Arc::new(NoNetwork),
        Arc::new(NoDial),
        base_url,
        &Value::Null,
        &Value::Null,
    )
}

fn made(
    http: Arc<dyn HttpTransport>,
    dial: Arc<dyn Dial>,
    base_url: &str,
    credentials: &Value,
    config: &Value,
) -> anyhow::Result<Context> {
    let members = |json: &Value| json.as_object().cloned().unwrap_or_default();
    Ok(Context {
        http,
        dial,
        base_url: base_url.parse()?,
        credentials: Arc::new(Credentials::from_json(&members(credentials))?),
        config: Arc::new(members(config)),
        clock: Arc::new(SystemClock),
        cancel: CancellationToken::new(),
    })
}

struct NoNetwork;

#[async_trait]
impl HttpTransport for NoNetwork {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let message = format!("{request:?} was to be sent, and this provider is in the process");
        Err(Error::new(ErrorKind::Unexpected, request.operation, message))
    }
}
