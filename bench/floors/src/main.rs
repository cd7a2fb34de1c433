//! Concord's whole ingest (verify, dedupe, commit, 2xx) beside what bounds it, in one run: `scripts/bench-ingest`.
//!
//! Every server is a process of its own, on the same cores as its clients. Clients keep their connections, sign bodies of
//! 1 kB (Standard Webhooks), and send the next when the last is answered.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

mod concord;
mod load;
mod plain;
mod report;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use report::Row;

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
    },
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Concord as it ships, `synchronous=FULL`.
    Concord,
    /// The same server, verifying and storing nothing.
    Verify,
    /// axum with a bare group-committed insert, verifying nothing.
    Group,
    /// axum with one INSERT per request through a pool of 8, verifying nothing.
    Insert,
}

impl Subject {
    const ALL: [Self; 4] = [Self::Concord, Self::Verify, Self::Group, Self::Insert];

    const fn title(self) -> &'static str {
        match self {
            Self::Concord => "Concord: verify, dedupe, commit, 2xx",
            Self::Verify => "(a) the same server, verifying and storing nothing",
            Self::Group => "(b) axum, bare group-committed insert, verifying nothing",
            Self::Insert => "(c) axum, one INSERT per request, pool of 8",
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// How long a server may take to come up.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Serve::Serve { what, folder }) => match what {
            Subject::Concord => concord::serve(&folder, true).await,
            Subject::Verify => concord::serve(&folder, false).await,
            Subject::Group => plain::group(&folder).await,
            Subject::Insert => plain::insert(&folder).await,
        },
        None => measure(&arguments).await,
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let mut rows: Vec<Row> = Vec::new();
    for subject in Subject::ALL {
        for clients in &arguments.clients {
            let mut runs = Vec::new();
            for round in 0..arguments.rounds {
                let run = one(subject, *clients, arguments.seconds).await?;
                eprintln!("{:8} {clients:3} clients, round {round}: {run}", subject.name());
                runs.push(run);
            }
            rows.push(Row {
                title: subject.title(),
                clients: *clients,
                run: load::median(runs),
            });
        }
    }
    println!("{}", report::table(&rows));
    if arguments.write.as_os_str() != "-" {
        report::write(&arguments.write, &rows)?;
    }
    Ok(())
}

/// One measurement on a fresh server and a fresh file.
async fn one(subject: Subject, clients: usize, seconds: u64) -> Result<load::Run> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["serve", &subject.name()])
        .arg(folder.path())
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()?;
    let outcome = async {
        let (address, path, secret) = tokio::time::timeout(STARTS_WITHIN, ready(&mut child)).await??;
        load::run(&address, &path, &secret, clients, Duration::from_secs(seconds)).await
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
