//! The demo as a client of its own server: the same API, without the network between.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, header};
use connector_sdk::Clock as _;
use connector_sdk::SystemClock;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::api;
use crate::failure::Failure;
use crate::state::AppState;

const LARGEST_ANSWER: usize = 16 << 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A client with a key.
#[derive(Clone)]
pub(super) struct Client {
    router: Router,
    key: String,
}

impl Client {
    pub(super) fn new(state: AppState, key: String) -> Self {
        Self {
            router: api::router(state),
            key,
        }
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    /// The `data` of the answer.
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let failed = |problem: String| {
            let remedy = "delete the demo's folder to start afresh; if it happens again, report it";
            Failure::new(
                format!("the demo could not set itself up: {method} {path}: {problem}"),
                remedy,
            )
        };
        let request = Request::builder()
            .method(&method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .map_err(|error| failed(error.to_string()))?;
        let response = match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let bytes = to_bytes(response.into_body(), LARGEST_ANSWER)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if !status.is_success() {
            let message = answer["error"]["message"].as_str().unwrap_or_default();
            return Err(failed(format!("{status} {message}")));
        }
        Ok(answer["data"].take())
    }

    /// Waits until a job has ended, and tells how far it is meanwhile.
    pub(super) async fn ended(
        &self,
        job: &str,
        mut told: impl FnMut(u64, Option<u64>),
    ) -> Result<(), Failure> {
        loop {
            let state = self.get(&format!("/v1/jobs/{job}")).await?;
            let progress = &state["progress"];
            told(
                progress["done"].as_u64().unwrap_or_default(),
                progress["total"].as_u64(),
            );
            match state["state"].as_str() {
                Some("done") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let message = state["error"]["message"].as_str().unwrap_or_default();
                    let remedy = "delete the demo's folder to start afresh; if it happens again, report it";
                    return Err(Failure::new(format!("a first sync failed: {message}"), remedy));
                }
                Some(_) | None => SystemClock.sleep(BETWEEN_LOOKS).await,
            }
        }
    }

    /// Waits until nothing is on its way to a provider, for at most `patience`.
    pub(super) async fn settled(&self, patience: Duration, mut told: impl FnMut(u64)) -> Result<(), Failure> {
        let looks = patience.as_millis() / BETWEEN_LOOKS.as_millis().max(1);
        for _ in 0..looks {
            let pending = self.get("/v1/links?state=pending&limit=200").await?;
            let count = pending.as_array().map_or(0, Vec::len);
            told(u64::try_from(count).unwrap_or_default());
            if count == 0 {
                return Ok(());
            }
            SystemClock.sleep(BETWEEN_LOOKS).await;
        }
        Ok(())
    }
}
