//! The deterministic simulator, for everyone: `cargo run --release -p testkit --bin simulate -- --help`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use testkit::simulation::{Detail, DiskKind, Options, play, shrink};

/// Plays random schedules against the real engine, and checks the design's seventeen invariants.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many schedules.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// One schedule alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Steps of a schedule.
    #[arg(long, default_value_t = 200)]
    steps: usize,
    /// `memory` or `sqlite`.
    #[arg(long, default_value = "memory")]
    store: String,
    /// Prints the trace of `--seed`.
    #[arg(long)]
    trace: bool,
    /// Prints what happened, in short.
    #[arg(long)]
    story: bool,
    /// Only these steps, by their place: what a shrunk schedule prints.
    #[arg(long, value_delimiter = ',')]
    keep: Option<Vec<usize>>,
    /// Quirks that no provider has, by name; `all` for none but the layout of series.
    #[arg(long, value_delimiter = ',')]
    without: Vec<String>,
    /// Threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        steps: arguments.steps,
        disk: if arguments.store == "sqlite" {
            DiskKind::Sqlite
        } else {
            DiskKind::Memory
        },
        detail: if arguments.trace {
            Detail::Trace
        } else if arguments.story {
            Detail::Story
        } else {
            Detail::Silent
        },
        keep: arguments.keep.clone(),
        without: if arguments.without == ["all"] {
            let names = testkit::simulation::provider::Quirks::NAMES.iter();
            names
                .filter(|name| **name != "layout")
                .map(|name| (*name).to_owned())
                .collect()
        } else {
            arguments.without.clone()
        },
        ..Options::default()
    };
    let (first, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.first, arguments.seeds),
    };
    let next = AtomicU64::new(first);
    let stop = AtomicBool::new(false);
    let failed: Mutex<Vec<u64>> = Mutex::new(Vec::new());
    let (steps, calls, time) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let played = play(seed, &options);
                    steps.fetch_add(played.steps, Ordering::Relaxed);
                    calls.fetch_add(played.calls, Ordering::Relaxed);
                    time.fetch_add(played.simulated_ms as u64, Ordering::Relaxed);
                    if arguments.trace || arguments.story {
                        println!("{}", played.trace);
                    }
                    if !played.violations.is_empty() {
                        let mut failed = failed.lock().unwrap();
                        println!("seed {seed}: {}", played.violations[0]);
                        failed.push(seed);
                        if failed.len() >= 60 {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    let played = next.load(Ordering::Relaxed).min(first + count) - first;
    println!(
        "{played} schedules in {seconds:.1} s: {:.1}/s, {:.0} steps/s, {:.0} calls/s, {:.0} simulated hours/s",
        played as f64 / seconds,
        steps.load(Ordering::Relaxed) as f64 / seconds,
        calls.load(Ordering::Relaxed) as f64 / seconds,
        time.load(Ordering::Relaxed) as f64 / 3_600_000.0 / seconds,
    );
    let mut failed = failed.into_inner().unwrap();
    failed.sort_unstable();
    if let (Some(seed), None) = (failed.first(), &arguments.keep) {
        let played = play(*seed, &options);
        if let Some(violation) = played.violations.first() {
            let shrunk = shrink(*seed, &options, violation);
            let keep: Vec<String> = shrunk.keep.iter().map(ToString::to_string).collect();
            let mut needs = testkit::simulation::setup::Setup::of_seed(*seed).quirks();
            needs.retain(|quirk| !shrunk.without.iter().any(|name| name == quirk));
            println!("needs {needs:?}");
            println!("shrunk to {} steps: {}", keep.len(), shrunk.violation);
            println!(
                "cargo run --release -p testkit --bin simulate -- --seed {seed} --keep {} --without {} --story",
                keep.join(","),
                shrunk.without.join(",")
            );
        }
    }
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
