//! Medians, ratios, and the table in the documentation.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const BEGIN: &str = "<!-- bench:begin (written by `just bench`) -->";
const END: &str = "<!-- bench:end -->";

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Measure {
    /// The floor is a PROPFIND and one multiget.
    Initial,
    /// The same initial sync; the floor is one sync-collection REPORT.
    InitialByReport,
    Incremental,
    NoChange,
}

impl Measure {
    const ALL: [Self; 4] = [
        Self::Initial,
        Self::InitialByReport,
        Self::Incremental,
        Self::NoChange,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Initial => "initial sync (floor: PROPFIND, multiget)",
            Self::InitialByReport => "initial sync (floor: one sync-collection)",
            Self::Incremental => "incremental sync",
            Self::NoChange => "nothing changed",
        }
    }

    fn aim(self) -> &'static str {
        match self {
            Self::Initial | Self::InitialByReport => "1.6x floor",
            Self::Incremental => "0.6 s",
            Self::NoChange => "1.5x floor",
        }
    }
}

/// What Concord takes besides time.
#[derive(Clone, Debug)]
pub(crate) struct Footprint {
    pub(crate) ready_seconds: f64,
    pub(crate) idle_bytes: u64,
    pub(crate) after_sync_bytes: u64,
    pub(crate) binary_bytes: u64,
}

/// All seconds measured, by what and by whom.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<(Measure, &'static str), Vec<f64>>);

impl Figures {
    pub(crate) fn add(&mut self, measure: Measure, client: &'static str, seconds: f64) {
        self.0.entry((measure, client)).or_default().push(seconds);
    }

    fn median(&self, measure: Measure, client: &'static str) -> Option<f64> {
        let mut seconds = self.0.get(&(measure, client))?.clone();
        seconds.sort_by(f64::total_cmp);
        let middle = seconds.len() / 2;
        if seconds.len().is_multiple_of(2) {
            return Some((seconds.get(middle - 1)? + seconds.get(middle)?) / 2.0);
        }
        seconds.get(middle).copied()
    }
}

/// The table in Markdown.
pub(crate) fn table(figures: &Figures, footprint: Option<&Footprint>, description: &str) -> Result<String> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut text = format!("{description}; {cores} cores.\n\n");
    text.push_str("| | floor | vdirsyncer | Concord | vdirsyncer / floor | Concord / floor | aim |\n");
    text.push_str("|---|---:|---:|---:|---:|---:|---:|\n");
    for measure in Measure::ALL {
        let floor = figures.median(measure, "floor");
        let others = ["vdirsyncer", "Concord"].map(|client| figures.median(measure, client));
        let seconds = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2} s"));
        let ratio = |value: Option<f64>| match (value, floor) {
            (Some(value), Some(floor)) => format!("{:.2}", value / floor),
            _ => "-".to_owned(),
        };
        let [vdirsyncer, concord] = others;
        writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            measure.title(),
            seconds(floor),
            seconds(vdirsyncer),
            seconds(concord),
            ratio(vdirsyncer),
            ratio(concord),
            measure.aim(),
        )?;
    }
    if let Some(footprint) = footprint {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        write!(
            text,
            "\nConcord: ready {:.0} ms after its start; {:.0} MiB resident when idle, {:.0} MiB after these syncs; \
             the binary has {:.0} MiB.\n",
            footprint.ready_seconds * 1000.0,
            mib(footprint.idle_bytes),
            mib(footprint.after_sync_bytes),
            mib(footprint.binary_bytes),
        )?;
    }
    Ok(text)
}

/// Replaces the table between the page's markers.
pub(crate) fn write(page: &Path, table: &str) -> Result<()> {
    let text = fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    fs::write(page, replaced(&text, table)?).with_context(|| format!("cannot write {}", page.display()))
}

fn replaced(page: &str, table: &str) -> Result<String> {
    let begin = page
        .find(BEGIN)
        .with_context(|| format!("the page has no line `{BEGIN}`"))?;
    let end = page
        .find(END)
        .with_context(|| format!("the page has no line `{END}`"))?;
    ensure!(begin < end, "the page's markers are in the wrong order");
    Ok(format!(
        "{}{BEGIN}\n\n{}\n\n{}",
        &page[..begin],
        table.trim_end(),
        &page[end..]
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_shown_with_its_ratio_to_the_floor() {
        let mut figures = Figures::default();
        for seconds in [9.0, 1.0, 2.0] {
            figures.add(Measure::Initial, "floor", seconds);
        }
        for seconds in [2.0, 4.0] {
            figures.add(Measure::Initial, "vdirsyncer", seconds);
        }
        let text = table(&figures, None, "a run").unwrap();
        assert!(
            text.contains(
                "| initial sync (floor: PROPFIND, multiget) | 2.00 s | 3.00 s | - | 1.50 | - | 1.6x floor |"
            ),
            "{text}"
        );
        assert!(text.contains("| nothing changed | - | - | - | - | - |"), "{text}");
    }

    #[test]
    fn only_what_stands_between_the_markers_is_replaced() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let once = replaced(&page, "new\n").unwrap();
        assert_eq!(once, format!("before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"));
        assert_eq!(replaced(&once, "new\n").unwrap(), once);
        assert!(replaced("no markers", "new").is_err());
    }
}
