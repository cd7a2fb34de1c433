//! A private Radicale: a real CalDAV server with its own configuration, folder and port. `scripts/setup` installs a
//! pinned release in `.cache/radicale`; without it the one in `PATH` is taken.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use url::Url;

use super::process::{Program, RunningProgram};

const START_LIMIT: Duration = Duration::from_secs(30);
/// Another program may take the free port that we found before Radicale does; not often in a row.
const ATTEMPTS: usize = 5;
const ACCOUNTS: [(&str, &str); 2] = [("alice", "correct horse"), ("bob", "battery staple")];

/// A user's name and password at a private server.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, which is also the first part of the user's addresses.
    pub user: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// A running private Radicale with the accounts `alice` and `bob`. Dropping it stops the server and deletes its
/// folder.
pub struct Radicale {
    // Dropped before the folder that it writes to.
    process: RunningProgram,
    folder: TempDir,
    base_url: Url,
    http: reqwest::Client,
    /// The account of `alice`.
    pub credentials: Credentials,
    /// The account of `bob`, for tests with two people.
    pub other_credentials: Credentials,
}

impl Radicale {
    /// Starts a server with no collections and waits until it answers.
    ///
    /// # Errors
    /// When Radicale is not installed (the message says `run scripts/setup`) or does not come up.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("concord-radicale-").tempdir()?;
        let users = ACCOUNTS
            .map(|(user, password)| format!("{user}:{password}\n"))
            .concat();
        fs::write(folder.path().join("users"), users)?;
        let (mut process, port) = start_on_a_free_port(folder.path()).await?;
        let base_url = Url::parse(&format!("http://127.0.0.1:{port}/"))?;
        // Its built-in page needs no account: it proves that requests are served.
        process
            .wait_for_http(base_url.join(".web/")?.as_str(), START_LIMIT)
            .await?;
        let [credentials, other_credentials] = ACCOUNTS.map(|(user, password)| Credentials {
            user: user.to_owned(),
            password: password.to_owned(),
        });
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            process,
            folder,
            base_url,
            http,
            credentials,
            other_credentials,
        })
    }

    /// `http://127.0.0.1:PORT/`.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// The address of a collection, with the slash at its end.
    ///
    /// # Errors
    /// When the name cannot stand in an address.
    pub fn collection_url(&self, user: &str, collection: &str) -> Result<Url> {
        Ok(self.base_url.join(&format!("{user}/{collection}/"))?)
    }

    /// What the program says of its version: `3.9.0`.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn version(&self) -> Result<String> {
        let printed = program().arg("--version").run(START_LIMIT).await?;
        Ok(printed.trim().to_owned())
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// What the server has logged so far; passwords are masked by the server.
    pub fn log(&self) -> Vec<String> {
        self.process.output()
    }

    /// Writes a calendar straight into the server's folder, where the server finds it with the next request: its
    /// caches hold a hash of each file and are rebuilt when that differs. An existing collection is added to.
    ///
    /// The layout is `collection-root/USER/COLLECTION/` with `.Radicale.props` and one file per item
    /// (<https://radicale.org/v3.html#storage>).
    ///
    /// # Errors
    /// When a name is not a plain file name or the disk refuses.
    pub fn load_collection<F: AsRef<str>, I: AsRef<[u8]>>(
        &self,
        user: &str,
        collection: &str,
        items: impl IntoIterator<Item = (F, I)>,
    ) -> Result<usize> {
        let folder = self.collection_folder(user, collection)?;
        fs::create_dir_all(&folder)?;
        let properties = json!({ "tag": "VCALENDAR", "D:displayname": collection });
        fs::write(folder.join(".Radicale.props"), properties.to_string())?;
        let mut count = 0;
        for (name, item) in items {
            replace_file(&folder, plain_name(name.as_ref())?, item.as_ref())?;
            count += 1;
        }
        Ok(count)
    }

    /// An item as it lies in the server's folder, or nothing when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or is not UTF-8.
    pub fn read_item(&self, user: &str, collection: &str, name: &str) -> Result<Option<String>> {
        let path = self.collection_folder(user, collection)?.join(plain_name(name)?);
        if !path.exists() {
            return Ok(None);
        }
        Ok(Some(
            fs::read_to_string(&path).with_context(|| path.display().to_string())?,
        ))
    }

    /// Every item of a collection by file name, as it lies in the server's folder.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn items(&self, user: &str, collection: &str) -> Result<BTreeMap<String, String>> {
        let folder = self.collection_folder(user, collection)?;
        let mut items = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.starts_with(".Radicale") && entry.file_type()?.is_file() {
                items.insert(name, fs::read_to_string(entry.path())?);
            }
        }
        Ok(items)
    }

    /// Writes an item over HTTP, as another client would; with `if_match` only when its etag is still that.
    /// Returns the new etag.
    ///
    /// # Errors
    /// When the server refuses, with its status and words.
    pub async fn put(
        &self,
        user: &str,
        collection: &str,
        name: &str,
        ics: &str,
        if_match: Option<&str>,
    ) -> Result<String> {
        let url = self.collection_url(user, collection)?.join(name)?;
        let mut request = self.request(Method::PUT, url, user)?;
        request = request
            .header("content-type", "text/calendar; charset=utf-8")
            .body(ics.to_owned());
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let etag = answer
            .headers()
            .get("etag")
            .and_then(|etag| etag.to_str().ok())
            .map(str::to_owned);
        ensure!(
            status.is_success(),
            "PUT {name}: {status} {}",
            answer.text().await?
        );
        etag.context("the server named no etag")
    }

    /// Deletes an item over HTTP, as another client would.
    ///
    /// # Errors
    /// When the server refuses, with its status.
    pub async fn delete(&self, user: &str, collection: &str, name: &str) -> Result<()> {
        let url = self.collection_url(user, collection)?.join(name)?;
        let status = self.request(Method::DELETE, url, user)?.send().await?.status();
        ensure!(status.is_success(), "DELETE {name}: {status}");
        Ok(())
    }

    /// Sends a DAV request with an XML body and returns the multistatus it was answered with.
    ///
    /// # Errors
    /// When the answer is anything but 207.
    pub async fn dav(&self, method: &str, url: Url, user: &str, depth: u8, body: &str) -> Result<String> {
        let answer = self
            .request(Method::from_bytes(method.as_bytes())?, url, user)?
            .header("depth", u16::from(depth))
            .header("content-type", "application/xml; charset=utf-8")
            .body(body.to_owned())
            .send()
            .await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status == StatusCode::MULTI_STATUS, "{method}: {status} {text}");
        Ok(text)
    }

    fn request(&self, method: Method, url: Url, user: &str) -> Result<reqwest::RequestBuilder> {
        let accounts = [&self.credentials, &self.other_credentials];
        let Some(account) = accounts.into_iter().find(|account| account.user == user) else {
            bail!("this server knows no user `{user}`");
        };
        Ok(self
            .http
            .request(method, url)
            .basic_auth(&account.user, Some(&account.password)))
    }

    fn collection_folder(&self, user: &str, collection: &str) -> Result<PathBuf> {
        let root = self.folder.path().join("storage").join("collection-root");
        Ok(root.join(plain_name(user)?).join(plain_name(collection)?))
    }
}

/// The release that `scripts/setup` installed, or the system's.
fn program() -> Program {
    let pinned = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/radicale/bin/radicale");
    Program::new(if pinned.is_file() {
        pinned
    } else {
        PathBuf::from("radicale")
    })
}

async fn start_on_a_free_port(folder: &Path) -> Result<(RunningProgram, u16)> {
    let config = folder.join("config");
    let mut attempt = 1;
    loop {
        // Newer Radicales refuse port 0, with which the system would choose: we ask the system and let go again.
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        fs::write(&config, configuration(folder, port))?;
        let mut process = program()
            .arg("--config")
            .arg(&config)
            .folder(folder)
            .start()
            .context("Radicale is not installed: run scripts/setup")?;
        // It writes `Listening on '127.0.0.1:42695'` once the port is its own.
        let listening = process
            .wait_for_line(START_LIMIT, |line| line.contains("Listening on '").then_some(()))
            .await;
        match listening {
            Ok(()) => return Ok((process, port)),
            Err(_) if attempt < ATTEMPTS && taken_meanwhile(&process) => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

fn taken_meanwhile(process: &RunningProgram) -> bool {
    let output = process.output();
    output.iter().any(|line| line.contains("Address already in use"))
}

/// Radicale's own file: <https://radicale.org/v3.html#configuration>.
fn configuration(folder: &Path, port: u16) -> String {
    let users = folder.join("users");
    let storage = folder.join("storage");
    format!(
        "[server]\nhosts = 127.0.0.1:{port}\nmax_content_length = 1000000000\ntimeout = 120\n\
         [auth]\ntype = htpasswd\nhtpasswd_filename = {}\nhtpasswd_encryption = plain\ndelay = 0\n\
         [rights]\ntype = owner_only\n\
         [storage]\nfilesystem_folder = {}\n\
         [logging]\nlevel = info\nmask_passwords = True\n",
        users.display(),
        storage.display(),
    )
}

fn plain_name(name: &str) -> Result<&str> {
    ensure!(
        !name.is_empty() && !name.starts_with('.') && !name.contains('/'),
        "`{name}` is no plain file name"
    );
    Ok(name)
}

/// The server may be reading the folder: an item is there whole or not at all. It overlooks names that start with
/// `.Radicale`.
fn replace_file(folder: &Path, name: &str, content: &[u8]) -> Result<()> {
    let unfinished = folder.join(format!(".Radicale.tmp-{name}"));
    fs::write(&unfinished, content)?;
    fs::rename(&unfinished, folder.join(name))?;
    Ok(())
}
