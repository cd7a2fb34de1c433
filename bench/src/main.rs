//! Concord next to vdirsyncer and next to the bare protocol, on one private Radicale in one run: `just bench`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

mod concord;
mod floor;
mod report;
mod server;
mod vdirsyncer;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Parser;

use concord::Concord;
use floor::Floor;
use report::{Figures, Footprint, Measure};
use server::Server;
use vdirsyncer::Vdirsyncer;

/// Measures an initial sync, an incremental one and one without changes: the bare protocol, vdirsyncer, Concord.
#[derive(Parser)]
struct Arguments {
    /// Events in the calendar, of about a kilobyte each.
    #[arg(long, default_value_t = 5_000)]
    events: usize,
    /// Changes made at the server before the incremental sync.
    #[arg(long, default_value_t = 50)]
    changes: usize,
    /// How often everything is measured; the medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Leaves Concord out, for the figures it is measured against.
    #[arg(long)]
    without_concord: bool,
    /// The page whose table is replaced; `-` writes none.
    #[arg(long, default_value = "docs/benchmarks.md")]
    write: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.rounds > 0 && arguments.changes >= 10,
        "at least one round and ten changes"
    );
    ensure!(arguments.events > arguments.changes, "more events than changes");

    eprintln!(
        "bench: loading {} events into a private Radicale and warming it",
        arguments.events
    );
    let mut server = Server::start(arguments.events).await?;
    let floor = Floor::new(&server)?;
    // Twice: the first answers build the server's caches, the second show that they are built.
    for _ in 0..2 {
        floor.initial(server.count()).await?;
        floor.token().await?;
    }

    let mut figures = Figures::default();
    let mut footprint = None;
    for round in 1..=arguments.rounds {
        eprintln!("bench: round {round} of {}", arguments.rounds);
        let measured = measure(&mut server, &floor, &arguments, &mut figures).await;
        footprint = measured.with_context(|| format!("round {round}"))?.or(footprint);
    }
    let versions = format!(
        "Radicale {} on the same machine, vdirsyncer {}",
        server.version().await?,
        vdirsyncer::version().await?
    );
    let description = format!("{}; {versions}", arguments.description());
    let table = report::table(&figures, footprint.as_ref(), &description)?;
    println!("{table}");
    if arguments.write.as_os_str() != "-" {
        report::write(&arguments.write, &table)?;
        eprintln!("bench: written to {}", arguments.write.display());
    }
    Ok(())
}

impl Arguments {
    fn description(&self) -> String {
        format!(
            "{} events of about 1 kB each, {} remote changes (new, edited and deleted), median of {} rounds",
            self.events, self.changes, self.rounds
        )
    }
}

/// One round: every client begins from nothing, and each step is measured for all of them before the next.
async fn measure(
    server: &mut Server,
    floor: &Floor,
    arguments: &Arguments,
    figures: &mut Figures,
) -> Result<Option<Footprint>> {
    let vdirsyncer = Vdirsyncer::prepare(server).await?;
    let mut concord = if arguments.without_concord {
        None
    } else {
        Some(Concord::start(server).await?)
    };

    let token = floor.token().await?;
    figures.add(Measure::Initial, "floor", floor.initial(server.count()).await?);
    let by_report = floor.initial_by_report(server.count()).await?;
    figures.add(Measure::InitialByReport, "floor", by_report);
    // The clients sync once, and stand next to both floors.
    let mut initial = vec![("vdirsyncer", vdirsyncer.sync(server).await?)];
    if let Some(concord) = &mut concord {
        initial.push(("Concord", concord.connect_and_sync(server).await?));
    }
    for (client, seconds) in initial {
        figures.add(Measure::Initial, client, seconds);
        figures.add(Measure::InitialByReport, client, seconds);
    }

    server.change(arguments.changes).await?;
    // The server reads what changed once, before anybody's time is taken.
    let later = floor.token().await?;
    figures.add(Measure::Incremental, "floor", floor.changes(&token).await?);
    figures.add(Measure::Incremental, "vdirsyncer", vdirsyncer.sync(server).await?);
    if let Some(concord) = &mut concord {
        figures.add(Measure::Incremental, "Concord", concord.sync(server).await?);
    }

    figures.add(Measure::NoChange, "floor", floor.changes(&later).await?);
    figures.add(Measure::NoChange, "vdirsyncer", vdirsyncer.sync(server).await?);
    match concord {
        Some(mut concord) => {
            figures.add(Measure::NoChange, "Concord", concord.sync(server).await?);
            concord.stop().await.map(Some)
        }
        None => Ok(None),
    }
}
