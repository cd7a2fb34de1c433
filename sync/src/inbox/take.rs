//! Taking in what webhooks say: one transaction per collection with all that comes of it.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::{Change, Known, Notice, RemoteId};
use model::CollectionId;

use super::Understood;
use super::judge::{Knowledge, Told, Verdict, newest, version_of};
use crate::engine::{Run, Trouble};
use crate::hold::Tally;
use crate::observe::Pulling;
use crate::ports::Effect;
use crate::state::{Collection, Freshness, InboundEnd, InboundOutcome, JobTask};

/// What comes of a batch, before it is committed.
#[derive(Default)]
struct Outcome {
    /// Of each webhook, by its place.
    each: Vec<InboundOutcome>,
    /// The collections that it was told of, by its place.
    concerned: Vec<BTreeSet<CollectionId>>,
    /// Whether the connection has to look for itself, and whether at its list of collections, too.
    look: bool,
    discover: bool,
}

impl Outcome {
    fn of(count: usize) -> Self {
        Self {
            each: vec![InboundOutcome::default(); count],
            concerned: vec![BTreeSet::new(); count],
            ..Self::default()
        }
    }

    fn look(&mut self, from: usize, discover: bool) {
        if let Some(outcome) = self.each.get_mut(from) {
            outcome.dirty += 1;
        }
        self.look = true;
        self.discover |= discover;
    }

    fn outdated(&mut self, from: usize) {
        if let Some(outcome) = self.each.get_mut(from) {
            outcome.outdated += 1;
        }
    }

    fn applied(&mut self, from: usize) {
        if let Some(outcome) = self.each.get_mut(from) {
            outcome.applied += 1;
        }
    }
}

/// What is told of a collection.
struct Heard {
    collection: Collection,
    told: Vec<Told>,
}

/// What of it is taken in.
struct Share {
    collection: Collection,
    changes: Vec<Change>,
    known: Known,
    fresh: Vec<Effect>,
}

impl Run<'_> {
    /// Takes in what these webhooks say, and ends them. Those that speak of several collections end with the last.
    pub(super) async fn take_together(&mut self, understood: &[Understood]) -> Result<(), Trouble> {
        let mut outcome = Outcome::of(understood.len());
        let told = self.sort(understood, &mut outcome).await?;
        let mut shares = Vec::new();
        for told in told.into_values() {
            shares.push(self.share(told, &mut outcome).await?);
        }
        let mut left: BTreeSet<usize> = (0..understood.len()).collect();
        let mut open: BTreeSet<CollectionId> =
            shares.iter().map(|share| share.collection.id.clone()).collect();
        if shares.is_empty() {
            let ends = self.ends(understood, &outcome, &mut left, &open);
            return Ok(self.commit(ends).await?);
        }
        for share in shares {
            open.remove(&share.collection.id);
            let mut with = share.fresh;
            with.extend(self.ends(understood, &outcome, &mut left, &open));
            if share.changes.is_empty() {
                self.commit(with).await?;
            } else {
                self.take_in(share.collection, share.known, share.changes, with)
                    .await?;
            }
        }
        Ok(())
    }

    /// Observations by their collection; everything else makes the connection look for itself.
    async fn sort(
        &self,
        understood: &[Understood],
        outcome: &mut Outcome,
    ) -> Result<BTreeMap<CollectionId, Heard>, Trouble> {
        let (organization, connection) = (&self.organization, &self.connection.id);
        let collections = self.desk.store.collections(organization, connection).await?;
        let find = |remote: &RemoteId| collections.iter().find(|known| known.remote.id == *remote);
        let mut told: BTreeMap<CollectionId, Heard> = BTreeMap::new();
        for (from, one) in understood.iter().enumerate() {
            for notice in &one.notices {
                match notice {
                    Notice::Dirty { collection: None } => outcome.look(from, true),
                    Notice::Dirty {
                        collection: Some(remote),
                    } => match find(remote) {
                        Some(known) if !known.enabled => {}
                        Some(_) => outcome.look(from, false),
                        None => outcome.look(from, true),
                    },
                    Notice::Observed(observed) => match find(observed.collection()) {
                        None => outcome.look(from, true),
                        Some(known) if !known.enabled => {}
                        // Nobody knows yet what it holds, or a person is asked about it: the pull comes first.
                        Some(known) if !known.is_known() || known.hold.is_some() => outcome.look(from, false),
                        Some(known) => {
                            outcome.concerned[from].insert(known.id.clone());
                            let entry = told.entry(known.id.clone()).or_insert_with(|| Heard {
                                collection: known.clone(),
                                told: Vec::new(),
                            });
                            entry.told.push(Told {
                                from,
                                change: observed.change().clone(),
                                ordering: observed.ordering_key(),
                            });
                        }
                    },
                }
            }
        }
        Ok(told)
    }

    /// What of all that is told of a collection is taken in.
    async fn share(&self, heard: Heard, outcome: &mut Outcome) -> Result<Share, Trouble> {
        let collection = heard.collection;
        let (newest, older) = newest(heard.told);
        for older in older {
            outcome.outdated(older.from);
        }
        let ids: Vec<RemoteId> = newest.keys().cloned().collect();
        let (knowledge, known) = self.knowledge(&collection, &ids).await?;
        let now_ms = self.desk.now_ms();
        let mut taken = Vec::new();
        let mut fresh = Vec::new();
        for (remote, told) in newest {
            let verdict = knowledge.judge(&told);
            match verdict {
                Verdict::Outdated => {
                    outcome.outdated(told.from);
                    continue;
                }
                Verdict::Look => {
                    outcome.look(told.from, false);
                    if !knowledge.linked.contains_key(&remote) {
                        // The mark of a lost link stays until a pull has spoken: what is late must not pass it.
                        continue;
                    }
                }
                Verdict::Take => {}
            }
            fresh.push(Effect::PutFreshness {
                collection: collection.id.clone(),
                remote,
                freshness: Freshness {
                    ordering: Some(told.ordering.0),
                    version: version_of(&told.change).cloned(),
                },
                at: now_ms,
            });
            if verdict == Verdict::Take {
                taken.push(told);
            }
        }
        if self.is_much(&taken) {
            // The breaker of a pull asks a person before it does so much at once.
            for told in std::mem::take(&mut taken) {
                outcome.look(told.from, false);
            }
        }
        let changes = taken
            .into_iter()
            .map(|told| {
                outcome.applied(told.from);
                told.change
            })
            .collect();
        Ok(Share {
            collection,
            changes,
            known,
            fresh,
        })
    }

    fn is_much(&self, taken: &[Told]) -> bool {
        let settings = &self.desk.settings;
        let deletes = taken
            .iter()
            .filter(|told| matches!(told.change, Change::Deleted(_)))
            .count();
        deletes > settings.delete_floor || taken.len() > settings.update_floor
    }

    /// What the hub holds of these objects.
    async fn knowledge(
        &self,
        collection: &Collection,
        ids: &[RemoteId],
    ) -> Result<(Knowledge, Known), Trouble> {
        let (store, organization) = (&self.desk.store, &self.organization);
        let mut knowledge = Knowledge {
            linked: BTreeMap::new(),
            freshness: store.freshness(organization, &collection.id, ids).await?,
        };
        for found in store.linked(organization, &collection.id, ids).await? {
            for part in found.link.parts.values() {
                knowledge.linked.insert(part.id.clone(), part.version.clone());
            }
        }
        let mut known: Known = knowledge.linked.clone().into_iter().collect();
        for entry in store.unreadable(organization, &collection.id, ids).await? {
            known.insert(entry.remote, entry.version);
        }
        Ok((knowledge, known))
    }

    /// The ends of the webhooks that concern none of these collections, and the sync that they ask for.
    fn ends(
        &self,
        understood: &[Understood],
        outcome: &Outcome,
        left: &mut BTreeSet<usize>,
        open: &BTreeSet<CollectionId>,
    ) -> Vec<Effect> {
        let now_ms = self.desk.now_ms();
        let ready: Vec<usize> = left
            .iter()
            .copied()
            .filter(|from| outcome.concerned.get(*from).is_none_or(|of| of.is_disjoint(open)))
            .collect();
        let mut effects = Vec::with_capacity(ready.len() + 1);
        for from in ready {
            left.remove(&from);
            if let (Some(one), Some(end)) = (understood.get(from), outcome.each.get(from)) {
                effects.push(Effect::EndInbound {
                    inbound: one.inbound.id.clone(),
                    end: InboundEnd::Done(*end),
                    at: now_ms,
                });
            }
        }
        if outcome.look && !effects.is_empty() {
            let task = JobTask::Sync {
                connection: self.connection.id.clone(),
                discover: outcome.discover,
                approve_deletes: false,
            };
            effects.push(self.job(task, now_ms));
        }
        effects
    }

    /// Takes in changes of one collection as a page of a pull, without a cursor, and commits with them what belongs to
    /// them.
    async fn take_in(
        &mut self,
        collection: Collection,
        known: Known,
        changes: Vec<Change>,
        with: Vec<Effect>,
    ) -> Result<(), Trouble> {
        let scene = self.scene(collection).await?;
        let doubtful = self.creates_in_doubt(&scene.collection.id).await?;
        let mut pulling = Pulling {
            scene,
            known,
            seen: BTreeSet::new(),
            tally: Tally::default(),
            held: None,
            doubtful,
        };
        let changes = self.claim_late_creates(&mut pulling, changes).await?;
        self.take_changes(&mut pulling, &changes, with).await
    }
}
