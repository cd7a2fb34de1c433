//! Bells: what rings after a commit for those who wait in this process, and on PostgreSQL for other nodes.
//!
//! Another node hears by `NOTIFY`, sent after the commit by a task of its own, many bells in one message: a
//! notification in the committing transaction would make all commits of the server wait for each other (ADR 6). A bell
//! that is lost, with its node or with the connection, is made up for by looking at the heads of all feeds: after each
//! loss of the connection, and every few seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::OrganizationId;
use rand::TryRngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgListener, PgPool};
use sync::ports::StoreError;
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;

use crate::changes::FeedHead;
use crate::column::{all, failed, get, id};
use crate::sql::{self, Pool};

/// The channel that nodes ring each other on.
const CHANNEL: &str = "concord";
/// A message has room for 8,000 bytes (<https://www.postgresql.org/docs/current/sql-notify.html>); a head takes about
/// sixty.
const HEADS_PER_MESSAGE: usize = 100;
/// Between two looks at all feeds, for bells that were lost.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Between two messages: what is committed meanwhile goes with the next. On a server that has a hundred commits a second
/// every message is a transaction more, and wakes everybody.
const GATHER: Duration = Duration::from_millis(5);
/// After the connection was lost and could not be had again at once.
const TRY_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// What a node tells the others.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Message {
    /// Who rings.
    node: u64,
    /// Work was enqueued, or there is room for some.
    jobs: bool,
    /// Where feeds now end.
    heads: BTreeMap<OrganizationId, i64>,
}

/// What this node has to do with others.
#[derive(Default)]
struct Others {
    /// What waits to be told to them.
    waiting: Mutex<Message>,
    filled: Notify,
    /// Where feeds end, as far as this node has rung for them.
    known: Mutex<BTreeMap<OrganizationId, i64>>,
}

/// The bells of a store; clones ring the same ones.
#[derive(Clone)]
pub(crate) struct Bells {
    feed: broadcast::Sender<FeedHead>,
    /// Only what this process committed.
    own: broadcast::Sender<FeedHead>,
    jobs: watch::Sender<u64>,
    /// Where there are other nodes.
    others: Option<Arc<Others>>,
}

/// The tasks that carry bells between nodes; they end with it.
pub(crate) struct Carriers(Vec<JoinHandle<()>>);

impl Drop for Carriers {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Others {
    fn waiting(&self) -> MutexGuard<'_, Message> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those that nobody has rung for here.
    fn news(&self, mut heads: Vec<FeedHead>) -> Vec<FeedHead> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        heads.retain(|head| {
            let last = known.entry(head.organization.clone()).or_default();
            let grew = head.seq > *last;
            *last = head.seq.max(*last);
            grew
        });
        heads
    }
}

impl Bells {
    /// Those of a process that is alone.
    pub(crate) fn alone() -> Self {
        Self {
            feed: broadcast::channel(256).0,
            own: broadcast::channel(256).0,
            jobs: watch::channel(0).0,
            others: None,
        }
    }

    /// Those of a node among others. `own` has one connection, on which it listens.
    pub(crate) fn among_others(pool: &Pool, own: PgPool) -> (Self, Carriers) {
        let bells = Self {
            others: Some(Arc::default()),
            ..Self::alone()
        };
        let mut number = [0; 8];
        // Without randomness all nodes have the same number, and hear each other when they look.
        let _ = OsRng.try_fill_bytes(&mut number);
        let node = u64::from_le_bytes(number);
        let heads = Heads {
            bells: bells.clone(),
            pool: pool.clone(),
        };
        let carriers = vec![
            tokio::spawn(tell(bells.clone(), pool.clone(), node)),
            tokio::spawn(hear(heads.clone(), own, node)),
            tokio::spawn(look_often(heads)),
        ];
        (bells, Carriers(carriers))
    }

    pub(crate) fn changes(&self) -> broadcast::Receiver<FeedHead> {
        self.feed.subscribe()
    }

    pub(crate) fn own_changes(&self) -> broadcast::Receiver<FeedHead> {
        self.own.subscribe()
    }

    /// Rings for what another node is said to have committed. That is not noted as known: who says so may be wrong, and
    /// must not keep the bell from ringing for what was committed indeed.
    pub(crate) fn hint(&self, head: FeedHead) {
        let known = self.others.as_ref().is_some_and(|others| {
            let known = others.known.lock().unwrap_or_else(PoisonError::into_inner);
            known
                .get(&head.organization)
                .is_some_and(|last| *last >= head.seq)
        });
        if !known {
            let _ = self.feed.send(head);
        }
    }

    pub(crate) fn jobs(&self) -> watch::Receiver<u64> {
        self.jobs.subscribe()
    }

    /// After a commit: rings here, and has the others told.
    pub(crate) fn ring(&self, heads: Vec<FeedHead>, jobs: bool) {
        for head in &heads {
            let _ = self.own.send(head.clone());
        }
        if let Some(others) = self.others.as_ref().filter(|_| jobs || !heads.is_empty()) {
            let mut waiting = others.waiting();
            waiting.jobs |= jobs;
            for head in &heads {
                // Commits may ring in another order than they were made in.
                let last = waiting.heads.entry(head.organization.clone()).or_insert(head.seq);
                *last = head.seq.max(*last);
            }
            drop(waiting);
            others.filled.notify_one();
        }
        self.ring_here(heads, jobs);
    }

    fn ring_here(&self, heads: Vec<FeedHead>, jobs: bool) {
        let heads = match &self.others {
            Some(others) => others.news(heads),
            None => heads,
        };
        for head in heads {
            // Nobody listens: fine.
            let _ = self.feed.send(head);
        }
        if jobs {
            self.jobs.send_modify(|count| *count = count.wrapping_add(1));
        }
    }
}

/// Tells the others what has rung since it last did.
async fn tell(bells: Bells, pool: Pool, node: u64) {
    let Some(others) = bells.others else { return };
    loop {
        others.filled.notified().await;
        let told = std::mem::take(&mut *others.waiting());
        for message in messages(told, node) {
            let Ok(text) = serde_json::to_string(&message) else {
                continue;
            };
            let sent = sql::query("SELECT pg_notify($1, $2)")
                .bind(CHANNEL)
                .bind(text)
                .execute(&pool)
                .await;
            if sent.is_err() {
                // The others look for themselves before long; whoever needs the database hears of the failure.
                break;
            }
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// What was rung, in messages of a size that PostgreSQL takes.
fn messages(told: Message, node: u64) -> Vec<Message> {
    let heads: Vec<_> = told.heads.into_iter().collect();
    let mut messages: Vec<Message> = heads
        .chunks(HEADS_PER_MESSAGE)
        .map(|some| Message {
            node,
            jobs: false,
            heads: some.iter().cloned().collect(),
        })
        .collect();
    if messages.is_empty() {
        messages.push(Message {
            node,
            ..Message::default()
        });
    }
    messages[0].jobs = told.jobs;
    messages
}

/// Hears what other nodes tell.
async fn hear(heads: Heads, own: PgPool, node: u64) {
    loop {
        if let Err(error) = listen(&heads, &own, node).await {
            tracing::debug!(%error, "the connection that other nodes ring on was lost");
        }
        tokio::time::sleep(TRY_AGAIN_AFTER).await;
    }
}

async fn listen(heads: &Heads, own: &PgPool, node: u64) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(own).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was told while nobody listened is not told again.
        if let Err(error) = heads.look().await {
            tracing::debug!(%error, "the feeds could not be looked at");
        }
        while let Some(notification) = listener.try_recv().await? {
            match serde_json::from_str::<Message>(notification.payload()) {
                Ok(message) if message.node == node => {}
                Ok(message) => heads.hear(message),
                // Anyone who may connect may notify: not a message of ours.
                Err(_) => {}
            }
        }
        // The connection was lost, and is there again.
        heads.bells.ring_here(Vec::new(), true);
    }
}

async fn look_often(heads: Heads) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Err(error) = heads.look().await {
            tracing::debug!(%error, "the feeds could not be looked at");
        }
    }
}

/// Where all feeds end.
#[derive(Clone)]
struct Heads {
    bells: Bells,
    pool: Pool,
}

impl Heads {
    fn hear(&self, message: Message) {
        let heads = message.heads.into_iter();
        let heads = heads.map(|(organization, seq)| FeedHead { organization, seq });
        self.bells.ring_here(heads.collect(), message.jobs);
    }

    /// Reads where the feeds end, and rings for those that grew. Work is looked for by workers themselves every few
    /// seconds.
    async fn look(&self) -> Result<(), StoreError> {
        let rows = sql::query("SELECT organization_id, seq FROM feed_heads")
            .fetch_all(&self.pool)
            .await
            .map_err(failed)?;
        let heads = all(&rows, |row| {
            Ok(FeedHead {
                organization: id(row, "organization_id")?,
                seq: get(row, "seq")?,
            })
        })?;
        self.bells.ring_here(heads, false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_feeds_grew_each_message_has_room() {
        let heads = (0..1_000).map(|number| (OrganizationId::new(number, u128::MAX), i64::MAX));
        let told = Message {
            node: 0,
            jobs: true,
            heads: heads.collect(),
        };
        let messages = messages(told, u64::MAX);
        let count: usize = messages.iter().map(|message| message.heads.len()).sum();
        assert_eq!(count, 1_000);
        assert!(messages[0].jobs && messages[1..].iter().all(|message| !message.jobs));
        for message in messages {
            let text = serde_json::to_string(&message).unwrap();
            assert!(text.len() < 8_000, "{}", text.len());
            assert_eq!(serde_json::from_str::<Message>(&text).unwrap(), message);
        }
    }
}
