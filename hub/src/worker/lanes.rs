//! The jobs that run in this process, by what they work on, so that pausing or removing a connection ends them at
//! once and not at their next heartbeat.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The jobs that run in this process. Clones share them.
#[derive(Clone, Default)]
pub struct Lanes(Arc<Mutex<HashMap<String, CancellationToken>>>);

/// A running job's place; leaving it is dropping this.
pub(super) struct Place {
    lanes: Lanes,
    lane: String,
}

impl Lanes {
    /// Tells the job that works on `lane`, if one does, to stop.
    pub fn stop(&self, lane: &str) {
        if let Some(cancel) = self.lock().get(lane) {
            cancel.cancel();
        }
    }

    /// How many jobs run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.lock().len()
    }

    pub(super) fn enter(&self, lane: String, cancel: CancellationToken) -> Place {
        self.lock().insert(lane.clone(), cancel);
        Place {
            lanes: self.clone(),
            lane,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.lanes.lock().remove(&self.lane);
    }
}
