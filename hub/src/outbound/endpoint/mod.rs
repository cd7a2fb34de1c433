//! One endpoint: what waits for it in memory, and the task that sends it.

mod task;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use model::OutboundDeliveryId;
use store::{Derivation, DueDelivery, WebhookEndpoint};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(super) use task::run;

/// Deliveries of one endpoint in memory. Beyond that nothing more is taken from the feed: it waits there.
const MOST_READY: usize = 2_000;

/// What the task is told.
#[derive(Debug)]
pub(super) enum Note {
    /// These were made.
    Fresh(Vec<DueDelivery>),
    /// What came of these is written down.
    Recorded(Vec<OutboundDeliveryId>),
    /// Something is due in the store, or the endpoint was changed.
    Look,
}

/// How far the feed was read for an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// As it is stored.
    pub(super) cursor: i64,
    /// As it was read; what lies between concerned it not.
    pub(super) scanned: i64,
}

/// The task of an endpoint, from outside.
pub(super) struct Handle {
    endpoint: Mutex<Arc<WebhookEndpoint>>,
    position: Mutex<Position>,
    notes: mpsc::UnboundedSender<Note>,
    stopped: CancellationToken,
    /// The endpoint is down, and something waits that will tell when it is back.
    held: AtomicBool,
    /// Its cursor is not where it was thought to be.
    lost: AtomicBool,
    /// Deliveries are being made, and will be told.
    deriving: AtomicBool,
    ready: AtomicUsize,
}

impl Handle {
    pub(super) fn new(endpoint: WebhookEndpoint) -> (Self, mpsc::UnboundedReceiver<Note>) {
        let (notes, receiver) = mpsc::unbounded_channel();
        let handle = Self {
            position: Mutex::new(Position {
                cursor: endpoint.cursor,
                scanned: endpoint.cursor,
            }),
            endpoint: Mutex::new(Arc::new(endpoint)),
            notes,
            stopped: CancellationToken::new(),
            held: AtomicBool::new(false),
            lost: AtomicBool::new(false),
            deriving: AtomicBool::new(false),
            ready: AtomicUsize::new(0),
        };
        (handle, receiver)
    }

    pub(super) fn endpoint(&self) -> Arc<WebhookEndpoint> {
        Arc::clone(&self.endpoint.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn position(&self) -> Position {
        *self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The endpoint as it now is. A stored cursor is never behind, unless what we thought of it was wrong. Among
    /// `several` nodes another one may have made deliveries due (a test, a replay), which nobody tells us of.
    pub(super) fn update(&self, endpoint: WebhookEndpoint, several: bool) {
        let lost = self.lost.swap(false, Ordering::AcqRel);
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        if lost || endpoint.cursor > position.cursor {
            *position = Position {
                cursor: endpoint.cursor,
                scanned: endpoint.cursor,
            };
        }
        drop(position);
        let mut present = self.endpoint.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = present.updated_at != endpoint.updated_at;
        *present = Arc::new(endpoint);
        drop(present);
        if changed || several {
            self.look();
        }
    }

    /// Begins nothing more; what is under way ends.
    pub(super) fn stop(&self) {
        self.stopped.cancel();
    }

    pub(super) fn look(&self) {
        self.note(Note::Look);
    }

    pub(super) fn recorded(&self, ids: Vec<OutboundDeliveryId>) {
        self.note(Note::Recorded(ids));
    }

    /// Whether more is to be taken from the feed for it.
    pub(super) fn takes_more(&self) -> bool {
        let no = self.stopped.is_cancelled()
            || self.held.load(Ordering::Acquire)
            || self.lost.load(Ordering::Acquire)
            || self.ready.load(Ordering::Acquire) >= MOST_READY;
        !no
    }

    /// The feed was read up to here, and nothing of it concerned the endpoint.
    pub(super) fn scanned(&self, seq: i64) {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        position.scanned = position.scanned.max(seq);
    }

    pub(super) fn lost_track(&self) {
        self.lost.store(true, Ordering::Release);
    }

    pub(super) fn set_deriving(&self, deriving: bool) {
        self.deriving.store(deriving, Ordering::Release);
        if !deriving {
            self.look();
        }
    }

    /// Deliveries were made and stored. Where order matters the store says which of them may go.
    pub(super) fn derived(&self, derivation: &Derivation, fresh: Vec<DueDelivery>) {
        let mut position = self.position.lock().unwrap_or_else(PoisonError::into_inner);
        *position = Position {
            cursor: derivation.to,
            scanned: derivation.to,
        };
        drop(position);
        if !derivation.ordered {
            self.ready.fetch_add(fresh.len(), Ordering::AcqRel);
            self.note(Note::Fresh(fresh));
        }
    }

    fn note(&self, note: Note) {
        // A task that has ended needs no notes.
        let _ = self.notes.send(note);
    }
}
