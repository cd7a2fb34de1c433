//! The inbox: webhooks that came in. A batch of them is one transaction with the jobs that will work on them, and the
//! second of the same delivery id is left out by the statement that would write it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{ConnectionId, InboundId, JobId, OrganizationId, ProviderAppId};
use sync::ports::StoreError;
use sync::state::{Inbound, InboundEnd, JobTask, NewJob};

use crate::column::{all, count, document, failed, get, id, refused};
use crate::deliveries::InboundState;
use crate::dialect::Engine;
use crate::original::{self, Packed};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{SqliteStore, queue};

/// How long a delivery is kept once it has ended, and so for how long at least a second one of the same id is known.
/// Vendors that promise to send again stop after 72 hours at most.
pub const INBOUND_KEPT_MS: i64 = 72 * 3_600_000;
/// How long a delivery waits for somebody to own its route.
pub const PARKED_MS: i64 = 10 * 60_000;
/// How long a connection's webhooks rest once a job for them has failed for good.
const FAILED_REST_MS: i64 = 60_000;
/// How many are forgotten in one transaction: writers wait for no more than that.
const SWEEP_ROWS: i64 = 2_000;
/// Rows of the statements that a batch is written with on SQLite. Few sizes, so that each is prepared once.
const CHUNKS: [usize; 4] = [64, 16, 4, 1];
/// The same on PostgreSQL, at most.
const MOST_ROWS: usize = 1_024;

/// A webhook on its way into the inbox.
#[derive(Debug, Clone, PartialEq)]
pub struct NewInbound {
    /// Its id.
    pub id: InboundId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connection that it concerns; `None` where nobody owns its route yet: it is parked.
    pub connection: Option<ConnectionId>,
    /// The app at whose address it came in, where it did.
    pub app: Option<ProviderAppId>,
    /// Under which key it found the connection, or is looked for.
    pub route: Option<String>,
    /// The connector that verified it and will read it.
    pub provider: String,
    /// The provider's own id of the delivery. Without one nothing is ever taken for a double.
    pub delivery: Option<String>,
    /// The request without its body, as a document.
    pub head: String,
    /// The body, byte by byte.
    pub body: Bytes,
    /// The trace that it belongs to.
    pub trace: Option<String>,
    /// Epoch milliseconds.
    pub received_at: i64,
    /// The job that will work on it, if none waits for its connection already.
    pub job: JobId,
}

/// Whether a webhook was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// It is durable.
    Stored,
    /// It was durable already: the same delivery came before.
    Seen,
}

/// How much waits in the inbox, of all organizations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct InboxDepth {
    /// Webhooks that wait.
    pub waiting: u64,
    /// Of these the oldest, epoch milliseconds.
    pub oldest: Option<i64>,
    /// Webhooks that wait for somebody to own their route.
    pub parked: u64,
}

/// Empty stands for none: a unique index tells no two missing values apart.
pub(crate) fn route(row: &Row) -> Result<Option<String>, StoreError> {
    let key: String = get(row, "route_key")?;
    Ok(Some(key).filter(|key| !key.is_empty()))
}

fn waiting(row: &Row) -> Result<Inbound, StoreError> {
    Ok(Inbound {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        connection: id(row, "connection_id")?,
        head: get(row, "head")?,
        route: route(row)?,
        body: original::unpack(get(row, "encoding")?, get(row, "body")?)?,
        received_at: get(row, "received_at")?,
        attempts: count(row, "attempts")?,
    })
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

/// How many of the rows that are left go into the next statement: a server is sent columns, and its statement is the same
/// for any number of them.
fn rows_at_once(engine: Engine, left: usize) -> usize {
    match engine {
        Engine::Sqlite => CHUNKS.into_iter().find(|size| *size <= left).unwrap_or(1),
        Engine::Postgres => left.min(MOST_ROWS),
    }
}

/// Writes rows of one statement's size; answers with the ids of those that were not there before.
async fn insert(
    write: &mut Write,
    rows: &[(NewInbound, Packed)],
    taken: &mut BTreeSet<String>,
) -> Result<(), StoreError> {
    let mut insert = QueryBuilder::new(
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
    let done = insert
        .build()
        .execute(write.conn())
        .await
        .map_err(refused("one of the new webhooks"))?;
    if usize::try_from(done.rows_affected()) == Ok(rows.len()) {
        taken.extend(rows.iter().map(|(row, _)| row.id.as_str().to_owned()));
        return Ok(());
    }
    // Doubles are rare: only then is it asked which ones were written.
    let mut find = QueryBuilder::new("SELECT id FROM inbox WHERE organization_id");
    find.push_in(rows.iter().map(|(row, _)| row.organization.as_str()));
    find.push(" AND id")
        .push_in(rows.iter().map(|(row, _)| row.id.as_str()));
    let stored = find.build().fetch_all(write.conn()).await.map_err(failed)?;
    for row in &stored {
        taken.insert(get(row, "id")?);
    }
    Ok(())
}

/// What became of a webhook that waited.
pub(crate) async fn end(
    write: &mut Write,
    organization: &OrganizationId,
    inbound: &InboundId,
    end: &InboundEnd,
    at: i64,
) -> Result<(), StoreError> {
    let (state, outcome, error, due_at) = match end {
        InboundEnd::Done(outcome) => (InboundState::Done, Some(document(outcome)?), None, None),
        InboundEnd::Retry { at, reason } => (InboundState::Waiting, None, Some(reason), Some(*at)),
        InboundEnd::Quarantined(reason) => (InboundState::Quarantined, None, Some(reason), None),
        InboundEnd::Dropped(reason) => (InboundState::Dropped, None, Some(reason), None),
    };
    let failures = match end {
        InboundEnd::Retry { .. } | InboundEnd::Quarantined(_) => 1_i64,
        InboundEnd::Done(_) | InboundEnd::Dropped(_) => 0,
    };
    let done = sql::query(
        "UPDATE inbox
         SET state = $1, outcome = $2, error = $3, due_at = COALESCE($4, due_at), attempts = attempts + $5,
             finished_at = CASE WHEN $4 IS NULL THEN $6 ELSE NULL END
         WHERE organization_id = $7 AND id = $8 AND state = 'waiting'",
    )
    .bind(state.name())
    .bind(outcome)
    .bind(error)
    .bind(due_at)
    .bind(failures)
    .bind(at)
    .bind(organization.as_str())
    .bind(inbound.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    write.touched(done.rows_affected(), inbound.as_str())
}

/// Ends what waits for a connection that is going.
pub(crate) async fn drop_of(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
    at: i64,
) -> Result<(), StoreError> {
    sql::query(
        "UPDATE inbox SET state = 'dropped', error = 'the connection was removed', finished_at = $1
         WHERE organization_id = $2 AND connection_id = $3 AND state = 'waiting'",
    )
    .bind(at)
    .bind(organization.as_str())
    .bind(connection.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
}

impl SqliteStore {
    /// Writes webhooks in one transaction, with a job for each connection that they concern unless one waits already
    /// (a job that has begun may have looked past them) or it is paused. Answers for each, in their order.
    ///
    /// # Errors
    /// When the database fails; then none of them is written.
    pub async fn receive(&self, rows: Vec<NewInbound>) -> Result<Vec<Receipt>, StoreError> {
        // What takes time is done before the writing connection is taken.
        let order: Vec<InboundId> = rows.iter().map(|row| row.id.clone()).collect();
        let mut rows: Vec<(NewInbound, Packed)> = rows
            .into_iter()
            .map(|row| {
                let packed = original::pack(&row.body);
                (row, packed)
            })
            .collect();
        // PostgreSQL keeps whoever writes a double waiting for the transaction that writes the first: in one order on
        // every node no two wait for each other. The sort is stable, so that of doubles in one batch the first stands.
        rows.sort_by(|(one, _), (other, _)| doubles_of(one).cmp(&doubles_of(other)));
        let now = self.now_ms();
        let mut write = self.write().await?;
        let mut taken = BTreeSet::new();
        let mut left = rows.as_slice();
        while !left.is_empty() {
            let size = rows_at_once(write.engine(), left.len());
            let (chunk, rest) = left.split_at(size);
            insert(&mut write, chunk, &mut taken).await?;
            left = rest;
        }
        let mut waking: BTreeMap<&ConnectionId, &NewInbound> = BTreeMap::new();
        for (row, _) in rows.iter().filter(|(row, _)| taken.contains(row.id.as_str())) {
            if let Some(connection) = &row.connection {
                waking.entry(connection).or_insert(row);
            }
        }
        // In one order here, too.
        for (connection, row) in waking {
            let job = job(row, connection, now);
            queue::enqueue_unless_paused(&mut write, &row.organization, &job, now).await?;
        }
        let receipts = order
            .iter()
            .map(|id| match taken.contains(id.as_str()) {
                true => Receipt::Stored,
                false => Receipt::Seen,
            })
            .collect();
        write.commit().await?;
        Ok(receipts)
    }

    pub(crate) async fn read_inbox(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        now_ms: i64,
        limit: u32,
    ) -> Result<Vec<Inbound>, StoreError> {
        let rows = sql::query(
            "SELECT * FROM inbox
             WHERE organization_id = $1 AND connection_id = $2 AND state = 'waiting' AND due_at <= $3
             ORDER BY id LIMIT $4",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(now_ms)
        .bind(i64::from(limit))
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, waiting)
    }

    /// Connections with webhooks that wait and are due, and that have no job for them: those that were paused, and whose
    /// job failed for good.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_inboxes(&self, now_ms: i64) -> Result<Vec<(OrganizationId, ConnectionId)>, StoreError> {
        let rows = sql::query(
            "SELECT c.organization_id, c.id FROM connections c
             WHERE c.health <> 'paused'
                AND EXISTS (
                    SELECT 1 FROM inbox i
                    WHERE i.organization_id = c.organization_id AND i.connection_id = c.id AND i.state = 'waiting'
                        AND i.due_at <= $1
                )
                AND NOT EXISTS (
                    SELECT 1 FROM jobs j
                    WHERE j.organization_id = c.organization_id AND j.lane = c.id AND j.name = 'inbox'
                        AND (j.state IN ('queued', 'running') OR (j.state = 'failed' AND j.finished_at > $2))
                )",
        )
        .bind(now_ms)
        .bind(now_ms - FAILED_REST_MS)
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, |row| Ok((id(row, "organization_id")?, id(row, "id")?)))
    }

    /// How much waits, of all organizations.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbox_depth(&self) -> Result<InboxDepth, StoreError> {
        let row = sql::query(
            // The oldest is found connection by connection: however many wait, few rows are read.
            "SELECT COUNT(*) AS waiting,
                (SELECT COUNT(*) FROM inbox p WHERE p.state = 'parked') AS parked,
                (SELECT MIN(first.received_at) FROM (
                    SELECT (
                        SELECT i.received_at FROM inbox i
                        WHERE i.organization_id = c.organization_id AND i.connection_id = c.id AND i.state = 'waiting'
                        ORDER BY i.id LIMIT 1
                    ) AS received_at
                    FROM connections c
                ) AS first) AS oldest
             FROM inbox WHERE state = 'waiting'",
        )
        .fetch_one(self.read())
        .await
        .map_err(failed)?;
        Ok(InboxDepth {
            waiting: count(&row, "waiting")?,
            oldest: get(&row, "oldest")?,
            parked: count(&row, "parked")?,
        })
    }

    /// Gives what is parked to those who own its route by now, and drops what was parked for nobody and whose time is
    /// over; how many were dropped.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_parked(&self, now_ms: i64) -> Result<u64, StoreError> {
        if self.inbox_depth().await?.parked == 0 {
            return Ok(0);
        }
        self.unpark().await?;
        let mut write = self.write().await?;
        let done = sql::query(
            "UPDATE inbox SET state = 'dropped', error = 'no connection owns its route', finished_at = $1
             WHERE state = 'parked' AND due_at <= $1",
        )
        .bind(now_ms)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// Gives what is parked to those who own its route by now; how many there were. Of doubles that came at two
    /// addresses the first goes; the others, and what came under the connection's own name meanwhile, stay parked and
    /// are dropped in their time.
    ///
    /// # Errors
    /// `Stale` when such a double was stored at this very moment; the next attempt leaves it out.
    pub async fn unpark(&self) -> Result<u64, StoreError> {
        let mut write = self.write().await?;
        let done = sql::query(
            "UPDATE inbox
             SET state = 'waiting', connection_id = o.connection_id, source = o.connection_id, due_at = $1
             FROM (
                SELECT p.organization_id, p.id, MIN(r.connection_id) AS connection_id
                FROM inbox p JOIN connection_routes r
                    ON r.organization_id = p.organization_id AND r.provider = p.provider AND r.route_key = p.route_key
                WHERE p.state = 'parked'
                    AND NOT EXISTS (
                        SELECT 1 FROM inbox d
                        WHERE d.organization_id = r.organization_id AND d.source = r.connection_id
                            AND d.delivery_id = p.delivery_id AND d.route_key = p.route_key
                    )
                    AND NOT EXISTS (
                        SELECT 1 FROM inbox d
                        WHERE d.organization_id = p.organization_id AND d.state = 'parked' AND d.provider = p.provider
                            AND d.delivery_id = p.delivery_id AND d.route_key = p.route_key AND d.id < p.id
                    )
                GROUP BY p.organization_id, p.id
             ) AS o
             WHERE inbox.organization_id = o.organization_id AND inbox.id = o.id AND inbox.state = 'parked'",
        )
        .bind(self.now_ms())
        .execute(write.conn())
        .await
        .map_err(refused("what was parked"))?;
        write.commit().await?;
        Ok(done.rows_affected())
    }

    /// Forgets webhooks that ended longer ago than [`INBOUND_KEPT_MS`]; how many there were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_inbox(&self, now_ms: i64) -> Result<u64, StoreError> {
        let mut swept = 0;
        loop {
            let mut write = self.write().await?;
            let done = sql::query(
                "DELETE FROM inbox WHERE (organization_id, id) IN (
                    SELECT organization_id, id FROM inbox
                    WHERE finished_at IS NOT NULL AND finished_at < $1 ORDER BY finished_at LIMIT $2
                 )",
            )
            .bind(now_ms - INBOUND_KEPT_MS)
            .bind(SWEEP_ROWS)
            .execute(write.conn())
            .await
            .map_err(failed)?;
            write.commit().await?;
            swept += done.rows_affected();
            if i64::try_from(done.rows_affected()).unwrap_or(i64::MAX) < SWEEP_ROWS {
                return Ok(swept);
            }
        }
    }
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
