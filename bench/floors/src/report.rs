//! The table, and its place in the page.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};

use crate::load::Run;
use crate::subject::StoreKind;

const BEGIN: &str = "<!-- ingest: begin -->";
const END: &str = "<!-- ingest: end -->";

/// One line of the table.
pub(crate) struct Row {
    pub(crate) store: StoreKind,
    pub(crate) title: String,
    pub(crate) clients: usize,
    pub(crate) run: Run,
}

/// The rows as a table.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut table =
        String::from("| | store | clients | per second | p50 | p99 |\n|---|---|---:|---:|---:|---:|\n");
    for Row {
        store,
        title,
        clients,
        run,
    } in rows
    {
        // Writing into a string does not fail.
        let _ = writeln!(
            table,
            "| {title} | {store} | {clients} | {:.0} | {:.2} ms | {:.2} ms |",
            run.per_second, run.p50_ms, run.p99_ms
        );
    }
    table
}

/// Replaces the table in the page.
pub(crate) fn write(page: &Path, rows: &[Row]) -> Result<()> {
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let (before, rest) = text
        .split_once(BEGIN)
        .context("the page has no place for the table")?;
    let (_, after) = rest
        .split_once(END)
        .context("the page's place for the table has no end")?;
    std::fs::write(page, format!("{before}{BEGIN}\n{}{END}{after}", table(rows)))?;
    Ok(())
}
