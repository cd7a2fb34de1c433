//! The command line: `serve`, `demo`, `migrate`, `backup`, `restore`, `key create`,
//! `key rotate`, `connectors`, `doctor`.

mod backup;
mod connectors;
mod demo;
mod doctor;
mod keys;
mod migrate;
mod rotate;
mod serve;
mod terminal;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use store::KeyPermission;

use crate::config::{Config, Environment};
use crate::failure::Failure;
use terminal::Terminal;

/// Calendars of different systems in one API, kept in step.
#[derive(Debug, Parser)]
#[command(name = "concord", version, about, max_term_width = 100)]
struct Arguments {
    /// The file with the settings; `concord.toml` in this folder unless said.
    #[arg(long, global = true, env = "CONCORD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and sync in the background.
    Serve {
        /// Only show the commented default settings, ready to be saved as concord.toml.
        #[arg(long)]
        print_config: bool,
    },
    /// Try it out: a hub with two simulated vendors, connected and mirrored, in one process.
    Demo {
        /// Where the demo's data lies; found again at the next start.
        #[arg(long, value_name = "FOLDER", default_value = crate::demo::USUAL_FOLDER)]
        data_dir: PathBuf,
        /// Where the API listens; 127.0.0.1:8080 unless said, or a free port when that is taken.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<std::net::SocketAddr>,
        /// End as soon as everything is ready.
        #[arg(long, hide = true)]
        no_wait: bool,
    },
    /// Create the database or bring it up to date, without serving; or copy one from SQLite to PostgreSQL.
    Migrate {
        /// The SQLite database to copy, sqlite://path; no server may run on it. Its master key seals the copy, too.
        #[arg(long, value_name = "ADDRESS", requires = "to")]
        from: Option<String>,
        /// The empty PostgreSQL database to copy it to, postgres://...
        #[arg(long, value_name = "ADDRESS", requires = "from")]
        to: Option<String>,
    },
    /// Write a copy of the database to a file. Works while a server runs.
    Backup {
        /// The file to make.
        file: PathBuf,
    },
    /// Put a backup in the place of the database. No server may run on it.
    Restore {
        /// The file that `concord backup` made.
        file: PathBuf,
        /// Also when there is a database: it is kept beside, under another name.
        #[arg(long)]
        replace: bool,
    },
    /// API keys.
    Key {
        #[command(subcommand)]
        command: KeyCommand,
    },
    /// Show the providers and what can be done with each.
    Connectors,
    /// Look for what is wrong: settings, database, key, connections, overdue work.
    Doctor,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key and print its secret, once. Works while a server runs, too.
    Create {
        /// Who or what uses it.
        #[arg(long, default_value = "command line")]
        name: String,
        /// The organization by id or name; a name that is new makes a new one. Unless said: the oldest.
        #[arg(long)]
        organization: Option<String>,
        /// With it vendors may be called in their own words, with the credentials of connections.
        #[arg(long)]
        allow_passthrough: bool,
    },
    /// Replace the master key that seals credentials, beside running servers too. Run it again to go on where it ended.
    Rotate,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut terminal = Terminal::standard();
    match run(&arguments, &mut terminal) {
        Ok(code) => code,
        Err(error) => {
            terminal.failure(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments, terminal: &mut Terminal) -> anyhow::Result<ExitCode> {
    if let Command::Serve { print_config: true } = &arguments.command {
        terminal.text(crate::config::DEFAULT_FILE)?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let config = || Config::load(arguments.config.as_deref(), &Environment::of_process());
    runtime.block_on(async {
        match &arguments.command {
            Command::Serve { .. } => serve::serve(&config()?, terminal).await?,
            Command::Demo {
                data_dir,
                listen,
                no_wait,
            } => {
                let options = crate::demo::Options {
                    folder: data_dir.clone(),
                    listen: *listen,
                };
                demo::show(&options, !no_wait, terminal).await?;
            }
            Command::Migrate {
                from: Some(from),
                to: Some(to),
            } => migrate::copy(&config()?, from, to, terminal).await?,
            Command::Migrate { .. } => migrate::bring_up_to_date(&config()?, terminal).await?,
            Command::Backup { file } => backup::back_up(&config()?, file, terminal).await?,
            Command::Restore { file, replace } => {
                backup::restore(&config()?, file, *replace, terminal).await?;
            }
            Command::Key {
                command:
                    KeyCommand::Create {
                        name,
                        organization,
                        allow_passthrough,
                    },
            } => {
                let permissions: &[KeyPermission] = if *allow_passthrough {
                    &[KeyPermission::Passthrough]
                } else {
                    &[]
                };
                keys::create(&config()?, name, organization.as_deref(), permissions, terminal).await?;
            }
            Command::Key {
                command: KeyCommand::Rotate,
            } => rotate::rotate(&config()?, terminal).await?,
            Command::Connectors => connectors::show(terminal)?,
            Command::Doctor => return doctor::examine(config(), terminal).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What the database could not do, as a failure with its remedy.
fn database_failed(error: &sync::ports::StoreError) -> Failure {
    Failure::new(
        error.to_string(),
        "run `concord doctor` to see what is wrong with the database",
    )
}
