//! Finding planted faults: the first schedule that breaks an invariant with the fault, and none without it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{PLANTS, Plant, Planted};
use crate::simulation::play::{Options, play};
use crate::simulation::watch::{Violation, name};

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

/// Hunts all planted faults, and writes what came of it as a table. `Err` when one was not found.
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
    let mut table =
        "| fault | the mistake | found by schedule | invariant |\n|---|---|---:|---|\n".to_owned();
    let mut missed = false;
    for planted in PLANTS {
        let outcome = match hunt(planted, options, first, seeds, threads) {
            Some(caught) => {
                let (schedules, seed, violation) = (caught.schedules, caught.seed, &caught.violation);
                tell(&format!("{}: seed {seed}: {violation}", planted.name));
                let number = violation.invariant;
                format!("{schedules} | {number} ({})", name(number))
            }
            None => {
                missed = true;
                tell(&format!("{}: not found within {seeds} schedules", planted.name));
                "not found | -".to_owned()
            }
        };
        let _ = writeln!(table, "| `{}` | {} | {outcome} |", planted.name, planted.mistake);
    }
    if missed { Err(table) } else { Ok(table) }
}
