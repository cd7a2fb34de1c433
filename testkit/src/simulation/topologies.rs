//! How many writes one edit costs: measured at each replica, for each way of joining providers, with their quirks on.
//!
//! Invariant 2 in figures: one edit is at most one write at each other replica, and then rounds go by in which nobody
//! is written. Where a series changes its shape and its occurrences are objects of their own, each of them is written
//! once. A series that is split is two objects afterwards: one write makes the later half, and one ends the earlier.

use std::sync::Arc;

use model::Kind;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::change::{Change, OccurrenceChange};
use super::disk::DiskKind;
use super::fault::Honest;
use super::provider::{Layout, Quirks, SimProvider};
use super::setup::{Setup, Topology};
use super::step::ClientAct;
use super::time::mix;
use super::watch::{Detail, Violation};
use super::world::{MAIN, World};

/// Edits of one measured world.
const EDITS: u64 = 6;
/// Rounds in which nothing is to be written, after each edit.
const IDLE_ROUNDS: u64 = 2;
/// Rounds within which an edit has to be everywhere.
const ROUNDS: u64 = 12;

/// Edits that change one thing of one object.
const CHANGES: [Change; 12] = [
    Change::Name,
    Change::Text,
    Change::Place,
    Change::ClearPlace,
    Change::AddPerson,
    Change::DropPerson,
    Change::AddLabel,
    Change::DropLabel,
    Change::Move,
    Change::Occurrence(OccurrenceChange::Name),
    Change::Occurrence(OccurrenceChange::Move),
    Change::Occurrence(OccurrenceChange::Cancel),
];

/// An edit that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edit {
    /// It changes one thing.
    Change(Change),
    /// It splits a series: this and following.
    Split,
    /// It ends a series before its time.
    CutShort,
}

impl Edit {
    fn draw(random: &mut StdRng, at_provider: bool) -> Self {
        let change = CHANGES[random.random_range(0..CHANGES.len())];
        // Clients of providers make two edits of these.
        match random.random_range(0..6) {
            0 if !at_provider => Self::Split,
            1 if !at_provider => Self::CutShort,
            _ => Self::Change(change),
        }
    }

    /// What a client of the API does for it.
    const fn through_api(self) -> ClientAct {
        match self {
            Self::Change(change) => ClientAct::Edit {
                change,
                matched: false,
            },
            Self::Split => ClientAct::Following,
            Self::CutShort => ClientAct::CutShort,
        }
    }

    /// Whether a series has another shape afterwards: its changed occurrences move, or go.
    const fn reshapes(self) -> bool {
        match self {
            Self::Change(change) => matches!(change, Change::Move),
            Self::Split | Self::CutShort => true,
        }
    }
}

/// Writes at replicas, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    /// Replicas looked at, each once per edit.
    pub replicas: u64,
    /// Their writes in all.
    pub sum: u64,
    /// The most that one of them had.
    pub most: u64,
}

impl Writes {
    fn count(&mut self, writes: u64) {
        self.replicas += 1;
        self.sum += writes;
        self.most = self.most.max(writes);
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.replicas += other.replicas;
        self.sum += other.sum;
        self.most = self.most.max(other.most);
    }

    /// Writes per replica; zero when none was looked at.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.replicas == 0 {
            return 0.0;
        }
        self.sum as f64 / self.replicas as f64
    }
}

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Edits at a provider that changed something.
    pub at_providers: u64,
    /// Edits through the API that did.
    pub through_api: u64,
    /// Writes per edit at replicas other than the one that was edited.
    pub others: Writes,
    /// Writes per edit at the replica that was edited.
    pub author: Writes,
    /// Writes per edit that gave a series with changed occurrences another shape.
    pub reshaped: Writes,
    /// Writes per edit that split a series.
    pub split: Writes,
    /// Writes per edit that another provider rewrote by itself, minutes later: that counts as an edit of its own.
    pub rewritten: Writes,
    /// Idle rounds.
    pub idle_rounds: u64,
    /// Writes in them.
    pub idle_writes: u64,
    /// What must never be, and was.
    pub violations: Vec<Violation>,
}

impl Measured {
    /// Adds what was measured elsewhere.
    pub fn add(&mut self, other: Self) {
        self.at_providers += other.at_providers;
        self.through_api += other.through_api;
        self.others.add(other.others);
        self.author.add(other.author);
        self.reshaped.add(other.reshaped);
        self.split.add(other.split);
        self.rewritten.add(other.rewritten);
        self.idle_rounds += other.idle_rounds;
        self.idle_writes += other.idle_writes;
        self.violations.extend(other.violations);
    }
}

/// Each way of joining so many providers that there is: a pair of two, the others of three to five.
pub fn layouts() -> impl Iterator<Item = (Topology, usize)> {
    Topology::ALL.into_iter().flat_map(|topology| {
        let most = if topology == Topology::Pair { 2 } else { 5 };
        let least = if topology == Topology::Pair { 2 } else { 3 };
        (least..=most).map(move |providers| (topology, providers))
    })
}

/// Makes a world of this seed, lets it settle, and measures some edits, each until nothing is written any more.
#[must_use]
pub fn measure(seed: u64, topology: Topology, providers: usize, detail: Detail) -> (Measured, String) {
    let mut random = StdRng::seed_from_u64(mix(seed ^ 0x7090_1061));
    let setup = setup(&mut random, topology, providers);
    let mut world = World::new(seed, setup, DiskKind::Memory, detail, Arc::new(Honest));
    let mut measured = Measured::default();
    world.join();
    for at in 0..4 {
        world.put(random.random_range(0..providers), at % 2 == 0, random.random());
    }
    world.forget_notifications();
    world.sides.iter().for_each(|side| side.provider.calm());
    if world.settle() {
        for at in 0..EDITS {
            measured.edit(&mut world, at % 2 == 0, &mut random);
        }
    }
    measured.violations.extend(world.watch.notes().violations.clone());
    (measured, world.watch.trace())
}

fn setup(random: &mut StdRng, topology: Topology, providers: usize) -> Setup {
    let kind = if random.random_ratio(1, 4) {
        Kind::Contact
    } else {
        Kind::Event
    };
    Setup {
        kind,
        topology,
        providers: (0..providers).map(|_| Quirks::random(random, kind)).collect(),
        rule: conflict::Rule::LastWriter,
        skews_ms: vec![0],
        overlapping: false,
    }
}

/// What an edit cost at one replica.
struct Cost {
    edit: Edit,
    side: usize,
    /// Whether the edit was made there.
    is_author: bool,
    /// Changed occurrences of a series, at most.
    occurrences: u64,
    /// Times that other providers rewrote it afterwards, by themselves: each is an edit more, as far as anybody knows.
    rewrites: u64,
    writes: u64,
}

impl Measured {
    /// One edit, until it is everywhere and nothing moves.
    fn edit(&mut self, world: &mut World, at_provider: bool, random: &mut StdRng) {
        let edit = Edit::draw(random, at_provider);
        let pick = random.random();
        let before = Counts::of(world);
        let acts = world.watch.notes().oracle.acts();
        let author = at_provider.then(|| random.random_range(0..world.sides.len()));
        let shapes = world.sides[author.unwrap_or_default()].provider.contents(MAIN);
        match (author, edit) {
            (Some(side), Edit::Change(change)) => world.edit(side, pick, change),
            (Some(_), Edit::Split | Edit::CutShort) | (None, _) => {
                world.call(edit.through_api(), pick, false);
            }
        }
        if world.watch.notes().oracle.acts() == acts {
            return;
        }
        match author {
            Some(_) => self.at_providers += 1,
            None => self.through_api += 1,
        }
        for round in 0..ROUNDS {
            let sum = world.writes();
            world.round(round);
            // Somebody agrees where people would be mailed.
            let decided = world.decide(round);
            if world.writes() == sum && !decided && !world.is_dirty() {
                break;
            }
        }
        // Which object it was is not known: the one with the most changed occurrences bounds the others.
        let occurrences = shapes.values().map(|content| content.overrides.len());
        let occurrences = occurrences.max().unwrap_or_default() as u64;
        let what = format!(
            "{edit:?} {}",
            author.map_or_else(|| "through the API".to_owned(), |side| format!("at p{side}"))
        );
        let after = Counts::of(world);
        let rewrites = |side: usize| after.rewrites[side] - before.rewrites[side];
        let rewritten: u64 = (0..world.sides.len()).map(rewrites).sum();
        for side in 0..world.sides.len() {
            let cost = Cost {
                edit,
                side,
                is_author: author == Some(side),
                occurrences,
                rewrites: rewritten - rewrites(side),
                writes: after.writes[side] - before.writes[side],
            };
            self.judge(world, &cost, &what);
        }
        self.idle(world, &what);
    }

    fn judge(&mut self, world: &World, cost: &Cost, what: &str) {
        let quirks = world.sides[cost.side].provider.quirks();
        let reshapes = cost.edit.reshapes() && cost.occurrences > 0;
        let moved = if reshapes && quirks.layout != Layout::Whole {
            cost.occurrences
        } else {
            0
        };
        let others = world
            .sides
            .iter()
            .enumerate()
            .filter(|(side, _)| *side != cost.side);
        let names_itself = others.into_iter().any(|(_, side)| side.provider.quirks().own_uid);
        // Whoever wrote it has it already, also where others keep it in another form.
        let (counted, allowed) = match cost.edit {
            _ if cost.is_author => (&mut self.author, 0),
            // The later half is made, the earlier one ended; occurrences go from one to the other. Copies of the later
            // half that were made first are told the UID that its home gave it.
            Edit::Split => (&mut self.split, 2 + 2 * moved + u64::from(names_itself)),
            Edit::Change(_) | Edit::CutShort if reshapes => (&mut self.reshaped, 1 + moved),
            Edit::Change(_) | Edit::CutShort => (&mut self.others, 1),
        };
        let counted = match cost.rewrites {
            0 => counted,
            1.. => &mut self.rewritten,
        };
        counted.count(cost.writes);
        if cost.writes > allowed + cost.rewrites {
            let message = format!(
                "{what} was written {} times at p{}, with {:?}",
                cost.writes,
                cost.side,
                quirks.active()
            );
            world.watch.violate(2, message);
        }
    }

    fn idle(&mut self, world: &mut World, what: &str) {
        for round in 0..IDLE_ROUNDS {
            let before = world.writes();
            world.round(100 + round);
            let wrote = world.writes() - before;
            self.idle_rounds += 1;
            self.idle_writes += wrote;
            if wrote > 0 {
                world
                    .watch
                    .violate(2, format!("idle round {round} after {what} wrote {wrote} times"));
            }
        }
    }
}

/// What each provider has counted so far.
struct Counts {
    writes: Vec<u64>,
    rewrites: Vec<u64>,
}

impl Counts {
    fn of(world: &World) -> Self {
        let sides = || world.sides.iter().map(|side| &side.provider);
        Self {
            writes: sides().map(SimProvider::writes).collect(),
            rewrites: sides().map(SimProvider::rewrites).collect(),
        }
    }
}
