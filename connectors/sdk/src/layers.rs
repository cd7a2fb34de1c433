//! Layers around the transport: metrics, retry of idempotent requests, rate limit. A connector owns none of them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::clock::Clock;
use crate::error::{Error, Retry};
use crate::http::{HttpRequest, HttpResponse, HttpTransport};

/// Longest pause that the retry layer waits by itself; a provider that asks for more is left to the scheduler.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// How often an idempotent request is sent at most.
const MAX_TRIES: u32 = 3;

/// Counts and times requests.
pub struct Metrics<T> {
    inner: T,
    provider: &'static str,
}

impl<T> Metrics<T> {
    /// Counts under the provider's name.
    pub const fn new(inner: T, provider: &'static str) -> Self {
        Self { inner, provider }
    }
}

#[async_trait]
impl<T: HttpTransport> HttpTransport for Metrics<T> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let operation = request.operation;
        let begun = tokio::time::Instant::now();
        let outcome = self.inner.send(request).await;
        let status = match &outcome {
            Ok(response) => response.status.as_str().to_owned(),
            Err(error) => error.kind.name().to_owned(),
        };
        metrics::counter!("concord_provider_requests_total",
            "provider" => self.provider, "operation" => operation, "status" => status)
        .increment(1);
        metrics::histogram!("concord_provider_request_seconds",
            "provider" => self.provider, "operation" => operation)
        .record(begun.elapsed().as_secs_f64());
        outcome
    }
}

/// Sends idempotent requests again when the provider is busy or cannot be reached. Writes whose outcome is
/// unknown are never sent again here: the engine probes first.
pub struct RetryIdempotent<T> {
    inner: T,
    clock: Arc<dyn Clock>,
}

impl<T> RetryIdempotent<T> {
    /// Waits with this clock.
    pub const fn new(inner: T, clock: Arc<dyn Clock>) -> Self {
        Self { inner, clock }
    }
}

#[async_trait]
impl<T: HttpTransport> HttpTransport for RetryIdempotent<T> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.inner.send(request.clone()).await;
            let retry = match &outcome {
                Ok(response) if matches!(response.status.as_u16(), 429 | 502..=504) => response.retry(),
                Ok(_) => return outcome,
                Err(error) => error.retry,
            };
            let pause = match retry {
                Retry::Permanent => return outcome,
                Retry::After(pause) => pause,
                Retry::Backoff => Duration::from_millis(200 << (2 * tries)),
            };
            if !request.idempotent || tries >= MAX_TRIES || pause > MAX_PAUSE {
                return outcome;
            }
            self.clock.sleep(pause).await;
        }
    }
}

/// A vendor's rate, as turns to be waited for. All work of a connection shares one.
#[async_trait]
pub trait Budget: Send + Sync {
    /// Returns when it is the caller's turn.
    async fn turn(&self);
}

/// That of a process by itself.
#[async_trait]
impl Budget for DefaultDirectRateLimiter {
    async fn turn(&self) {
        self.until_ready().await;
    }
}

/// A budget of `per_second` requests, as many of them at once, in this process alone.
#[must_use]
pub fn own_budget(per_second: NonZeroU32) -> Arc<dyn Budget> {
    Arc::new(RateLimiter::direct(Quota::per_second(per_second)))
}

/// Keeps under the vendor's rate by waiting for a turn.
pub struct RateLimit<T> {
    inner: T,
    budget: Arc<dyn Budget>,
}

impl<T> RateLimit<T> {
    /// Waits for turns of this budget.
    pub const fn new(inner: T, budget: Arc<dyn Budget>) -> Self {
        Self { inner, budget }
    }
}

#[async_trait]
impl<T: HttpTransport> HttpTransport for RateLimit<T> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        self.budget.turn().await;
        self.inner.send(request).await
    }
}

#[async_trait]
impl HttpTransport for Box<dyn HttpTransport> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        self.as_ref().send(request).await
    }
}
