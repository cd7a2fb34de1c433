//! Results, for people: rates, violations by invariant, and the one command that shows a failing seed again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::HumanCount;
use testkit::simulation::setup::Setup;
use testkit::simulation::watch::name;
use testkit::simulation::{DiskKind, Options, Shrunk, Violation, shrink};

use crate::arguments::{Run, STEPS};

/// Failing schedules that are shrunk; the others are only named.
const SHRUNK: usize = 3;
/// What an hour is in milliseconds.
const HOUR_MS: f64 = 3_600_000.0;

/// What many schedules came to.
pub(crate) struct Totals {
    begun: Instant,
    pub(crate) schedules: u64,
    steps: u64,
    calls: u64,
    simulated_ms: f64,
    /// The fewest operations of a schedule that was played to its end.
    fewest: Option<u64>,
    by_invariant: BTreeMap<u8, u64>,
    /// Failing schedules: the seed, how it was played, the first violation.
    pub(crate) failures: Vec<(u64, Options, Violation)>,
}

impl Totals {
    /// Nothing was played yet.
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            schedules: 0,
            steps: 0,
            calls: 0,
            simulated_ms: 0.0,
            fewest: None,
            by_invariant: BTreeMap::new(),
            failures: Vec::new(),
        }
    }

    /// So many schedules were played.
    pub(crate) fn add(&mut self, schedules: u64, steps: u64, calls: u64, simulated_ms: i64) {
        self.schedules += schedules;
        self.steps += steps;
        self.calls += calls;
        self.simulated_ms += simulated_ms as f64;
        let operations = (steps + calls).checked_div(schedules);
        self.fewest = self.fewest.into_iter().chain(operations).min();
    }

    /// One of them broke an invariant.
    pub(crate) fn fail(&mut self, seed: u64, options: Options, violation: Violation) {
        *self.by_invariant.entry(violation.invariant).or_default() += 1;
        self.failures.push((seed, options, violation));
    }

    /// Says what it came to. Whether all was well.
    pub(crate) fn print(mut self, what: &str, at_most: u64) -> bool {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let operations = self.steps + self.calls;
        println!();
        println!(
            "{} {what} in {}",
            HumanCount(self.schedules),
            lasting(self.begun.elapsed())
        );
        let rate = |label: &str, amount: f64| {
            println!(
                "  {label:<16} {:>14}   {:>10}/s",
                grouped(amount),
                decimal(amount / seconds)
            );
        };
        rate("schedules", self.schedules as f64);
        rate("operations", operations as f64);
        println!(
            "  {:<16} {:>14}   {:>10} at least",
            "  per schedule",
            grouped(operations as f64 / (self.schedules.max(1)) as f64),
            self.fewest
                .map(|fewest| HumanCount(fewest).to_string())
                .unwrap_or_default()
        );
        rate("simulated hours", self.simulated_ms / HOUR_MS);
        if self.failures.is_empty() {
            println!("  {:<16} {:>14}", "violations", "none");
            return true;
        }
        println!(
            "  {:<16} {:>14}",
            "failing",
            HumanCount(self.failures.len() as u64)
        );
        for (invariant, count) in &self.by_invariant {
            println!("    invariant {invariant:>2} {:<22} {count:>5}", name(*invariant));
        }
        self.failures.sort_by_key(|(seed, ..)| *seed);
        let seeds: Vec<String> = self.failures.iter().map(|(seed, ..)| seed.to_string()).collect();
        println!("  failing seeds: {}", seeds.join(", "));
        for (seed, options, violation) in self.failures.iter().take(SHRUNK) {
            explain(*seed, options, violation);
        }
        let failing = self.failures.len() as u64;
        if at_most > 0 {
            println!();
            println!("{failing} schedules fail; {at_most} may, as long as docs/proof.md names open findings");
        }
        failing <= at_most
    }
}

/// Shows one failing schedule: the message, the fewest steps that break the same invariant, the command.
pub(crate) fn explain(seed: u64, options: &Options, violation: &Violation) {
    println!();
    println!("seed {seed}: {violation}");
    println!("  shrinking ...");
    let shrunk = shrink(seed, options, violation);
    let mut quirks = Setup::of_seed(seed).quirks();
    quirks.retain(|quirk| !shrunk.without.iter().any(|name| name == quirk));
    let quirks: Vec<&str> = quirks.into_iter().collect();
    println!(
        "  {} of {} steps break it, with the quirks [{}]: {}",
        shrunk.keep.len(),
        options.keep.as_ref().map_or(options.steps, Vec::len),
        quirks.join(", "),
        shrunk.violation
    );
    println!("  again: {}", command(seed, options, &shrunk));
}

/// The command that plays a shrunk schedule again and tells what happens in it.
fn command(seed: u64, options: &Options, shrunk: &Shrunk) -> String {
    let mut words = vec![format!(
        "cargo run --release -p testkit --bin simulate -- --seed {seed}"
    )];
    let mut word = |asked: bool, text: String| {
        if asked {
            words.push(text);
        }
    };
    word(options.steps != STEPS, format!("--steps {}", options.steps));
    word(
        options.disk != DiskKind::Memory,
        format!("--store {}", options.disk.name()),
    );
    if let Some(after) = options.crash_after {
        word(true, format!("--crash-after {after}"));
    }
    if let Some(every) = options.crash_every {
        word(true, format!("--crash-every {every}"));
    }
    word(
        !shrunk.without.is_empty(),
        format!("--without {}", shrunk.without.join(",")),
    );
    let keep: Vec<String> = shrunk.keep.iter().map(ToString::to_string).collect();
    word(true, format!("--keep {}", keep.join(",")).trim_end().to_owned());
    word(true, "--story".to_owned());
    words.join(" ")
}

/// What is about to be done, so that it can be done again.
pub(crate) fn announce(run: &Run, what: &str) {
    let origin = run
        .origin
        .as_deref()
        .map(|origin| format!(" ({origin})"))
        .unwrap_or_default();
    println!(
        "{} {what} of {} steps on the {} store, first seed {}{origin}, {} threads",
        HumanCount(run.seeds.end - run.seeds.start),
        run.options.steps,
        run.options.disk.name(),
        run.seeds.start,
        run.threads
    );
}

fn lasting(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{} min {:02} s", seconds as u64 / 60, seconds as u64 % 60)
    }
}

fn grouped(amount: f64) -> String {
    HumanCount(amount.round() as u64).to_string()
}

fn decimal(amount: f64) -> String {
    if amount < 100.0 {
        format!("{amount:.1}")
    } else {
        grouped(amount)
    }
}
