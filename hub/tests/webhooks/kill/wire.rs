//! Between a node and PostgreSQL: knows from what passes which commit is on its way, and keeps a wanted one from the
//! server, or the server's answer from the node, until the node is dead. The program that is tested knows nothing of it.
//!
//! The messages are those of <https://www.postgresql.org/docs/current/protocol-message-formats.html>.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, watch};

/// What a server's socket is called in its folder.
const SOCKET: &str = ".s.PGSQL.5432";
/// The server's word that it waits for the next statement, and that no transaction is open.
const IDLE: &[u8] = b"Z\0\0\0\x05I";
/// Asks for encryption, instead of beginning.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// The commits on a delivery's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Commit {
    /// The delivery is durable, with its job.
    TakenIn,
    /// The job is claimed.
    Claimed,
    /// Its effect, and that it is done.
    WorkedOff,
    /// The job's end.
    Ended,
}

impl Commit {
    pub(super) const ALL: [Self; 4] = [Self::TakenIn, Self::Claimed, Self::WorkedOff, Self::Ended];

    /// Which of them a statement belongs to, and what ends its transaction.
    fn of(statement: &str) -> Option<(Self, End)> {
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let begins = [
            ("WITH stored AS (INSERT INTO inbox ", Self::TakenIn, End::Sync),
            ("UPDATE jobs SET state = 'running'", Self::Claimed, End::Commit),
            (
                "UPDATE inbox SET state = $1, outcome",
                Self::WorkedOff,
                End::Commit,
            ),
            ("DELETE FROM jobs WHERE id = $1", Self::Ended, End::Sync),
        ];
        let found = begins
            .into_iter()
            .find(|(words, ..)| statement.starts_with(words));
        found.map(|(_, commit, end)| (commit, end))
    }
}

/// What ends the transaction of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// A statement of its own.
    Commit,
    /// The message after it: the statement is a transaction by itself.
    Sync,
}

/// Where a commit is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Moment {
    /// The server never hears of it.
    Before,
    /// The server has done it, and nobody hears of that.
    After,
}

#[derive(Default)]
struct Plan {
    wanted: Mutex<Option<(Commit, Moment)>>,
    reached: Notify,
    silent: watch::Sender<bool>,
}

impl Plan {
    /// Waits until something passes.
    async fn open(&self) {
        let _ = self.silent.subscribe().wait_for(|silent| !silent).await;
    }

    fn take(&self, commits: &BTreeSet<Commit>) -> Option<Moment> {
        let mut wanted = self.wanted.lock().unwrap();
        let (commit, moment) = (*wanted)?;
        commits.contains(&commit).then(|| *wanted = None)?;
        Some(moment)
    }
}

/// A server's address that leads through here. It ends with the test's runtime.
pub(super) struct Wire {
    folder: TempDir,
    plan: Arc<Plan>,
}

impl Wire {
    /// To the server whose socket is in this folder.
    pub(super) fn to(server: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let (server, plan) = (server.join(SOCKET), Arc::new(Plan::default()));
        let planned = Arc::clone(&plan);
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                tokio::spawn(pass(node, server.clone(), Arc::clone(&planned)));
            }
        });
        Self { folder, plan }
    }

    /// The database's address through here.
    pub(super) fn url(&self) -> String {
        format!(
            "postgres://concord@localhost/concord?host={}",
            self.folder.path().display()
        )
    }

    /// From now on nothing passes, and nobody is told, as where a network or a server hangs; or all passes again.
    pub(super) fn silence(&self, silent: bool) {
        self.plan.silent.send_replace(silent);
    }

    /// Interrupts the next commit of this kind.
    pub(super) fn want(&self, commit: Commit, moment: Moment) {
        *self.plan.wanted.lock().unwrap() = Some((commit, moment));
    }

    /// Returns once it is interrupted.
    pub(super) async fn reached(&self) {
        self.plan.reached.notified().await;
    }
}

/// A node's connection, until either side ends it.
async fn pass(node: UnixStream, server: PathBuf, plan: Arc<Plan>) -> Result<()> {
    plan.open().await;
    let (from_server, to_server) = UnixStream::connect(server).await?.into_split();
    let (from_node, to_node) = node.into_split();
    let mut talk = Talk {
        from_node,
        to_node,
        from_server,
        to_server,
        statements: BTreeMap::new(),
        commits: BTreeSet::new(),
        alone: false,
    };
    talk.begin().await?;
    let mut heard = Vec::new();
    let mut answers = vec![0; 64 * 1024];
    loop {
        tokio::select! {
            read = talk.from_node.read_buf(&mut heard) => {
                if read? == 0 {
                    return Ok(());
                }
                plan.open().await;
                while let Some(message) = next(&mut heard) {
                    if talk.note(&message) && let Some(moment) = plan.take(&talk.commits) {
                        return talk.interrupt(&message, moment, &plan).await;
                    }
                    talk.to_server.write_all(&message).await?;
                }
            }
            read = talk.from_server.read(&mut answers) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                plan.open().await;
                talk.to_node.write_all(&answers[..read]).await?;
            }
        }
    }
}

struct Talk {
    from_node: OwnedReadHalf,
    to_node: OwnedWriteHalf,
    from_server: OwnedReadHalf,
    to_server: OwnedWriteHalf,
    /// Which commit a prepared statement belongs to.
    statements: BTreeMap<Vec<u8>, (Commit, End)>,
    /// Of the open transaction.
    commits: BTreeSet<Commit>,
    /// Whether that ends with the next message that asks for an answer.
    alone: bool,
}

impl Talk {
    /// The first messages have no kind.
    async fn begin(&mut self) -> Result<()> {
        loop {
            let length = self.from_node.read_u32().await?;
            let mut rest = vec![0; length.checked_sub(4).ok_or(Error::other("too short"))? as usize];
            self.from_node.read_exact(&mut rest).await?;
            self.to_server.write_u32(length).await?;
            self.to_server.write_all(&rest).await?;
            if rest != SSL_REQUEST {
                return Ok(());
            }
            let answer = self.from_server.read_u8().await?;
            self.to_node.write_u8(answer).await?;
        }
    }

    /// Takes note of a message; whether it is a commit.
    fn note(&mut self, message: &[u8]) -> bool {
        let mut words = message[5..].split(|byte| *byte == 0);
        let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match message[0] {
            // Parse: the name of a statement, and its text.
            b'P' => match Commit::of(&String::from_utf8_lossy(second)) {
                Some(commit) => drop(self.statements.insert(first.to_vec(), commit)),
                None => drop(self.statements.remove(first)),
            },
            // Bind: a portal, and the name of the statement.
            b'B' => match self.statements.get(second) {
                Some((commit, End::Commit)) => drop(self.commits.insert(*commit)),
                Some((commit, End::Sync)) => {
                    self.commits = [*commit].into();
                    self.alone = true;
                }
                None => {}
            },
            b'S' => return std::mem::take(&mut self.alone),
            b'Q' if first.starts_with(b"BEGIN") => self.commits.clear(),
            b'Q' => return first == b"COMMIT",
            _ => {}
        }
        false
    }

    async fn interrupt(mut self, commit: &[u8], moment: Moment, plan: &Plan) -> Result<()> {
        if moment == Moment::After {
            self.to_server.write_all(commit).await?;
            let mut answer = Vec::new();
            while !answer.windows(IDLE.len()).any(|word| word == IDLE) {
                if self.from_server.read_buf(&mut answer).await? == 0 {
                    return Err(Error::other("the server ended it"));
                }
            }
        }
        plan.reached.notify_one();
        // The server keeps the transaction as it is until the node is dead.
        let mut rest = Vec::new();
        self.from_node.read_to_end(&mut rest).await?;
        Ok(())
    }
}

/// The first whole message: a kind, a length, the rest.
fn next(heard: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = heard.get(1..5)?.try_into().map(u32::from_be_bytes).ok()? as usize;
    (heard.len() > length).then(|| heard.drain(..=length).collect())
}
