//! The crash sweep: one schedule, played again for every point at which its process may die.

use super::play::{Options, Played, play};
use super::watch::Violation;

/// Distances between deaths, in effects, when the process dies again and again.
pub const PERIODS: [u64; 6] = [1, 2, 3, 5, 11, 29];

/// When the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Never.
    Never,
    /// Once, after so many effects of the schedule.
    After(u64),
    /// Again and again, after so many.
    Every(u64),
}

impl Death {
    /// The options with which a schedule is played that has this death in it.
    #[must_use]
    pub fn in_options(self, options: &Options) -> Options {
        let (after, every) = match self {
            Self::Never => (None, None),
            Self::After(effects) => (Some(effects), None),
            Self::Every(effects) => (None, Some(effects)),
        };
        Options {
            crash_after: after,
            crash_every: every,
            ..options.clone()
        }
    }
}

/// What came of a sweep.
#[derive(Debug, Clone, Default)]
pub struct Swept {
    /// Schedules in which the process died once.
    pub points: u64,
    /// Schedules in which it died again and again.
    pub periods: u64,
    /// Steps of all of them.
    pub steps: u64,
    /// Calls at the ports in all of them.
    pub calls: u64,
    /// Time that passed in all of them, in milliseconds.
    pub simulated_ms: i64,
    /// The first death after which something was that must never be.
    pub failure: Option<(Death, Violation)>,
}

impl Swept {
    fn note(&mut self, death: Death, played: Played) -> bool {
        match death {
            Death::Never => {}
            Death::After(_) => self.points += 1,
            Death::Every(_) => self.periods += 1,
        }
        self.steps += played.steps;
        self.calls += played.calls;
        self.simulated_ms += played.simulated_ms;
        let first = played.violations.into_iter().next();
        self.failure = first.map(|violation| (death, violation));
        self.failure.is_none()
    }
}

/// Plays the schedule of a seed once undisturbed, then once for each of its effects with a death after it, then with
/// deaths in each of the [`PERIODS`]. After each the schedule goes on from the store, and everything is checked as
/// always. It ends at the first violation.
#[must_use]
pub fn sweep(seed: u64, options: &Options) -> Swept {
    let mut swept = Swept::default();
    let undisturbed = play(seed, &Death::Never.in_options(options));
    let points = undisturbed.crash_points;
    if !swept.note(Death::Never, undisturbed) {
        return swept;
    }
    let once = (1..=points).map(Death::After);
    for death in once.chain(PERIODS.map(Death::Every)) {
        if !swept.note(death, play(seed, &death.in_options(options))) {
            break;
        }
    }
    swept
}
