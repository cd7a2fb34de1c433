//! A client that follows the feed over a WebSocket, and goes on at another node when a stream ends.

use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use serde_json::Value;
use testkit::harness::until;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_util::task::AbortOnDropHandle;

use super::LIMIT;

/// Where nodes are now.
pub(super) type Urls = Arc<Mutex<Vec<String>>>;

/// What a client was told, by `seq`: each once, in order, from the first on.
pub(super) struct Follower {
    told: Arc<Mutex<Told>>,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Told {
    last: i64,
    streams: usize,
    /// What must not be: a gap or a double.
    wrong: Vec<(i64, i64)>,
}

impl Follower {
    /// Follows from the beginning of the feed.
    pub(super) fn start(urls: &Urls, key: &str) -> Self {
        let told = Arc::<Mutex<Told>>::default();
        let task = tokio::spawn(follow(Arc::clone(urls), key.to_owned(), Arc::clone(&told)));
        Self {
            told,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// Waits until it was told this `seq`; nothing may have been missed or told twice until then.
    pub(super) async fn reaches(&self, seq: i64) {
        let reached = async || (self.told.lock().unwrap().last >= seq).then_some(());
        until("a follower to be told", LIMIT, reached).await.unwrap();
        let told = self.told.lock().unwrap();
        assert_eq!(told.wrong, Vec::new(), "gaps or doubles");
    }

    /// How many streams it needed.
    pub(super) fn streams(&self) -> usize {
        self.told.lock().unwrap().streams
    }
}

async fn follow(urls: Urls, key: String, told: Arc<Mutex<Told>>) {
    for turn in 0.. {
        let url = {
            let urls = urls.lock().unwrap();
            urls[turn % urls.len()].replace("http://", "ws://")
        };
        let after = told.lock().unwrap().last;
        let mut request = format!("{url}/v1/changes/stream?after={after}")
            .into_client_request()
            .unwrap();
        let bearer = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        // It is being restarted: the next one.
        let Ok((mut socket, _)) = tokio_tungstenite::connect_async(request).await else {
            tokio::task::yield_now().await;
            continue;
        };
        told.lock().unwrap().streams += 1;
        while let Some(Ok(message)) = socket.next().await {
            let Message::Text(text) = message else { continue };
            let change: Value = serde_json::from_str(&text).unwrap();
            let seq = change["seq"].as_i64().unwrap();
            let mut told = told.lock().unwrap();
            if seq != told.last + 1 {
                let last = told.last;
                told.wrong.push((last, seq));
            }
            told.last = seq;
        }
    }
}
