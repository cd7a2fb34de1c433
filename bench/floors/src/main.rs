//! Concord's whole ingest (verify, dedupe, commit, 2xx) beside what bounds it, in one run: `scripts/bench-ingest`.
//!
//! Every server is a process of its own, on the same cores as its clients. Clients keep their connections, sign bodies of
//! 1 kB (Standard Webhooks), and send the next when the last is answered; in the open loop each sends at its appointed
//! times, and waits are counted from there.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

mod concord;
mod load;
mod on_postgres;
mod plain;
mod report;
mod subject;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use testkit::harness::Postgres;
use testkit::harness::postgres::Disk;
use tokio::io::{AsyncBufReadExt as _, BufReader};

/// The one of the program that is measured; the floors have it, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use load::Pace;
use report::Row;
use subject::{StoreKind, Subject};

/// Measures the ingest of webhooks beside its floors.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Serve>,
    /// Seconds per measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// How often everything is measured; the medians are shown.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Clients at the same time.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    clients: Vec<usize>,
    /// Which stores.
    #[arg(long, value_delimiter = ',', default_values_t = StoreKind::ALL)]
    stores: Vec<StoreKind>,
    /// Which servers; all that the store has unless given.
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<Subject>,
    /// Deliveries per second of the open loop; 0 for none.
    #[arg(long, default_value_t = 2_000)]
    open_loop: u32,
    /// The folder of the Express server with its packages; without it that server is left out.
    #[arg(long)]
    express: Option<PathBuf>,
    /// The page whose table is replaced; `-` writes none.
    #[arg(long, default_value = "docs/benchmarks.md")]
    write: PathBuf,
}

#[derive(Subcommand)]
enum Serve {
    /// Serves one of the things that are measured (started by the bench itself).
    Serve {
        /// Which.
        what: Subject,
        /// Where its files are.
        folder: PathBuf,
        /// Its database on a server; without one it has a file in its folder.
        #[arg(long)]
        database: Option<String>,
    },
}

/// How long a server may take to come up.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Serve::Serve {
            what,
            folder,
            database,
        }) => serve(*what, folder, database.as_deref()).await,
        None => measure(&arguments).await,
    }
}

async fn serve(what: Subject, folder: &Path, database: Option<&str>) -> Result<()> {
    match (what, database) {
        (Subject::Concord, _) => concord::serve(folder, database, true).await,
        (Subject::Verify, _) => concord::serve(folder, database, false).await,
        (Subject::Group, None) => plain::group(folder).await,
        (Subject::Insert, None) => plain::insert(folder).await,
        (Subject::Group, Some(url)) => on_postgres::group(url).await,
        (Subject::Insert, Some(url)) => on_postgres::insert(url).await,
        (Subject::Express, _) => bail!("this one is not ours to serve"),
    }
}

/// One cell of the table.
struct Case {
    subject: Subject,
    store: StoreKind,
    clients: usize,
    pace: Pace,
}

impl Case {
    fn row(&self, run: load::Run) -> Row {
        let title = match self.pace {
            Pace::Closed => self.subject.title().to_owned(),
            Pace::PerSecond(rate) => format!("{}, open loop at {rate}/s", self.subject.title()),
        };
        Row {
            store: self.store,
            title,
            clients: self.clients,
            run,
        }
    }
}

fn cases(arguments: &Arguments) -> Vec<Case> {
    let wanted = |subject: &Subject| arguments.subjects.is_empty() || arguments.subjects.contains(subject);
    let mut cases = Vec::new();
    for store in &arguments.stores {
        let subjects = Subject::on(*store).into_iter().filter(wanted);
        for subject in subjects.filter(|subject| *subject != Subject::Express || arguments.express.is_some())
        {
            let case = |clients, pace| Case {
                subject,
                store: *store,
                clients,
                pace,
            };
            cases.extend(
                arguments
                    .clients
                    .iter()
                    .map(|clients| case(*clients, Pace::Closed)),
            );
            if subject == Subject::Concord && arguments.open_loop > 0 {
                cases.push(case(64, Pace::PerSecond(arguments.open_loop)));
            }
        }
    }
    cases
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let server = match arguments.stores.contains(&StoreKind::Postgres) {
        true => Some(Postgres::start_on(Disk::Awaited).await?),
        false => None,
    };
    let mut rows: Vec<Row> = Vec::new();
    for (number, case) in cases(arguments).into_iter().enumerate() {
        let mut runs = Vec::new();
        for round in 0..arguments.rounds {
            let database = match (&server, case.store) {
                (Some(server), StoreKind::Postgres) => {
                    Some(server.database(&format!("bench_{number}_{round}"))?)
                }
                _ => None,
            };
            let run = one(&case, database.as_deref(), arguments).await?;
            eprintln!(
                "{:8} on {:8} {:3} clients, round {round}: {run}",
                case.subject.to_string(),
                case.store.to_string(),
                case.clients
            );
            runs.push(run);
        }
        rows.push(case.row(load::median(runs)));
    }
    println!("{}", report::table(&rows));
    if arguments.write.as_os_str() != "-" {
        report::write(&arguments.write, &rows)?;
    }
    Ok(())
}

/// One measurement on a fresh server and a fresh database.
async fn one(case: &Case, database: Option<&str>, arguments: &Arguments) -> Result<load::Run> {
    let folder = tempfile::tempdir()?;
    let mut command = match (&arguments.express, case.subject) {
        (Some(express), Subject::Express) => {
            let mut node = Command::new("node");
            node.arg(express.join("server.js"))
                .arg(database.context("Express stores on PostgreSQL")?);
            node
        }
        _ => {
            let mut own = Command::new(std::env::current_exe()?);
            own.args(["serve", &case.subject.to_string()]).arg(folder.path());
            if let Some(database) = database {
                own.args(["--database", database]);
            }
            own
        }
    };
    let mut child = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn()?;
    let outcome = async {
        let (address, path, secret) = tokio::time::timeout(STARTS_WITHIN, ready(&mut child)).await??;
        let lasting = Duration::from_secs(arguments.seconds);
        load::run(&address, &path, &secret, case.clients, lasting, case.pace).await
    }
    .await;
    // It is ours, and has nothing to save.
    let _ = child.kill();
    let _ = child.wait();
    outcome
}

/// Address, path and secret, as the server prints them.
async fn ready(child: &mut Child) -> Result<(String, String, String)> {
    let stream = child.stdout.take().context("no output")?;
    let stream = tokio::process::ChildStdout::from_std(stream)?;
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(said) = line.strip_prefix("ready ") {
            let parts: Vec<&str> = said.split(' ').collect();
            let [address, path, secret] = parts.as_slice() else {
                bail!("what is `{line}`?")
            };
            let found = ((*address).to_owned(), (*path).to_owned(), (*secret).to_owned());
            // Read on, so that the server is never held up by what it prints.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok(found);
        }
    }
    bail!("the server ended before it was ready")
}
