//! What the command is asked for, and whether that can be done.

use std::num::NonZeroUsize;
use std::ops::Range;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::{Parser, ValueEnum};
use testkit::simulation::fault::{self, Planted};
use testkit::simulation::provider::Quirks;
use testkit::simulation::{Detail, DiskKind, Options};

/// The variable that names the commit where there is no git.
const COMMIT: &str = "CONCORD_COMMIT";
/// The digits of a commit's hash that make its first seed.
const SEED_DIGITS: usize = 12;
/// Steps of a schedule unless something else is asked for.
pub(crate) const STEPS: usize = 200;

/// Plays random schedules against the real engine, and checks the design's seventeen invariants.
///
/// Simulated providers with the oddities of real ones, people who edit on every side and through the API, nodes that
/// die, answers that get lost: all of it follows from a number, the seed. docs/proof.md says what this shows.
#[derive(Debug, Parser)]
#[command(name = "simulate", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// How many schedules
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "seed")]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0, conflicts_with_all = ["seed", "from_commit"])]
    first: u64,
    /// Take the first seed from the commit that is checked out, or that CONCORD_COMMIT names
    #[arg(long, conflicts_with = "seed")]
    from_commit: bool,
    /// One schedule alone
    #[arg(long)]
    seed: Option<u64>,
    /// Steps of a schedule, before its closing rounds
    #[arg(long, default_value_t = STEPS)]
    steps: usize,
    /// Which store
    #[arg(long, value_enum, default_value_t = Store::Memory)]
    store: Store,
    /// Threads; as many as there are cores unless given
    #[arg(long)]
    threads: Option<NonZeroUsize>,
    /// Stop after so many failing seeds
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    failures: u64,
    /// Succeed with so many failing schedules of a thousand: what docs/proof.md says is still open
    #[arg(long, default_value_t = 0, value_name = "PER_THOUSAND", conflicts_with_all = ["seed", "failures"])]
    at_most: u64,

    /// Only these steps of --seed, by their place: what a shrunk schedule prints
    #[arg(long, value_delimiter = ',', num_args = 0.., requires = "seed")]
    keep: Option<Vec<usize>>,
    /// Quirks that no provider has, by name; `all` for none but the layout of series
    #[arg(long, value_delimiter = ',', value_name = "QUIRKS")]
    without: Vec<String>,
    /// Print what happened in --seed, in short
    #[arg(long, requires = "seed")]
    story: bool,
    /// Print every call of --seed at a port, with its answer
    #[arg(long, requires = "seed", conflicts_with = "story")]
    trace: bool,

    /// The process dies after every so many effects
    #[arg(long, value_name = "EFFECTS", value_parser = clap::value_parser!(u64).range(1..))]
    crash_every: Option<u64>,
    /// The process dies once, after so many effects
    #[arg(long, value_name = "EFFECTS", value_parser = clap::value_parser!(u64).range(1..))]
    crash_after: Option<u64>,

    /// Play each schedule once for every effect after which its process may die
    #[arg(long, conflicts_with_all = ["crash_every", "crash_after", "keep", "story", "trace"])]
    sweep: bool,
    /// Measure writes per edit and idle writes for each way of joining providers, so many worlds each
    #[arg(long, conflicts_with_all = ["sweep", "crash_every", "crash_after", "keep", "without"])]
    topologies: bool,

    /// Plant this fault between the engine and its ports, and stop at the first schedule that shows it
    #[arg(long, value_name = "FAULT", conflicts_with_all = ["sweep", "topologies", "plants"])]
    plant: Option<String>,
    /// Plant each fault in turn, and print what found it
    #[arg(long, conflicts_with_all = ["sweep", "topologies", "seed"])]
    plants: bool,
}

const EXAMPLES: &str = "Examples:
  simulate --seeds 10000                ten thousand schedules on the store in memory
  simulate --seeds 200 --store sqlite   the same on SQLite
  simulate --seed 42 --story            what happens in one of them
  simulate --sweep --seeds 20           the process dies at every point of twenty schedules
  simulate --topologies --seeds 200     how many writes an edit costs
  simulate --plants --seeds 2000        whether faults are found that are planted";

/// A store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    /// The store in memory: for speed.
    Memory,
    /// SQLite in a file, closed and opened again at each crash: for truth.
    Sqlite,
    /// PostgreSQL, a private server
    Postgres,
}

/// What is to be done.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    One,
    Many,
    Sweep,
    Topologies,
    Plant(&'static Planted),
    Plants,
}

/// What is to be done, in full.
pub(crate) struct Run {
    pub(crate) mode: Mode,
    pub(crate) seeds: Range<u64>,
    /// Where the first seed comes from, when it was not given as a number.
    pub(crate) origin: Option<String>,
    pub(crate) threads: NonZeroUsize,
    /// Failing seeds after which it stops.
    pub(crate) failures: u64,
    /// Failing schedules that are no failure of the whole.
    pub(crate) at_most: u64,
    pub(crate) options: Options,
}

impl Arguments {
    /// What is asked for.
    ///
    /// # Errors
    /// A quirk that does not exist, or a commit that cannot be read.
    pub(crate) fn run(&self) -> anyhow::Result<Run> {
        let planted = self.plant.as_deref().map(fault_named).transpose()?;
        let mode = match (self.sweep, self.topologies, self.seed, planted) {
            (true, ..) => Mode::Sweep,
            (_, true, ..) => Mode::Topologies,
            (_, _, Some(_), _) => Mode::One,
            (_, _, None, Some(planted)) => Mode::Plant(planted),
            (_, _, None, None) if self.plants => Mode::Plants,
            (_, _, None, None) => Mode::Many,
        };
        let (first, origin) = self.first_seed()?;
        let count = if self.seed.is_some() { 1 } else { self.seeds };
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let end = first
            .checked_add(count)
            .context("the last seed would be beyond what a number can say")?;
        Ok(Run {
            mode,
            seeds: first..end,
            origin,
            threads: self.threads.unwrap_or(cores),
            failures: if self.at_most == 0 {
                self.failures
            } else {
                u64::MAX
            },
            at_most: self.at_most.saturating_mul(count) / 1_000,
            options: self.options(planted)?,
        })
    }

    fn options(&self, planted: Option<&Planted>) -> anyhow::Result<Options> {
        let honest = Options::default();
        // A hunt plants by itself: it compares with what happens without the fault.
        let planted = planted.filter(|_| self.seed.is_some());
        Ok(Options {
            planted: planted.map_or(honest.planted, |planted| (planted.plant)()),
            steps: self.steps,
            disk: match self.store {
                Store::Memory => DiskKind::Memory,
                Store::Sqlite => DiskKind::Sqlite,
                Store::Postgres => DiskKind::Postgres,
            },
            detail: if self.trace {
                Detail::Trace
            } else if self.story {
                Detail::Story
            } else {
                Detail::Silent
            },
            crash_every: self.crash_every,
            crash_after: self.crash_after,
            keep: self.keep.clone(),
            without: quirks(&self.without)?,
        })
    }

    fn first_seed(&self) -> anyhow::Result<(u64, Option<String>)> {
        if let Some(seed) = self.seed {
            return Ok((seed, None));
        }
        if !self.from_commit {
            return Ok((self.first, None));
        }
        let commit = commit()?;
        let seed = seed_of(&commit)?;
        Ok((seed, Some(format!("from commit {commit}"))))
    }
}

fn fault_named(name: &str) -> anyhow::Result<&'static Planted> {
    fault::named(name).with_context(|| {
        let names: Vec<&str> = fault::PLANTS.iter().map(|planted| planted.name).collect();
        format!(
            "there is no fault `{name}` to plant; there are: {}",
            names.join(", ")
        )
    })
}

/// The quirks of these names.
fn quirks(names: &[String]) -> anyhow::Result<Vec<String>> {
    let known = Quirks::NAMES;
    if names == ["all"] {
        // Without its layout a provider is no other one: series have to be laid out somehow.
        let all = known.iter().filter(|name| **name != "layout");
        return Ok(all.map(|name| (*name).to_owned()).collect());
    }
    let names: Vec<String> = names.iter().filter(|name| !name.is_empty()).cloned().collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!(
            "no provider has a quirk named {unknown}; there are: all, {}",
            known.join(", ")
        );
    }
    Ok(names)
}

fn commit() -> anyhow::Result<String> {
    if let Ok(commit) = std::env::var(COMMIT)
        && !commit.trim().is_empty()
    {
        return Ok(commit.trim().to_owned());
    }
    let advice = || format!("--from-commit needs a git checkout; elsewhere name the commit in {COMMIT}");
    let output = Command::new("git")
        .args(["rev-parse", "HEAD"])
        .output()
        .with_context(advice)?;
    ensure!(
        output.status.success(),
        "{}: {}",
        advice(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The first seed of a commit: its hash's first digits.
fn seed_of(commit: &str) -> anyhow::Result<u64> {
    let digits = commit.get(..SEED_DIGITS);
    let seed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    seed.with_context(|| {
        format!("{commit:?} is no commit's hash: it has to begin with {SEED_DIGITS} hexadecimal digits")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> anyhow::Result<Run> {
        Arguments::try_parse_from(std::iter::once(&"simulate").chain(words))?.run()
    }

    #[test]
    fn a_quirk_that_does_not_exist_is_answered_with_those_that_do() {
        let error = parsed(&["--without", "etags"])
            .err()
            .expect("an error")
            .to_string();
        assert!(
            error.contains("etags") && error.contains("versions") && error.contains("page_size"),
            "{error}"
        );
    }

    #[test]
    fn without_all_quirks_series_are_still_laid_out_by_chance() {
        let run = parsed(&["--without", "all"]).expect("a run");
        assert!(!run.options.without.contains(&"layout".to_owned()));
        assert_eq!(run.options.without.len(), Quirks::NAMES.len() - 1);
    }

    #[test]
    fn the_first_seed_of_a_commit_is_its_hash() {
        assert_eq!(seed_of("00000000002a6e5dd86").expect("a seed"), 42);
        assert!(seed_of("main").is_err());
    }

    #[test]
    fn a_shrunk_schedule_may_have_no_steps_and_no_quirks_left_out() {
        let run = parsed(&["--seed", "7", "--keep", "", "--without", "", "--story"]);
        assert!(run.is_err() || run.expect("a run").options.without.is_empty());
        let run = parsed(&["--seed", "7", "--keep"]).expect("a run");
        assert_eq!(run.options.keep, Some(Vec::new()));
        assert!(matches!(run.mode, Mode::One));
    }
}
