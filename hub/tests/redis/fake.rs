//! Servers that are none, or bad ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

/// What a server answers to a command, whose words it is given; nothing to hang up.
type Answer = dyn Fn(&[String]) -> Option<Vec<u8>> + Send + Sync;

/// A server on a free port. It ends when it is dropped.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) asked: Arc<AtomicUsize>,
    _accepting: AbortOnDropHandle<()>,
}

impl Fake {
    /// One that answers each command like this.
    pub(crate) async fn start(
        password: &str,
        answer: impl Fn(&[String]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://ada:{password}@{}/", listener.local_addr().unwrap());
        let (answer, asked): (Arc<Answer>, _) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
                // Ends with the client, which ends with the test.
                tokio::spawn(async move { serve(client, &*answer, &count).await });
            }
        });
        Self {
            url,
            asked,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }
}

async fn serve(client: TcpStream, answer: &Answer, asked: &AtomicUsize) -> Option<()> {
    let (reader, mut writer) = client.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let count = number(&mut reader).await?;
        let mut words = Vec::new();
        for _ in 0..count {
            let length = number(&mut reader).await?;
            let mut word = vec![0; length + 2];
            reader.read_exact(&mut word).await.ok()?;
            words.push(String::from_utf8_lossy(&word[..length]).to_uppercase());
        }
        asked.fetch_add(1, Ordering::SeqCst);
        writer.write_all(&answer(&words)?).await.ok()?;
    }
}

/// The number of a line like `*3` or `$5`.
async fn number(reader: &mut BufReader<tokio::net::tcp::OwnedReadHalf>) -> Option<usize> {
    let mut line = String::new();
    reader.read_line(&mut line).await.ok()?;
    line.trim().get(1..)?.parse().ok()
}
