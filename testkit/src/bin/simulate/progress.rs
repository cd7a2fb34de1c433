//! How far it is: a bar on a terminal, a line every ten seconds elsewhere, both on stderr.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const EVERY: Duration = Duration::from_secs(10);

/// How far it is.
pub(crate) struct Progress {
    what: &'static str,
    bar: Option<ProgressBar>,
    of: u64,
    done: u64,
    failed: u64,
    begun: Instant,
    told: Instant,
}

impl Progress {
    /// Nothing is done yet.
    pub(crate) fn new(what: &'static str, of: u64) -> Self {
        let shown = std::io::stderr().is_terminal() && of > 1;
        let bar = shown.then(|| {
            let bar = ProgressBar::new(of);
            let style = "{wide_bar} {human_pos}/{human_len} {msg}, {per_sec}, {eta} left";
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(what);
            bar.enable_steady_tick(Duration::from_secs(1));
            bar
        });
        let begun = Instant::now();
        Self {
            what,
            bar,
            of,
            done: 0,
            failed: 0,
            begun,
            told: begun,
        }
    }

    /// One more is done.
    pub(crate) fn advance(&mut self, failed: bool) {
        self.done += 1;
        self.failed += u64::from(failed);
        if let Some(bar) = &self.bar {
            bar.inc(1);
            if self.failed > 0 {
                bar.set_message(format!("{}, {} failing", self.what, self.failed));
            }
        }
        self.look();
    }

    /// Says how far it is, if that is due.
    pub(crate) fn look(&mut self) {
        if self.bar.is_some() || self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        eprintln!(
            "{} of {} {}, {} failing, {:.0} s",
            HumanCount(self.done),
            HumanCount(self.of),
            self.what,
            self.failed,
            self.begun.elapsed().as_secs_f64()
        );
    }

    /// Writes a result while progress is shown.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    /// It is over; how many were done.
    pub(crate) fn end(self) -> u64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.done
    }
}
