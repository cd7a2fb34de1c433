//! The engine, explored exhaustively: two providers, one record, and every way in which a bounded amount of trouble
//! can meet it.
//!
//! This is no retelling: every transition runs the real [`sync::Engine`] on the real store in memory. A state is the
//! world between two jobs, or a job together with what happened meanwhile and at which of its steps (a step is one
//! call of a port). A script of such events determines a run entirely, so that exploring the scripts explores the
//! runs. People edit and delete at both providers and through the API; the process dies after any step that had an
//! effect; the answer to any write is lost; any write arrives late or never.
//!
//! What it leaves out:
//! - An event is placed only before a step that can tell: an edit at a provider before a call of that provider, an
//!   edit through the API before a step that reads or writes the record or its links. Anywhere else it comes to the
//!   same as at the next such step.
//! - Jobs of the two connections overlap in one way only: a whole job of the one between two steps of the other. Two
//!   jobs of one connection never overlap (that is the queue's promise), and leases and fences are not modelled.
//! - The next page is asked for when the last one is committed, and every pull is one page.
//! - Every run begins after every pause that the engine takes. Between two jobs, what only serves as a lock
//!   (revisions), and what decides nothing here (times, field clocks, tries), does not tell states apart.
//! - The providers are the kindest there are: versions, client-chosen ids, tombstones. The simulator has the others.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test's helpers fail the test, and the size of what was explored is part of the result"
)]

mod broken;
mod deeds;
mod found;
mod gate;
mod model;
mod ports;
mod remote;
mod shelf;
mod world;

use stateright::{Checker as _, Expectation, HasDiscoveries, Model as _};

use broken::Broken;
use deeds::What;
use model::Bounds;
use world::Trouble;

pub(crate) const NO_TROUBLE: Trouble = Trouble {
    deeds: 0,
    crashes: 0,
    losses: 0,
    expiries: 0,
    overlaps: 0,
};

pub(crate) fn bounds(trouble: Trouble) -> Bounds {
    Bounds {
        trouble,
        habits: &[What::Title, What::Delete],
        broken: Broken::Nothing,
    }
}

/// Explores all there is, prints how much that was, and fails with the shortest way to whatever is wrong.
fn explore(bounds: Bounds) {
    let trouble = bounds.trouble;
    let checker = bounds.checker().threads(2).spawn_bfs().join();
    println!(
        "{trouble:?}: {} unique states, {} transitions, depth {}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth()
    );
    let (met, found): (Vec<_>, Vec<_>) = checker
        .discoveries()
        .into_iter()
        .partition(|(name, _)| checker.model().property(name).expectation == Expectation::Sometimes);
    let found: Vec<String> = found
        .into_iter()
        .map(|(name, path)| {
            let violations = path.last_state().world().violations.clone();
            let way: Vec<String> = path
                .into_actions()
                .iter()
                .map(|action| format!("{action:?}"))
                .collect();
            format!("{name}\n  {violations:?}\n  {}", way.join("\n  "))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let expected = checker.model().properties();
    for property in expected
        .iter()
        .filter(|property| property.expectation == Expectation::Sometimes)
    {
        let was_met = met.iter().any(|(name, _)| *name == property.name);
        assert!(was_met, "the exploration never met {}", property.name);
    }
}

/// Whether the larger bounds are explored too: minutes instead of seconds.
fn full() -> bool {
    std::env::var_os("CONCORD_FULL").is_some()
}

#[test]
fn one_deed_one_crash_and_one_lost_answer_break_no_promise() {
    explore(bounds(Trouble {
        deeds: 1,
        crashes: 1,
        losses: 1,
        ..NO_TROUBLE
    }));
}

#[test]
fn two_deeds_at_any_two_moments_break_no_promise() {
    explore(bounds(Trouble {
        deeds: 2,
        ..NO_TROUBLE
    }));
}

#[test]
fn a_lost_cursor_breaks_no_promise() {
    explore(bounds(Trouble {
        deeds: 1,
        crashes: full().into(),
        expiries: 1,
        ..NO_TROUBLE
    }));
}

#[test]
fn taking_a_record_apart_breaks_no_promise() {
    explore(Bounds {
        habits: PARTING,
        ..bounds(Trouble {
            deeds: 1 + u8::from(full()),
            losses: 1,
            ..NO_TROUBLE
        })
    });
}

pub(crate) const PARTING: &[What] = &[What::Title, What::Delete, What::Part];

/// Only at full size: minutes each.
fn explore_in_full(bounds: Bounds) {
    if full() {
        explore(bounds);
    } else {
        println!("skipped: CONCORD_FULL is not set");
    }
}

const TWO_DEEDS: Trouble = Trouble {
    deeds: 2,
    ..NO_TROUBLE
};

#[test]
fn proof_two_deeds_on_two_fields() {
    explore_in_full(Bounds {
        habits: &[What::Title, What::Location, What::Delete],
        ..bounds(TWO_DEEDS)
    });
}

#[test]
fn proof_two_deeds_and_a_crash() {
    explore_in_full(bounds(Trouble {
        crashes: 1,
        ..TWO_DEEDS
    }));
}

#[test]
fn proof_two_deeds_and_a_lost_answer() {
    explore_in_full(bounds(Trouble {
        losses: 1,
        ..TWO_DEEDS
    }));
}

#[test]
fn proof_a_deed_while_two_jobs_overlap() {
    explore_in_full(bounds(Trouble {
        deeds: 1,
        overlaps: 1,
        ..NO_TROUBLE
    }));
}

/// A checker that is to be believed finds the fault in a world that has one.
fn finds(broken: Broken, trouble: Trouble, promise: &'static str) {
    let habits = if broken == Broken::NoWriterLock {
        PARTING
    } else {
        bounds(trouble).habits
    };
    let bounds = Bounds {
        broken,
        habits,
        ..bounds(trouble)
    };
    let checker = bounds
        .checker()
        .threads(2)
        .finish_when(HasDiscoveries::AllOf([promise].into()))
        .spawn_bfs()
        .join();
    let found: Vec<&str> = checker.discoveries().into_keys().collect();
    println!(
        "{broken:?}: {found:?} in {} unique states",
        checker.unique_state_count()
    );
    assert!(found.contains(&promise), "{broken:?} breaks {found:?}");
}

#[test]
fn a_write_without_an_intent_is_found_out() {
    let trouble = Trouble {
        crashes: 1,
        ..NO_TROUBLE
    };
    finds(Broken::NoIntent, trouble, "8 effectively once");
}

#[test]
fn a_record_taken_apart_during_a_write_is_found_out() {
    let trouble = Trouble {
        deeds: 1,
        ..NO_TROUBLE
    };
    finds(Broken::NoWriterLock, trouble, "8 effectively once");
}

#[test]
fn an_unconditional_write_is_found_out() {
    let trouble = Trouble {
        deeds: 2,
        ..NO_TROUBLE
    };
    finds(Broken::Unconditional, trouble, "9 no stale write");
}

#[test]
fn a_forgotten_tombstone_is_found_out() {
    let trouble = Trouble {
        deeds: 1,
        ..NO_TROUBLE
    };
    finds(Broken::ForgottenTombstone, trouble, "4 no resurrection");
}

#[test]
fn a_cursor_that_runs_ahead_of_its_page_is_found_out() {
    let trouble = Trouble {
        deeds: 1,
        crashes: 1,
        ..NO_TROUBLE
    };
    finds(Broken::CursorFirst, trouble, "3 no lost update");
}

#[test]
fn an_outcome_recorded_before_its_write_is_found_out() {
    let trouble = Trouble {
        deeds: 1,
        crashes: 1,
        ..NO_TROUBLE
    };
    finds(Broken::OutcomeFirst, trouble, "1 convergence");
}
