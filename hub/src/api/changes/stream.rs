//! `/v1/changes/stream`: the log as it grows, as server-sent events or over a WebSocket.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::Stream;
use serde::Deserialize;
use tokio::sync::mpsc;
use utoipa::IntoParams;

use super::follow::{News, follow};
use super::{ChangeOut, checked_after};
use crate::api::error::{ApiError, Code, Failures};
use crate::api::extract::{Caller, Params};

/// A sign of life when nothing happens, so that neither side nor a proxy takes the silence for the end.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a WebSocket may take to accept one message, or may stay without a sign of life.
const PATIENCE: Duration = Duration::from_secs(45);

/// Where to begin.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// After this `seq`; from now on unless given. `Last-Event-ID` says the same and weighs more.
    after: Option<i64>,
    /// Of this sort of thing only: `event`, `connection`, `conflict`, `mirror`.
    kind: Option<String>,
}

/// What is committed, as it is committed. Server-sent events (`id` is the `seq`, `event` is `change`, `data` as in
/// `/v1/changes`), or, when the request asks for an upgrade, a WebSocket with one change per text message. A stream
/// may end at any time (the server stops, the client reads too slowly): go on with the last `seq` as `after` or
/// `Last-Event-ID`; nothing is missed.
#[utoipa::path(get, path = "/v1/changes/stream", tag = "changes", security(("api_key" = [])),
    params(StreamParams, ("Last-Event-ID" = Option<i64>, Header)),
    responses(
        (status = 200, description = "Server-sent events", content_type = "text/event-stream", body = ChangeOut),
        (status = 101, description = "A WebSocket"),
        Failures,
    ))]
pub(super) async fn stream(
    caller: Caller,
    Params(params): Params<StreamParams>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let after = match last_event(&headers)?.or(params.after) {
        Some(after) => checked_after(after)?,
        None => caller.store().latest_seq(&caller.organization).await?,
    };
    Ok(match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(1 << 16)
            .on_upgrade(move |socket| async move {
                talk(socket, follow(caller, after, params.kind), after).await
            }),
        Err(rejection) if headers.contains_key("upgrade") => {
            return Err(ApiError::new(Code::InvalidHeader, rejection.body_text()));
        }
        Err(_) => {
            let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
            Sse::new(events(follow(caller, after, params.kind)))
                .keep_alive(keep_alive)
                .into_response()
        }
    })
}

fn last_event(headers: &HeaderMap) -> Result<Option<i64>, ApiError> {
    let Some(value) = headers.get("last-event-id") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    let seq = text.trim().parse().map_err(|_| {
        ApiError::new(
            Code::InvalidHeader,
            "`Last-Event-ID` must be the `seq` of a change",
        )
    })?;
    Ok(Some(seq))
}

fn events(mut news: mpsc::Receiver<News>) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        while let Some(news) = news.recv().await {
            yield Ok(event(&news));
        }
    }
}

fn event(news: &News) -> Event {
    match news {
        News::Change(change) => Event::default()
            .event("change")
            .id(change.seq.to_string())
            .data(text(change)),
        News::End { reason, after } => {
            let data = serde_json::json!({ "reason": reason.name(), "after": after });
            Event::default().event("end").data(data.to_string())
        }
    }
}

fn text(change: &ChangeOut) -> String {
    // Strings, numbers and lists of them: writing them as JSON cannot fail.
    serde_json::to_string(change).unwrap_or_default()
}

/// Tells a WebSocket until one side ends it.
async fn talk(mut socket: WebSocket, mut news: mpsc::Receiver<News>, after: i64) {
    let mut told = after;
    let mut beat = tokio::time::interval(HEARTBEAT);
    let mut heard = tokio::time::Instant::now();
    loop {
        let message = tokio::select! {
            heard_now = socket.recv() => match heard_now {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    heard = tokio::time::Instant::now();
                    continue;
                }
            },
            _ = beat.tick() => {
                if heard.elapsed() > PATIENCE {
                    return;
                }
                Message::Ping(axum::body::Bytes::new())
            }
            news = news.recv() => match news {
                Some(News::Change(change)) => {
                    told = change.seq;
                    Message::Text(text(&change).into())
                }
                Some(News::End { reason, after }) => {
                    let code = close_code::AWAY;
                    let reason = format!("{}; go on with after={after}", reason.name());
                    return close(socket, code, reason).await;
                }
                None => return close(socket, close_code::AGAIN, format!("too slow; go on with after={told}")).await,
            },
        };
        match tokio::time::timeout(PATIENCE, socket.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

async fn close(mut socket: WebSocket, code: u16, reason: String) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    // Who no longer listens need not know.
    let _ = tokio::time::timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await;
}
