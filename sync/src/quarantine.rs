//! Quarantine: objects that cannot be understood are kept aside, looked at again by themselves, and never written over.
//!
//! An object may become readable without a new version: another release of the hub reads it, or the provider gets well.
//! No delta would name it then, so it is asked for by its id, with growing pauses.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::{Change, Coverage, Error, ErrorKind, RemoteId};

use crate::engine::{Run, Trouble};
use crate::observe::Pulling;
use crate::ports::{Effect, StoreError};
use crate::push::Ended;
use crate::scene::Scene;
use crate::state::{Link, LinkState, Origin, Quarantine};
use crate::work::Work;

/// Objects that one pull looks at again; the others follow with the next.
const AT_ONCE: u32 = 50;
/// The first pause, in milliseconds. Each is twice as long as the one before.
const FIRST_PAUSE_MS: i64 = 60_000;
/// The longest pause, in milliseconds: a day.
const LONGEST_PAUSE_MS: i64 = 86_400_000;

/// How long to wait after so many vain looks at the same version.
fn pause_ms(tries: u32) -> i64 {
    (FIRST_PAUSE_MS << tries.min(20)).min(LONGEST_PAUSE_MS)
}

impl Run<'_> {
    /// Says of entries that are about to be made how often they were looked at in vain, and when that is due again.
    /// An object that is in already keeps its id here.
    pub(crate) async fn count_looks(&self, scene: &Scene, effects: &mut [Effect]) -> Result<(), StoreError> {
        let made = |effect: &Effect| match effect {
            Effect::Quarantine(entry) => Some(entry.remote.clone()),
            _ => None,
        };
        let ids: Vec<RemoteId> = effects.iter().filter_map(made).collect();
        let known: BTreeMap<RemoteId, Quarantine> = self
            .unreadable(scene, &ids)
            .await?
            .into_iter()
            .map(|entry| (entry.remote.clone(), entry))
            .collect();
        for effect in effects {
            let Effect::Quarantine(entry) = effect else {
                continue;
            };
            if let Some(before) = known.get(&entry.remote) {
                entry.id = before.id.clone();
                if before.version == entry.version {
                    entry.created_at = before.created_at;
                    entry.tries = before.tries.saturating_add(1);
                }
            }
            entry.retry_at = scene.now_ms + pause_ms(entry.tries);
        }
        Ok(())
    }

    async fn unreadable(&self, scene: &Scene, ids: &[RemoteId]) -> Result<Vec<Quarantine>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let store = &self.desk.store;
        store
            .unreadable(&self.organization, &scene.collection.id, ids)
            .await
    }

    /// Sparse objects of which the hub could not read an earlier version: what they do not say is not what the hub
    /// holds, so they have to be read whole.
    pub(crate) async fn unread_before(
        &self,
        scene: &Scene,
        changes: &[Change],
    ) -> Result<BTreeSet<RemoteId>, StoreError> {
        let sparse = |change: &Change| match change {
            Change::Present(object) => (object.coverage == Coverage::Sparse).then(|| object.id.clone()),
            Change::Unchanged(_) | Change::Deleted(_) | Change::Unreadable { .. } => None,
        };
        let ids: Vec<RemoteId> = changes.iter().filter_map(sparse).collect();
        let found = self.unreadable(scene, &ids).await?;
        Ok(found.into_iter().map(|entry| entry.remote).collect())
    }

    /// Looks at the objects in quarantine that are due.
    pub(crate) async fn look_into_quarantine(&mut self, pulling: &mut Pulling) -> Result<(), Trouble> {
        let provider = pulling.scene.provider.clone();
        let Some(facet) = provider.connector.pull().filter(|_| pulling.held.is_none()) else {
            return Ok(());
        };
        let (store, collection) = (&self.desk.store, &pulling.scene.collection.id);
        let due = store
            .unreadable_due(&self.organization, collection, pulling.scene.now_ms, AT_ONCE)
            .await?;
        if due.is_empty() {
            return Ok(());
        }
        self.check_cancelled()?;
        let ids: Vec<RemoteId> = due.iter().map(|entry| entry.remote.clone()).collect();
        let remote = pulling.scene.collection.remote.clone();
        let mut changes = match facet.fetch(&provider.ctx, &remote, &ids).await {
            Err(error) if is_about_all(&error) => return Err(error.into()),
            Ok(changes) => changes,
            // One of them may be why: each by itself, and what fails stays where it is.
            Err(_) => {
                let mut changes = Vec::with_capacity(due.len());
                for entry in &due {
                    self.check_cancelled()?;
                    let id = std::slice::from_ref(&entry.remote);
                    match facet.fetch(&provider.ctx, &remote, id).await {
                        Ok(found) => changes.extend(found),
                        Err(error) if is_about_all(&error) => return Err(error.into()),
                        Err(error) => changes.push(failed(entry, &error)),
                    }
                }
                changes
            }
        };
        // Only while the calendar is there as before is "not there" a delete (invariant 6).
        let gone = changes.iter().any(|change| matches!(change, Change::Deleted(_)));
        if gone && !self.is_still_listed(&pulling.scene).await? {
            changes.retain(|change| !matches!(change, Change::Deleted(_)));
        }
        self.take_changes(pulling, &changes, Vec::new()).await
    }

    /// Why a link may not be written at present: one of its objects cannot be read, and a write would go over what
    /// nobody has seen.
    pub(crate) async fn why_unreadable(
        &self,
        scene: &Scene,
        link: &Link,
    ) -> Result<Option<String>, StoreError> {
        let ids: Vec<RemoteId> = link.parts.values().map(|part| part.id.clone()).collect();
        let found = self.unreadable(scene, &ids).await?;
        Ok(found
            .first()
            .map(|entry| format!("the object cannot be read: {}", entry.reason)))
    }

    /// The link waits, and nothing is tried, until its object can be read.
    pub(crate) async fn leave_aside(&mut self, mut work: Work, reason: String) -> Result<Ended, Trouble> {
        tracing::warn!(link = %work.link.id, reason, "a link waits for its object to become readable");
        self.summary.rejected += 1;
        work.leave_aside(reason);
        self.commit(work.into_effects(&Origin::Hub)).await?;
        Ok(Ended::Rested)
    }
}

impl Work {
    fn leave_aside(&mut self, reason: String) {
        self.link.state = LinkState::Rejected { reason };
        self.link.dirty = false;
        self.link.traits.unreadable = true;
        self.link_changes();
    }

    /// An object of the link was seen again: what waited for that goes on. Should another one still be in quarantine,
    /// the push leaves the link aside again.
    pub(crate) fn read_again(&mut self) {
        if self.link.traits.unreadable {
            self.link.traits.unreadable = false;
            self.link.state = LinkState::Pending;
            self.link.dirty = true;
            self.link_changes();
        }
    }
}

/// Whether an error speaks of the connection and not of what was asked for.
fn is_about_all(error: &Error) -> bool {
    match error.kind {
        ErrorKind::Unauthorized | ErrorKind::RateLimited => true,
        ErrorKind::PermissionDenied
        | ErrorKind::NotFound
        | ErrorKind::VersionConflict
        | ErrorKind::AlreadyExists
        | ErrorKind::CursorExpired
        | ErrorKind::Invalid
        | ErrorKind::Unsupported
        | ErrorKind::BadSignature
        | ErrorKind::Unavailable
        | ErrorKind::Unexpected => false,
    }
}

/// An object that could not even be fetched stays as it is kept, with the new reason.
fn failed(entry: &Quarantine, error: &Error) -> Change {
    Change::Unreadable {
        id: entry.remote.clone(),
        version: entry.version.clone(),
        reason: error.to_string(),
        raw: entry.raw.clone(),
    }
}
