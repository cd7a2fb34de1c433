//! Following the log: a task reads what is new whenever the bell rings, and hands it to one client.

use std::time::Duration;

use store::FeedHead;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::ChangeOut;
use crate::api::extract::Caller;

/// Changes that one read takes.
const BATCH: u32 = 200;
/// Changes that wait for a client that reads slowly.
const WAITING: usize = 256;
/// How long a client may leave its full queue unread before it is let go.
const PATIENCE: Duration = Duration::from_secs(15);
/// Looks again without a bell: another process may have written.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// What a follower is told.
#[derive(Debug)]
pub(super) enum News {
    /// Something was committed.
    Change(Box<ChangeOut>),
    /// There will be no more; go on later after this `seq`.
    End {
        /// Why.
        reason: End,
        /// The last `seq` that was told.
        after: i64,
    },
}

/// Why a follower is told no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The server stops.
    Stopping,
    /// The database does not answer.
    Unavailable,
}

impl End {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Follows the log after `after`. A client that reads too slowly finds its queue closed without an end; it goes on
/// after the last change it saw.
pub(super) fn follow(caller: Caller, after: i64, kind: Option<String>) -> mpsc::Receiver<News> {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        let mut after = after;
        if let Some(reason) = tell(&caller, &mut after, kind.as_deref(), &sender).await {
            // Who has gone, or does not read, is not told.
            let _ = sender.send_timeout(News::End { reason, after }, PATIENCE).await;
        }
    });
    receiver
}

/// Tells until there is an end; `None` when the client has gone or was let go.
async fn tell(caller: &Caller, after: &mut i64, kind: Option<&str>, to: &mpsc::Sender<News>) -> Option<End> {
    // The bell before the first read: what is committed between the two rings it.
    let mut bell = caller.store().subscribe_changes();
    let stopping = caller.state().stopping();
    loop {
        let changes = match caller
            .store()
            .changes_after(&caller.organization, *after, kind, BATCH)
            .await
        {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!(%error, "the log of changes cannot be read");
                return Some(End::Unavailable);
            }
        };
        let full = changes.len() >= BATCH as usize;
        for change in changes {
            *after = change.seq;
            let news = News::Change(Box::new(change.into()));
            if to.send_timeout(news, PATIENCE).await.is_err() {
                return None;
            }
        }
        if full {
            continue;
        }
        tokio::select! {
            () = stopping.cancelled() => return Some(End::Stopping),
            () = to.closed() => return None,
            () = rung(&mut bell, caller, *after) => {}
            () = caller.state().clock().sleep(LONGEST_SILENCE) => {}
        }
    }
}

/// Returns once the caller's feed has grown beyond `after`, or may have.
async fn rung(bell: &mut Receiver<FeedHead>, caller: &Caller, after: i64) {
    loop {
        match bell.recv().await {
            Ok(head) if head.organization == caller.organization && head.seq > after => return,
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return,
            // The store is closing; the next read says so.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
