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
use store::Change;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};
use utoipa::IntoParams;

use super::{ChangeOut, checked_after, filter};
use crate::api::error::{ApiError, Code, Failures};
use crate::api::extract::{Caller, Params};
use crate::feed::{End, Follower, News, Refused, Told};
use crate::traces::follow;

/// A sign of life when nothing happens, so that neither side nor a proxy takes the silence for the end.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a WebSocket may take to accept one message, or may stay without a sign of life.
const PATIENCE: Duration = Duration::from_secs(45);
/// Largest message that is told. A change with more paths than fit tells none: what changed is in the record.
const LONGEST_MESSAGE: usize = 64 << 10;
/// Largest message that a client may send. What it sends is not read for a meaning.
const LONGEST_HEARD: usize = 4 << 10;
/// What is gathered before it is written to a WebSocket.
const WRITE_BUFFER: usize = 8 << 10;

/// Where to begin.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// After this `seq`; from now on unless given. `Last-Event-ID` says the same and weighs more.
    after: Option<i64>,
    /// Of these sorts of things only: `event`, `connection`, `collection`; several with commas between them.
    kind: Option<String>,
    /// Only what concerns these connections; several with commas between them.
    connection_id: Option<String>,
}

/// What is committed, as it is committed. Server-sent events (`id` is the `seq`, `event` is `change`, `data` as in
/// `/v1/changes`), or, when the request asks for an upgrade, a WebSocket with one change per text message. A stream
/// may end at any time (the server stops, the client reads too slowly): go on with the last `seq` as `after` or
/// `Last-Event-ID`; nothing is missed and nothing comes twice. The end is told where it can be: as the event `end`
/// with `reason` and `after`, or in the WebSocket's close frame.
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
    let after = last_event(&headers)?.or(params.after);
    let after = after.map(checked_after).transpose()?;
    let filter = filter(params.kind.as_deref(), params.connection_id.as_deref())?;
    // Refused before a seat is taken.
    let upgrade = match upgrade {
        Err(rejection) if headers.contains_key("upgrade") => {
            return Err(ApiError::new(Code::InvalidHeader, rejection.body_text()));
        }
        upgrade => upgrade.ok(),
    };
    let feed = caller.state().feed();
    let follower = feed.follow(&caller.organization, after, filter).await?;
    let heard = Heard::new(caller, follower);
    Ok(match upgrade {
        Some(upgrade) => upgrade
            .max_message_size(LONGEST_HEARD)
            .max_frame_size(LONGEST_HEARD)
            .write_buffer_size(WRITE_BUFFER)
            .on_upgrade(move |socket| talk(socket, heard)),
        None => {
            let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("still here");
            Sse::new(events(heard)).keep_alive(keep_alive).into_response()
        }
    })
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let message = refused.to_string();
        match refused {
            Refused::TooMany(_) => Self::new(Code::TooManyStreams, message),
            Refused::Beyond { head } => {
                Self::new(Code::Conflict, message).with_details(serde_json::json!({ "head": head }))
            }
            Refused::Store(error) => error.into(),
        }
    }
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

/// News for a caller, as long as the key that opened the stream is good.
struct Heard {
    caller: Caller,
    follower: Follower,
    check: Interval,
}

impl Heard {
    fn new(caller: Caller, follower: Follower) -> Self {
        let mut check = interval(HEARTBEAT);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        check.reset();
        Self {
            caller,
            follower,
            check,
        }
    }

    async fn next(&mut self) -> News {
        loop {
            tokio::select! {
                news = self.follower.next() => return news,
                _ = self.check.tick() => {
                    let (organization, key) = (&self.caller.organization, &self.caller.key);
                    // When the database does not answer the follower will say so.
                    if let Ok(false) = self.caller.store().api_key_opens(organization, key).await {
                        return News::End { reason: End::Revoked, after: self.follower.after() };
                    }
                }
            }
        }
    }
}

fn events(mut heard: Heard) -> impl Stream<Item = Result<Event, Infallible>> {
    async_stream::stream! {
        loop {
            match heard.next().await {
                News::Change(told) => {
                    let begun = heard.caller.state().traces().begin();
                    yield Ok(Event::default()
                        .event("change")
                        .id(told.change.seq.to_string())
                        .data(text(&told)));
                    // Asked for the next: this one is on its way.
                    follow::told(heard.caller.state().traces(), &told.change, "sse", begun);
                }
                News::End { reason, after } => {
                    let data = serde_json::json!({ "reason": reason.name(), "after": after });
                    yield Ok(Event::default().event("end").data(data.to_string()));
                    return;
                }
            }
        }
    }
}

/// A change as one message, made once for all streams that tell it.
fn text(told: &Told) -> std::sync::Arc<str> {
    told.text(|change: &Change| {
        let mut out = ChangeOut::from(change.clone());
        // Strings, numbers and lists of them: writing them as JSON cannot fail.
        let text = serde_json::to_string(&out).unwrap_or_default();
        if text.len() <= LONGEST_MESSAGE {
            return text;
        }
        out.changed.clear();
        serde_json::to_string(&out).unwrap_or_default()
    })
}

/// Tells a WebSocket until one side ends it.
async fn talk(mut socket: WebSocket, mut heard: Heard) {
    let mut beat = interval(HEARTBEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut alive = Instant::now();
    loop {
        let mut change = None;
        let message = tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {
                    alive = Instant::now();
                    continue;
                }
            },
            _ = beat.tick() => {
                if alive.elapsed() > PATIENCE {
                    return;
                }
                Message::Ping(axum::body::Bytes::new())
            }
            news = heard.next() => match news {
                News::Change(told) => {
                    let message = Message::Text((*text(&told)).into());
                    change = Some(told);
                    message
                }
                News::End { reason, after } => return close(socket, reason, after).await,
            },
        };
        let begun = heard.caller.state().traces().begin();
        match tokio::time::timeout(PATIENCE, socket.send(message)).await {
            Ok(Ok(())) => {
                if let Some(told) = change {
                    follow::told(heard.caller.state().traces(), &told.change, "websocket", begun);
                }
            }
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Closes with what the client needs to come back: 1001 and 1013 mean now or soon, 1008 with another key.
async fn close(mut socket: WebSocket, reason: End, after: i64) {
    let code = match reason {
        End::Stopping => close_code::AWAY,
        End::Unavailable | End::Slow => close_code::AGAIN,
        End::Revoked => close_code::POLICY,
    };
    let frame = CloseFrame {
        code,
        reason: format!("{}; go on with after={after}", reason.name()).into(),
    };
    // Who no longer listens need not know.
    let _ = tokio::time::timeout(PATIENCE, socket.send(Message::Close(Some(frame)))).await;
}
