//! What a careful and a plain hand would write, on SQLite: a bare table, no signatures, no doubles, no jobs.

use std::path::Path;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Sqlite};
use tokio::sync::{mpsc, oneshot};

/// Rows of one transaction, as in Concord.
pub(crate) const BATCH: usize = 512;
/// Rows of one statement; few sizes, so that each is prepared once.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];

async fn open(folder: &Path, connections: u32) -> Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("floor.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("wal_autocheckpoint", "4000")
        .busy_timeout(std::time::Duration::from_secs(10));
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    sqlx::query("CREATE TABLE inbox (id INTEGER PRIMARY KEY, headers TEXT NOT NULL, body BLOB NOT NULL)")
        .execute(&pool)
        .await?;
    Ok(pool)
}

/// Serves until it is killed.
pub(crate) async fn serve(router: Router) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let secret = connector_sdk::signature::standard_webhooks::secret([1; 32]);
    println!("ready {} /hook {}", listener.local_addr()?, secret.expose());
    axum::serve(listener, router).await?;
    Ok(())
}

type Waiting = (Bytes, oneshot::Sender<bool>);
/// The way to whoever writes.
pub(crate) type Queue = mpsc::Sender<Waiting>;

/// What waits to be written, and the way there.
pub(crate) fn waiting() -> (Queue, mpsc::Receiver<Waiting>) {
    mpsc::channel(4_096)
}

/// Hands a body on and waits until it is written.
pub(crate) async fn enqueue(queue: &Queue, body: Bytes) -> StatusCode {
    let (answer, answered) = oneshot::channel();
    if queue.send((body, answer)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    match answered.await {
        Ok(true) => StatusCode::OK,
        Ok(false) | Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// One transaction per batch of what waits.
pub(crate) async fn group(folder: &Path) -> Result<()> {
    let pool = open(folder, 1).await?;
    let (queue, mut waiting) = waiting();
    tokio::spawn(async move {
        let mut batch: Vec<Waiting> = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let stored = write(&pool, &batch).await.is_ok();
            for (_, answer) in batch.drain(..) {
                let _ = answer.send(stored);
            }
        }
    });
    let handler = async |State(queue): State<Queue>, body: Bytes| enqueue(&queue, body).await;
    serve(Router::new().route("/hook", post(handler)).with_state(queue)).await
}

async fn write(pool: &SqlitePool, batch: &[Waiting]) -> Result<(), sqlx::Error> {
    let mut tx = pool.begin().await?;
    let mut left = batch;
    while !left.is_empty() {
        let size = CHUNKS.into_iter().find(|size| *size <= left.len()).unwrap_or(1);
        let (chunk, rest) = left.split_at(size);
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO inbox (headers, body) ");
        insert.push_values(chunk, |mut row, (body, _)| {
            row.push_bind("{}").push_bind(&body[..]);
        });
        insert.build().execute(&mut *tx).await?;
        left = rest;
    }
    tx.commit().await
}

/// One transaction per request.
pub(crate) async fn insert(folder: &Path) -> Result<()> {
    let pool = open(folder, 8).await?;
    let handler = async |State(pool): State<SqlitePool>, body: Bytes| {
        let done = sqlx::query("INSERT INTO inbox (headers, body) VALUES ('{}', $1)")
            .bind(&body[..])
            .execute(&pool)
            .await;
        match done {
            Ok(_) => StatusCode::OK,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    };
    serve(Router::new().route("/hook", post(handler)).with_state(pool)).await
}
