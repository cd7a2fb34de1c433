//! What a faulty connector remembers of earlier calls.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use connector_sdk::RemoteId;

/// Things by the object or the collection that they belong to.
pub(super) struct Memory<T>(Mutex<BTreeMap<(RemoteId, RemoteId), T>>);

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Memory<T> {
    pub(super) fn keep(&self, collection: &RemoteId, id: &RemoteId, what: T) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert((collection.clone(), id.clone()), what);
    }

    pub(super) fn get(&self, collection: &RemoteId, id: &RemoteId) -> Option<T> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(collection.clone(), id.clone())).cloned()
    }

    pub(super) fn forget(&self, collection: &RemoteId, id: &RemoteId) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.remove(&(collection.clone(), id.clone()));
    }
}
