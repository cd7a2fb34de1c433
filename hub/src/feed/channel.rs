//! An organization's feed: the one task that reads it, and the seats it hands changes to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use model::OrganizationId;
use store::ChangeFilter;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::{End, Feed, Told};

/// Changes that one read takes.
const BATCH: u32 = 500;
/// Between two reads: what is committed meanwhile comes with the next. Hundreds of commits a second would else be as many
/// questions of each node, and what they take from the database is missing where the commits are made.
const GATHER: Duration = Duration::from_millis(10);
/// Looks again without a bell: another process may have written.
const LONGEST_SILENCE: Duration = Duration::from_secs(10);

/// What the reader and those it reads for share.
pub(super) struct Channel {
    organization: OrganizationId,
    bell: Notify,
    closed: CancellationToken,
    state: Mutex<State>,
}

struct State {
    /// The last `seq` that was handed out.
    position: i64,
    next_seat: u64,
    seats: usize,
    listening: HashMap<u64, Listener>,
    /// Set when the reader ended: whoever comes later is told the same.
    ended: Option<End>,
}

struct Listener {
    seat: Arc<Seat>,
    filter: ChangeFilter,
    queue: mpsc::Sender<Arc<Told>>,
}

/// A follower's place.
pub(super) struct Seat {
    number: u64,
    taken: AtomicBool,
    ended: OnceLock<End>,
}

impl Seat {
    /// Why the queue was closed.
    pub(super) fn ended(&self) -> Option<End> {
        self.ended.get().copied()
    }
}

impl Channel {
    pub(super) fn new(organization: OrganizationId, position: i64) -> Self {
        Self {
            organization,
            bell: Notify::new(),
            closed: CancellationToken::new(),
            state: Mutex::new(State {
                position,
                next_seat: 0,
                seats: 0,
                listening: HashMap::new(),
                ended: None,
            }),
        }
    }

    pub(super) const fn organization(&self) -> &OrganizationId {
        &self.organization
    }

    pub(super) fn ring(&self) {
        self.bell.notify_one();
    }

    pub(super) fn close(&self) {
        self.closed.cancel();
    }

    pub(super) fn seats(&self) -> usize {
        self.state().seats
    }

    /// A seat, unless `most` are taken.
    pub(super) fn sit(&self, most: usize) -> Option<Arc<Seat>> {
        let mut state = self.state();
        if state.seats >= most {
            return None;
        }
        state.seats += 1;
        state.next_seat += 1;
        Some(Arc::new(Seat {
            number: state.next_seat,
            taken: AtomicBool::new(true),
            ended: OnceLock::new(),
        }))
    }

    pub(super) fn stand_up(&self, seat: &Seat) {
        let mut state = self.state();
        state.listening.remove(&seat.number);
        if seat.taken.swap(false, Ordering::AcqRel) {
            state.seats -= 1;
        }
    }

    /// From now on the seat gets what is read, in a queue of this length. Everything up to the answered `seq` was
    /// handed out before and is in the store; everything after it comes through the queue.
    pub(super) fn listen(
        &self,
        seat: &Arc<Seat>,
        filter: ChangeFilter,
        length: usize,
    ) -> (i64, mpsc::Receiver<Arc<Told>>) {
        let (queue, receiver) = mpsc::channel(length);
        let mut state = self.state();
        match state.ended {
            Some(end) => {
                let _ = seat.ended.set(end);
            }
            None => {
                let listener = Listener {
                    seat: Arc::clone(seat),
                    filter,
                    queue,
                };
                state.listening.insert(seat.number, listener);
            }
        }
        (state.position, receiver)
    }

    /// The last `seq` that was handed out.
    pub(super) fn position(&self) -> i64 {
        self.state().position
    }

    /// Hands out what was read, in order. Who cannot take it is let go, and gives the seat back at once: a client
    /// that reads nothing must not keep others out.
    fn hand_out(&self, changes: Vec<store::Change>) {
        let mut state = self.state();
        for change in changes {
            state.position = change.seq;
            let told = Told::new(change);
            let mut slow = Vec::new();
            for (number, listener) in &state.listening {
                if !listener.filter.takes(&told.change) {
                    continue;
                }
                match listener.queue.try_send(Arc::clone(&told)) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        let _ = listener.seat.ended.set(End::Slow);
                        slow.push(*number);
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => slow.push(*number),
                }
            }
            for number in slow {
                state.let_go(number);
            }
        }
    }

    fn end(&self, reason: End) {
        let mut state = self.state();
        state.ended = Some(reason);
        for listener in state.listening.values() {
            let _ = listener.seat.ended.set(reason);
        }
        // With the senders the queues close: what is in them is still told, then the reason.
        state.listening.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn let_go(&mut self, number: u64) {
        if let Some(listener) = self.listening.remove(&number)
            && listener.seat.taken.swap(false, Ordering::AcqRel)
        {
            self.seats -= 1;
            metrics::counter!("concord_streams_dropped_total").increment(1);
        }
    }
}

/// Reads for a channel until nobody sits there, the server stops or the database fails.
pub(super) async fn read(feed: Feed, channel: Arc<Channel>) {
    let stopping = feed.0.stopping.clone();
    let end = loop {
        let began = tokio::time::Instant::now();
        match read_on(&feed, &channel).await {
            Ok(()) => {}
            Err(error) => {
                tracing::error!(%error, "the feed cannot be read; its streams end, and their clients come back");
                break End::Unavailable;
            }
        }
        tokio::select! {
            () = stopping.cancelled() => break End::Stopping,
            () = channel.closed.cancelled() => return,
            () = channel.bell.notified() => {}
            () = feed.0.clock.sleep(LONGEST_SILENCE) => {}
        }
        // The first change after a silence waits for nothing.
        if let Some(left) = GATHER.checked_sub(began.elapsed()) {
            tokio::select! {
                () = stopping.cancelled() => break End::Stopping,
                () = feed.0.clock.sleep(left) => {}
            }
        }
    };
    feed.forget(&channel);
    channel.end(end);
}

async fn read_on(feed: &Feed, channel: &Channel) -> Result<(), sync::ports::StoreError> {
    let everything = ChangeFilter::default();
    loop {
        let after = channel.position();
        let store = &feed.0.store;
        let changes = store
            .changes_after(&channel.organization, after, &everything, BATCH)
            .await?;
        let more = changes.len() >= BATCH as usize;
        channel.hand_out(changes);
        if !more || channel.closed.is_cancelled() {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}
