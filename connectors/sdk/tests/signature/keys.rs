//! The cache of a provider's keys: few fetches, and none forgotten too early.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::signature::{KeyCache, KeySet};
use connector_sdk::{
    Clock, Context, Credentials, Error, ErrorKind, Handshake, HttpRequest, HttpResponse, HttpTransport,
    Notice, RawRequest, Route, SubscribeRequest, Subscription, VerifiedRequest, WebhookSecrets, Webhooks,
};
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::{Map, Value};

const KEYS: &str = r#"{"keys":[{"kty":"RSA","kid":"1","n":"w7Zd","e":"AQAB"}]}"#;

/// A vendor that counts how often it is asked, and may be down.
#[derive(Default)]
struct Vendor {
    asked: AtomicUsize,
    down: AtomicBool,
}

#[async_trait]
impl HttpTransport for Vendor {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Error> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        assert!(request.idempotent);
        let status = if self.down.load(Ordering::Relaxed) {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        Ok(HttpResponse {
            status,
            headers: HeaderMap::new(),
            body: Bytes::from_static(KEYS.as_bytes()),
            url: request.url,
        })
    }
}

struct Hands(AtomicI64);

#[async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::Relaxed)).unwrap()
    }

    async fn sleep(&self, _: Duration) {}
}

/// Only its keys are asked for.
struct Keys;

#[async_trait]
impl Webhooks for Keys {
    fn max_body_bytes(&self) -> usize {
        0
    }

    fn handshake(&self, _: &RawRequest, _: &WebhookSecrets, _: i64) -> Option<Handshake> {
        None
    }

    fn verify(&self, _: RawRequest, _: &WebhookSecrets, _: i64) -> Result<VerifiedRequest, Error> {
        Err(unused())
    }

    async fn keys(&self, ctx: &Context) -> Result<Option<KeySet>, Error> {
        KeySet::fetch(ctx, ctx.base_url.clone()).await.map(Some)
    }

    fn delivery_id(&self, _: &VerifiedRequest) -> Option<String> {
        None
    }

    fn routes(&self, _: &VerifiedRequest) -> Vec<Route> {
        Vec::new()
    }

    fn routes_of(&self, _: &Map<String, Value>) -> Vec<Route> {
        Vec::new()
    }

    fn parse(&self, _: &VerifiedRequest, _: Option<&Route>) -> Result<Vec<Notice>, Error> {
        Err(unused())
    }

    async fn subscribe(&self, _: &Context, _: &SubscribeRequest<'_>) -> Result<Subscription, Error> {
        Err(unused())
    }

    async fn renew(
        &self,
        _: &Context,
        _: &Subscription,
        _: &SubscribeRequest<'_>,
    ) -> Result<Subscription, Error> {
        Err(unused())
    }

    async fn unsubscribe(&self, _: &Context, _: &Subscription) -> Result<(), Error> {
        Err(unused())
    }
}

fn unused() -> Error {
    Error::new(ErrorKind::Unsupported, "test", "not asked for here")
}

#[tokio::test]
async fn keys_are_fetched_once_an_hour_and_outlive_a_vendor_that_is_down() {
    let vendor = Arc::new(Vendor::default());
    let hands = Arc::new(Hands(AtomicI64::new(1_800_000_000_000)));
    let ctx = Context {
        http: vendor.clone(),
        dial: Arc::new(connector_sdk::NoDial),
        base_url: "https://vendor.example.org/keys".parse().unwrap(),
        credentials: Arc::new(Credentials::default()),
        config: Arc::default(),
        clock: hands.clone(),
        cancel: tokio_util::sync::CancellationToken::new(),
    };
    let cache = KeyCache::default();
    let asked = || vendor.asked.load(Ordering::Relaxed);
    let pass = |ms| hands.0.fetch_add(ms, Ordering::Relaxed);

    for _ in 0..100 {
        assert!(cache.keys(&Keys, &ctx).await.unwrap().is_some());
        assert!(cache.after_unknown_key(&Keys, &ctx).await.unwrap().is_some());
    }
    assert_eq!(
        asked(),
        1,
        "unknown keys of strangers do not make the hub ask again and again"
    );

    pass(KeyCache::MIN_AGE_MS);
    cache.keys(&Keys, &ctx).await.unwrap();
    assert_eq!(asked(), 1);
    cache.after_unknown_key(&Keys, &ctx).await.unwrap();
    assert_eq!(asked(), 2, "a minute later the keys may have been rotated");

    vendor.down.store(true, Ordering::Relaxed);
    pass(KeyCache::MAX_AGE_MS);
    assert!(
        cache.keys(&Keys, &ctx).await.unwrap().is_some(),
        "the keys of an hour ago still prove"
    );
    assert_eq!(asked(), 3);
    pass(KeyCache::MAX_STALE_MS);
    assert_eq!(
        cache.keys(&Keys, &ctx).await.unwrap_err().kind,
        ErrorKind::Unavailable
    );
}
