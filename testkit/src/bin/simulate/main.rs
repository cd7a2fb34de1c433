//! The deterministic simulator, for everyone: `cargo run --release -p testkit --bin simulate -- --help`.
//!
//! `docs/proof.md` says what it shows, and what not.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command speaks to whoever runs it: results on stdout, progress and complaints on stderr"
)]

mod arguments;
mod planted;
mod progress;
mod report;
mod schedules;
mod seeds;
mod sweeps;
mod tables;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Mode};

/// The exit code of a command that was asked for what it cannot do.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let run = match arguments.run() {
        Ok(run) => run,
        Err(error) => {
            eprintln!("simulate: {error:#}");
            return ExitCode::from(MISUSED);
        }
    };
    let held = match run.mode {
        Mode::One => schedules::one(&run),
        Mode::Many => schedules::many(&run),
        Mode::Sweep => sweeps::sweep_all(&run),
        Mode::Topologies => tables::topologies(&run),
        Mode::Plant(fault) => planted::one(&run, fault),
        Mode::Plants => planted::all(&run),
    };
    if held {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
