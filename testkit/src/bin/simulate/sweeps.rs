//! The crash sweep: each schedule once for every point at which its process may die.

use std::ops::ControlFlow;

use indicatif::HumanCount;
use testkit::simulation::sweep::PERIODS;
use testkit::simulation::{Death, sweep};

use crate::arguments::Run;
use crate::report::{Totals, announce};
use crate::seeds::{Heard, each};

/// Sweeps many schedules. Whether all was well.
pub(crate) fn sweep_all(run: &Run) -> bool {
    announce(run, "schedules, each with a death after every effect,");
    let mut totals = Totals::new();
    let (mut points, mut periods) = (0, 0);
    let swept = each(
        run.seeds.clone(),
        run.threads,
        "schedules swept",
        |seed| sweep(seed, &run.options),
        |seed, swept, progress| {
            let plays = 1 + swept.points + swept.periods;
            totals.add(plays, swept.steps, swept.calls, swept.simulated_ms);
            points += swept.points;
            periods += swept.periods;
            let failed = swept.failure.is_some();
            if let Some((death, violation)) = swept.failure {
                let when = match death {
                    Death::Never => "undisturbed".to_owned(),
                    Death::After(effects) => format!("died after effect {effects}"),
                    Death::Every(effects) => format!("died every {effects} effects"),
                };
                progress.say(&format!("seed {seed}, {when}: {violation}"));
                totals.fail(seed, death.in_options(&run.options), violation);
            }
            let enough = totals.failures.len() as u64 >= run.failures;
            Heard {
                failed,
                flow: if enough {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                },
            }
        },
    );
    println!(
        "{} schedules swept: {} crash points, {} runs with a death every k effects (k = {PERIODS:?})",
        HumanCount(swept),
        HumanCount(points),
        HumanCount(periods)
    );
    totals.print("plays", 0)
}
