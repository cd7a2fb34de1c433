//! A SQLite file changed behind its server's back, for tests of what happens when a write fails. By the interpreter that
//! Radicale brings: no crate but `store` knows SQL.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

const PROGRAM: &str = "import sqlite3, sys\n\
     connection = sqlite3.connect(sys.argv[1], timeout=10)\n\
     connection.executescript(sys.argv[2])\n\
     connection.close()\n";

/// Carries out these statements in a database file that a server may have open.
///
/// # Errors
/// When there is no `python3` (the message says `run scripts/setup`), or the statements fail.
pub fn execute(file: &Path, statements: &str) -> Result<()> {
    let output = Command::new("python3")
        .args(["-c", PROGRAM])
        .arg(file)
        .arg(statements)
        .output()
        .context("python3 cannot be started; run scripts/setup")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
