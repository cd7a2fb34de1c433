//! From an address to a mailbox that answers: greeting, TLS, login, what the server can do, an open folder.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::{Context, Error, ErrorKind, RemoteId, Security};

use crate::address::endpoint;
use crate::errors::refused;
use crate::wire::connection::{Command, Connection, Done};
use crate::wire::reply::{Code, Ending, Fetched, Reply};

/// A mailbox that answers.
pub(crate) struct Session<'a> {
    pub(crate) ctx: &'a Context,
    connection: Connection,
    capabilities: BTreeSet<String>,
    /// Whether the server tells what vanished while we were away (RFC 7162 section 3.2).
    pub(crate) qresync: bool,
}

/// What a folder says of itself when it is opened.
#[derive(Debug, Clone, Default)]
pub(crate) struct Opened {
    /// The generation of its UIDs.
    pub(crate) validity: u32,
    /// The UID that the next message will have, or a later one; 0 where the server does not say.
    pub(crate) next: u32,
    /// Its newest change; `None` where changes are not numbered.
    pub(crate) modseq: Option<u64>,
    /// How many messages it has.
    pub(crate) exists: u32,
    /// Whether it cannot be written to.
    pub(crate) read_only: bool,
    /// Flags that can be kept; empty where the server does not say.
    pub(crate) permanent: Vec<String>,
    /// What changed since a moment that was named.
    pub(crate) changed: Vec<Fetched>,
    /// What vanished since then.
    pub(crate) vanished: Vec<RangeInclusive<u32>>,
}

/// From where a folder that is opened shall tell what changed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Since {
    pub(crate) validity: u32,
    pub(crate) modseq: u64,
}

impl<'a> Session<'a> {
    /// Connects and logs in.
    pub(crate) async fn open(ctx: &'a Context, operation: &'static str) -> Result<Self, Error> {
        let to = endpoint(ctx, operation)?;
        let opening = async {
            let stream = ctx.dial.dial(&to).await?;
            let mut session = Self {
                ctx,
                connection: Connection::new(stream, operation),
                capabilities: BTreeSet::new(),
                qresync: false,
            };
            let preauth = session.greet().await?;
            if to.security == Security::StartTls {
                if preauth {
                    // RFC 9051 section 11.1: such a greeting may be somebody's in between.
                    return Err(session.error(
                        ErrorKind::Unavailable,
                        "the server lets us in before the connection is secured; nothing was sent",
                    ));
                }
                session.start_tls(&to).await?;
            }
            if !preauth {
                session.login().await?;
            }
            session.enable().await?;
            Ok(session)
        };
        match ctx.cancel.run_until_cancelled(opening).await {
            Some(outcome) => outcome,
            None => Err(Error::new(
                ErrorKind::Unavailable,
                operation,
                "the work was stopped",
            )),
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        self.connection.error(kind, message)
    }

    pub(crate) fn can(&self, capability: &str) -> bool {
        self.capabilities.contains(capability)
    }

    /// Whether changes are numbered (RFC 7162 section 3.1).
    pub(crate) fn condstore(&self) -> bool {
        self.can("CONDSTORE") || self.can("QRESYNC")
    }

    /// Carries out a command that has to end well; `usual` is what a refusal without a code means.
    pub(crate) async fn run(
        &mut self,
        command: Command,
        usual: ErrorKind,
        take: impl FnMut(Reply),
    ) -> Result<Done, Error> {
        let done = self.connection.run(command, take).await?;
        self.well(done, usual)
    }

    fn well(&self, done: Done, usual: ErrorKind) -> Result<Done, Error> {
        match done.ending {
            Ending::Ok => Ok(done),
            Ending::No | Ending::Bad => Err(refused(
                self.connection.operation,
                &done,
                usual,
                &self.ctx.credentials,
            )),
        }
    }

    async fn greet(&mut self) -> Result<bool, Error> {
        match self.connection.reply().await? {
            Reply::Status { code, preauth } => {
                if let Code::Capabilities(found) = code {
                    self.capabilities = found.into_iter().collect();
                }
                Ok(preauth)
            }
            Reply::Bye(text) => {
                let done = Done {
                    ending: Ending::No,
                    code: Code::None,
                    text,
                };
                let kind = ErrorKind::Unavailable;
                Err(refused(
                    self.connection.operation,
                    &done,
                    kind,
                    &self.ctx.credentials,
                ))
            }
            _ => Err(self.error(
                ErrorKind::Unexpected,
                "the server does not greet as an IMAP server does; check address and port",
            )),
        }
    }

    async fn start_tls(&mut self, to: &connector_sdk::Endpoint) -> Result<(), Error> {
        self.learn().await?;
        if !self.can("STARTTLS") {
            let message =
                "the server offers no TLS here; nothing was sent. Connect with imaps:// if it has that";
            return Err(self.error(ErrorKind::Unavailable, message));
        }
        self.run(Command::new("STARTTLS"), ErrorKind::Unavailable, drop)
            .await?;
        let stream = self.connection.take_stream()?;
        let secured = self.ctx.dial.secure(to, stream).await?;
        self.connection.put_stream(secured);
        // What was said before was not protected (RFC 9051 section 6.2.1).
        self.capabilities.clear();
        Ok(())
    }

    /// Asks what the server can do, unless it has said so.
    async fn learn(&mut self) -> Result<(), Error> {
        if !self.capabilities.is_empty() {
            return Ok(());
        }
        let mut found = Vec::new();
        self.run(Command::new("CAPABILITY"), ErrorKind::Unexpected, |reply| {
            if let Reply::Capabilities(all) = reply {
                found = all;
            }
        })
        .await?;
        self.capabilities = found.into_iter().collect();
        Ok(())
    }

    async fn login(&mut self) -> Result<(), Error> {
        self.learn().await?;
        let credentials = &self.ctx.credentials;
        let username = credentials.require("username")?;
        let done = if let Some(token) = credentials.get("token") {
            // <https://developers.google.com/workspace/gmail/imap/xoauth2-protocol>
            let exchange = format!("user={username}\x01auth=Bearer {token}\x01\x01");
            let command = Command::new("AUTHENTICATE XOAUTH2");
            self.connection
                .converse(command, &STANDARD.encode(exchange))
                .await?
        } else {
            let password = credentials.require("password")?;
            if self.can("AUTH=PLAIN") {
                // RFC 4616.
                let exchange = format!("\0{username}\0{password}");
                let command = Command::new("AUTHENTICATE PLAIN");
                self.connection
                    .converse(command, &STANDARD.encode(exchange))
                    .await?
            } else if self.can("LOGINDISABLED") {
                let message = "the server takes no password over this connection; nothing was sent";
                return Err(self.error(ErrorKind::Unavailable, message));
            } else {
                let command = Command::new("LOGIN").text(username).text(password);
                self.connection.run(command, drop).await?
            }
        };
        self.capabilities.clear();
        if let Code::Capabilities(found) = &done.code {
            self.capabilities = found.iter().cloned().collect();
        }
        self.well(done, ErrorKind::Unauthorized)?;
        self.learn().await
    }

    /// Lets the server tell what vanished. One that offers it and refuses it is asked the long way.
    async fn enable(&mut self) -> Result<(), Error> {
        if self.can("QRESYNC") && self.can("ENABLE") && !self.ctx.config.contains_key("without_qresync") {
            let done = self.connection.run(Command::new("ENABLE QRESYNC"), drop).await?;
            self.qresync = done.ending == Ending::Ok;
        }
        Ok(())
    }

    /// Opens a folder. With `since`, it tells what changed since then, if it still knows.
    pub(crate) async fn select(&mut self, folder: &RemoteId, since: Option<Since>) -> Result<Opened, Error> {
        let mut command = Command::new("SELECT").text(&folder.0);
        command = match since {
            Some(since) if self.qresync => {
                command.word(&format!("(QRESYNC ({} {}))", since.validity, since.modseq))
            }
            Some(_) | None if self.condstore() => command.word("(CONDSTORE)"),
            Some(_) | None => command,
        };
        let mut opened = Opened::default();
        let done = self
            .run(command, ErrorKind::NotFound, |reply| match reply {
                Reply::Exists(count) => opened.exists = count,
                Reply::Status { code, .. } => match code {
                    Code::UidValidity(validity) => opened.validity = validity,
                    Code::UidNext(next) => opened.next = next,
                    Code::HighestModSeq(modseq) => opened.modseq = Some(modseq),
                    Code::PermanentFlags(flags) => opened.permanent = flags,
                    _ => {}
                },
                Reply::Message(message) => opened.changed.push(*message),
                Reply::Vanished(ranges) => opened.vanished.extend(ranges),
                _ => {}
            })
            .await?;
        opened.read_only = done.code == Code::ReadOnly;
        if opened.validity == 0 {
            let message = "the server gives this folder no lasting names for its messages (UIDVALIDITY)";
            return Err(self.error(ErrorKind::Unexpected, message));
        }
        Ok(opened)
    }

    /// Leaves, without waiting long for a goodbye.
    pub(crate) async fn close(mut self) {
        let goodbye = self.connection.run(Command::new("LOGOUT"), drop);
        // The answer to a goodbye changes nothing.
        let _ = tokio::time::timeout(std::time::Duration::from_millis(200), goodbye).await;
    }
}
