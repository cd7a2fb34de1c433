//! Planted faults: whether the checks find what is wrong.

use testkit::simulation::Options;
use testkit::simulation::fault::{Planted, hunt};

use crate::arguments::Run;

/// Hunts one fault. Whether it was found.
pub(crate) fn one(run: &Run, planted: &Planted) -> bool {
    println!("{}: {}", planted.name, planted.mistake);
    let (first, seeds) = (run.seeds.start, run.seeds.end - run.seeds.start);
    let Some(caught) = hunt::hunt(planted, &run.options, first, seeds, run.threads.get()) else {
        println!("not found within {seeds} schedules");
        return false;
    };
    println!(
        "found by schedule {}, seed {}: {}",
        caught.schedules, caught.seed, caught.violation
    );
    println!(
        "cargo run --release -p testkit --bin simulate -- --plant {} --seed {} --story",
        planted.name, caught.seed
    );
    true
}

/// Hunts all faults, and prints a table of what found them. Whether each was found, by an invariant that it breaks.
pub(crate) fn all(run: &Run) -> bool {
    let (first, seeds) = (run.seeds.start, run.seeds.end - run.seeds.start);
    let options: &Options = &run.options;
    let told = hunt::hunt_all(options, first, seeds, run.threads.get(), |line| {
        eprintln!("{line}")
    });
    let (table, found) = match told {
        Ok(table) => (table, true),
        Err(table) => (table, false),
    };
    print!("{table}");
    found
}
