//! Finding planted faults: the first schedule that breaks an invariant with the fault, and none without it.
//!
//! While the engine has faults of its own, any change of the order of things may bring one of them to light. So each
//! fault is compared with a placebo, which changes nothing but the order: the fault has to be found more often.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{PLANTS, Plant, Planted, placebo};
use crate::simulation::play::{Options, play};
use crate::simulation::watch::{Violation, name};

/// Schedules on which faults are compared with the placebo.
pub const SAMPLE: u64 = 60;

/// How a fault was found.
#[derive(Debug, Clone)]
pub struct Catch {
    /// The seed of the schedule.
    pub seed: u64,
    /// Schedules played up to it, this one included.
    pub schedules: u64,
    /// What it broke.
    pub violation: Violation,
}

/// Plays the schedules of so many seeds from `first` on until one breaks an invariant that the fault may break, and
/// none without it. Which one it is does not depend on the number of threads.
#[must_use]
pub fn hunt(planted: &Planted, options: &Options, first: u64, seeds: u64, threads: usize) -> Option<Catch> {
    let next = AtomicU64::new(first);
    let end = AtomicU64::new(first.saturating_add(seeds));
    let found: Mutex<Option<Catch>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let Some(violation) = breaks(planted, options, seed) else {
                        continue;
                    };
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    if found.as_ref().is_none_or(|found| seed < found.seed) {
                        end.fetch_min(seed, Ordering::Relaxed);
                        let schedules = seed - first + 1;
                        *found = Some(Catch {
                            seed,
                            schedules,
                            violation,
                        });
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What a schedule breaks because of the fault.
fn breaks(planted: &Planted, options: &Options, seed: u64) -> Option<Violation> {
    let found = played(Some((planted.plant)()), options, seed)
        .into_iter()
        .find(|violation| planted.breaks.contains(&violation.invariant))?;
    played(None, options, seed).is_empty().then_some(found)
}

fn played(plant: Option<Arc<dyn Plant>>, options: &Options, seed: u64) -> Vec<Violation> {
    let mut options = options.clone();
    options.planted = plant.unwrap_or(options.planted);
    play(seed, &options).violations
}

/// What the schedules of a sample break, in order of their seeds.
fn sample(
    plant: Option<fn() -> Arc<dyn Plant>>,
    options: &Options,
    first: u64,
    threads: usize,
) -> Vec<Vec<Violation>> {
    let next = AtomicU64::new(0);
    let all: Mutex<Vec<Vec<Violation>>> = Mutex::new(vec![Vec::new(); SAMPLE as usize]);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= SAMPLE {
                        return;
                    }
                    let violations = played(plant.map(|plant| plant()), options, first + at);
                    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    all[at as usize] = violations;
                }
            });
        }
    });
    all.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The schedules that break one of these invariants and are whole without what was planted, by their place.
fn broken<'a>(
    with: &'a [Vec<Violation>],
    honest: &'a [Vec<Violation>],
    invariants: &'a [u8],
) -> impl Iterator<Item = (u64, &'a Violation)> {
    let each = with.iter().zip(honest).zip(0..);
    each.filter(|((_, honest), _)| honest.is_empty())
        .filter_map(move |((with, _), at)| {
            let mut with = with.iter();
            Some((at, with.find(|one| invariants.contains(&one.invariant))?))
        })
}

/// Hunts all planted faults, and writes what came of it as a table. `Err` when one was not found, or not more often
/// than the placebo.
///
/// # Errors
/// The table, all the same.
pub fn hunt_all(
    options: &Options,
    first: u64,
    seeds: u64,
    threads: usize,
    mut tell: impl FnMut(&str),
) -> Result<String, String> {
    let honest = sample(None, options, first, threads);
    let control = sample(Some(placebo), options, first, threads);
    let sound = honest.iter().filter(|violations| violations.is_empty()).count();
    let mut table = format!(
        "| fault | the mistake | found by schedule | invariant | of {sound} sound schedules | placebo |\n\
         |---|---|---:|---|---:|---:|\n"
    );
    let mut missed = false;
    for planted in PLANTS {
        let with = sample(Some(planted.plant), options, first, threads);
        let mut found = broken(&with, &honest, planted.breaks);
        let earliest = found.next().map(|(at, violation)| Catch {
            seed: first + at,
            schedules: at + 1,
            violation: violation.clone(),
        });
        let times = usize::from(earliest.is_some()) + found.count();
        let idle = broken(&control, &honest, planted.breaks).count();
        let later = || {
            let rest = seeds.saturating_sub(SAMPLE);
            let caught = hunt(planted, options, first + SAMPLE, rest, threads)?;
            let schedules = caught.schedules + SAMPLE;
            Some(Catch { schedules, ..caught })
        };
        let caught = earliest.or_else(later).filter(|caught| caught.schedules <= seeds);
        let doubtful = times <= idle;
        missed |= doubtful || caught.is_none();
        let outcome = match &caught {
            Some(caught) => {
                let note = if doubtful { " (in doubt)" } else { "" };
                let (seed, violation) = (caught.seed, &caught.violation);
                tell(&format!("{}: seed {seed}: {violation}{note}", planted.name));
                let number = violation.invariant;
                format!("{}{note} | {number} {}", caught.schedules, name(number))
            }
            None => {
                tell(&format!("{}: not found within {seeds} schedules", planted.name));
                "not found | -".to_owned()
            }
        };
        let row = format!("| `{}` | {} | {outcome}", planted.name, planted.mistake);
        let _ = writeln!(table, "{row} | {times} | {idle} |");
    }
    if missed { Err(table) } else { Ok(table) }
}
