//! One attempt: a POST with bounded time, of whose answer a bounded piece is read.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use store::Outcome;
use url::Url;

use super::Limits;
use crate::egress::{Guard, refusal_of};

/// How much of an answer is kept for the log, in bytes.
const KEPT: usize = 500;

/// What came of an attempt.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    pub(super) detail: Option<String>,
    pub(super) retry_after: Option<String>,
}

impl Answer {
    fn failed(outcome: Outcome, detail: String) -> Self {
        Self {
            outcome,
            status: None,
            detail: Some(detail),
            retry_after: None,
        }
    }
}

/// Sends once.
pub(super) async fn send(
    guard: &Guard,
    url: &Url,
    headers: HeaderMap,
    body: Bytes,
    limits: Limits,
) -> Answer {
    let attempt = attempt(guard, url, headers, body, limits);
    tokio::time::timeout(limits.attempt, attempt)
        .await
        .unwrap_or_else(|_| {
            let seconds = limits.attempt.as_secs_f32();
            Answer::failed(Outcome::TimedOut, format!("no answer within {seconds} s"))
        })
}

async fn attempt(guard: &Guard, url: &Url, mut headers: HeaderMap, body: Bytes, limits: Limits) -> Answer {
    let client = match guard.client(url) {
        Ok(client) => client,
        Err(refusal) => return Answer::failed(Outcome::Blocked, format!("the address {refusal}")),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let sent = client.post(url.clone()).headers(headers).body(body).send().await;
    let response = match sent {
        Ok(response) => response,
        Err(error) => return broken(&error),
    };
    let status = response.status();
    let retry_after = response.headers().get(RETRY_AFTER);
    let retry_after = retry_after
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let outcome = if status.is_success() {
        Outcome::Delivered
    } else if status.is_redirection() {
        Outcome::Redirected
    } else {
        Outcome::Refused
    };
    let begin = beginning(response, limits.answer_bytes, limits.answer).await;
    Answer {
        outcome,
        status: Some(status.as_u16()),
        // What a satisfied receiver says is of no use to anybody.
        detail: begin.filter(|_| outcome != Outcome::Delivered),
        retry_after,
    }
}

fn broken(error: &reqwest::Error) -> Answer {
    if let Some(refusal) = refusal_of(error) {
        return Answer::failed(Outcome::Blocked, format!("the address {refusal}"));
    }
    if error.is_timeout() {
        return Answer::failed(Outcome::TimedOut, "no connection in time".to_owned());
    }
    // The innermost says what happened; the others repeat the address.
    let mut text = String::new();
    let mut source = error.source();
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    Answer::failed(Outcome::Unreachable, shortened(&text))
}

/// How the answer begins. It is read to its end if that is near, since only then the connection can be used again.
async fn beginning(response: reqwest::Response, most: usize, patience: Duration) -> Option<String> {
    let mut kept = Vec::new();
    let mut seen = 0;
    let mut stream = response.bytes_stream();
    let read = async {
        while let Some(Ok(piece)) = stream.next().await {
            seen += piece.len();
            let room = KEPT.saturating_sub(kept.len()).min(piece.len());
            kept.extend_from_slice(&piece[..room]);
            if seen > most {
                return;
            }
        }
    };
    // Whatever came until then is good enough.
    let _ = tokio::time::timeout(patience, read).await;
    (!kept.is_empty()).then(|| shortened(&String::from_utf8_lossy(&kept)))
}

/// Fit for a log: printable, and short.
fn shortened(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(KEPT)
        .collect()
}
