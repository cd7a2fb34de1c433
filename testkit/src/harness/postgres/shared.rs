//! One server for all tests of a run. The runner gives every test a process of its own, so that the server belongs to
//! none of them: the first makes it, each holds a shared lock on a file as long as it lives, however it ends, and a
//! keeper stops the server and removes it once nobody has held that lock for a while.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use connector_sdk::SystemClock;
use store::{MasterKey, SqlStore};

use super::cluster::{Cluster, Disk, START_LIMIT, version};

/// Stops the server when nobody holds the lock now, and nobody does some seconds later. While it does so it holds the
/// lock alone: whoever comes waits, finds no server, and makes one. `$1` is the folder, the rest the server's command.
const KEEPER: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 9>&- &
server=$!
exec 9>>"$folder.lock"
while kill -0 "$server" 2>/dev/null; do
    flock -x 9; flock -u 9
    sleep 8
    if flock -xn 9; then
        kill -INT "$server"; wait "$server"
        rm -rf "$folder"
        exit
    fi
done
flock -x 9
rm -rf "$folder"
"#;

/// This process's hold on the server: it ends with the process.
static SERVER: OnceLock<Result<Held, String>> = OnceLock::new();
static NEXT: AtomicU64 = AtomicU64::new(1);

struct Held {
    cluster: Cluster,
    template: String,
    _users: File,
}

/// An empty database, brought up to date, on the server that all tests share. Dropping it removes it.
pub struct Database {
    name: String,
    url: String,
}

impl Database {
    /// A new one.
    ///
    /// # Errors
    /// When PostgreSQL is not installed (the message says `run scripts/setup`) or does not come up.
    pub fn new() -> Result<Self> {
        let held = SERVER
            .get_or_init(|| hold().map_err(|error| format!("{error:?}")))
            .as_ref()
            .map_err(|error| anyhow!("{error}"))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        let make = format!("CREATE DATABASE {name} TEMPLATE {}", held.template);
        held.cluster.psql("postgres", &make)?;
        Ok(Self {
            url: held.cluster.url(&name),
            name,
        })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement and answers with what `psql` prints of its rows, without headings.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn psql(&self, sql: &str) -> Result<String> {
        match SERVER.get() {
            Some(Ok(held)) => held.cluster.psql(&self.name, sql),
            Some(Err(_)) | None => bail!("there is no server"),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Some(Ok(held)) = SERVER.get() {
            // What is left goes with the server.
            let _ = held.cluster.psql(
                "postgres",
                &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            );
        }
    }
}

/// Finds the server or makes it, and holds on to it.
fn hold() -> Result<Held> {
    let folder = std::env::temp_dir().join(format!("concord-postgres-{}-{}", version()?, user()?));
    let lock = |suffix: &str| {
        let path = PathBuf::from(format!("{}{suffix}", folder.display()));
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| path.display().to_string())
    };
    let users = lock(".lock")?;
    users.lock_shared()?;
    // One at a time makes what is missing.
    let makers = lock(".makers")?;
    makers.lock()?;
    let cluster = Cluster::at(&folder)?;
    if cluster.psql("postgres", "SELECT 1").is_err() {
        make(&folder)?;
    }
    let template = template(&cluster)?;
    makers.unlock()?;
    Ok(Held {
        cluster,
        template,
        _users: users,
    })
}

fn user() -> Result<String> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[expect(
    clippy::disallowed_methods,
    reason = "waits for a condition, before there is a runtime to wait in"
)]
fn make(folder: &Path) -> Result<()> {
    // Left by a run that was cut off.
    let _ = std::fs::remove_dir_all(folder);
    std::fs::DirBuilder::new().mode(0o700).create(folder)?;
    let cluster = Cluster::make(folder)?;
    let server = cluster.server(true, Disk::Ignored);
    Command::new("setsid")
        .args(["sh", "-c", KEEPER, "keeper"])
        .arg(folder)
        .arg(server.path())
        .args(server.arguments())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the keeper of the server")?;
    let began = Instant::now();
    while let Err(error) = cluster.psql("postgres", "SELECT 1") {
        if began.elapsed() > START_LIMIT {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(error.context(format!("PostgreSQL does not come up:\n{log}")));
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

/// The database that others are copied from: as the migrations of this build leave it.
fn template(cluster: &Cluster) -> Result<String> {
    let name = format!("template_{:016x}", migrations()?);
    let known = cluster.psql(
        "postgres",
        &format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"),
    )?;
    if !known.is_empty() {
        return Ok(name);
    }
    // Under another name first: a test that dies here must not leave half of one.
    let draft = format!("draft_{}", std::process::id());
    cluster.psql("postgres", &format!("CREATE DATABASE {draft}"))?;
    let url = cluster.url(&draft);
    let open = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let key = MasterKey::from_text(&"00".repeat(32))?;
        runtime.block_on(async {
            let store = SqlStore::open(&url, key, Arc::new(SystemClock)).await?;
            store.close().await;
            anyhow::Ok(())
        })
    });
    open.join().map_err(|_| anyhow!("the migrations panicked"))??;
    // Each test brings its own key.
    cluster.psql(&draft, "DELETE FROM installation")?;
    cluster.psql("postgres", &format!("ALTER DATABASE {draft} RENAME TO {name}"))?;
    Ok(name)
}

/// What the migrations say, as a number.
fn migrations() -> Result<u64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/postgres");
    let mut files = std::fs::read_dir(folder)?
        .map(|file| Ok(file?.path()))
        .collect::<Result<Vec<_>>>()?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        std::fs::read(file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}
