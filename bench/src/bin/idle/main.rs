//! What it costs to be there: connections to providers at which nothing happens, and clients that hold connections open
//! without saying anything, or say it slowly. The server is the released program in a process of its own, with its
//! default settings and a SQLite file. `scripts/bench-idle`.

#![expect(clippy::print_stdout, reason = "a command's output is its purpose")]

mod process;
mod providers;
mod sockets;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures memory, processor and answers beside what is idle or means no good.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Connections to providers, each looked at every minute, at which nothing changes.
    Providers(providers::Arguments),
    /// Clients that open connections and say nothing, half of a request, or a body byte by byte.
    Sockets(sockets::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Providers(arguments) => providers::run(&arguments).await,
        What::Sockets(arguments) => sockets::run(&arguments).await,
    }
}
