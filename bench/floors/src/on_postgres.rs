//! The floors on PostgreSQL: a bare table, no signatures, no doubles, no jobs.

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::plain::{BATCH, Queue, enqueue, serve, waiting};

async fn open(url: &str, connections: u32) -> Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
        .connect(url)
        .await?;
    sqlx::query(
        "CREATE TABLE inbox (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, headers TEXT NOT NULL, body BYTEA NOT NULL)",
    )
    .execute(&pool)
    .await?;
    Ok(pool)
}

/// One statement, and so one transaction, per batch of what waits.
pub(crate) async fn group(url: &str) -> Result<()> {
    let pool = open(url, 1).await?;
    let (queue, mut waiting) = waiting();
    tokio::spawn(async move {
        let mut batch = Vec::with_capacity(BATCH);
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            let headers = vec!["{}"; batch.len()];
            let bodies: Vec<&[u8]> = batch.iter().map(|(body, _): &(Bytes, _)| &body[..]).collect();
            let done = sqlx::query(
                "INSERT INTO inbox (headers, body) SELECT * FROM UNNEST($1::text[], $2::bytea[])",
            )
            .bind(headers)
            .bind(bodies)
            .execute(&pool)
            .await;
            for (_, answer) in batch.drain(..) {
                let _ = answer.send(done.is_ok());
            }
        }
    });
    let handler = async |State(queue): State<Queue>, body: Bytes| enqueue(&queue, body).await;
    serve(Router::new().route("/hook", post(handler)).with_state(queue)).await
}

/// One transaction per request.
pub(crate) async fn insert(url: &str) -> Result<()> {
    let pool = open(url, 8).await?;
    let handler = async |State(pool): State<PgPool>, body: Bytes| {
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
