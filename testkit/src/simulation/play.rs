//! Plays the schedule of a seed, and says what came of it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::disk::DiskKind;
use super::fault::{Honest, Plant};
use super::setup::Setup;
use super::step::{Step, schedule};
use super::time::BEGIN_MS;
use super::watch::{Detail, ENDLESS, Endless, Violation};
use super::world::World;

/// How schedules are played.
#[derive(Clone)]
pub struct Options {
    /// Steps of a schedule, before the closing rounds.
    pub steps: usize,
    /// Which store.
    pub disk: DiskKind,
    /// How much of it is written down.
    pub detail: Detail,
    /// The process dies after so many effects, and again after as many, until the schedule ends.
    pub crash_every: Option<u64>,
    /// The process dies once, after so many effects.
    pub crash_after: Option<u64>,
    /// Only these steps of the schedule are taken.
    pub keep: Option<Vec<usize>>,
    /// Quirks that no provider has, by name.
    pub without: Vec<String>,
    /// What stands between the engine and its ports.
    pub planted: Arc<dyn Plant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            steps: 200,
            disk: DiskKind::Memory,
            detail: Detail::Silent,
            crash_every: None,
            crash_after: None,
            keep: None,
            without: Vec::new(),
            planted: Arc::new(Honest),
        }
    }
}

/// What came of a schedule.
#[derive(Debug, Clone)]
pub struct Played {
    /// What must never be, and was. Empty when all is well.
    pub violations: Vec<Violation>,
    /// Steps that were taken.
    pub steps: u64,
    /// Calls at the ports.
    pub calls: u64,
    /// Commits and writes at providers.
    pub effects: u64,
    /// Those among them after which the process may die: all of the schedule's, none of its closing rounds'.
    pub crash_points: u64,
    /// How much time passed in the world, in milliseconds.
    pub simulated_ms: i64,
    /// The trace, if it was kept.
    pub trace: String,
}

/// Plays the schedule of a seed. A panic is a violation too.
#[must_use]
pub fn play(seed: u64, options: &Options) -> Played {
    let mut setup = Setup::of_seed(seed);
    let steps = schedule(seed, &setup, options.steps);
    for name in &options.without {
        setup = setup.without(name);
    }
    let played = catch_unwind(AssertUnwindSafe(|| play_in(seed, setup, &steps, options)));
    played.unwrap_or_else(|panic| Played::panicked(panic.as_ref()))
}

impl Played {
    fn panicked(panic: &(dyn Any + Send)) -> Self {
        let violation = if panic.is::<Endless>() {
            Violation {
                invariant: 2,
                message: format!("after {ENDLESS} calls of the ports it still goes on"),
            }
        } else {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Violation {
                invariant: 0,
                message: format!("it panicked: {}", text.unwrap_or("without a word")),
            }
        };
        Self {
            violations: vec![violation],
            steps: 0,
            calls: 0,
            effects: 0,
            crash_points: 0,
            simulated_ms: 0,
            trace: String::new(),
        }
    }
}

/// Plays a schedule in a setup.
#[must_use]
pub fn play_in(seed: u64, setup: Setup, steps: &[Step], options: &Options) -> Played {
    let mut world = World::new(seed, setup, options.disk, options.detail, options.planted.clone());
    world.join();
    let begun = world.watch.notes().effects;
    {
        let mut notes = world.watch.notes();
        let first = options.crash_after.or(options.crash_every);
        notes.crash_after = first.map(|after| begun + after);
        notes.crash_every = options.crash_every;
    }
    let mut taken = 0;
    for (at, step) in steps.iter().enumerate() {
        if options.keep.as_ref().is_some_and(|keep| !keep.contains(&at)) {
            continue;
        }
        world.watch.remark(|| format!("step {at}: {step:?}"));
        world.take(step);
        taken += 1;
        if !world.watch.notes().violations.is_empty() {
            break;
        }
    }
    let crash_points = world.watch.notes().effects - begun;
    world.watch.notes().crash_after = None;
    if world.watch.notes().violations.is_empty() {
        world.end();
    }
    let trace = world.watch.trace();
    let notes = world.watch.notes();
    Played {
        violations: notes.violations.clone(),
        steps: taken,
        calls: notes.calls,
        effects: notes.effects,
        crash_points,
        simulated_ms: world.time.now_ms() - BEGIN_MS,
        trace,
    }
}

impl World {
    /// Takes one step.
    fn take(&mut self, step: &Step) {
        match step {
            Step::Put { side, series, pick } => self.put(*side, *series, *pick),
            Step::Edit { side, pick, change } => self.edit(*side, *pick, *change),
            Step::Delete { side, pick } => self.delete(*side, *pick),
            Step::Restore { side, pick } => self.restore(*side, *pick),
            Step::Move { side, pick } => self.relocate(*side, *pick),
            Step::Client { pick, act, slowly } => self.call(*act, *pick, *slowly),
            Step::Work { turns, seed } => self.work(*turns, *seed),
            Step::Pass { ms, seed } => self.pass(*ms, *seed),
            Step::Trouble { side, fault } => self.sides[*side].provider.fail(*fault),
            Step::ForgetCursors { side } => self.sides[*side].provider.expire_cursors(),
            Step::Poison { side, pick, poisoned } => self.poison(*side, *pick, *poisoned),
            Step::Poll { side } => self.poll(*side),
            Step::Kill { node } => self.kill(*node),
            Step::Restart => self.restart(),
        }
    }

    fn poison(&self, side: usize, pick: u32, poisoned: bool) {
        if let Some((id, _)) = self.pick_object(side, super::world::MAIN, pick) {
            self.sides[side]
                .provider
                .poison(super::world::MAIN, &id, poisoned);
        }
    }
}
