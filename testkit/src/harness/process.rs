//! Starts a program as its own process, reads what it prints, and ends it the way a test wants: politely, or as a
//! power cut would.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::wait::until;

const LINES_SHOWN_IN_AN_ERROR: usize = 30;

/// A program to start: its path, arguments, variables and folder.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    args: Vec<OsString>,
    env: BTreeMap<OsString, OsString>,
    folder: Option<PathBuf>,
}

impl Program {
    /// The program at `path` (or of that name, found in `PATH`).
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            args: Vec::new(),
            env: BTreeMap::new(),
            folder: None,
        }
    }

    /// A binary of this workspace, next to the one that is running: `concord` for `target/debug/concord`.
    ///
    /// # Errors
    /// When it has not been built; the message says how. In a crate's own integration tests
    /// `env!("CARGO_BIN_EXE_concord")` is the better way, since cargo then builds it first.
    pub fn of_workspace(name: &str) -> Result<Self> {
        let running = std::env::current_exe().context("the path of the running program")?;
        let beside = running
            .parent()
            .into_iter()
            .chain(running.parent().and_then(Path::parent));
        for folder in beside {
            let candidate = folder.join(name);
            if candidate.is_file() {
                return Ok(Self::new(candidate));
            }
        }
        bail!("the program `{name}` is not built: run `cargo build --workspace` (or with --release) first")
    }

    /// Where the program is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is given.
    pub fn arguments(&self) -> &[OsString] {
        &self.args
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// The folder it runs in.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        // The developer's own settings must not reach the program under test.
        let own_settings = std::env::vars_os().map(|(name, _)| name);
        for name in own_settings.filter(|name| name.to_string_lossy().starts_with("CONCORD_")) {
            command.env_remove(name);
        }
        command.args(&self.args).envs(&self.env).stdin(Stdio::null());
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command
    }

    /// Starts it; what it prints on either stream is collected line by line.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<RunningProgram> {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let output = Output::default();
        if let Some(stream) = child.stdout.take() {
            output.collect(stream);
        }
        if let Some(stream) = child.stderr.take() {
            output.collect(stream);
        }
        Ok(RunningProgram {
            name: self.path.display().to_string(),
            child,
            output,
        })
    }

    /// Runs it to its end and returns what it printed on its standard output.
    ///
    /// # Errors
    /// When it cannot be started, does not end within `limit`, or ends with a failure.
    pub async fn run(&self, limit: Duration) -> Result<String> {
        let mut child = self
            .command()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        let (printed, complaints) = (Output::default(), Output::default());
        let readers = [
            child.stdout.take().map(|stream| printed.collect(stream)),
            child.stderr.take().map(|stream| complaints.collect(stream)),
        ];
        let mut running = RunningProgram {
            name: self.path.display().to_string(),
            child,
            output: complaints,
        };
        let status = running.wait(limit).await?;
        for reader in readers.into_iter().flatten() {
            let _ = reader.join();
        }
        if !status.success() {
            bail!("{} ended with {status}:\n{}", running.name, running.output.tail());
        }
        Ok(printed.text())
    }
}

/// The collected lines of a program, shared with the threads that read them.
#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<String>>>);

impl Output {
    fn collect(&self, stream: impl Read + Send + 'static) -> std::thread::JoinHandle<()> {
        let lines = self.clone();
        std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut raw = Vec::new();
            while matches!(stream.read_until(b'\n', &mut raw), Ok(read) if read > 0) {
                let line = String::from_utf8_lossy(&raw)
                    .trim_end_matches(['\r', '\n'])
                    .to_owned();
                lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                raw.clear();
            }
        })
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn text(&self) -> String {
        self.lines().join("\n")
    }

    fn tail(&self) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(LINES_SHOWN_IN_AN_ERROR)..].join("\n")
    }
}

/// A started program. Dropping it kills it.
pub struct RunningProgram {
    name: String,
    child: Child,
    output: Output,
}

impl RunningProgram {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All lines that it has printed so far, both streams in the order of their arrival.
    pub fn output(&self) -> Vec<String> {
        self.output.lines()
    }

    /// How it ended, or nothing while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for a line for which `wanted` yields a value.
    ///
    /// # Errors
    /// When the program ends first or `limit` passes; the message shows the last lines it printed.
    pub async fn wait_for_line<T>(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let mut seen = 0;
        let found = until("a line of output", limit, async || {
            // Looked at before the lines, so that a line printed just before the end is still found.
            let ended = self.ended();
            let lines = self.output.lines();
            let hit = lines[seen..].iter().find_map(|line| wanted(line));
            seen = lines.len();
            hit.map(Ok).or(ended.map(Err))
        })
        .await;
        match found {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(status)) => bail!("{} ended early with {status}:\n{}", self.name, self.output.tail()),
            Err(late) => Err(late.context(format!("{} printed:\n{}", self.name, self.output.tail()))),
        }
    }

    /// Waits until `url` answers with a success.
    ///
    /// # Errors
    /// When the program ends first or `limit` passes; the message shows the last lines it printed.
    pub async fn wait_for_http(&mut self, url: &str, limit: Duration) -> Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(limit).build()?;
        let ready = until(&format!("{url} to answer"), limit, async || {
            if let Some(status) = self.ended() {
                return Some(Err(status));
            }
            let answer = http.get(url).send().await;
            answer
                .is_ok_and(|answer| answer.status().is_success())
                .then_some(Ok(()))
        })
        .await;
        match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(status)) => bail!("{} ended early with {status}:\n{}", self.name, self.output.tail()),
            Err(late) => Err(late.context(format!("{} printed:\n{}", self.name, self.output.tail()))),
        }
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = format!("{} to end", self.name);
        until(&name, limit, async || self.ended())
            .await
            .with_context(|| self.output.tail())
    }

    /// `kill -9`: it gets no chance to tidy up.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        if self.ended().is_none() {
            self.child
                .kill()
                .with_context(|| format!("cannot kill {}", self.name))?;
        }
        self.child
            .wait()
            .with_context(|| format!("cannot reap {}", self.name))
    }

    /// Sends SIGTERM and waits for a graceful end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("-TERM", limit).await
    }

    /// Sends SIGINT and waits for the end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn interrupt(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("-INT", limit).await
    }

    /// Sends SIGQUIT and waits for the end.
    ///
    /// # Errors
    /// When it still runs after `limit`.
    pub async fn quit(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal("-QUIT", limit).await
    }

    async fn signal(&mut self, signal: &str, limit: Duration) -> Result<ExitStatus> {
        if self.ended().is_none() {
            // The standard library only knows SIGKILL; the `kill` command spares us unsafe code or a crate.
            let sent = Command::new("kill")
                .arg(signal)
                .arg(self.pid().to_string())
                .status();
            sent.context("cannot run the `kill` command")?;
        }
        self.wait(limit).await
    }

    /// Resident memory in bytes as Linux counts it (`VmRSS` in `/proc/PID/status`, proc(5)).
    ///
    /// # Errors
    /// When the process is gone or the system has no `/proc`.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS line")?;
        let kib: u64 = line
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .context("VmRSS is not a number")?;
        Ok(kib * 1024)
    }
}

impl Drop for RunningProgram {
    fn drop(&mut self) {
        // Already ended, or ended now: either way nothing is left behind.
        let _ = self.kill();
    }
}
