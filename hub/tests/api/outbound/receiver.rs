//! A receiver of webhooks that keeps what it got and answers as the test wants.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) timestamp: i64,
    pub(crate) signatures: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) at: Instant,
    /// What it was answered with.
    pub(crate) status: u16,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `seq` of the change that it tells.
    pub(crate) fn seq(&self) -> i64 {
        self.json()["data"]["seq"].as_i64().unwrap()
    }

    /// Whether one of its signatures is of this secret, computed as the specification says.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(format!("{}.{}.", self.id, self.timestamp).as_bytes());
        mac.update(&self.body);
        let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        self.signatures.contains(&expected)
    }
}

type Answer = dyn Fn(&Received, usize) -> Response + Send + Sync;

struct Kept {
    received: Mutex<Vec<Received>>,
    answer: Mutex<Arc<Answer>>,
}

/// The receiver. It ends with the test.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    kept: Arc<Kept>,
}

impl Receiver {
    /// One that takes everything.
    pub(crate) async fn start() -> Self {
        let kept = Arc::new(Kept {
            received: Mutex::default(),
            answer: Mutex::new(Arc::new(|_, _| StatusCode::NO_CONTENT.into_response())),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = axum::Router::new()
            .route("/hook", axum::routing::post(take))
            .with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    /// From now on answers so; the function gets the request and how many came before it.
    pub(crate) fn answer(&self, answer: impl Fn(&Received, usize) -> Response + Send + Sync + 'static) {
        *self.kept.answer.lock().unwrap() = Arc::new(answer);
    }

    pub(crate) fn answer_status(&self, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        self.answer(move |_, _| status.into_response());
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.kept.received.lock().unwrap().clone()
    }

    /// Those that were answered with success.
    pub(crate) fn taken(&self) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|one| one.status < 300);
        received
    }

    pub(crate) fn count(&self) -> usize {
        self.kept.received.lock().unwrap().len()
    }
}

async fn take(State(kept): State<Arc<Kept>>, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mut received = Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp").parse().unwrap(),
        signatures: header("webhook-signature")
            .split(' ')
            .map(str::to_owned)
            .collect(),
        body: body.to_vec(),
        at: Instant::now(),
        status: 0,
    };
    let answer = Arc::clone(&kept.answer.lock().unwrap());
    let mut all = kept.received.lock().unwrap();
    let response = answer(&received, all.len());
    received.status = response.status().as_u16();
    all.push(received);
    response
}
