//! `concord serve`.

use tokio::signal::unix::{SignalKind, signal};

use super::terminal::Terminal;
use crate::config::Config;
use crate::server::Server;
use crate::{listener, logs};

pub(super) async fn serve(config: &Config, terminal: &mut Terminal) -> anyhow::Result<()> {
    logs::start(config);
    // Before anything listens: a signal that comes early is not lost.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    listener::allow_files();
    let server = Server::start(config).await?;
    greet(config, &server, terminal)?;
    tracing::info!(address = %server.address(), version = env!("CARGO_PKG_VERSION"), "serving");
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    tracing::info!("stopping: open requests and running syncs get ten seconds to end");
    tokio::select! {
        () = server.shutdown() => tracing::info!("stopped"),
        _ = interrupt.recv() => tracing::warn!("stopped at once; the next start takes up what was running"),
    }
    Ok(())
}

fn greet(config: &Config, server: &Server, terminal: &mut Terminal) -> std::io::Result<()> {
    let url = match &config.public_url {
        Some(url) => url.as_str().trim_end_matches('/').to_owned(),
        None => server.base_url(),
    };
    terminal.line(&format!(
        "{} listens at {}",
        terminal.bold("Concord"),
        terminal.bold(&url)
    ))?;
    if let Some(secret) = server.first_key() {
        terminal.line("")?;
        terminal.line("This database is new. Here is its first API key; it is shown only this once:")?;
        terminal.line("")?;
        terminal.line(&format!("  {}", terminal.bold(secret)))?;
        terminal.line("")?;
        terminal.line("Try it:")?;
        terminal.line(&format!(
            "  curl -H 'Authorization: Bearer {secret}' {url}/v1/connectors"
        ))?;
    }
    terminal.line(&terminal.faint(&format!("The API to read and to try: {url}/docs   Ctrl-C stops.")))
}
