//! What `doctor` wants to know.

use sync::ports::StoreError;

use crate::SqliteStore;

/// The state of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Rows per table.
    pub rows: Vec<(String, i64)>,
    /// The size of the database file.
    pub database_bytes: u64,
    /// The size of its write-ahead log.
    pub log_bytes: u64,
    /// The last migration that was applied.
    pub migration: i64,
    /// What is broken; empty when the database is sound.
    pub problems: Vec<String>,
    /// When the oldest waiting job was due, epoch milliseconds.
    pub oldest_due_at: Option<i64>,
    /// Jobs that are being worked on.
    pub running: i64,
    /// Jobs whose lease ran out without an end.
    pub expired: i64,
    /// The fingerprint of the master key.
    pub key_id: String,
}

impl SqliteStore {
    /// Reads the facts; checks the whole file, which takes a while on a large one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn facts(&self, now_ms: i64) -> Result<Facts, StoreError> {
        let _ = now_ms;
        todo!()
    }
}
