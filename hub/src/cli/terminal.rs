//! Text for people on standard output: bold, colour and alignment where there is a terminal, plain text elsewhere.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Standard output and error.
pub(super) struct Terminal {
    styled: bool,
}

/// How a line of a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nothing to do.
    Ok,
    /// Works, and someone should look.
    Warn,
    /// Does not work.
    Fail,
}

impl Terminal {
    pub(super) fn standard() -> Self {
        // https://no-color.org
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            styled: wanted && io::stdout().is_terminal(),
        }
    }

    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        write!(io::stdout(), "{text}")
    }

    pub(super) fn bold(&self, text: &str) -> String {
        self.style("1", text)
    }

    pub(super) fn faint(&self, text: &str) -> String {
        self.style("2", text)
    }

    fn style(&self, code: &str, text: &str) -> String {
        if self.styled {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// One checked thing, with what to do when it is not well.
    pub(super) fn check(&mut self, verdict: Verdict, what: &str, remedy: Option<&str>) -> io::Result<()> {
        let mark = match verdict {
            Verdict::Ok => self.style("32", "ok  "),
            Verdict::Warn => self.style("33", "warn"),
            Verdict::Fail => self.style("31", "fail"),
        };
        self.line(&format!("  {mark}  {what}"))?;
        match remedy {
            Some(remedy) => self.line(&format!("        {}", self.faint(&format!("-> {remedy}")))),
            None => Ok(()),
        }
    }

    /// A table: columns as wide as their widest cell, two spaces between.
    pub(super) fn table(&mut self, heads: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let width = |column: usize| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells.chain([heads[column].len()]).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..heads.len()).map(width).collect();
        let aligned = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<String> = cells
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        let head = self.bold(&aligned(&mut heads.iter().copied()));
        self.line(&head)?;
        for row in rows {
            self.line(&aligned(&mut row.iter().map(String::as_str)))?;
        }
        Ok(())
    }

    /// Why the program ends: the cause in one line, then what to do.
    pub(super) fn failure(&mut self, error: &anyhow::Error) {
        let text = match error.downcast_ref::<Failure>() {
            Some(failure) => format!("concord: {}\n  -> {}\n", failure.cause, failure.remedy),
            None => {
                let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
                format!("concord: {}\n", causes.join(": "))
            }
        };
        // Nobody is left to tell when standard error is closed.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}
