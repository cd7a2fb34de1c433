//! What came of sending: attempts of many deliveries written in one transaction, with what follows for each.

use std::collections::BTreeMap;

use model::{OrganizationId, OutboundDeliveryId, WebhookEndpointId};
use serde::{Deserialize, Serialize};
use sync::ports::StoreError;
use sync::state::{FeedAction, Origin};

use super::endpoints::told;
use crate::SqliteStore;
use crate::column::{all, count, failed, get, word};
use crate::dialect::{IDS_PER_QUERY, rows_per_insert};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;

/// An attempt to deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The how-manieth, from 1.
    pub number: u32,
    /// When, epoch milliseconds.
    pub at: i64,
    /// How long it took.
    pub took_ms: i64,
    /// What came of it.
    pub outcome: Outcome,
    /// The HTTP status, where one came.
    pub status: Option<u16>,
    /// More for a person: what went wrong, or how the answer begins.
    pub detail: Option<String>,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A 2xx.
    Delivered,
    /// Another status.
    Refused,
    /// A redirect, which is not followed.
    Redirected,
    /// No answer in time.
    TimedOut,
    /// No connection, or it broke.
    Unreachable,
    /// The address leads where nothing is sent.
    Blocked,
}

impl Outcome {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Refused => "refused",
            Self::Redirected => "redirected",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Blocked => "blocked",
        }
    }
}

/// An attempt with what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// Whose delivery.
    pub organization: OrganizationId,
    /// To where.
    pub endpoint: WebhookEndpointId,
    /// Which one.
    pub delivery: OutboundDeliveryId,
    /// The attempt.
    pub attempt: Attempt,
    /// What follows.
    pub then: Then,
    /// What it says of the endpoint, where that is new.
    pub note: Option<EndpointNote>,
}

/// What follows from an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It arrived.
    Delivered,
    /// It is sent again at this moment, epoch milliseconds.
    Again {
        /// When.
        at: i64,
    },
    /// It is given up.
    Dead,
}

/// What an attempt says of the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointNote {
    /// From now on attempts fail.
    Failing,
    /// It takes deliveries again.
    Well,
    /// It takes deliveries again after an outage: what waits for another attempt is due now.
    Back,
    /// Nothing more is sent, for this reason.
    Disabled(String),
}

pub(super) fn read(row: &Row) -> Result<Attempt, StoreError> {
    let status: Option<i64> = get(row, "status")?;
    Ok(Attempt {
        number: count(row, "number")?,
        at: get(row, "at")?,
        took_ms: get(row, "took_ms")?,
        outcome: word(row, "outcome")?,
        status: status.and_then(|status| u16::try_from(status).ok()),
        detail: get(row, "detail")?,
    })
}

impl SqliteStore {
    /// The attempts of a delivery, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delivery_attempts(
        &self,
        organization: &OrganizationId,
        delivery: &OutboundDeliveryId,
    ) -> Result<Vec<Attempt>, StoreError> {
        let rows = sql::query(
            "SELECT * FROM outbound_attempts WHERE organization_id = $1 AND delivery_id = $2 ORDER BY number",
        )
        .bind(organization.as_str())
        .bind(delivery.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, read)
    }

    /// Writes attempts of any organizations and what follows from them, in one transaction.
    ///
    /// # Errors
    /// When the database fails; then nothing is written.
    pub async fn record_attempts(&self, sent: &[Sent]) -> Result<(), StoreError> {
        let now = self.now_ms();
        let mut write = self.write().await?;
        insert(&mut write, sent).await?;
        // Endpoints before their deliveries, in order of id, as everywhere where several are written at once.
        let mut noted: Vec<(&Sent, &EndpointNote)> = sent
            .iter()
            .filter_map(|one| one.note.as_ref().map(|noted| (one, noted)))
            .collect();
        noted.sort_by_key(|(one, _)| (&one.organization, &one.endpoint));
        for (one, noted) in &noted {
            note(&mut write, one, noted, now).await?;
        }
        let mut delivered: BTreeMap<&OrganizationId, Vec<&str>> = BTreeMap::new();
        for one in sent {
            match one.then {
                Then::Delivered => delivered
                    .entry(&one.organization)
                    .or_default()
                    .push(one.delivery.as_str()),
                Then::Again { at } => follow(&mut write, one, "pending", at, None).await?,
                Then::Dead => follow(&mut write, one, "dead", now, Some(now)).await?,
            }
        }
        for (organization, ids) in delivered {
            for some in ids.chunks(IDS_PER_QUERY) {
                arrived(&mut write, organization, some, now).await?;
            }
        }
        for (one, _) in noted.iter().filter(|(_, noted)| *noted == &EndpointNote::Back) {
            hurry(&mut write, one, now).await?;
        }
        write.commit().await?;
        // The feed hears of it, so this waits for the organization's other commits. Lost in a crash it comes again with
        // the next attempt.
        for (one, noted) in noted {
            if let EndpointNote::Disabled(reason) = noted {
                self.disable(one, reason, now).await?;
            }
        }
        Ok(())
    }

    async fn disable(&self, one: &Sent, reason: &str, now: i64) -> Result<(), StoreError> {
        let (organization, endpoint) = (&one.organization, &one.endpoint);
        let mut write = self.write_in(organization).await?;
        let done = sql::query(
            "UPDATE webhook_endpoints SET state = 'disabled', reason = $1,
                updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at + 1 END
             WHERE organization_id = $3 AND id = $4 AND state = 'active'",
        )
        .bind(reason)
        .bind(now)
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        if done.rows_affected() > 0 {
            let changed = ["state", "reason"];
            let entry = told(endpoint, FeedAction::Updated, &changed, &Origin::Hub, now);
            write.append(organization, vec![entry]).await?;
        }
        write.commit().await
    }
}

async fn insert(write: &mut Write, sent: &[Sent]) -> Result<(), StoreError> {
    for some in sent.chunks(rows_per_insert(8)) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO outbound_attempts
                (organization_id, delivery_id, number, at, took_ms, outcome, status, detail) ",
        );
        insert.push_values(some, |mut row, one| {
            let attempt = &one.attempt;
            row.push_bind(one.organization.as_str())
                .push_bind(one.delivery.as_str())
                .push_bind(i64::from(attempt.number))
                .push_bind(attempt.at)
                .push_bind(attempt.took_ms)
                .push_bind(attempt.outcome.name())
                .push_bind(attempt.status.map(i64::from))
                .push_bind(attempt.detail.as_deref());
        });
        // Two nodes may have sent the same when a lease ran out between them.
        insert.push(" ON CONFLICT (organization_id, delivery_id, number) DO NOTHING");
        insert.build().execute(write.conn()).await.map_err(failed)?;
    }
    Ok(())
}

async fn arrived(
    write: &mut Write,
    organization: &OrganizationId,
    ids: &[&str],
    now: i64,
) -> Result<(), StoreError> {
    let mut update = QueryBuilder::new(
        "UPDATE outbound_deliveries SET state = 'delivered', attempts = attempts + 1, ended_at = ",
    );
    update
        .push_bind(now)
        .push(" WHERE state = 'pending' AND organization_id = ")
        .push_bind(organization.as_str())
        .push(" AND id")
        .push_in(ids.iter().copied());
    update.build().execute(write.conn()).await.map_err(failed)?;
    Ok(())
}

async fn follow(
    write: &mut Write,
    one: &Sent,
    state: &'static str,
    next_at: i64,
    ended_at: Option<i64>,
) -> Result<(), StoreError> {
    sql::query(
        "UPDATE outbound_deliveries SET state = $1, attempts = $6, next_at = $2, ended_at = $3
         WHERE organization_id = $4 AND id = $5 AND state = 'pending' AND attempts < $6",
    )
    .bind(state)
    .bind(next_at)
    .bind(ended_at)
    .bind(one.organization.as_str())
    .bind(one.delivery.as_str())
    // A batch whose commit was not confirmed is written again.
    .bind(i64::from(one.attempt.number))
    .execute(write.conn())
    .await
    .map_err(failed)?;
    Ok(())
}

/// What an attempt says of its endpoint.
async fn note(write: &mut Write, one: &Sent, noted: &EndpointNote, now: i64) -> Result<(), StoreError> {
    let statement = match noted {
        EndpointNote::Failing => {
            "UPDATE webhook_endpoints SET failing_since = COALESCE(failing_since, $3)
             WHERE organization_id = $1 AND id = $2"
        }
        EndpointNote::Well | EndpointNote::Back => {
            "UPDATE webhook_endpoints SET failing_since = NULL
             WHERE organization_id = $1 AND id = $2 AND failing_since <= $3"
        }
        // Told in the feed, with the organization's other commits.
        EndpointNote::Disabled(_) => return Ok(()),
    };
    about(write, one, statement, now).await
}

/// Makes what waits for another attempt due now.
async fn hurry(write: &mut Write, one: &Sent, now: i64) -> Result<(), StoreError> {
    let statement = "UPDATE outbound_deliveries SET next_at = $3
         WHERE organization_id = $1 AND endpoint_id = $2 AND state = 'pending' AND next_at > $3";
    about(write, one, statement, now).await
}

async fn about(write: &mut Write, one: &Sent, statement: &'static str, now: i64) -> Result<(), StoreError> {
    sql::query(statement)
        .bind(one.organization.as_str())
        .bind(one.endpoint.as_str())
        .bind(now)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}
