//! The log of changes: read piece by piece, followed as events or over a WebSocket, resumed without gaps.

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use simulators::caldav::CaldavServer;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::scene::{caldav_server, event_titled, ics, path_of, settle, with_caldav};
use crate::server::{Answer, LIMIT, TestServer};

async fn planned() -> (TestServer, CaldavServer, Value) {
    let caldav = caldav_server(&[("1.ics", ics("u1", &["SUMMARY:Planning"]))]).await;
    let (server, ..) = with_caldav(&caldav).await;
    let event = event_titled(&server, "Planning").await;
    settle(&server).await;
    (server, caldav, event)
}

/// The server-sent events of an answer, one by one.
struct Events {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    read: String,
}

impl Events {
    async fn open(server: &TestServer, query: &str, last_event: Option<i64>) -> Self {
        let mut request = server
            .request(Method::GET, &format!("/v1/changes/stream{query}"))
            .bearer_auth(&server.key)
            .header("accept", "text/event-stream");
        if let Some(seq) = last_event {
            request = request.header("last-event-id", seq);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            body: response.bytes_stream().boxed(),
            read: String::new(),
        }
    }

    /// The next event's name and data; `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        let next = async {
            loop {
                if let Some((event, rest)) = self.read.split_once("\n\n") {
                    let (event, rest) = (event.to_owned(), rest.to_owned());
                    self.read = rest;
                    let field = |name: &str| {
                        event
                            .lines()
                            .find_map(|line| line.strip_prefix(name))
                            .map(str::trim)
                    };
                    if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                        return Some((name.to_owned(), serde_json::from_str(data).unwrap()));
                    }
                    continue;
                }
                let piece = self.body.next().await?.ok()?;
                self.read += std::str::from_utf8(&piece).unwrap();
            }
        };
        tokio::time::timeout(LIMIT, next).await.unwrap()
    }
}

#[tokio::test]
async fn the_log_is_read_in_pieces_that_join_without_gaps() {
    let (server, _caldav, event) = planned().await;
    server
        .patch(&path_of(&event), json!({"title": "Planned"}))
        .await
        .data();
    settle(&server).await;
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let piece = server
            .get(&format!("/v1/changes?after={after}&limit=1"))
            .await
            .json();
        seen.extend(piece["data"].as_array().unwrap().clone());
        after = piece["page"]["after"].as_i64().unwrap();
        if piece["page"]["more"] == false {
            break;
        }
    }
    let seqs: Vec<i64> = seen
        .iter()
        .map(|change| change["seq"].as_i64().unwrap())
        .collect();
    assert!(seqs.iter().zip(1..).all(|(seq, place)| *seq == place), "{seqs:?}");
    let edits = server.get("/v1/changes?kind=event").await.json();
    let last = edits["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["action"], &last["id"], &last["changed"]),
        (&json!("updated"), &event["id"], &json!(["title"]))
    );
    assert_eq!(last["origin"]["type"], "api", "{last}");
    server
        .get("/v1/changes?after=-1")
        .await
        .failure(400, "invalid_query");
    server
        .get("/v1/changes?limit=0")
        .await
        .failure(400, "invalid_query");
}

#[tokio::test]
async fn a_stream_of_events_tells_what_is_committed_and_resumes_where_it_broke_off() {
    let (server, _caldav, event) = planned().await;
    let mut stream = Events::open(&server, "?kind=event", None).await;
    server
        .patch(&path_of(&event), json!({"title": "One"}))
        .await
        .data();
    let (name, first) = stream.next().await.unwrap();
    assert_eq!((name.as_str(), &first["id"]), ("change", &event["id"]), "{first}");
    drop(stream);

    server
        .patch(&path_of(&event), json!({"title": "Two"}))
        .await
        .data();
    server
        .patch(&path_of(&event), json!({"location": "Room 3"}))
        .await
        .data();
    let mut stream = Events::open(&server, "?kind=event", first["seq"].as_i64()).await;
    assert_eq!(stream.next().await.unwrap().1["changed"], json!(["title"]));
    assert_eq!(stream.next().await.unwrap().1["changed"], json!(["location"]));
    let bad = server
        .request(Method::GET, "/v1/changes/stream")
        .bearer_auth(&server.key)
        .header("last-event-id", "x");
    Answer::of(bad).await.failure(400, "invalid_header");
    Answer::of(server.request(Method::GET, "/v1/changes/stream"))
        .await
        .failure(401, "unauthorized");
}

#[tokio::test]
async fn a_stream_ends_when_the_server_stops_and_says_where_to_go_on() {
    let (server, _caldav, event) = planned().await;
    let mut stream = Events::open(&server, "?after=0&kind=event", None).await;
    let (_, change) = stream.next().await.unwrap();
    assert_eq!(change["id"], event["id"]);
    let stopping = tokio::spawn(server.server.shutdown());
    let (name, end) = stream.next().await.unwrap();
    assert_eq!(
        (name.as_str(), &end["reason"], &end["after"]),
        ("end", &json!("stopping"), &change["seq"])
    );
    assert!(stream.next().await.is_none());
    tokio::time::timeout(LIMIT, stopping).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_websocket_tells_the_same() {
    let (server, _caldav, event) = planned().await;
    let url = server
        .url("/v1/changes/stream?kind=event")
        .replace("http://", "ws://");
    let mut request = url.into_client_request().unwrap();
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {}", server.key).parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    server
        .patch(&path_of(&event), json!({"title": "Over the wire"}))
        .await
        .data();
    let told = async {
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Text(text) => return serde_json::from_str::<Value>(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let change = tokio::time::timeout(LIMIT, told).await.unwrap();
    assert_eq!(
        (&change["id"], &change["changed"]),
        (&event["id"], &json!(["title"]))
    );
    let stopping = tokio::spawn(server.server.shutdown());
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let frame = tokio::time::timeout(LIMIT, closed).await.unwrap().unwrap();
    assert!(frame.reason.contains("after="), "{frame:?}");
    tokio::time::timeout(LIMIT, stopping).await.unwrap().unwrap();
}
