//! From the commit to whoever follows: streams over WebSockets, and deliveries to a webhook endpoint, on a server in
//! this process with its database on the disk, or on two with PostgreSQL and Redis between them.
//! `cargo run --release -p bench --bin feed`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command's output is its purpose"
)]

mod clients;
mod deliveries;
mod place;
mod receiver;
mod spread;
mod streams;
mod webhooks;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures how changes reach those who follow them.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// From the commit to the client of a WebSocket.
    Streams(streams::Arguments),
    /// From a provider's webhook to the client of a WebSocket.
    Webhooks(webhooks::Arguments),
    /// Deliveries with their attempts written down, and from the commit to the receiver.
    Deliveries(deliveries::Arguments),
}

#[tokio::main]
async fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Streams(arguments) => streams::run(&arguments).await,
        What::Webhooks(arguments) => webhooks::run(&arguments).await,
        What::Deliveries(arguments) => deliveries::run(&arguments).await,
    }
}
