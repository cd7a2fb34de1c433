//! Webhooks as people see them: lists, one with its request, replays.

use bytes::Bytes;
use model::{ConnectionId, InboundId, JobId, OrganizationId, ProviderAppId};
use serde::Deserialize;
use sync::ports::StoreError;
use sync::state::{InboundOutcome, JobTask, NewJob};

use crate::column::{all, count, failed, get, id, optional_id, optional_json, word};
use crate::inbox::route;
use crate::sql::{self, QueryBuilder, Row};
use crate::{Page, Paging, SqliteStore, original, queue};

/// A webhook as people see it.
#[derive(Debug, Clone, PartialEq)]
pub struct InboundRow {
    /// Its id.
    pub id: InboundId,
    /// The connection that it concerns.
    pub connection: Option<ConnectionId>,
    /// The app at whose address it came in, where it did.
    pub app: Option<ProviderAppId>,
    /// Under which key it found the connection, or is looked for.
    pub route: Option<String>,
    /// The connector that verified it.
    pub provider: String,
    /// The provider's own id of the delivery.
    pub delivery: Option<String>,
    /// The trace that it belongs to.
    pub trace: Option<String>,
    /// Epoch milliseconds.
    pub received_at: i64,
    /// How it stands.
    pub state: InboundState,
    /// Failed attempts so far.
    pub attempts: u32,
    /// Not before, epoch milliseconds.
    pub due_at: i64,
    /// What came of it.
    pub outcome: Option<InboundOutcome>,
    /// Why the last attempt failed, or why it ended as it did.
    pub error: Option<String>,
    /// When it ended, epoch milliseconds.
    pub finished_at: Option<i64>,
    /// Bytes of the body.
    pub body_bytes: u64,
}

/// How a webhook stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InboundState {
    /// It waits for its connection's worker.
    Waiting,
    /// It waits for somebody to own its route.
    Parked,
    /// It has had its effect.
    Done,
    /// It failed too often, or can never be understood.
    Quarantined,
    /// There was nothing that it could be applied to.
    Dropped,
}

impl InboundState {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Parked => "parked",
            Self::Done => "done",
            Self::Quarantined => "quarantined",
            Self::Dropped => "dropped",
        }
    }
}

/// Which webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboundFilter {
    /// In this state.
    pub state: Option<InboundState>,
    /// For this connection.
    pub connection: Option<ConnectionId>,
    /// At the address of this app.
    pub app: Option<ProviderAppId>,
    /// With this id of the provider's.
    pub delivery: Option<String>,
}

fn read(row: &Row) -> Result<InboundRow, StoreError> {
    Ok(InboundRow {
        id: id(row, "id")?,
        connection: optional_id(row, "connection_id")?,
        app: optional_id(row, "provider_app_id")?,
        route: route(row)?,
        provider: get(row, "provider")?,
        delivery: get(row, "delivery_id")?,
        trace: get(row, "trace_id")?,
        received_at: get(row, "received_at")?,
        state: word(row, "state")?,
        attempts: count(row, "attempts")?,
        due_at: get(row, "due_at")?,
        outcome: optional_json(row, "outcome")?,
        error: get(row, "error")?,
        finished_at: get(row, "finished_at")?,
        body_bytes: count(row, "body_bytes")?,
    })
}

/// What [`read`] reads: everything but head and body.
const SHOWN: &str = "SELECT id, connection_id, provider_app_id, route_key, provider, delivery_id, trace_id, \
     received_at, state, attempts, due_at, outcome, error, finished_at, body_bytes FROM inbox";

impl SqliteStore {
    /// Webhooks, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbound_list(
        &self,
        organization: &OrganizationId,
        filter: &InboundFilter,
        paging: &Paging,
    ) -> Result<Page<InboundRow>, StoreError> {
        let mut query = QueryBuilder::new(SHOWN);
        query
            .push(" WHERE organization_id = ")
            .push_bind(organization.as_str());
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state.name());
        }
        if let Some(connection) = &filter.connection {
            query.push(" AND connection_id = ").push_bind(connection.as_str());
        }
        if let Some(app) = &filter.app {
            query.push(" AND provider_app_id = ").push_bind(app.as_str());
        }
        if let Some(delivery) = &filter.delivery {
            query.push(" AND delivery_id = ").push_bind(delivery.as_str());
        }
        if let Some(after) = &paging.after {
            query.push(" AND id < ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |row| row.id.as_str()))
    }

    /// A webhook.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbound(
        &self,
        organization: &OrganizationId,
        id: &InboundId,
    ) -> Result<Option<InboundRow>, StoreError> {
        let row = sql::query("SELECT * FROM inbox WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .fetch_optional(self.read())
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// A webhook's request as it came: the head's document, and the body.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn inbound_request(
        &self,
        organization: &OrganizationId,
        id: &InboundId,
    ) -> Result<Option<(String, Bytes)>, StoreError> {
        let row = self
            .row(
                "SELECT head, encoding, body FROM inbox WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        let Some(row) = row else { return Ok(None) };
        let body = original::unpack(get(&row, "encoding")?, get(&row, "body")?)?;
        Ok(Some((get(&row, "head")?, body)))
    }

    /// Makes a webhook that has ended wait once more, and enqueues the job that works on it; one that waits is due
    /// now. `None` when there is none, or when it belongs to no connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replay_inbound(
        &self,
        organization: &OrganizationId,
        inbound: &InboundId,
        job: JobId,
    ) -> Result<Option<InboundRow>, StoreError> {
        let now = self.now_ms();
        let mut write = self.write().await?;
        let row = sql::query(
            "UPDATE inbox SET state = 'waiting', attempts = 0, due_at = $1, finished_at = NULL, outcome = NULL
             WHERE organization_id = $2 AND id = $3 AND connection_id IS NOT NULL
             RETURNING *",
        )
        .bind(now)
        .bind(organization.as_str())
        .bind(inbound.as_str())
        .fetch_optional(write.conn())
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let shown = read(&row)?;
        if let Some(connection) = &shown.connection {
            let job = NewJob {
                id: job,
                organization: organization.clone(),
                task: JobTask::Inbox {
                    connection: connection.clone(),
                },
                run_at: now,
            };
            queue::enqueue(&mut write, organization, &job, now).await?;
        }
        write.commit().await?;
        Ok(Some(shown))
    }
}
