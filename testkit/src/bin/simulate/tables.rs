//! Writes per edit and idle writes, as a table with a row for each way of joining providers.

use std::ops::ControlFlow;

use indicatif::HumanCount;
use testkit::simulation::topologies::{Measured, Writes, layouts, measure};

use crate::arguments::Run;
use crate::seeds::{Heard, each};

/// Violations that are shown of one row.
const SHOWN: usize = 3;

/// Measures each layout in as many worlds as there are seeds. Whether all was well.
pub(crate) fn topologies(run: &Run) -> bool {
    let origin = run
        .origin
        .as_deref()
        .map(|origin| format!(" ({origin})"))
        .unwrap_or_default();
    println!(
        "Writes per edit and replica, {} worlds per row, first seed {}{origin}, quirks on",
        HumanCount(run.seeds.end - run.seeds.start),
        run.seeds.start
    );
    println!();
    println!(
        "| topology | providers |  edits | API edits | others mean | max | author mean | max | reshaped mean | max | split mean | max | rewritten mean | max | idle rounds | idle writes |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut held = true;
    let mut notes = Vec::new();
    for (topology, providers) in layouts() {
        let mut all = Measured::default();
        each(
            run.seeds.clone(),
            run.threads,
            topology.name(),
            |seed| measure(seed, topology, providers, run.options.detail),
            |seed, (measured, trace), _| {
                let failed = !measured.violations.is_empty();
                // Asked for with --story and --trace, of a single seed.
                if failed {
                    print!("{trace}");
                }
                if let Some(first) = measured.violations.first() {
                    notes.push(format!(
                        "{} of {providers}, seed {seed}: {first}",
                        topology.name()
                    ));
                }
                all.add(measured);
                Heard {
                    failed,
                    flow: ControlFlow::Continue(()),
                }
            },
        );
        println!(
            "| {} | {providers} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            topology.name(),
            HumanCount(all.at_providers),
            HumanCount(all.through_api),
            cells(&all.others),
            cells(&all.author),
            cells(&all.reshaped),
            cells(&all.split),
            cells(&all.rewritten),
            HumanCount(all.idle_rounds),
            HumanCount(all.idle_writes)
        );
        held &= all.violations.is_empty();
        if notes.len() > SHOWN {
            notes.truncate(SHOWN);
        }
        for note in notes.drain(..) {
            eprintln!("{note}");
        }
    }
    println!();
    println!("violations: {}", if held { "none" } else { "see above" });
    held
}

fn cells(writes: &Writes) -> String {
    format!("{:.3} | {}", writes.mean(), writes.most)
}
