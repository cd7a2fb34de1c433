//! Effects, applied one after the other as they are given, and undone together when one of them cannot be.
//!
//! Two things are looked at when all effects are applied, as SQLite does: whether each remote object has one link
//! (links of a batch may exchange theirs), and whether what new rows refer to is there.

use std::collections::BTreeSet;

use connector_sdk::RemoteId;
use model::{CollectionId, IntentId, LinkId, MirrorId, OrganizationId, RecordId};
use sync::ports::{Effect, StoreError};
use sync::state::{FeedEntry, Fence, Freshness, NewJob};

use super::journal::Was;
use super::queue::Queue;
use super::state::State;
use super::tenant::Tenant;

/// Applies all effects, or none.
pub(super) fn commit(
    state: &mut State,
    organization: &OrganizationId,
    fence: Option<&Fence>,
    effects: Vec<Effect>,
) -> Result<(), StoreError> {
    let mut owners = effects.iter().filter_map(Effect::organization);
    if let Some(owner) = owners.find(|owner| *owner != organization) {
        return Err(StoreError::Stale(format!(
            "a row of {owner} in a commit of {organization}"
        )));
    }
    let (tenant, queue) = state.split(organization);
    if let Some(fence) = fence {
        queue.check_fence(organization, fence)?;
    }
    let mut batch = Batch {
        tenant,
        queue,
        journal: Vec::with_capacity(effects.len()),
        placed: Vec::new(),
        left: BTreeSet::new(),
        fresh: Vec::new(),
        references: Vec::new(),
    };
    let done = batch.run(effects);
    if done.is_err() {
        batch.undo();
    }
    done
}

/// A row whose references are looked at in the end, if it is there by then.
pub(super) enum Reference {
    Link(LinkId),
    Raw(LinkId),
    Intent(IntentId),
    Collection(CollectionId),
    Quarantine(CollectionId, RemoteId),
    Mirror(MirrorId),
    Pairing(CollectionId, RecordId),
    Freshness(CollectionId),
}

/// A batch under way.
pub(super) struct Batch<'a> {
    pub(super) tenant: &'a mut Tenant,
    pub(super) queue: &'a mut Queue,
    pub(super) journal: Vec<Was>,
    /// Links whose remote objects are to be put into the look-up.
    pub(super) placed: Vec<LinkId>,
    /// Remote objects that lost their link, unless another one takes them up.
    pub(super) left: BTreeSet<(CollectionId, RemoteId)>,
    /// Written over what those have left.
    pub(super) fresh: Vec<(CollectionId, RemoteId, Freshness)>,
    pub(super) references: Vec<Reference>,
}

pub(super) fn stale<T>(what: impl ToString) -> Result<T, StoreError> {
    Err(StoreError::Stale(what.to_string()))
}

impl Batch<'_> {
    fn run(&mut self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let (mut feed, mut jobs, mut history) = (Vec::new(), Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::History(entry) => history.push(entry),
                effect => self.apply(effect, &mut feed, &mut jobs)?,
            }
        }
        self.place_parts()?;
        self.put_freshness();
        for job in jobs {
            self.enqueue(job)?;
        }
        self.check_references()?;
        self.tenant.feed.append(&mut feed);
        for entry in history {
            self.tenant.tell(entry);
        }
        Ok(())
    }

    fn undo(self) {
        for was in self.journal.into_iter().rev() {
            was.restore(self.tenant, self.queue);
        }
    }

    /// Applies an effect. Nothing looks at the feed, at new jobs and at history, which go last.
    fn apply(
        &mut self,
        effect: Effect,
        feed: &mut Vec<FeedEntry>,
        jobs: &mut Vec<NewJob>,
    ) -> Result<(), StoreError> {
        match effect {
            Effect::CreateRecord(record) => self.create_record(record),
            Effect::UpdateRecord(record) => self.update_record(record),
            Effect::CreateLink(link) => self.create_link(link),
            Effect::UpdateLink(link) => self.update_link(link),
            Effect::DropLink { link, revision } => self.drop_link(&link, revision),
            Effect::PutRaw { link, part, raw } => {
                self.put_raw(link, part, raw);
                Ok(())
            }
            Effect::Touch { record, except } => {
                self.touch(&record, except.as_ref());
                Ok(())
            }
            Effect::PutCursor {
                collection,
                cursor,
                enumerated_at,
            } => self.put_cursor(collection, cursor, enumerated_at),
            Effect::PutCollection(collection) => self.put_collection(*collection),
            Effect::HoldCollection {
                collection,
                before,
                hold,
            } => self.hold(collection, before, hold.map(|hold| *hold)),
            Effect::OpenIntent(intent) => self.open_intent(intent),
            Effect::CloseIntent(intent) => {
                self.close_intent(&intent);
                Ok(())
            }
            Effect::PutConflict(conflict) => self.put_conflict(conflict),
            Effect::ResolveConflict { conflict, at } => self.resolve(conflict, at),
            Effect::Quarantine(entry) => self.quarantine(entry),
            Effect::Release { collection, remote } => {
                self.release(collection, remote);
                Ok(())
            }
            Effect::Feed(entry) => {
                feed.push(entry);
                Ok(())
            }
            Effect::Enqueue(job) => {
                jobs.push(*job);
                Ok(())
            }
            // Kept back by the caller.
            Effect::History(_) => Ok(()),
            Effect::SetHealth {
                connection,
                health,
                reason,
                synced_at,
            } => self.set_health(connection, health, reason, synced_at),
            Effect::Discovered { connection, at } => self.discovered(connection, at),
            Effect::PutMirror(mirror) => {
                self.put_mirror(mirror);
                Ok(())
            }
            Effect::DropMirror(mirror) => {
                self.drop_mirror(mirror);
                Ok(())
            }
            Effect::ExpectNoIntent(link) => self.expect_no_intent(&link),
            Effect::Pair {
                record,
                collection,
                pairing,
            } => {
                self.pair(record, collection, pairing);
                Ok(())
            }
            Effect::EndInbound { inbound, end, at: _ } => self.end_inbound(inbound, end),
            Effect::PutFreshness {
                collection,
                remote,
                freshness,
                at: _,
            } => {
                self.fresh.push((collection, remote, freshness));
                Ok(())
            }
        }
    }

    /// What new rows refer to must be there.
    fn check_references(&self) -> Result<(), StoreError> {
        if self.references.iter().all(|reference| self.stands(reference)) {
            Ok(())
        } else {
            stale("something that a new row refers to")
        }
    }

    fn stands(&self, reference: &Reference) -> bool {
        let tenant = &*self.tenant;
        let collection = |id: &CollectionId| tenant.collections.contains_key(id);
        match reference {
            Reference::Link(id) => tenant
                .links
                .get(id)
                .is_none_or(|link| tenant.records.contains_key(&link.record) && collection(&link.collection)),
            Reference::Raw(link) => !tenant.raws.contains_key(link) || tenant.links.get(link).is_some(),
            Reference::Intent(id) => {
                let intent = tenant.intents.get(id);
                intent.is_none_or(|intent| tenant.links.get(&intent.link).is_some())
            }
            Reference::Collection(id) => {
                let stored = tenant.collections.get(id);
                stored.is_none_or(|stored| tenant.connections.contains_key(&stored.connection))
            }
            Reference::Quarantine(place, remote) => {
                let entry = tenant
                    .quarantine
                    .get(place)
                    .and_then(|entries| entries.get(remote));
                entry.is_none() || collection(place)
            }
            Reference::Pairing(place, record) => {
                let noted = tenant.pairings.get(place).and_then(|noted| noted.get(record));
                noted.is_none() || (collection(place) && tenant.records.contains_key(record))
            }
            Reference::Freshness(place) => collection(place),
            Reference::Mirror(id) => tenant.mirrors.get(id).is_none_or(|mirror| {
                mirror
                    .members
                    .iter()
                    .all(|member| collection(&member.collection_id))
            }),
        }
    }
}
