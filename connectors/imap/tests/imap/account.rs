//! An account on a private Dovecot, and the hands of another client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use connector_imap::ImapConnector;
use connector_sdk::{
    ByteStream, Change, Connector as _, Context, Cursor, Dial, Endpoint, Error, Known, Page, PullRequest,
    RemoteCollection, RemoteId,
};
use futures::StreamExt as _;
use serde_json::json;
use testkit::conformance::context;
use testkit::harness::{Dovecot, DovecotOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

pub(crate) const USER: &str = "alice";
pub(crate) const FOLDER: &str = "INBOX";

/// A mailbox on a server of its own.
pub(crate) struct Account {
    pub(crate) connector: ImapConnector,
    pub(crate) server: Dovecot,
    pub(crate) context: Context,
    pub(crate) dial: Arc<Counting>,
}

/// Counts the commands that change something.
pub(crate) struct Counting {
    inner: Arc<dyn Dial>,
    writes: Arc<AtomicUsize>,
    commands: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    pub(crate) fn commands(&self) -> usize {
        self.commands.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Dial for Counting {
    async fn dial(&self, to: &Endpoint) -> Result<ByteStream, Error> {
        let server = self.inner.dial(to).await?;
        let (near, far) = tokio::io::duplex(64 << 10);
        let (writes, commands) = (Arc::clone(&self.writes), Arc::clone(&self.commands));
        tokio::spawn(async move {
            let (mut from_server, mut to_server) = tokio::io::split(server);
            let (mut from_client, mut to_client) = tokio::io::split(far);
            let up = async {
                let mut piece = vec![0; 64 << 10];
                while let Ok(length @ 1..) = from_client.read(&mut piece).await {
                    let text = String::from_utf8_lossy(&piece[..length]);
                    commands.fetch_add(text.matches("\r\n").count(), Ordering::Relaxed);
                    let changing = [" STORE ", " EXPUNGE", " MOVE ", " APPEND "];
                    let found = changing.iter().filter(|word| text.contains(**word)).count();
                    writes.fetch_add(found, Ordering::Relaxed);
                    if to_server.write_all(&piece[..length]).await.is_err() {
                        break;
                    }
                }
            };
            let down = tokio::io::copy(&mut from_server, &mut to_client);
            tokio::select! {
                () = up => {}
                _ = down => {}
            }
        });
        Ok(Box::new(near))
    }

    async fn secure(&self, to: &Endpoint, stream: ByteStream) -> Result<ByteStream, Error> {
        self.inner.secure(to, stream).await
    }
}

impl Account {
    pub(crate) async fn start(without: &'static [&'static str]) -> anyhow::Result<Self> {
        let server = Dovecot::with(DovecotOptions { without }).await?;
        let login = json!({"username": USER, "password": server.password()});
        let mut context = context(&server.base_url(), &login, &json!({"security": "none"}))?;
        let dial = Arc::new(Counting {
            inner: Arc::clone(&context.dial),
            writes: Arc::default(),
            commands: Arc::default(),
        });
        context.dial = dial.clone();
        Ok(Self {
            connector: connector_imap::paged(2),
            server,
            context,
            dial,
        })
    }

    pub(crate) async fn folder(&self, name: &str) -> RemoteCollection {
        let pull = self.connector.pull().unwrap();
        let listed = pull.collections(&self.context).await.unwrap();
        listed.into_iter().find(|folder| folder.id.0 == name).unwrap()
    }

    /// All pages, and what the hub then holds of them.
    pub(crate) async fn pull(&self, cursor: Option<&Cursor>, known: &mut Known) -> Result<Vec<Page>, Error> {
        let collection = self.folder(FOLDER).await;
        let before = known.clone();
        let request = PullRequest {
            collection: &collection,
            cursor,
            known: &before,
        };
        let mut stream = self.connector.pull().unwrap().pages(&self.context, request);
        let mut pages = Vec::new();
        while let Some(page) = stream.next().await {
            pages.push(page?);
        }
        for change in pages.iter().flat_map(|page| &page.changes) {
            match change {
                Change::Present(object) => {
                    known.insert(object.id.clone(), object.version.clone());
                }
                Change::Unreadable { id, version, .. } => {
                    known.insert(id.clone(), version.clone());
                }
                Change::Deleted(id) => {
                    known.remove(id);
                }
                Change::Unchanged(_) => {}
            }
        }
        Ok(pages)
    }

    /// The UID in an id that was given since the folder has its UIDs.
    pub(crate) fn uid(id: &RemoteId) -> u32 {
        id.0.split('.').nth(1).unwrap().parse().unwrap()
    }
}

pub(crate) fn changes(pages: &[Page]) -> Vec<&Change> {
    pages.iter().flat_map(|page| &page.changes).collect()
}

pub(crate) fn cursor(pages: &[Page]) -> Cursor {
    pages.last().unwrap().cursor.clone().unwrap()
}

/// A plain message.
pub(crate) fn message(subject: &str) -> String {
    format!(
        "From: Grace <grace@example.org>\r\nTo: zoe@example.net\r\nSubject: {subject}\r\n\
         Date: Sun, 01 Mar 2026 10:00:00 +0100\r\nMessage-ID: <{subject}@example.org>\r\n\r\nBring coffee\r\n"
    )
}
