//! One connection: commands out, answers in, nothing larger or slower than allowed.

use std::time::Duration;

use bytes::BytesMut;
use connector_sdk::{ByteStream, Error, ErrorKind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::framing::{Frame, Framing};
use super::reply::{self, Code, Ending, Reply};
use super::text::quoted;

/// Longest wait for the next bytes of an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer: a whole message of [`crate::fetch::WHOLE_UP_TO`] and what stands around it, with room.
const LARGEST_ANSWER: usize = 24 << 20;
/// Read at once.
const READ_BYTES: usize = 64 << 10;

/// A command in pieces: texts, and between them literals, which the server must ask for.
#[derive(Clone, Default)]
pub(crate) struct Command {
    pieces: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    Text(String),
    Literal(Vec<u8>),
}

impl Command {
    /// A command that begins with these words, without tag and line end.
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self {
            pieces: vec![Piece::Text(words.into())],
        }
    }

    /// A space and more words.
    pub(crate) fn word(mut self, word: &str) -> Self {
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => {
                text.push(' ');
                text.push_str(word);
            }
            Some(Piece::Literal(_)) | None => self.pieces.push(Piece::Text(format!(" {word}"))),
        }
        self
    }

    /// A space and any text: quoted where it can be, else as a literal.
    pub(crate) fn text(self, text: &str) -> Self {
        match quoted(text) {
            Some(quoted) => self.word(&quoted),
            None => {
                let mut with = self.word(&format!("{{{}}}", text.len()));
                with.pieces.push(Piece::Literal(text.as_bytes().to_vec()));
                with
            }
        }
    }
}

/// How a command ended that the server did carry out, or refuse.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ending: Ending,
    pub(crate) code: Code,
    pub(crate) text: String,
}

/// A connection to a server.
pub(crate) struct Connection {
    stream: Option<ByteStream>,
    buffer: BytesMut,
    framing: Framing,
    tags: u32,
    pub(crate) operation: &'static str,
}

impl Connection {
    pub(crate) fn new(stream: ByteStream, operation: &'static str) -> Self {
        Self {
            stream: Some(stream),
            buffer: BytesMut::new(),
            framing: Framing::default(),
            tags: 0,
            operation,
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::new(kind, self.operation, message)
    }

    /// Gives the stream out, to be secured. Bytes that came before would be taken for protected ones.
    pub(crate) fn take_stream(&mut self) -> Result<ByteStream, Error> {
        if !self.buffer.is_empty() {
            let message =
                "the server sent more than its answer before the connection was secured; nothing was sent";
            return Err(self.error(ErrorKind::Unexpected, message));
        }
        self.stream
            .take()
            .ok_or_else(|| self.error(ErrorKind::Unavailable, "the connection is closed"))
    }

    pub(crate) fn put_stream(&mut self, stream: ByteStream) {
        self.stream = Some(stream);
    }

    /// The next answer.
    pub(crate) async fn reply(&mut self) -> Result<Reply, Error> {
        loop {
            match self.framing.look(&self.buffer, LARGEST_ANSWER) {
                Frame::Whole(length) => {
                    let frame = self.buffer.split_to(length).freeze();
                    return Ok(reply::read(&frame));
                }
                Frame::Needs(length) => {
                    let more = length
                        .saturating_sub(self.buffer.len())
                        .clamp(READ_BYTES, LARGEST_ANSWER);
                    self.buffer.reserve(more);
                    self.read().await?;
                }
                Frame::TooLarge => {
                    self.stream = None;
                    let message = format!(
                        "the server sends an answer of more than {} MiB; the connection was closed",
                        LARGEST_ANSWER >> 20
                    );
                    return Err(self.error(ErrorKind::Unexpected, message));
                }
            }
        }
    }

    async fn read(&mut self) -> Result<(), Error> {
        let Some(stream) = &mut self.stream else {
            return Err(self.error(ErrorKind::Unavailable, "the connection is closed"));
        };
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut self.buffer)).await;
        match read {
            Ok(Ok(0)) => Err(self.broken("the server closed the connection")),
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.broken("the connection broke").with_source(error)),
            Err(_) => Err(self.broken("the server did not answer in time")),
        }
    }

    fn broken(&mut self, message: &str) -> Error {
        self.stream = None;
        self.error(ErrorKind::Unavailable, message)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let Some(stream) = &mut self.stream else {
            return Err(self.error(ErrorKind::Unavailable, "the connection is closed"));
        };
        let written = tokio::time::timeout(PATIENCE, async {
            stream.write_all(bytes).await?;
            stream.flush().await
        })
        .await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.broken("the connection broke").with_source(error)),
            Err(_) => Err(self.broken("the server does not take what is sent")),
        }
    }

    /// Carries out one command and hands every answer before its end to `take`.
    pub(crate) async fn run(&mut self, command: Command, mut take: impl FnMut(Reply)) -> Result<Done, Error> {
        self.tags += 1;
        let tag = format!("c{}", self.tags);
        let mut line = tag.clone().into_bytes();
        line.push(b' ');
        for piece in command.pieces {
            match piece {
                Piece::Text(text) => line.extend_from_slice(text.as_bytes()),
                Piece::Literal(bytes) => {
                    line.extend_from_slice(b"\r\n");
                    self.write(&line).await?;
                    if let Some(done) = self.until(&tag, true, &mut take).await? {
                        return Ok(done);
                    }
                    line = bytes;
                }
            }
        }
        line.extend_from_slice(b"\r\n");
        self.write(&line).await?;
        loop {
            if let Some(done) = self.until(&tag, false, &mut take).await? {
                return Ok(done);
            }
        }
    }

    /// Carries out a command whose rest the server asks for, once: an exchange of credentials.
    pub(crate) async fn converse(&mut self, command: Command, rest: &str) -> Result<Done, Error> {
        self.tags += 1;
        let tag = format!("c{}", self.tags);
        let mut line = format!("{tag} ");
        for piece in command.pieces {
            if let Piece::Text(text) = piece {
                line.push_str(&text);
            }
        }
        line.push_str("\r\n");
        self.write(line.as_bytes()).await?;
        let mut ignore = |_| {};
        let mut next = rest;
        loop {
            if let Some(done) = self.until(&tag, true, &mut ignore).await? {
                return Ok(done);
            }
            self.write(format!("{next}\r\n").as_bytes()).await?;
            // Asked again, the server explains a refusal and waits for an empty line (XOAUTH2).
            next = "";
        }
    }

    /// The end of a command, or `None` when the server asks for more and `more` is to be given.
    async fn until(
        &mut self,
        tag: &str,
        more: bool,
        take: &mut impl FnMut(Reply),
    ) -> Result<Option<Done>, Error> {
        loop {
            match self.reply().await? {
                Reply::Done {
                    tag: theirs,
                    ending,
                    code,
                    text,
                } if theirs == tag => {
                    return Ok(Some(Done { ending, code, text }));
                }
                Reply::Done { .. } => {
                    return Err(self.broken("the server answers a command that was not given"));
                }
                Reply::Continue if more => return Ok(None),
                Reply::Bye(_) => return Err(self.broken("the server ended the connection")),
                other => take(other),
            }
        }
    }
}
