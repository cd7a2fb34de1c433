//! PostgreSQL for tests: a database of its own for each test on a server that the tests of a run share
//! ([`Database`]), or a whole server of its own for tests that take it down ([`Postgres`]).
//!
//! Debian's package is used where `scripts/setup` put it. The servers listen on a socket in their folder and on no
//! port; unless they are asked to, they do not wait for the disk.

mod cluster;
mod shared;

use std::path::Path;

use anyhow::{Context, Result};
use tempfile::TempDir;

use super::process::RunningProgram;
use cluster::{Cluster, START_LIMIT};
pub use cluster::{Disk, version};
pub use shared::Database;

/// A private server. Dropping it kills it and deletes its folder; it dies with the test's process, however that ends.
pub struct Postgres {
    // Dropped before the folder that it writes to.
    process: Option<RunningProgram>,
    disk: Disk,
    cluster: Cluster,
    _folder: TempDir,
}

impl Postgres {
    /// Makes a server and waits until it answers.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (the message says `run scripts/setup`) or does not come up.
    pub async fn start() -> Result<Self> {
        Self::start_on(Disk::Ignored).await
    }

    /// The same, and whether it waits for its disk.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub async fn start_on(disk: Disk) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("concord-postgres-").tempdir()?;
        let cluster = Cluster::make(folder.path())?;
        let mut server = Self {
            process: None,
            disk,
            cluster,
            _folder: folder,
        };
        server.go_up().await?;
        Ok(server)
    }

    /// Starts it again after [`Postgres::stop`] or [`Postgres::kill`].
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn go_up(&mut self) -> Result<()> {
        let mut process = self.cluster.server(true, self.disk).start()?;
        let ready = |line: &str| line.contains("ready to accept connections").then_some(());
        process
            .wait_for_line(START_LIMIT, ready)
            .await
            .context("PostgreSQL")?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it as an administrator would: connections end at once (`SIGINT`, "fast shutdown").
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.interrupt(START_LIMIT).await?;
        }
        Ok(())
    }

    /// Stops it without letting anybody finish ("immediate shutdown"): it recovers from its log when it starts again
    /// (<https://www.postgresql.org/docs/current/server-shutdown.html>).
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop_at_once(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.quit(START_LIMIT).await?;
        }
        Ok(())
    }

    /// Ends it as a crash would.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// A new, empty database: its address.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn database(&self, name: &str) -> Result<String> {
        self.cluster
            .psql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.cluster.url(name))
    }

    /// Runs a statement and answers with what `psql` prints of its rows, without headings.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String> {
        self.cluster.psql(database, sql)
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.cluster.folder()
    }
}
