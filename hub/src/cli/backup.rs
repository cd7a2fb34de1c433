//! `concord backup` and `concord restore`.

use std::path::Path;
use std::sync::Arc;

use connector_sdk::SystemClock;
use store::{BackupError, OpenError, OpenMode, SqlStore};

use super::terminal::Terminal;
use crate::config::{Config, Database, KeySource};
use crate::failure::Failure;
use crate::server::{key_ring, open_store};

pub(super) async fn back_up(config: &Config, target: &Path, terminal: &mut Terminal) -> anyhow::Result<()> {
    match &config.database {
        Database::Server(_) => return Err(failure(&BackupError::Server).into()),
        Database::File(path) if !path.exists() => {
            let cause = format!("there is no database at {}", path.display());
            return Err(Failure::new(cause, "set CONCORD_DATABASE_URL to the database to back up").into());
        }
        Database::File(_) => {}
    }
    let store = open_store(config, OpenMode::Beside).await?;
    let outcome = store.back_up_to(target).await;
    store.close().await;
    let bytes = outcome.map_err(|error| failure(&error))?;
    terminal.line(&format!(
        "{} is a whole copy of the database, {} kB.",
        target.display(),
        bytes / 1024
    ))?;
    let key = match &config.master_key {
        KeySource::Given(_) => "The master key (CONCORD_MASTER_KEY)".to_owned(),
        KeySource::File(path) => format!("The master key ({})", path.display()),
    };
    terminal.line(&format!(
        "{key} is not in it, and without it nobody can read the credentials in it: keep a copy elsewhere."
    ))?;
    Ok(())
}

pub(super) async fn restore(
    config: &Config,
    backup: &Path,
    replace: bool,
    terminal: &mut Terminal,
) -> anyhow::Result<()> {
    if let Database::Server(_) = &config.database {
        return Err(failure(&BackupError::Server).into());
    }
    // It must be there: a new one opens no backup.
    let keys = key_ring(config, false)?;
    let url = config.database.url();
    let outcome = SqlStore::restore(backup, &url, keys, Arc::new(SystemClock), replace).await;
    let restored = outcome.map_err(|error| failure(&error))?;
    terminal.line(&format!(
        "{} is as it was when the backup was made.",
        config.database
    ))?;
    if let Some(aside) = restored.aside {
        terminal.line(&format!("What stood there before is {}.", aside.display()))?;
    }
    terminal.line(
        "Before you start the server: what it says in its feed after that moment is said anew, under numbers that were \
         used before. Let readers of /v1/changes begin at 0.",
    )?;
    Ok(())
}

fn failure(error: &BackupError) -> Failure {
    let remedy = match error {
        BackupError::Exists(_) => {
            "choose another name for a backup; to restore over a database say `--replace`, which keeps it beside"
        }
        BackupError::Server => "use pg_dump and pg_restore",
        BackupError::Damaged { .. } => {
            "take another backup; if a backup just made is damaged, run `concord doctor`: the database is"
        }
        BackupError::Io { .. } => "check the path, who may write there, and the room on the disk",
        BackupError::Open(OpenError::InUse(_)) => "stop `concord serve` first",
        BackupError::Open(OpenError::WrongKey { .. } | OpenError::KeyBetween { .. }) => {
            "give the key that the backup was made with; a key that was replaced since lies beside the new one"
        }
        BackupError::Open(_) | BackupError::Store(_) => {
            "run the newest version of Concord on it; `concord doctor` says what is wrong with the database"
        }
    };
    Failure::new(error.to_string(), remedy)
}
