//! `concord migrate`: tables brought up to date, and the way from SQLite to PostgreSQL.

use store::{CopyError, OpenMode};

use super::terminal::{Terminal, Verdict};
use crate::config::Config;
use crate::failure::Failure;
use crate::server::open_store;

pub(super) async fn bring_up_to_date(config: &Config, terminal: &mut Terminal) -> anyhow::Result<()> {
    let store = open_store(config, OpenMode::Serve).await?;
    store.close().await;
    terminal.line(&format!("{} is up to date.", config.database))?;
    Ok(())
}

/// Copies a SQLite database to an empty PostgreSQL one. Both are sealed with the key of the first.
pub(super) async fn copy(
    config: &Config,
    from: &str,
    to: &str,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    let source = config.with_database(from)?;
    let mut target = config.with_database(to)?;
    target.master_key = source.master_key.clone();
    target.next_key = source.next_key.clone();
    // As its server: the lock on the file keeps a running one away, and the copy from being of two moments.
    let old = open_store(&source, OpenMode::Serve).await?;
    let new = open_store(&target, OpenMode::Serve).await?;
    let copied = store::copy(&old, &new, |table| {
        let what = format!("{}: {} rows", table.table, table.rows);
        // A terminal that is gone does not end the copy.
        let _ = terminal.check(Verdict::Ok, &what, None);
    })
    .await;
    old.close().await;
    new.close().await;
    let copied = copied.map_err(|error| Failure::new(error.to_string(), remedy(&error)))?;
    let rows: u64 = copied.iter().map(|table| table.rows).sum();
    terminal.line(&format!(
        "{rows} rows of {} tables are in {}, and were read back alike. Set CONCORD_DATABASE_URL to it; {} is as it was.",
        copied.len(),
        target.database,
        source.database
    ))?;
    Ok(())
}

fn remedy(error: &CopyError) -> &'static str {
    match error {
        CopyError::Direction => "write --from sqlite://path --to postgres://user@host/database",
        CopyError::KeyBetween => "run `concord key rotate` on the file first, to its end",
        CopyError::NotEmpty(_) => "name a database in which no Concord has been used yet",
        CopyError::Differs { .. } => {
            "report this with the table's name; go on with the old database meanwhile"
        }
        CopyError::Store(_) => "check both databases with `concord doctor`, and try again",
    }
}
