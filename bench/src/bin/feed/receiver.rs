//! A receiver that costs next to nothing: it finds the end of each request, notes when it came, and answers 204.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::place::number;

/// When each change came, by its number; the first time counts.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    came: Arc<Mutex<Vec<Option<Instant>>>>,
}

impl Receiver {
    pub(crate) async fn start(count: usize) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let receiver = Self {
            url: format!("http://{}/hook", listener.local_addr()?),
            came: Arc::new(Mutex::new(vec![None; count])),
        };
        let kept = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move { kept.serve(socket).await.ok() });
            }
        });
        Ok(receiver)
    }

    /// When each came; those that did not are missing.
    pub(crate) fn came(&self) -> Vec<(usize, Instant)> {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.iter()
            .enumerate()
            .filter_map(|(number, at)| Some((number, (*at)?)))
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        let came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        came.iter().flatten().count()
    }

    async fn serve(&self, mut socket: TcpStream) -> Result<()> {
        socket.set_nodelay(true)?;
        let mut bytes = Vec::with_capacity(16 << 10);
        loop {
            while let Some((head, length)) = request(&bytes)? {
                if bytes.len() < head + length {
                    break;
                }
                self.note(&bytes[head..head + length]);
                bytes.drain(..head + length);
                socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
            }
            if socket.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
    }

    fn note(&self, body: &[u8]) {
        let at = Instant::now();
        let text = String::from_utf8_lossy(body);
        let id = text
            .split_once("\"id\":\"")
            .and_then(|(_, rest)| rest.split('"').next());
        let mut came = self.came.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = id.and_then(number).and_then(|number| came.get_mut(number)) {
            place.get_or_insert(at);
        }
    }
}

/// Where the body of the first request begins, and how long it is; `None` while its head is not whole.
fn request(bytes: &[u8]) -> Result<Option<(usize, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .context("a request without a length")?;
    Ok(Some((end + 4, length.trim().parse()?)))
}
