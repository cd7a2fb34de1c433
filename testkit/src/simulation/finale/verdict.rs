//! The verdict on a world at rest: what the hub and the providers say, against each other and against the oracle.

use std::collections::{BTreeMap, BTreeSet};

use connector_sdk::RemoteId;
use model::PartKey;
use sync::plan;
use sync::ports::Store as _;
use sync::state::{Link, LinkState, Record};

use super::held::{outlives_its_series, told};
use crate::simulation::checks::is_recased;
use crate::simulation::provider::Creation;
use crate::simulation::token;
use crate::simulation::turn::finish;
use crate::simulation::world::{ASIDE, MAIN, Side, World};

impl World {
    /// Says of each promise that is checked at the end whether it was kept.
    pub(super) fn judge(&mut self) {
        self.check_links();
        self.check_contents();
        self.check_tokens();
        self.check_doubles();
        self.check_silence();
    }

    fn live(&self) -> Vec<std::sync::Arc<Record>> {
        let notes = self.watch.notes();
        notes
            .records()
            .filter(|record| !record.deleted)
            .cloned()
            .collect()
    }

    /// Invariants 1 and 14: every record is on every side once, and at rest.
    fn check_links(&mut self) {
        let main: BTreeSet<_> = self.sides.iter().map(|side| side.main.clone()).collect();
        for record in self.live() {
            let links = finish(self.store.links_of(&self.organization, &record.id));
            let links = links.and_then(Result::ok).unwrap_or_default();
            let mut seen = BTreeSet::new();
            for link in &links {
                if !seen.insert(link.collection.clone()) {
                    let message = format!("{} has two links to {}", record.id, link.collection);
                    self.watch.violate(14, message);
                }
                self.check_state(&record, link);
            }
            let mirrored = links.iter().any(|link| main.contains(&link.collection));
            let given_up = self.watch.notes().is_given_up(&record.id) || self.waits_for_twin(&record);
            let absent = self.sides.iter().filter(|side| !seen.contains(&side.main));
            for side in absent.filter(|_| mirrored && !given_up) {
                let name = token::entity(&record.content);
                let message = format!("{} (e{name:?}) is not on {}", record.id, side.connection);
                self.watch.violate(1, message);
            }
            if links.is_empty() && !given_up {
                let message = format!("{} lives and is on no side", record.id);
                self.watch.violate(1, message);
            }
        }
    }

    /// Whether the same thing has another record, which this one cannot be joined with while a create of that is in doubt.
    fn waits_for_twin(&self, record: &Record) -> bool {
        let entity = token::entity(&record.content);
        self.links().iter().any(|link| {
            let doubt = matches!(link.state, LinkState::Rejected { .. }) && self.is_blind(link);
            doubt && link.record != record.id && self.entity_of(&link.record) == entity
        })
    }

    fn check_state(&self, record: &Record, link: &Link) {
        match &link.state {
            LinkState::Synced => {}
            _ if self.is_unreadable(link) => {}
            // What was cancelled there can never be brought back.
            LinkState::Rejected { .. } if self.is_final_there(link) => {}
            // The doubt is told.
            LinkState::Rejected { .. } if self.is_blind(link) => {}
            LinkState::Rejected { reason } if reason == sync::TWIN_IN_DOUBT => {}
            LinkState::Rejected { .. } if outlives_its_series(&record.content) => {}
            state => {
                let message = format!("{} of {} is not at rest: {state:?}", link.id, record.id);
                self.watch.violate(1, message);
            }
        }
    }

    /// Invariants 1 and 15: what each provider holds is what the hub says, as far as the provider can hold it; and
    /// what it holds is known.
    fn check_contents(&mut self) {
        let mut held: BTreeMap<(usize, String), BTreeSet<String>> = BTreeMap::new();
        for record in self.live() {
            let links = finish(self.store.links_of(&self.organization, &record.id));
            for link in links.and_then(Result::ok).unwrap_or_default() {
                let Some(at) = self
                    .sides
                    .iter()
                    .position(|side| side.connection == link.connection)
                else {
                    continue;
                };
                let collection = if link.collection == self.sides[at].main {
                    MAIN
                } else {
                    ASIDE
                };
                if let Some(part) = link.parts.get(&PartKey::MASTER) {
                    let place = held.entry((at, collection.to_owned())).or_default();
                    place.insert(part.id.0.clone());
                    if link.state == LinkState::Synced {
                        self.compare(at, collection, &part.id, &record, &link);
                    }
                } else if link.state == LinkState::Synced {
                    let message = format!(
                        "{} of {} has no object and says it is at rest",
                        link.id, record.id
                    );
                    self.watch.violate(1, message);
                }
            }
        }
        for (at, side) in self.sides.iter().enumerate() {
            for collection in [MAIN, ASIDE] {
                let known = held.remove(&(at, collection.to_owned())).unwrap_or_default();
                for (id, content) in side.provider.contents(collection) {
                    if !known.contains(&id) && !side.provider.is_poisoned(collection, &id) {
                        let message = format!(
                            "p{at} holds {id} (e{:?}) in {collection}, and the hub does not",
                            token::entity(&content)
                        );
                        self.watch.violate(15, message);
                    }
                }
            }
        }
    }

    /// Compares one object with the record that it stands for.
    fn compare(&self, at: usize, collection: &str, id: &RemoteId, record: &Record, link: &Link) {
        let side = &self.sides[at];
        if side.provider.is_poisoned(collection, &id.0) {
            return;
        }
        let Some(there) = side.provider.content(collection, &id.0) else {
            let message = format!("{} says that p{at} holds {id}, which it does not", link.id);
            self.watch.violate(1, message);
            return;
        };
        let hub = plan::hub_side(record, link);
        let wanted = side.as_held(&hub);
        let (wanted, there) = (
            told(record.kind, &wanted),
            told(record.kind, &side.as_held(&there)),
        );
        for path in wanted.differences(&there) {
            let rewrites = side.provider.quirks().rewrites_later_ms.is_some();
            let recased = rewrites && is_recased(wanted.get(&path), there.get(&path));
            if recased || !side.compares(record.kind, &path.field) {
                continue;
            }
            let message = format!(
                "{} (e{:?}), {path}: the hub's value there would be {:?}, p{at} holds {:?}",
                record.id,
                token::entity(&record.content),
                wanted.get(&path),
                there.get(&path)
            );
            self.watch.violate(1, message);
        }
    }

    /// The values that the conflict log holds, as it is read.
    fn read_log(&self) {
        let mut values = BTreeSet::new();
        let logged = self.watch.notes().logged();
        for id in logged {
            let conflict = finish(self.store.conflict(&self.organization, &id));
            let conflict = conflict.and_then(Result::ok).flatten();
            let conflict = conflict.iter();
            conflict
                .flat_map(|conflict| [&conflict.base, &conflict.hub, &conflict.remote])
                .flatten()
                .for_each(|value| token::collect(value, &mut values));
        }
        self.watch.notes().oracle.log(values);
    }

    /// What a side could not hold of a record goes when somebody deletes the record there.
    fn forgo_unheld(&self) {
        let mut notes = self.watch.notes();
        let deleted: Vec<_> = notes.records().filter(|record| record.deleted).cloned().collect();
        for record in deleted {
            for side in 0..self.sides.len() {
                let here = |entity| notes.oracle.was_deleted_at(entity, side);
                if token::entity(&record.content).is_some_and(here) {
                    let mut absent = record.content.clone();
                    absent.retain(|_, field| !self.holds(side, field));
                    notes.oracle.forgo(token::of_content(&absent));
                }
            }
        }
    }

    /// Invariants 3 and 4: what people wrote is there, overwritten or logged; what they deleted is gone.
    fn check_tokens(&mut self) {
        self.read_log();
        self.forgo_unheld();
        let mut there = BTreeSet::new();
        let (mut live, mut kept) = (BTreeSet::new(), BTreeSet::new());
        for record in self.live() {
            there.extend(token::of_content(&record.content));
            live.extend(token::entity(&record.content));
        }
        for link in self.links() {
            there.extend(token::of_content(&link.local));
        }
        for side in &self.sides {
            for collection in [MAIN, ASIDE] {
                for (id, content) in side.provider.contents(collection) {
                    there.extend(token::of_content(&content));
                    // What cannot be understood stays as it is, whatever becomes of its record.
                    let understood = !side.provider.is_poisoned(collection, &id);
                    live.extend(token::entity(&content).filter(|_| understood));
                    kept.extend(token::entity(&content));
                }
            }
        }
        let (lost, back) = {
            let notes = self.watch.notes();
            let mut lost = notes.oracle.lost(&there);
            kept.extend(&live);
            lost.extend(notes.oracle.vanished(&kept));
            (lost, notes.oracle.resurrected(&live))
        };
        lost.into_iter()
            .for_each(|message| self.watch.violate(3, message));
        // What a provider rewrites by itself, later, cannot be told from an edit: it may bring something back.
        let rewrites = |side: &Side| side.provider.quirks().rewrites_later_ms.is_some();
        let back = back.into_iter().filter(|_| !self.sides.iter().any(rewrites));
        back.for_each(|message| self.watch.violate(4, message));
    }

    /// Invariant 8: one object per record and collection, more only where somebody split or moved one.
    fn check_doubles(&mut self) {
        for (at, side) in self.sides.iter().enumerate() {
            let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
            for content in side.provider.contents(MAIN).values() {
                if let Some(entity) = token::entity(content) {
                    *counts.entry(entity).or_default() += 1;
                }
            }
            // A node that slept past its lease may send a create that another one has sent: where nothing names a new
            // object beforehand, nobody can prevent that.
            let blind = |side: &Side| side.provider.quirks().creation == Creation::Blind;
            let unfenced = self.setup.skews_ms.len() > 1 && self.sides.iter().any(blind);
            for (entity, count) in counts {
                if !unfenced && count > self.watch.notes().oracle.allowed(entity) {
                    let message = format!("p{at} holds e{entity}z {count} times");
                    self.watch.violate(8, message);
                }
            }
        }
    }

    /// Invariants 2, 7 and 13: idle rounds write nothing, and neither does seeing everything once more.
    fn check_silence(&mut self) {
        let before = (self.writes(), self.versions());
        self.round(100);
        if self.writes() != before.0 {
            self.watch.violate(
                2,
                format!("an idle round wrote {} times", self.writes() - before.0),
            );
        }
        for side in &self.sides {
            side.provider.expire_cursors();
        }
        self.round(101);
        if self.writes() != before.0 {
            let message = format!("seeing everything again wrote {} times", self.writes() - before.0);
            self.watch.violate(7, message);
        }
        if self.versions() != before.1 {
            self.watch.violate(
                13,
                "seeing everything again changed records in the hub".to_owned(),
            );
        }
    }

    fn versions(&self) -> BTreeMap<String, i64> {
        let live = self.live();
        live.iter()
            .map(|record| (record.id.to_string(), record.version))
            .collect()
    }
}
