//! The demo's files: written whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// Everyone who may read the folder.
    Open,
    /// Its owner.
    Secret,
}

/// Makes the folder for the demo's data, readable by its owner only.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_folder(folder: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            let remedy = "start the demo in a folder that you may write to, or name another with --data-dir";
            Failure::new(format!("{} cannot be made: {error}", folder.display()), remedy)
        })
}

/// A document; `None` when there is no such file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Failure> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    let remedy = "delete the demo's folder to start afresh";
    Failure::new(format!("{} cannot be read: {error}", path.display()), remedy)
}

/// Writes a document: beside the old one first, then in its place.
///
/// # Errors
/// When it cannot be written; the old one stays.
pub(super) fn write(path: &Path, document: &impl Serialize, kept: Kept) -> Result<(), Failure> {
    let beside = path.with_extension("new");
    let mode = match kept {
        Kept::Open => 0o644,
        Kept::Secret => 0o600,
    };
    let written = serde_json::to_vec(document)
        .map_err(std::io::Error::other)
        .and_then(|text| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(mode)
                .open(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, path)
        });
    written.map_err(|error| {
        let remedy = "make room on the disk, or name another folder with --data-dir";
        Failure::new(format!("{} cannot be written: {error}", path.display()), remedy)
    })
}
