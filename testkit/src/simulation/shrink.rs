//! Shrinking: the fewest steps of a schedule that still break the same invariant.

use super::play::{Options, play};
use super::setup::Setup;
use super::watch::{Detail, Violation};

/// Plays that shrinking may cost.
const TRIES: usize = 600;

/// A schedule that breaks an invariant, with as few steps as were found to do it.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The steps that are left, by their place in the schedule.
    pub keep: Vec<usize>,
    /// The quirks that it does not need.
    pub without: Vec<String>,
    /// What they break.
    pub violation: Violation,
}

/// Leaves out whatever the violation does not need: halves first, then ever smaller pieces (delta debugging).
#[must_use]
pub fn shrink(seed: u64, options: &Options, violation: &Violation) -> Shrunk {
    let mut options = options.clone();
    let mut found = violation.clone();
    for quirk in Setup::of_seed(seed).quirks() {
        options.without.push(quirk.to_owned());
        match breaks(seed, &options, options.keep.as_deref(), violation.invariant) {
            Some(same) => found = same,
            None => drop(options.without.pop()),
        }
    }
    let mut keep: Vec<usize> = options
        .keep
        .clone()
        .unwrap_or_else(|| (0..options.steps).collect());
    let mut tries = TRIES;
    let mut piece = keep.len().div_ceil(2);
    while piece > 0 && tries > 0 {
        let mut at = 0;
        let mut smaller = false;
        while at < keep.len() && tries > 0 {
            let end = (at + piece).min(keep.len());
            let rest: Vec<usize> = keep[..at].iter().chain(&keep[end..]).copied().collect();
            tries -= 1;
            match breaks(seed, &options, Some(&rest), violation.invariant) {
                Some(same) => {
                    keep = rest;
                    found = same;
                    smaller = true;
                }
                None => at = end,
            }
        }
        if piece == 1 && !smaller {
            break;
        }
        piece = if piece == 1 { 1 } else { piece.div_ceil(2) };
    }
    Shrunk {
        keep,
        without: options.without,
        violation: found,
    }
}

/// The violation of this invariant when only these steps are taken.
fn breaks(seed: u64, options: &Options, keep: Option<&[usize]>, invariant: u8) -> Option<Violation> {
    let options = Options {
        keep: keep.map(<[usize]>::to_vec),
        detail: Detail::Silent,
        ..options.clone()
    };
    let played = play(seed, &options);
    played
        .violations
        .into_iter()
        .find(|violation| violation.invariant == invariant)
}
