//! The folder of a server, and the programs that make and serve it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::harness::process::Program;

pub(super) const START_LIMIT: Duration = Duration::from_secs(60);
/// The role that all tests are.
const ROLE: &str = "concord";
/// Whom the server runs as when the tests run as root, which PostgreSQL refuses to be.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Whether a server waits for its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It does not: tests are about what it says, not about power cuts.
    Ignored,
    /// It does, as one that holds people's data: for measurements.
    Awaited,
}

/// A server's folder: its data and its socket.
pub(super) struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
}

impl Cluster {
    /// One whose folder is there already.
    pub(super) fn at(folder: &Path) -> Result<Self> {
        Ok(Self {
            folder: folder.to_owned(),
            programs: programs()?,
        })
    }

    /// Makes the files of an empty server in a folder.
    pub(super) fn make(folder: &Path) -> Result<Self> {
        let cluster = Self::at(folder)?;
        if let Some(user) = other_user()? {
            run(Command::new("chown").arg(user).arg(folder))?;
        }
        // Texts are sorted as a library would by default: a column that forgot its collation is noticed.
        let mut initdb = cluster.command("initdb")?;
        initdb
            .args([
                "--username",
                ROLE,
                "--auth",
                "trust",
                "--encoding",
                "UTF8",
                "--no-sync",
            ])
            .args(["--locale", "C.UTF-8"])
            .arg("--pgdata")
            .arg(cluster.data());
        if version()? >= 15 {
            initdb.args(["--locale-provider", "icu", "--icu-locale", "en-US"]);
        }
        run(&mut initdb)?;
        Ok(cluster)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The server's program; it dies with the one that starts it where that is wanted.
    pub(super) fn server(&self, tied: bool, disk: Disk) -> Program {
        let settings = [
            "listen_addresses=",
            "max_connections=200",
            // Waiting for a lock that will not come is found out soon.
            "deadlock_timeout=200ms",
            "log_min_messages=warning",
        ];
        let of_disk = match disk {
            Disk::Ignored => ["fsync=off", "full_page_writes=off", "shared_buffers=64MB"],
            Disk::Awaited => ["fsync=on", "synchronous_commit=on", "shared_buffers=256MB"],
        };
        let mut program = Program::new("setpriv");
        if tied {
            program = program.args(["--pdeathsig", "KILL"]);
        }
        if let Ok(Some(user)) = other_user() {
            program = program.args(as_user(&user));
        }
        program = program
            .arg(self.programs.join("postgres"))
            .arg("-D")
            .arg(self.data())
            .arg("-k")
            .arg(&self.folder);
        for setting in settings.into_iter().chain(of_disk) {
            program = program.args(["-c", setting]);
        }
        program
    }

    /// The address of a database. A socket's folder stands as the parameter `host`
    /// (<https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS>).
    pub(super) fn url(&self, database: &str) -> String {
        format!(
            "postgres://{ROLE}@localhost/{database}?host={}",
            self.folder.display()
        )
    }

    /// Runs a statement; what it prints of its rows.
    pub(super) fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"])
            .args([
                "--set",
                "ON_ERROR_STOP=1",
                "--username",
                ROLE,
                "--dbname",
                database,
            ])
            .arg("--host")
            .arg(&self.folder)
            .args(["--command", sql]);
        run(&mut psql)
    }

    fn command(&self, program: &str) -> Result<Command> {
        let path = self.programs.join(program);
        let Some(user) = other_user()? else {
            return Ok(Command::new(path));
        };
        let mut command = Command::new("setpriv");
        command.args(as_user(&user)).arg(path);
        Ok(command)
    }
}

fn as_user(user: &str) -> [String; 3] {
    [
        format!("--reuid={user}"),
        format!("--regid={}", if user == "nobody" { "nogroup" } else { user }),
        "--clear-groups".to_owned(),
    ]
}

/// Runs a program to its end; what it printed.
fn run(command: &mut Command) -> Result<String> {
    let name = format!("{:?}", command.get_program());
    // Not the tests' own folder: another user may not be let into it.
    let output = command
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {name}"))?;
    ensure!(
        output.status.success(),
        "{name} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The user to run as, where this process is root.
fn other_user() -> Result<Option<String>> {
    if run(Command::new("id").arg("-u"))? != "0" {
        return Ok(None);
    }
    for user in UNPRIVILEGED {
        if run(Command::new("id").args(["-u", user])).is_ok() {
            return Ok(Some(user.to_owned()));
        }
    }
    bail!("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")
}

/// The newest installed release, by its first number.
///
/// # Errors
/// When none is installed.
pub fn version() -> Result<u32> {
    Ok(installed()?.0)
}

fn programs() -> Result<PathBuf> {
    Ok(installed()?.1)
}

/// Debian keeps one folder per release, outside of `PATH`.
fn installed() -> Result<(u32, PathBuf)> {
    let folders = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let found = folders.filter_map(|folder| {
        let release = folder.file_name().to_str()?.parse().ok()?;
        let programs = folder.path().join("bin");
        programs.join("postgres").is_file().then_some((release, programs))
    });
    found
        .max()
        .context("PostgreSQL is not in /usr/lib/postgresql: run scripts/setup")
}
