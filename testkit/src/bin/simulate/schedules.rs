//! Schedules as they are, one or many.

use std::ops::ControlFlow;

use testkit::simulation::{Detail, Options, play};

use crate::arguments::Run;
use crate::report::{Totals, announce, explain};
use crate::seeds::{Heard, each};

/// Plays one schedule and tells what happened. Whether all was well.
pub(crate) fn one(run: &Run) -> bool {
    let seed = run.seeds.start;
    let played = play(seed, &run.options);
    print!("{}", played.trace);
    println!(
        "seed {seed}: {} steps, {} port calls, {} effects, {:.0} simulated hours",
        played.steps,
        played.calls,
        played.effects,
        played.simulated_ms as f64 / 3_600_000.0
    );
    for violation in &played.violations {
        println!("{violation}");
    }
    let Some(first) = played.violations.first() else {
        println!("no violations");
        return true;
    };
    // Whoever keeps some steps alone, or reads what happened, has it as small as they want it.
    if run.options.keep.is_none() && run.options.detail == Detail::Silent {
        explain(seed, &run.options, first);
    }
    false
}

/// Plays many schedules. Whether all was well.
pub(crate) fn many(run: &Run) -> bool {
    announce(run, "schedules");
    let mut totals = Totals::new();
    let options: &Options = &run.options;
    each(
        run.seeds.clone(),
        run.threads,
        "schedules",
        |seed| play(seed, options),
        |seed, played, progress| {
            totals.add(1, played.steps, played.calls, played.simulated_ms);
            let failed = played.violations.into_iter().next();
            let flow = match &failed {
                Some(_) if totals.failures.len() as u64 + 1 >= run.failures => ControlFlow::Break(()),
                Some(_) | None => ControlFlow::Continue(()),
            };
            let heard = Heard {
                failed: failed.is_some(),
                flow,
            };
            if let Some(violation) = failed {
                if run.at_most == 0 {
                    progress.say(&format!("seed {seed}: {violation}"));
                }
                totals.fail(seed, options.clone(), violation);
            }
            heard
        },
    );
    totals.print("schedules", run.at_most)
}
