//! `concord demo`.

use std::io::{IsTerminal as _, stderr};

use indicatif::{MultiProgress, ProgressDrawTarget};
use tokio::signal::unix::{SignalKind, signal};

use super::terminal::Terminal;
use crate::demo::{Demo, Options};
use crate::{config, logs};

pub(super) async fn show(options: &Options, wait: bool, terminal: &mut Terminal) -> anyhow::Result<()> {
    // Warnings only: the screen belongs to the banner.
    logs::start(&config::Config::from_toml("log_level = \"warn\"\n")?);
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let progress = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    if !stderr().is_terminal() {
        terminal.line("Starting two simulated vendors and syncing them ...")?;
    }
    let demo = tokio::select! {
        demo = Demo::start(options, &progress) => demo?,
        _ = interrupt.recv() => return Ok(()),
        _ = terminate.recv() => return Ok(()),
    };
    // The banner takes the place of the progress display.
    progress.clear()?;
    let bold = |text: &str| terminal.bold(text);
    let banner = demo.banner(&bold);
    terminal.text(&banner)?;
    if wait {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        terminal.line("")?;
        terminal.line("Stopping ...")?;
    }
    tokio::select! {
        () = demo.shutdown() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
