//! The inbox: webhooks that came in ([`crate::receive`] writes them), and what became of them.

use bytes::Bytes;
use model::{ConnectionId, InboundId, JobId, OrganizationId, ProviderAppId};
use sync::ports::StoreError;
use sync::state::{Inbound, InboundEnd};

use crate::SqliteStore;
use crate::column::{all, count, document, failed, get, id, refused};
use crate::deliveries::InboundState;
use crate::dialect::IDS_PER_QUERY;
use crate::original;
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;

/// How long a delivery is kept once it has ended, and so for how long at least a second one of the same id is known.
/// Vendors that promise to send again stop after 72 hours at most.
pub const INBOUND_KEPT_MS: i64 = 72 * 3_600_000;
/// How long a delivery waits for somebody to own its route.
pub const PARKED_MS: i64 = 10 * 60_000;
/// How long a connection's webhooks rest once a job for them has failed for good.
const FAILED_REST_MS: i64 = 60_000;
/// How many are forgotten in one transaction: writers wait for no more than that.
const SWEEP_ROWS: i64 = 2_000;
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

/// What became of a webhook that waited.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) inbound: InboundId,
    pub(crate) end: InboundEnd,
    pub(crate) at: i64,
}

/// Writes what became of webhooks: those of which the same is to be said in one statement.
pub(crate) async fn end(
    write: &mut Write,
    organization: &OrganizationId,
    mut ended: Vec<Ended>,
) -> Result<(), StoreError> {
    while let Some(first) = ended.first() {
        let (end, at) = (first.end.clone(), first.at);
        let same = |other: &Ended| other.end == end && other.at == at;
        let (alike, others): (Vec<_>, Vec<_>) = ended.into_iter().partition(same);
        ended = others;
        for some in alike.chunks(IDS_PER_QUERY) {
            end_alike(write, organization, some, &end, at).await?;
        }
    }
    Ok(())
}

async fn end_alike(
    write: &mut Write,
    organization: &OrganizationId,
    ended: &[Ended],
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
    let finished_at = due_at.is_none().then_some(at);
    let mut update = QueryBuilder::new("UPDATE inbox SET state = ");
    update
        .push_bind(state.name())
        .push(", outcome = ")
        .push_bind(outcome)
        .push(", error = ")
        .push_bind(error.cloned())
        .push(", due_at = COALESCE(")
        .push_bind(due_at)
        .push(", due_at), attempts = attempts + ")
        .push_bind(failures)
        .push(", finished_at = ")
        .push_bind(finished_at)
        .push(" WHERE organization_id = ")
        .push_bind(organization.as_str())
        .push(" AND id")
        .push_in(ended.iter().map(|one| one.inbound.as_str()))
        .push(" AND state = 'waiting'");
    let done = update.build().execute(write.conn()).await.map_err(failed)?;
    if usize::try_from(done.rows_affected()) == Ok(ended.len()) {
        return Ok(());
    }
    let first = ended.first().map_or("a webhook", |one| one.inbound.as_str());
    Err(StoreError::Stale(first.to_owned()))
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
