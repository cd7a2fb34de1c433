//! A bell between nodes, beside the database's own: which feeds grew. It says where to look, never what is there.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use model::OrganizationId;
use serde::{Deserialize, Serialize};
use store::{FeedHead, SqlStore};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::JoinHandle;

use super::Reason;
use super::link::{ANSWER_WITHIN, CONNECT_WITHIN, Redis, within};

/// The channel that nodes ring each other on.
pub(super) const CHANNEL: &str = "concord:feed";
/// Feeds that one message names at most.
const HEADS_PER_MESSAGE: usize = 100;
/// A longer message is none of ours; a head takes about sixty bytes.
const MAX_MESSAGE_BYTES: usize = 16 << 10;
/// Between two messages: what is committed meanwhile goes with the next. Each costs the server and every node something.
const GATHER: Duration = Duration::from_millis(5);
/// Between two looks at a subscription on which nothing came.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Before a subscription is tried again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What a node tells the others.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Message {
    /// Who rings.
    node: u64,
    /// Where feeds now end.
    heads: BTreeMap<OrganizationId, i64>,
}

/// Tells other nodes what this one commits, and rings here for what they say, until the server's link stops.
#[must_use]
pub fn carry(redis: &Redis, store: &SqlStore) -> Vec<JoinHandle<()>> {
    // Randomness of the machine: two nodes of one number would not hear each other here, and would by the database.
    let node = redis.random() as u64;
    vec![
        tokio::spawn(tell(redis.clone(), store.subscribe_own_changes(), node)),
        tokio::spawn(hear(redis.clone(), store.clone(), node)),
    ]
}

async fn tell(redis: Redis, mut own: Receiver<FeedHead>, node: u64) {
    loop {
        let heads = tokio::select! {
            () = redis.stopping().cancelled() => return,
            heads = grown(&mut own) => heads,
        };
        let Some(heads) = heads else { return };
        let Ok(text) = serde_json::to_string(&Message { node, heads }) else {
            continue;
        };
        // Who does not hear of it this way hears of it by the database.
        redis
            .ask(async |mut connection| {
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(CHANNEL).arg(&text);
                publish.query_async::<i64>(&mut connection).await
            })
            .await;
        tokio::select! {
            () = redis.stopping().cancelled() => return,
            () = redis.clock().sleep(GATHER) => {}
        }
    }
}

/// The feeds that grew since this was last asked; nothing when the store closes.
async fn grown(own: &mut Receiver<FeedHead>) -> Option<BTreeMap<OrganizationId, i64>> {
    let mut heads = BTreeMap::new();
    match own.recv().await {
        Ok(head) => drop(heads.insert(head.organization, head.seq)),
        // What was missed is told by the database.
        Err(RecvError::Lagged(_)) => {}
        Err(RecvError::Closed) => return None,
    }
    while heads.len() < HEADS_PER_MESSAGE {
        match own.try_recv() {
            Ok(head) => {
                let last = heads.entry(head.organization).or_insert(head.seq);
                *last = head.seq.max(*last);
            }
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => break,
        }
    }
    Some(heads)
}

async fn hear(redis: Redis, store: SqlStore, node: u64) {
    let mut deaf = false;
    loop {
        tokio::select! {
            () = redis.stopping().cancelled() => return,
            () = redis.up() => {}
        }
        let reason = tokio::select! {
            () = redis.stopping().cancelled() => return,
            reason = listen(&redis, &store, node, &mut deaf) => reason,
        };
        // Where the server itself is gone, its link says so.
        if redis.is_up() && !deaf {
            deaf = true;
            tracing::warn!(redis = %redis.address(), %reason,
                "changes are not heard of through Redis, but through the database; it is tried again by itself");
        }
        tokio::select! {
            () = redis.stopping().cancelled() => return,
            () = redis.rest(TRY_AGAIN_AFTER) => {}
        }
    }
}

/// Listens until that ends, and says why.
async fn listen(redis: &Redis, store: &SqlStore, node: u64, deaf: &mut bool) -> Reason {
    match try_listen(redis, store, node, deaf).await {
        Ok(()) => Reason::Away,
        Err(reason) => reason,
    }
}

async fn try_listen(redis: &Redis, store: &SqlStore, node: u64, deaf: &mut bool) -> Result<(), Reason> {
    let connecting = redis.address().client().get_async_pubsub();
    let mut subscription = within(CONNECT_WITHIN, connecting).await?;
    within(CONNECT_WITHIN, subscription.subscribe(CHANNEL)).await?;
    if std::mem::take(deaf) {
        tracing::info!(redis = %redis.address(), "changes are heard of through Redis again");
    }
    let (mut questions, mut messages) = subscription.split();
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = redis.clock().sleep(LOOK_EVERY) => {
                within(ANSWER_WITHIN * 4, questions.ping::<redis::Value>()).await?;
                continue;
            }
        };
        let Some(message) = message else { return Ok(()) };
        for head in read(message.get_payload_bytes(), node) {
            store.hint(head);
        }
    }
}

/// What another node tells. Anyone who may publish can say anything: what is not a message of ours is nothing.
fn read(bytes: &[u8], node: u64) -> Vec<FeedHead> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Vec::new();
    }
    match serde_json::from_slice::<Message>(bytes) {
        Ok(message) if message.node != node && message.heads.len() <= HEADS_PER_MESSAGE => {
            let heads = message.heads.into_iter();
            heads
                .map(|(organization, seq)| FeedHead { organization, seq })
                .collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(count: u64) -> String {
        let heads = (0..count).map(|number| (OrganizationId::new(number, u128::MAX), i64::MAX));
        let message = Message {
            node: u64::MAX,
            heads: heads.collect(),
        };
        serde_json::to_string(&message).unwrap()
    }

    #[test]
    fn a_full_message_is_heard_and_ones_own_is_not() {
        let full = text(HEADS_PER_MESSAGE as u64);
        assert_eq!(read(full.as_bytes(), 1).len(), HEADS_PER_MESSAGE);
        assert_eq!(read(full.as_bytes(), u64::MAX), Vec::new());
    }

    #[test]
    fn what_no_node_says_is_nothing() {
        let over = text(HEADS_PER_MESSAGE as u64 + 1);
        let long = format!("{}{}", " ".repeat(MAX_MESSAGE_BYTES), text(1));
        for nonsense in [
            "",
            "{",
            "[]",
            "null",
            "{\"node\":-1,\"heads\":{}}",
            "{\"heads\":{\"\":1}}",
            &over,
            &long,
        ] {
            assert_eq!(read(nonsense.as_bytes(), 1), Vec::new(), "{nonsense:.40}");
        }
        assert_eq!(read(&[0xff; 64], 1), Vec::new());
    }
}
