//! Clients that follow over WebSockets.

use anyhow::{Context, Result};
use futures::StreamExt as _;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::place::Place;

pub(crate) type Socket =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A client of the place's last server, of what `query` narrows to.
pub(crate) async fn connect(place: &Place, query: &str) -> Result<Socket> {
    let url = format!("ws://{}/v1/changes/stream?{query}", place.last().address());
    let mut request = url.into_client_request()?;
    let bearer = format!("Bearer {}", place.key).parse()?;
    request.headers_mut().insert("authorization", bearer);
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

/// The ids of so many changes, and when each came.
pub(crate) async fn listen(mut socket: Socket, expected: usize) -> Result<Vec<(String, Instant)>> {
    let mut told = Vec::with_capacity(expected);
    while told.len() < expected {
        if let Message::Text(text) = socket.next().await.context("the socket ended")?? {
            let at = Instant::now();
            let change: serde_json::Value = serde_json::from_str(&text)?;
            let id = change["id"].as_str().context("a change of ours")?;
            told.push((id.to_owned(), at));
        }
    }
    Ok(told)
}
