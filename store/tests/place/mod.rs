//! A folder with a key, and a database of its own: in the folder, or on the server that tests share.
#![allow(dead_code, reason = "each test binary uses what it needs")]

use std::path::PathBuf;
use std::sync::Arc;

use connector_sdk::SystemClock;
use store::{Durability, KeyRing, MasterKey, OpenError, OpenMode, Options, SqlStore};
use tempfile::TempDir;
use testkit::harness::Database;

pub(crate) struct Place {
    folder: TempDir,
    database: Option<Database>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            database: None,
        }
    }

    pub(crate) fn on_postgres() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
            database: Some(Database::new().unwrap()),
        }
    }

    /// The file of a database on SQLite.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("concord.db")
    }

    pub(crate) fn url(&self) -> String {
        match &self.database {
            Some(database) => database.url().to_owned(),
            None => format!("sqlite://{}", self.path().display()),
        }
    }

    pub(crate) fn key(&self) -> MasterKey {
        MasterKey::load_or_create(&self.folder.path().join("concord.key")).unwrap()
    }

    pub(crate) async fn try_open(
        &self,
        key: impl Into<KeyRing>,
        mode: OpenMode,
    ) -> Result<SqlStore, OpenError> {
        let options = Options {
            mode,
            durability: Durability::ProcessOnly,
            readers: 3,
            ..Options::default()
        };
        SqlStore::open_with(&self.url(), key, Arc::new(SystemClock), options).await
    }

    pub(crate) async fn open_with_key(&self, key: impl Into<KeyRing>) -> SqlStore {
        self.try_open(key, OpenMode::Serve).await.unwrap()
    }

    pub(crate) async fn open(&self) -> SqlStore {
        self.open_with_key(self.key()).await
    }
}
