//! The checks can fail: planted faults are found. `CONCORD_FULL=1` hunts all of them, as
//! `cargo run --release -p testkit --bin simulate -- --plants --seeds 2000` does.

use testkit::simulation::Options;
use testkit::simulation::fault::{PLANTS, hunt, named};

/// Every fault has to be found within so many schedules.
const SEEDS: u64 = 2_000;

/// Faults of all ports that few schedules find.
const FAST: &[&str] = &[
    "no-touch",
    "no-complement",
    "no-base",
    "unconditional",
    "mails",
    "poison-stops-page",
];

#[track_caller]
fn is_found(name: &str) {
    let planted = named(name).unwrap_or_else(|| panic!("there is no fault `{name}`"));
    let caught = hunt::hunt(planted, &Options::default(), 0, SEEDS, 2);
    let caught = caught.unwrap_or_else(|| panic!("`{name}` was not found within {SEEDS} schedules"));
    assert!(
        planted.breaks.contains(&caught.violation.invariant),
        "`{name}` was found by something else: {}",
        caught.violation
    );
}

#[test]
fn planted_faults_are_found() {
    FAST.iter().for_each(|name| is_found(name));
}

#[test]
fn every_planted_fault_is_found() {
    if std::env::var_os("CONCORD_FULL").is_none_or(|value| value != "1") {
        return;
    }
    PLANTS.iter().for_each(|planted| is_found(planted.name));
}

#[test]
fn there_are_faults_enough_and_each_has_its_own_name() {
    assert!(PLANTS.len() >= 20);
    for (at, planted) in PLANTS.iter().enumerate() {
        assert!(!planted.breaks.is_empty(), "{}", planted.name);
        let same = PLANTS.iter().position(|other| other.name == planted.name);
        assert_eq!(same, Some(at));
    }
}

#[test]
fn which_schedule_finds_a_fault_depends_on_no_thread() {
    let planted = named("no-touch").unwrap();
    let catches = [1, 2].map(|threads| hunt::hunt(planted, &Options::default(), 0, SEEDS, threads));
    let seeds = catches.map(|caught| caught.map(|caught| (caught.seed, caught.schedules)));
    assert!(seeds[0].is_some());
    assert_eq!(seeds[0], seeds[1]);
}
