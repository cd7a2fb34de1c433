//! The end of a schedule: trouble stops, everything settles, and the world is compared with what the oracle knows.

mod held;
mod verdict;

use connector_sdk::SeriesModel;
use model::{ConflictId, RecordId};
use sync::Resolution;
use sync::ports::Store as _;
use sync::state::{Link, LinkState};

use super::provider::Creation;
use super::token;
use super::turn::finish;
use super::world::{ASIDE, MAIN, World};

/// Rounds after which everything has to be at rest: K of invariant 1.
const ROUNDS: u64 = 12;
/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;

impl World {
    /// Lets everything come to rest, and checks what has to be so then.
    pub(crate) fn end(&mut self) {
        self.forget_notifications();
        for side in &self.sides {
            side.provider.calm();
        }
        while self.client_turn() {}
        if !self.settle() {
            return;
        }
        self.judge();
    }

    /// Rounds until one in which nobody was written, people having decided what waits for them; two where a row may have
    /// moved on while its page was read. Whether it came to that.
    pub(crate) fn settle(&mut self) -> bool {
        let restless = self.sides.iter().any(|side| side.provider.quirks().restless);
        let mut quiet = 0;
        for round in 0..ROUNDS {
            let before = self.writes();
            self.round(round);
            let decided = self.decide(round);
            if self.writes() != before || decided || self.is_dirty() {
                quiet = 0;
                continue;
            }
            quiet += 1;
            if quiet > usize::from(restless) {
                return true;
            }
        }
        let waiting: Vec<String> = self
            .links()
            .iter()
            .filter(|link| link.dirty && !self.is_unreadable(link))
            .map(|link| {
                format!(
                    "{} of {} on {}: {:?}",
                    link.id, link.record, link.connection, link.state
                )
            })
            .collect();
        let message =
            format!("after {ROUNDS} quiet rounds there are still writes or waiting links: {waiting:?}");
        self.watch.violate(2, message);
        false
    }

    /// Every connection syncs once.
    pub(crate) fn round(&mut self, round: u64) {
        self.watch.remark(|| format!("round {round}"));
        self.pass(2 * HOUR_MS, round);
        for side in 0..self.sides.len() {
            self.poll(side);
        }
        self.drain_soon();
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.links()
            .iter()
            .any(|link| link.dirty && !self.is_unreadable(link))
    }

    /// Whether the link's object cannot be understood: then it stays as it is.
    fn is_unreadable(&self, link: &Link) -> bool {
        let side = self.sides.iter().find(|side| side.connection == link.connection);
        side.is_some_and(|side| {
            let collection = if link.collection == side.main { MAIN } else { ASIDE };
            let mut parts = link.parts.values();
            parts.any(|part| side.provider.is_poisoned(collection, &part.id.0))
        })
    }

    /// People decide what waits for them. Whether anything did.
    pub(crate) fn decide(&mut self, round: u64) -> bool {
        let before = self.watch.notes().effects;
        for conflict in self.asked() {
            let (engine, organization) = (self.engine(), self.organization.clone());
            let resolution = if round.is_multiple_of(2) {
                Resolution::Remote
            } else {
                Resolution::Hub
            };
            let origin = sync::state::Origin::Api("client".to_owned());
            self.finish_call(async move {
                let resolved = engine.resolve(&organization, &conflict, resolution, origin).await;
                resolved.map(drop)
            });
        }
        for link in self.links() {
            let refused = matches!(link.state, LinkState::Rejected { .. });
            if refused && !self.is_blind(&link) && self.retried.insert(link.id.clone()) {
                let (engine, organization) = (self.engine(), self.organization.clone());
                self.finish_call(async move { engine.retry_link(&organization, &link.id).await.map(drop) });
            } else if matches!(link.state, LinkState::NeedsApproval { .. }) {
                let (engine, organization) = (self.engine(), self.organization.clone());
                let at = self
                    .sides
                    .iter()
                    .position(|side| side.connection == link.connection);
                let entity = self.entity_of(&link.record);
                self.approved.extend(at.map(|at| (at, entity)));
                self.finish_call(async move {
                    let approved = engine.approve_link(&organization, &link.id, None).await;
                    approved.map(drop)
                });
            }
        }
        self.watch.notes().effects > before
    }

    /// The entity that a record is.
    fn entity_of(&self, record: &RecordId) -> Option<u32> {
        let notes = self.watch.notes();
        let mut records = notes.records();
        records
            .find(|one| one.id == *record)
            .and_then(|record| token::entity(&record.content))
    }

    /// Whether the provider cannot bring a cancelled occurrence back.
    fn is_final_there(&self, link: &Link) -> bool {
        let side = self.sides.iter().find(|side| side.connection == link.connection);
        side.is_some_and(|side| {
            let capability = side.connector.capability(link.kind);
            capability.series == SeriesModel::Instances
        })
    }

    /// Whether nothing tells what became of a create there: whoever tries it again may make a second one.
    fn is_blind(&self, link: &Link) -> bool {
        let side = self.sides.iter().find(|side| side.connection == link.connection);
        let blind = side.is_some_and(|side| side.provider.quirks().creation == Creation::Blind);
        blind && link.parts.is_empty()
    }

    /// Conflicts that nobody has decided yet.
    fn asked(&self) -> Vec<ConflictId> {
        self.watch.notes().undecided()
    }

    /// Conflicts that somebody may decide, or decide anew.
    pub(crate) fn open_conflicts(&self) -> Vec<ConflictId> {
        self.watch.notes().conflicts()
    }

    /// All links of live records, in order of record and link.
    pub(crate) fn links(&self) -> Vec<Link> {
        let records: Vec<_> = self
            .watch
            .notes()
            .records()
            .map(|record| record.id.clone())
            .collect();
        records
            .iter()
            .filter_map(|record| finish(self.store.links_of(&self.organization, record))?.ok())
            .flatten()
            .collect()
    }
}
