//! The schedule: what happens, one step after another. All of it follows from the seed, and any of it can be left out.

use model::Kind;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::change::{Change, WEIGHTS};
use super::provider::Fault;
use super::setup::Setup;
use super::time::mix;

/// One step. `pick` chooses among whatever is there when the step is taken.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Somebody makes something at a provider.
    Put {
        /// Where.
        side: usize,
        /// Whether it is a series.
        series: bool,
        /// How it looks.
        pick: u32,
    },
    /// Somebody changes something at a provider.
    Edit {
        /// Where.
        side: usize,
        /// What.
        pick: u32,
        /// How.
        change: Change,
    },
    /// Somebody deletes something at a provider.
    Delete {
        /// Where.
        side: usize,
        /// What.
        pick: u32,
    },
    /// Somebody takes a delete back at a provider.
    Restore {
        /// Where.
        side: usize,
        /// What.
        pick: u32,
    },
    /// Somebody moves something to the provider's other collection, or back.
    Move {
        /// Where.
        side: usize,
        /// What.
        pick: u32,
    },
    /// A client of the API does something.
    Client {
        /// What.
        pick: u32,
        /// How.
        act: ClientAct,
        /// Whether its transactions fall between those of the nodes.
        slowly: bool,
    },
    /// The nodes work: so many turns, in an order that follows from the seed.
    Work {
        /// How many.
        turns: u32,
        /// Which.
        seed: u64,
    },
    /// Time passes: leases run out, notifications and polls come due.
    Pass {
        /// Milliseconds.
        ms: i64,
        /// In which order what is due arrives.
        seed: u64,
    },
    /// A provider will make trouble.
    Trouble {
        /// Which.
        side: usize,
        /// How.
        fault: Fault,
    },
    /// A provider forgets all cursors that it gave.
    ForgetCursors {
        /// Which.
        side: usize,
    },
    /// A provider's object can no longer be understood, or can again.
    Poison {
        /// Where.
        side: usize,
        /// What.
        pick: u32,
        /// Whether it can no longer be understood.
        poisoned: bool,
    },
    /// A connection is asked to sync.
    Poll {
        /// Which.
        side: usize,
    },
    /// A node dies between two turns.
    Kill {
        /// Which.
        node: usize,
    },
    /// The process is killed and started again; only the store is left.
    Restart,
}

/// What a client of the API does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAct {
    /// Makes something in a provider's collection.
    Create {
        /// Whose.
        side: usize,
    },
    /// Changes something; on the version that it read, or whatever the version is.
    Edit {
        /// How.
        change: Change,
        /// Whether the version is named.
        matched: bool,
    },
    /// Deletes something.
    Delete,
    /// Changes an occurrence and all that follow.
    Following,
    /// Deletes an occurrence and all that follow.
    CutShort,
    /// Changes a whole series through one of its occurrences.
    Whole,
    /// Decides a conflict, or decides it anew.
    Resolve {
        /// For the hub's value.
        hub: bool,
    },
    /// Tries a refused write again.
    Retry,
    /// Gives a refused write up.
    Revert,
}

/// The schedule of a seed.
#[must_use]
pub fn schedule(seed: u64, setup: &Setup, count: usize) -> Vec<Step> {
    let mut random = StdRng::seed_from_u64(mix(seed));
    let mut steps = Vec::with_capacity(count);
    for at in 0..count {
        // Something has to be there before it can be changed.
        let first = at < 4;
        steps.push(if first {
            put(&mut random, setup)
        } else {
            step(&mut random, setup)
        });
    }
    steps
}

fn put(random: &mut StdRng, setup: &Setup) -> Step {
    Step::Put {
        side: random.random_range(0..setup.providers.len()),
        series: random.random_bool(0.4),
        pick: random.random(),
    }
}

fn step(random: &mut StdRng, setup: &Setup) -> Step {
    let side = random.random_range(0..setup.providers.len());
    let pick = random.random();
    match random.random_range(0..1000) {
        0..=29 => put(random, setup),
        30..=289 => Step::Edit {
            side,
            pick,
            change: change(random, setup.kind),
        },
        290..=324 => Step::Delete { side, pick },
        325..=334 => Step::Restore { side, pick },
        335..=344 => Step::Move { side, pick },
        345..=499 => Step::Client {
            pick,
            act: client_act(random, setup, side),
            slowly: random.random_bool(0.3),
        },
        500..=749 => Step::Work {
            turns: *pick_of(random, &[3, 10, 25, 60, 150]),
            seed: random.random(),
        },
        750..=859 => Step::Pass {
            ms: *pick_of(
                random,
                &[100, 1_000, 5_000, 20_000, 61_000, 300_000, 900_000, 7_200_000],
            ),
            seed: random.random(),
        },
        860..=934 => Step::Trouble {
            side,
            fault: Fault::random(random),
        },
        935..=949 => Step::ForgetCursors { side },
        950..=959 => Step::Poison {
            side,
            pick,
            poisoned: random.random_bool(0.5),
        },
        960..=979 => Step::Poll { side },
        980..=994 => Step::Kill {
            node: random.random_range(0..setup.skews_ms.len()),
        },
        _ => Step::Restart,
    }
}

fn pick_of<'a, T>(random: &mut StdRng, of: &'a [T]) -> &'a T {
    &of[random.random_range(0..of.len())]
}

fn change(random: &mut StdRng, kind: Kind) -> Change {
    loop {
        let total = WEIGHTS.iter().map(|(_, weight)| weight).sum();
        let mut at = random.random_range(0..total);
        for (change, weight) in WEIGHTS {
            if at >= weight {
                at -= weight;
                continue;
            }
            let of_events = matches!(change, Change::Move | Change::Count | Change::Occurrence(_));
            if kind == Kind::Event || !of_events {
                return change;
            }
            break;
        }
    }
}

fn client_act(random: &mut StdRng, setup: &Setup, side: usize) -> ClientAct {
    match random.random_range(0..100) {
        0..=11 => ClientAct::Create { side },
        12..=19 => ClientAct::Delete,
        20..=25 if setup.kind == Kind::Event => ClientAct::Following,
        26..=28 if setup.kind == Kind::Event => ClientAct::CutShort,
        29..=31 if setup.kind == Kind::Event => ClientAct::Whole,
        32..=41 => ClientAct::Resolve {
            hub: random.random_bool(0.5),
        },
        42..=45 => ClientAct::Retry,
        46..=47 => ClientAct::Revert,
        _ => ClientAct::Edit {
            change: change(random, setup.kind),
            matched: random.random_bool(0.3),
        },
    }
}
