//! Taking webhooks in. A batch of them is one transaction with the jobs that will work on them, and the second of the
//! same delivery id is left out by the statement that would write it.

use std::collections::{BTreeMap, BTreeSet};

use model::{ConnectionId, InboundId};
use sync::ports::StoreError;
use sync::state::{JobTask, NewJob};

use crate::column::{count, document, failed, get, refused};
use crate::deliveries::InboundState;
use crate::dialect::Engine;
use crate::inbox::{NewInbound, PARKED_MS, Receipt};
use crate::original::{self, Packed};
use crate::sql::{QueryBuilder, Target};
use crate::write::Write;
use crate::{SqliteStore, queue};

/// Rows that one statement writes on SQLite, at most. Every number of them is a text of its own, which is prepared once and
/// kept: each statement is a way to the thread that has the file open, and back.
const MOST_ROWS_OF_A_TEXT: usize = 64;
/// The same on PostgreSQL, where the text does not depend on the number.
const MOST_ROWS: usize = 1_024;

/// A webhook and its body as it is stored.
type Row = (NewInbound, Packed);

impl SqliteStore {
    /// Writes webhooks in one transaction, with a job for each connection that they concern unless one waits already
    /// (a job that has begun may have looked past them) or it is paused. Answers for each, in their order.
    ///
    /// # Errors
    /// When the database fails; then none of them is written.
    pub async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
        // What takes time is done before a connection is taken.
        let order: Vec<InboundId> = rows.iter().map(|row| row.id.clone()).collect();
        let mut rows: Vec<Row> = rows
            .into_iter()
            .map(|row| {
                let packed = original::pack(&row.body);
                (row, packed)
            })
            .collect();
        // PostgreSQL keeps whoever writes a double waiting for the transaction that writes the first: in one order on
        // every node no two wait for each other. The sort is stable, so that of doubles in one batch the first stands.
        rows.sort_by(|(one, _), (other, _)| doubles_of(one).cmp(&doubles_of(other)));
        let concerned = by_connection(rows.iter());
        let at_once = self.engine() == Engine::Postgres && rows.len() <= MOST_ROWS && !concerned.is_empty();
        let taken = match at_once {
            true => self.receive_at_once(&rows, &concerned).await?,
            false => self.receive_in_steps(&rows).await?,
        };
        let receipts = order.iter().map(|id| match taken.contains(id.as_str()) {
            true => Receipt::Stored,
            false => Receipt::Seen,
        });
        Ok(receipts.collect())
    }

    async fn receive_in_steps(&self, rows: &[Row]) -> Result<BTreeSet<String>, StoreError> {
        let now = self.now_ms();
        let mut write = self.write().await?;
        let mut taken = BTreeSet::new();
        let mut left = rows;
        while !left.is_empty() {
            let size = rows_at_once(write.engine(), left.len());
            let (chunk, rest) = left.split_at(size);
            taken.extend(insert(&mut write, chunk).await?);
            left = rest;
        }
        let stored = rows.iter().filter(|(row, _)| taken.contains(row.id.as_str()));
        // In one order here, too.
        for (connection, row) in by_connection(stored) {
            let job = job(row, connection, now);
            queue::enqueue_unless_paused(&mut write, &row.organization, &job, now).await?;
        }
        write.commit().await?;
        Ok(taken)
    }

    /// The same as one statement, which is a transaction by itself: on a server each of begin, insert, enqueue and commit
    /// would be a round trip. Jobs are written when all webhooks are, since the rows that wake them are sorted first: so
    /// every node takes the locks of both in the same order.
    async fn receive_at_once(
        &self,
        rows: &[Row],
        concerned: &BTreeMap<&ConnectionId, &NewInbound>,
    ) -> Result<BTreeSet<String>, StoreError> {
        let now = self.now_ms();
        let mut jobs = Vec::with_capacity(concerned.len());
        for (connection, row) in concerned {
            let job = job(row, connection, now);
            jobs.push((document(&job.task)?, job));
        }
        let mut receive = QueryBuilder::new("WITH stored AS (");
        push_insert(&mut receive, rows);
        receive.push(
            " RETURNING organization_id, connection_id),
             concerned AS (SELECT DISTINCT organization_id, connection_id FROM stored),
             woken AS (
                INSERT INTO jobs
                    (organization_id, id, task, name, lane, state, run_at, attempts, token, done, created_at,
                     head_start_ms)
                SELECT asked.organization_id, asked.id, asked.task, asked.name, asked.lane, 'queued', asked.run_at,
                    0, 0, 0, asked.run_at, asked.head_start_ms
                FROM (",
        );
        receive.push_values(&jobs, |mut values, (task, job)| {
            values
                .push_bind(job.organization.as_str())
                .push_bind(job.id.as_str())
                .push_bind(task.as_str())
                .push_bind(job.task.name())
                .push_bind(job.task.lane())
                .push_bind(job.run_at)
                .push_bind(job.task.head_start_ms());
        });
        receive.push(
            ") AS asked (organization_id, id, task, name, lane, run_at, head_start_ms)
                JOIN concerned
                    ON concerned.organization_id = asked.organization_id AND concerned.connection_id = asked.lane
                WHERE NOT EXISTS (
                    SELECT 1 FROM connections c
                    WHERE c.organization_id = asked.organization_id AND c.id = asked.lane AND c.health = 'paused'
                )
                ORDER BY asked.lane
                ON CONFLICT (organization_id, task) WHERE state = 'queued' DO UPDATE
                SET run_at = LEAST(jobs.run_at, excluded.run_at)
                RETURNING id
             )
             SELECT (SELECT COUNT(*) FROM stored) AS stored, (SELECT COUNT(*) FROM woken) AS woken",
        );
        let done = receive.build().fetch_one(self.write_alone()).await;
        let done = done.map_err(refused("one of the new webhooks"))?;
        let (stored, woken): (u64, u64) = (count(&done, "stored")?, count(&done, "woken")?);
        if woken > 0 {
            self.wake_workers();
        }
        match usize::try_from(stored) == Ok(rows.len()) {
            true => Ok(ids(rows)),
            false => which(rows, self.write_alone()).await,
        }
    }
}

/// Writes rows of one statement's size; answers with the ids of those that were not there before.
async fn insert(write: &mut Write, rows: &[Row]) -> Result<BTreeSet<String>, StoreError> {
    let mut insert = QueryBuilder::new("");
    push_insert(&mut insert, rows);
    let done = insert
        .build()
        .execute(write.conn())
        .await
        .map_err(refused("one of the new webhooks"))?;
    match usize::try_from(done.rows_affected()) == Ok(rows.len()) {
        true => Ok(ids(rows)),
        false => which(rows, write.conn()).await,
    }
}

fn push_insert(insert: &mut QueryBuilder, rows: &[Row]) {
    insert.push(
        "INSERT INTO inbox
            (organization_id, id, source, connection_id, provider_app_id, route_key, provider, delivery_id, head,
             encoding, body, body_bytes, trace_id, received_at, state, due_at) ",
    );
    insert.push_values(rows, |mut values, (row, body)| {
        let (state, due_at) = match row.connection {
            Some(_) => (InboundState::Waiting, row.received_at),
            None => (InboundState::Parked, row.received_at + PARKED_MS),
        };
        values
            .push_bind(row.organization.as_str())
            .push_bind(row.id.as_str())
            .push_bind(source(row))
            .push_bind(row.connection.as_ref().map(|id| id.as_str()))
            .push_bind(row.app.as_ref().map(|id| id.as_str()))
            .push_bind(row.route.as_deref().unwrap_or_default())
            .push_bind(row.provider.as_str())
            .push_bind(row.delivery.as_deref())
            .push_bind(row.head.as_str())
            .push_bind(body.encoding)
            .push_bind(body.bytes.as_slice())
            .push_bind(i64::try_from(row.body.len()).unwrap_or(i64::MAX))
            .push_bind(row.trace.as_deref())
            .push_bind(row.received_at)
            .push_bind(state.name())
            .push_bind(due_at);
    });
    insert.push(
        " ON CONFLICT (organization_id, source, delivery_id, route_key) WHERE delivery_id IS NOT NULL DO NOTHING",
    );
}

/// Which of the rows were written. Doubles are rare: only then is it asked.
async fn which<'c>(rows: &[Row], target: impl Into<Target<'c>>) -> Result<BTreeSet<String>, StoreError> {
    let mut find = QueryBuilder::new("SELECT id FROM inbox WHERE organization_id");
    find.push_in(rows.iter().map(|(row, _)| row.organization.as_str()));
    find.push(" AND id")
        .push_in(rows.iter().map(|(row, _)| row.id.as_str()));
    let stored = find.build().fetch_all(target).await.map_err(failed)?;
    stored.iter().map(|row| get(row, "id")).collect()
}

fn ids(rows: &[Row]) -> BTreeSet<String> {
    rows.iter().map(|(row, _)| row.id.as_str().to_owned()).collect()
}

/// Within what its delivery id is unique.
fn source(row: &NewInbound) -> &str {
    match (&row.connection, &row.app) {
        (Some(connection), _) => connection.as_str(),
        (None, Some(app)) => app.as_str(),
        (None, None) => "",
    }
}

/// What the index `inbox_once` compares, in its order.
fn doubles_of(row: &NewInbound) -> (&str, &str, Option<&str>, Option<&str>) {
    (
        row.organization.as_str(),
        source(row),
        row.delivery.as_deref(),
        row.route.as_deref(),
    )
}

/// How many of the rows that are left go into the next statement.
fn rows_at_once(engine: Engine, left: usize) -> usize {
    match engine {
        Engine::Sqlite => left.min(MOST_ROWS_OF_A_TEXT),
        Engine::Postgres => left.min(MOST_ROWS),
    }
}

/// The connections that rows concern, in order, each with the first of its rows.
fn by_connection<'r>(rows: impl Iterator<Item = &'r Row>) -> BTreeMap<&'r ConnectionId, &'r NewInbound> {
    let mut first = BTreeMap::new();
    for (row, _) in rows {
        if let Some(connection) = &row.connection {
            first.entry(connection).or_insert(row);
        }
    }
    first
}

fn job(row: &NewInbound, connection: &ConnectionId, now: i64) -> NewJob {
    NewJob {
        id: row.job.clone(),
        organization: row.organization.clone(),
        task: JobTask::Inbox {
            connection: connection.clone(),
        },
        run_at: now,
    }
}
