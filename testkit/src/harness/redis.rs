//! A private Redis server. It listens on a socket in its folder and on no port, keeps nothing on the disk, and dies with
//! the test's process, however that ends.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::process::{Program, RunningProgram};

const START_LIMIT: Duration = Duration::from_secs(60);
/// What it lets in with.
const PASSWORD: &str = "correct-horse-battery";

/// A private server. Dropping it kills it.
pub struct Redis {
    // Dropped before the folder that its socket is in.
    process: Option<RunningProgram>,
    folder: TempDir,
}

impl Redis {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When Redis is not installed (the message says `run scripts/setup`) or does not come up.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("concord-redis-").tempdir()?;
        let mut server = Self {
            process: None,
            folder,
        };
        server.go_up().await?;
        Ok(server)
    }

    /// Starts it again after [`Redis::stop`] or [`Redis::kill`], at the same place and empty.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn go_up(&mut self) -> Result<()> {
        ensure!(
            installed("redis-server"),
            "redis-server is not installed: run scripts/setup"
        );
        let mut process = Program::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server"])
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
            ])
            .args(["--requirepass", PASSWORD])
            .arg("--dir")
            .arg(self.folder.path())
            .arg("--unixsocket")
            .arg(self.socket())
            .start()?;
        // "Ready to accept connections", with more words before or after it in other releases.
        let ready = |line: &str| {
            line.to_lowercase()
                .contains("ready to accept connections")
                .then_some(())
        };
        process.wait_for_line(START_LIMIT, ready).await.context("Redis")?;
        self.process = Some(process);
        Ok(())
    }

    /// Stops it as an administrator would.
    ///
    /// # Errors
    /// When it does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.terminate(START_LIMIT).await?;
        }
        Ok(())
    }

    /// Whether it runs, as far as this harness has done anything to it.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        self.process.is_some()
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

    /// From now on it takes connections and answers nothing, as one does that swaps or waits for its disk.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hang(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// It goes on after [`Redis::hang`].
    ///
    /// # Errors
    /// When the system refuses.
    pub fn go_on(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        let sent = Command::new("kill")
            .arg(signal)
            .arg(process.pid().to_string())
            .status();
        ensure!(
            sent.context("cannot run the `kill` command")?.success(),
            "the signal was not sent"
        );
        Ok(())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// Its address, with the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("unix://{}?pass={PASSWORD}", self.socket().display())
    }

    /// Its address for another user.
    #[must_use]
    pub fn url_as(&self, user: &str, password: &str) -> String {
        format!("unix://{}?user={user}&pass={password}", self.socket().display())
    }

    /// The password that must not be seen anywhere.
    #[must_use]
    pub const fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Gives the server a command; what `redis-cli` prints of the answer.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn ask(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.socket())
            .args(["--no-auth-warning", "-a", PASSWORD])
            .args(words)
            .stdin(Stdio::null())
            .output()
            .context("cannot run redis-cli: run scripts/setup")?;
        ensure!(
            output.status.success(),
            "redis-cli: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
