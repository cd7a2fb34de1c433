//! A private Dovecot server (IMAP), with the accounts alice and bob. Other clients' acts go through `doveadm`, which works
//! on the mailboxes themselves.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::process::{Program, RunningProgram};
use super::wait::until;

const START_LIMIT: Duration = Duration::from_secs(60);
/// What both accounts log in with.
const PASSWORD: &str = "correct-horse-battery";
/// Debian's account for mail, which owns the mailboxes when the tests run as root: Dovecot serves none of root's.
const MAIL_ACCOUNT: (u32, u32) = (8, 8);

/// What a server is to offer.
#[derive(Debug, Clone, Copy, Default)]
pub struct DovecotOptions {
    /// Capabilities that it does not tell of, as `-CONDSTORE -QRESYNC`: the commands still work.
    pub without: &'static [&'static str],
}

/// A private server. Dropping it kills it.
pub struct Dovecot {
    // Dropped before the folder that its mailboxes are in.
    _process: RunningProgram,
    folder: TempDir,
    port: u16,
}

impl Dovecot {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When Dovecot is not installed (the message says `run scripts/setup`) or does not come up.
    pub async fn start() -> Result<Self> {
        Self::with(DovecotOptions::default()).await
    }

    /// Starts a server that offers less.
    ///
    /// # Errors
    /// As [`Dovecot::start`].
    pub async fn with(options: DovecotOptions) -> Result<Self> {
        let server = program().context("Dovecot is not installed: run scripts/setup")?;
        let folder = tempfile::Builder::new().prefix("concord-dovecot-").tempdir()?;
        let mail = folder.path().join("mail");
        fs::create_dir_all(&mail)?;
        if is_root() {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
            std::os::unix::fs::chown(&mail, Some(MAIL_ACCOUNT.0), Some(MAIL_ACCOUNT.1))?;
        }
        write_users(folder.path(), PASSWORD)?;
        // It cannot say which port the system chose: we ask the system and let go again.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        fs::write(
            folder.path().join("dovecot.conf"),
            configuration(folder.path(), port, options),
        )?;
        let mut process = Program::new("setpriv")
            .args(["--pdeathsig", "KILL", server, "-F", "-c"])
            .arg(folder.path().join("dovecot.conf"))
            .start()?;
        let ended = process.ended();
        ensure!(ended.is_none(), "Dovecot ended: {}", process.output().join("\n"));
        until("Dovecot to answer", START_LIMIT, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await
        .with_context(|| process.output().join("\n"))?;
        Ok(Self {
            _process: process,
            folder,
            port,
        })
    }

    /// `imap://127.0.0.1:PORT`, to be connected to with the setting `security: "none"`.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("imap://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The password of both accounts.
    #[must_use]
    pub const fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Another client stores a message.
    ///
    /// # Errors
    /// When the server does not take it.
    pub fn append(&self, user: &str, folder: &str, raw: &[u8]) -> Result<()> {
        self.doveadm(&["save", "-u", user, "-m", folder], raw).map(drop)
    }

    /// The UIDs of a folder's messages that `query` finds (doveadm-search-query), in order.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn uids(&self, user: &str, folder: &str, query: &[&str]) -> Result<Vec<u32>> {
        let mut words = vec!["-f", "flow", "fetch", "-u", user, "uid", "mailbox", folder];
        words.extend(query);
        let found = self.doveadm(&words, b"")?;
        found
            .lines()
            .filter_map(|line| line.trim().strip_prefix("uid="))
            .map(|uid| Ok(uid.parse()?))
            .collect()
    }

    /// The flags and keywords of a message.
    ///
    /// # Errors
    /// When it is not there.
    pub fn flags(&self, user: &str, folder: &str, uid: u32) -> Result<Vec<String>> {
        let uid = uid.to_string();
        let words = [
            "-f", "flow", "fetch", "-u", user, "flags", "mailbox", folder, "uid", &uid,
        ];
        let found = self.doveadm(&words, b"")?;
        let flags = found.trim().strip_prefix("flags=").context("it is not there")?;
        Ok(flags.split_whitespace().map(str::to_owned).collect())
    }

    /// Another client sets flags or keywords.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn add_flags(&self, user: &str, folder: &str, uid: u32, flags: &str) -> Result<()> {
        let uid = uid.to_string();
        let words = ["flags", "add", "-u", user, flags, "mailbox", folder, "uid", &uid];
        self.doveadm(&words, b"").map(drop)
    }

    /// Another client removes a message for good.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn expunge(&self, user: &str, folder: &str, uid: u32) -> Result<()> {
        let uid = uid.to_string();
        self.doveadm(&["expunge", "-u", user, "mailbox", folder, "uid", &uid], b"")
            .map(drop)
    }

    /// All messages of a folder get new UIDs, as after a restore: the folder is made anew from its messages.
    ///
    /// # Errors
    /// When the server refuses.
    pub fn renumber(&self, user: &str, folder: &str, validity: u32) -> Result<()> {
        let validity = validity.to_string();
        let words = [
            "mailbox",
            "update",
            "-u",
            user,
            "--uid-validity",
            &validity,
            folder,
        ];
        self.doveadm(&words, b"").map(drop)
    }

    /// The password of both accounts is another from now on, and everybody is thrown out.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn revoke(&self) -> Result<()> {
        write_users(self.folder.path(), "another-password")?;
        // The server looks at its accounts once a second.
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        let since = tokio::time::Instant::now();
        while self.doveadm(&["auth", "test", "alice", PASSWORD], b"").is_ok() {
            ensure!(since.elapsed() < START_LIMIT, "the old password is still taken");
            looks.tick().await;
        }
        // It fails when nobody is there.
        let _ = self.doveadm(&["kick", "*"], b"");
        Ok(())
    }

    /// Runs an administrator's command; what it prints.
    ///
    /// # Errors
    /// When it fails, with what it says.
    pub fn doveadm(&self, words: &[&str], input: &[u8]) -> Result<String> {
        let mut child = Command::new("doveadm")
            .arg("-c")
            .arg(self.folder.path().join("dovecot.conf"))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run doveadm: run scripts/setup")?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input)?;
        }
        let output = child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "doveadm {}: {}",
            words.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Debian keeps the server outside of a user's `PATH`.
fn program() -> Option<&'static str> {
    ["/usr/sbin/dovecot", "/usr/local/sbin/dovecot"]
        .into_iter()
        .find(|path| Path::new(path).is_file())
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn write_users(folder: &Path, password: &str) -> Result<()> {
    let users = ["alice", "bob"].map(|user| format!("{user}:{{PLAIN}}{password}::::::\n"));
    // Put in place whole: the server may read it at any moment.
    let fresh = folder.join("users.new");
    fs::write(&fresh, users.concat())?;
    if let Ok(before) = fs::metadata(folder.join("users")).and_then(|facts| facts.modified()) {
        // The server looks at whole seconds of its age to tell whether it is another.
        fs::File::options()
            .write(true)
            .open(&fresh)?
            .set_modified(before + Duration::from_secs(60))?;
    }
    fs::rename(fresh, folder.join("users"))?;
    Ok(())
}

fn configuration(folder: &Path, port: u16, options: DovecotOptions) -> String {
    let folder = folder.display();
    let (uid, gid) = if is_root() {
        MAIL_ACCOUNT
    } else {
        (
            rustix::process::getuid().as_raw(),
            rustix::process::getgid().as_raw(),
        )
    };
    // Without root's rights all of its processes run as whoever started it.
    let accounts = if is_root() {
        String::new()
    } else {
        let user = std::env::var("USER").unwrap_or_else(|_| uid.to_string());
        format!("default_internal_user = {user}\ndefault_login_user = {user}\n")
    };
    let capability = if options.without.is_empty() {
        String::new()
    } else {
        let all = "IMAP4rev1 SASL-IR ID ENABLE IDLE CHILDREN NAMESPACE UIDPLUS LIST-EXTENDED CONDSTORE QRESYNC MOVE \
                   LITERAL+ SPECIAL-USE";
        let offered: Vec<&str> = all
            .split_whitespace()
            .filter(|word| !options.without.contains(word))
            .collect();
        format!("imap_capability = {}\n", offered.join(" "))
    };
    format!(
        "base_dir = {folder}/run
state_dir = {folder}/run
log_path = /dev/stderr
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0
first_valid_uid = 0
default_vsz_limit = 0
{accounts}{capability}mail_location = maildir:{folder}/mail/%u
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/mail/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = create
  }}
}}
service anvil {{
  chroot =
}}
service imap-login {{
  chroot =
  client_limit = 1000
  process_min_avail = 1
  service_count = 0
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
"
    )
}
