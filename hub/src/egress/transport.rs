//! Providers' addresses under guard, for installations whose users are strangers (setting `guard_connections`).

use async_trait::async_trait;
use connector_sdk::{Error, ErrorKind, HttpRequest, HttpResponse, HttpTransport};

use super::Guard;

/// A transport that asks the guard before each request. Names are checked beneath it, when the transport connects.
pub struct GuardedTransport {
    inner: Box<dyn HttpTransport>,
    guard: Guard,
}

impl GuardedTransport {
    /// This transport, guarded.
    #[must_use]
    pub fn new(inner: Box<dyn HttpTransport>, guard: Guard) -> Self {
        Self { inner, guard }
    }
}

#[async_trait]
impl HttpTransport for GuardedTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        // Whether a name may be reached without TLS depends on where it leads, and the resolver beneath is not told the
        // scheme. It still looks up itself, and refuses what is private.
        let verdict = if request.url.scheme() == "https" {
            self.guard.client(&request.url).map(|_| ())
        } else {
            self.guard.check(&request.url).await
        };
        if let Err(refusal) = verdict {
            let message = format!("the address {refusal}; nothing was sent");
            return Err(Error::new(ErrorKind::Unavailable, request.operation, message));
        }
        self.inner.send(request).await
    }
}
