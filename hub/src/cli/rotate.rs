//! `concord key rotate`: another master key in the place of the one in use. `docs/runbooks/keys.md` tells the steps.

use std::fs;
use std::path::Path;

use store::{MasterKey, OpenMode, Rotated, RotationError};

use super::database_failed;
use super::terminal::Terminal;
use crate::config::{Config, KeySource};
use crate::failure::Failure;
use crate::server::open_store;

pub(super) async fn rotate(config: &Config, terminal: &mut Terminal) -> anyhow::Result<()> {
    if let Some(KeySource::File(next)) = &config.next_key
        && !next.exists()
    {
        MasterKey::load_or_create(next).map_err(|error| {
            Failure::new(error.to_string(), "let this user write to the folder of the key")
        })?;
        terminal.line(&format!("The new master key is {}.", next.display()))?;
    }
    let store = open_store(config, OpenMode::Beside).await?;
    let mut shown = 0;
    let outcome = store
        .rotate_key(|resealed| {
            if resealed >= shown + 1_000 {
                shown = resealed;
                // A terminal that is gone does not end it.
                let _ = terminal.line(&format!("{resealed} values are sealed anew ..."));
            }
        })
        .await;
    store.close().await;
    let rotated = outcome.map_err(|error| failure(error, config))?;
    told(&rotated, terminal)?;
    settle(config, &rotated, terminal)
}

fn told(rotated: &Rotated, terminal: &mut Terminal) -> std::io::Result<()> {
    let Rotated { current, .. } = rotated;
    match &rotated.before {
        Some(before) => terminal.line(&format!(
            "Everything is sealed with master key {current} now, {} values anew in this run; {before} is of no use to it \
             any more.",
            rotated.resealed
        )),
        None => terminal.line(&format!(
            "Everything was sealed with master key {current} already; nothing was changed."
        )),
    }
}

/// Puts the new key in the place of the old one, or says what to do where the keys are not ours to move.
fn settle(config: &Config, rotated: &Rotated, terminal: &mut Terminal) -> anyhow::Result<()> {
    match (&config.master_key, &config.next_key) {
        (KeySource::File(first), Some(KeySource::File(next))) if next.exists() => {
            if id_of(next)? != rotated.current {
                return Ok(());
            }
            let kept = put_in_place(first, next)?;
            terminal.line(&format!(
                "{} is the new key now; keep a copy of it. The old one is {}: backups made until now need it. Delete it \
                 when they are gone.",
                first.display(),
                kept
            ))?;
            Ok(())
        }
        (KeySource::File(_), Some(KeySource::File(_))) => Ok(()),
        (KeySource::File(_) | KeySource::Given(_), _) => {
            terminal.line(
                "Give every node the new key in the place of the old one, take the setting of the next key out, and \
                 restart them; keep the old key for as long as there are backups made until now.",
            )?;
            Ok(())
        }
    }
}

/// The old key gets another name first; then the new one takes its place in one step. A crash in between leaves both.
fn put_in_place(first: &Path, next: &Path) -> anyhow::Result<String> {
    let failed = |error: std::io::Error| {
        let cause = format!(
            "the new key {} could not take the place of {}: {error}; everything is sealed with it already",
            next.display(),
            first.display()
        );
        Failure::new(
            cause,
            "run `concord key rotate` again when this user may write to the folder",
        )
    };
    let mut kept = first.as_os_str().to_owned();
    kept.push(format!(".until-{}", id_of(next)?));
    match fs::hard_link(first, &kept) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error).into()),
    }
    fs::rename(next, first).map_err(failed)?;
    store::sync_folder_of(first).map_err(failed)?;
    Ok(Path::new(&kept).display().to_string())
}

fn id_of(path: &Path) -> Result<String, Failure> {
    let key = MasterKey::load_or_create(path).map_err(|error| {
        Failure::new(
            error.to_string(),
            "let this user read it; run `concord key rotate` again",
        )
    })?;
    Ok(key.id().to_owned())
}

fn failure(error: RotationError, config: &Config) -> Failure {
    let remedy = match (&error, &config.next_key) {
        (RotationError::NoNewKey, _) => {
            "make one with `openssl rand -hex 32`, give it to every node as CONCORD_MASTER_KEY_NEXT, and restart them one \
             after the other"
        }
        (RotationError::Retired(_), _) => "give another one; `openssl rand -hex 32` makes one",
        (RotationError::NotHeld { .. }, Some(KeySource::File(_))) => {
            "restart it, so that it reads the new key's file, which on another machine has to be copied there first; \
             then run `concord key rotate` again"
        }
        (RotationError::NotHeld { .. }, Some(KeySource::Given(_)) | None) => {
            "restart it with CONCORD_MASTER_KEY_NEXT, then run `concord key rotate` again"
        }
        (RotationError::Unreadable(_), _) => {
            "give those connections, addresses and endpoints new credentials or secrets, or remove them; then run \
             `concord key rotate` again"
        }
        (RotationError::Store(error), _) => return database_failed(error),
    };
    Failure::new(error.to_string(), remedy)
}
