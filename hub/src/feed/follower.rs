//! One follower: first what is in the store, then what the reader hands out.

use std::collections::VecDeque;
use std::sync::Arc;

use store::{Change, ChangeFilter};
use tokio::sync::mpsc;

use super::channel::{Channel, Seat};
use super::{End, Feed, Told};

/// Changes that one read takes.
const PAGE: u32 = 200;

/// What a follower is told.
#[derive(Debug)]
pub enum News {
    /// Something was committed.
    Change(Arc<Told>),
    /// There will be no more; go on later after this `seq`.
    End {
        /// Why.
        reason: End,
        /// The last `seq` that was told.
        after: i64,
    },
}

/// Follows a feed. Dropping it ends that.
pub struct Follower {
    feed: Feed,
    channel: Arc<Channel>,
    seat: Arc<Seat>,
    filter: ChangeFilter,
    /// The last `seq` that was told.
    after: i64,
    page: VecDeque<Change>,
    queue: Option<mpsc::Receiver<Arc<Told>>>,
    /// Everything up to this `seq` comes from the store, everything after it through the queue.
    until: i64,
    /// The end of the store's part was read.
    caught_up: bool,
}

impl Follower {
    pub(super) fn new(
        feed: Feed,
        channel: Arc<Channel>,
        seat: Arc<Seat>,
        filter: ChangeFilter,
        after: i64,
    ) -> Self {
        Self {
            feed,
            channel,
            seat,
            filter,
            after,
            page: VecDeque::new(),
            queue: None,
            until: i64::MAX,
            caught_up: false,
        }
    }

    /// The last `seq` that was told, or where it began.
    #[must_use]
    pub const fn after(&self) -> i64 {
        self.after
    }

    /// The next news. After an end there is nothing more. Giving up waiting loses nothing.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(change) = self.page.pop_front() {
                if change.seq > self.until {
                    // The queue brings it, and all after it.
                    self.page.clear();
                    self.caught_up = true;
                    continue;
                }
                self.after = change.seq;
                return News::Change(Told::new(change));
            }
            if !self.caught_up {
                if let Err(end) = self.read().await {
                    return self.end(end);
                }
                continue;
            }
            let Some(queue) = &mut self.queue else {
                return self.end(End::Unavailable);
            };
            match queue.recv().await {
                Some(told) if told.change.seq <= self.after => {}
                Some(told) => {
                    self.after = told.change.seq;
                    return News::Change(told);
                }
                None => {
                    let reason = self.seat.ended().unwrap_or(End::Unavailable);
                    return self.end(reason);
                }
            }
        }
    }

    /// Reads a page of the store. Near the end it takes its seat at the reader, and reads once more what was
    /// committed until then.
    async fn read(&mut self) -> Result<(), End> {
        if self.feed.0.stopping.is_cancelled() {
            return Err(End::Stopping);
        }
        let store = &self.feed.0.store;
        let read = store.changes_after(self.channel.organization(), self.after, &self.filter, PAGE);
        let page = read.await.map_err(|error| {
            tracing::error!(%error, "the feed cannot be read; a stream ends, and its client comes back");
            End::Unavailable
        })?;
        let whole = page.len() >= PAGE as usize;
        self.page = page.into();
        if whole {
            return Ok(());
        }
        if self.queue.is_some() {
            self.caught_up = true;
        } else {
            let length = self.feed.0.limits.queue;
            let (until, queue) = self.channel.listen(&self.seat, self.filter.clone(), length);
            self.until = until;
            self.queue = Some(queue);
        }
        Ok(())
    }

    fn end(&self, reason: End) -> News {
        News::End {
            reason,
            after: self.after,
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.feed.leave(&self.channel, &self.seat);
    }
}
