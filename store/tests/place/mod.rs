//! A folder with a database of its own.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::path::PathBuf;
use std::sync::Arc;

use connector_sdk::SystemClock;
use store::{Durability, MasterKey, OpenError, OpenMode, Options, SqliteStore};
use tempfile::TempDir;

pub(crate) struct Place {
    folder: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("concord.db")
    }

    pub(crate) fn url(&self) -> String {
        format!("sqlite://{}", self.path().display())
    }

    pub(crate) fn key(&self) -> MasterKey {
        MasterKey::load_or_create(&self.folder.path().join("concord.key")).unwrap()
    }

    pub(crate) async fn try_open(&self, key: MasterKey, mode: OpenMode) -> Result<SqliteStore, OpenError> {
        let options = Options {
            mode,
            durability: Durability::ProcessOnly,
            readers: 3,
        };
        SqliteStore::open_with(&self.url(), key, Arc::new(SystemClock), options).await
    }

    pub(crate) async fn open_with_key(&self, key: MasterKey) -> SqliteStore {
        self.try_open(key, OpenMode::Serve).await.unwrap()
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        self.open_with_key(self.key()).await
    }
}
