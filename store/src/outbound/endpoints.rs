//! Webhook endpoints: addresses of customers that are told what changes.

use model::{ConnectionId, OrganizationId, WebhookEndpointId};
use serde::Deserialize;
use sync::ports::StoreError;
use sync::state::{FeedAction, FeedEntry, Origin};

use crate::changes::Change;
use crate::column::{all, document, failed, flag, get, id, json, refused, word};
use crate::sql::{self, Row};
use crate::write::Write;
use crate::{ChangeFilter, Page, Paging, SqliteStore};

/// A webhook endpoint, without its secrets.
#[derive(Debug, Clone, PartialEq)]
pub struct WebhookEndpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// Its name for people.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Which kinds and connections it is told of.
    pub filter: ChangeFilter,
    /// Which actions it is told of; all when empty.
    pub actions: Vec<FeedAction>,
    /// Deliveries per second at most.
    pub rate: Option<u32>,
    /// Changes of one object wait for each other.
    pub ordered: bool,
    /// Whether it is told anything.
    pub state: EndpointState,
    /// Why it is disabled.
    pub reason: Option<String>,
    /// The last `seq` from which deliveries were made.
    pub cursor: i64,
    /// Since when every attempt fails, epoch milliseconds.
    pub failing_since: Option<i64>,
    /// Epoch milliseconds.
    pub created_at: i64,
    /// Rises with every change of it or of its secrets; epoch milliseconds.
    pub updated_at: i64,
}

/// Whether an endpoint is told anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It is.
    Active,
    /// Nothing is sent; what it would be told waits in the feed.
    Disabled,
}

impl EndpointState {
    /// The name in the store and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

impl WebhookEndpoint {
    /// Whether it is told of a change.
    #[must_use]
    pub fn takes(&self, change: &Change) -> bool {
        let acted = self.actions.is_empty() || self.actions.contains(&change.entry.action);
        acted && self.filter.takes(change)
    }
}

pub(super) fn read(row: &Row) -> Result<WebhookEndpoint, StoreError> {
    let rate: Option<i64> = get(row, "rate")?;
    let connections: Vec<ConnectionId> = json(row, "connections")?;
    Ok(WebhookEndpoint {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        name: get(row, "name")?,
        url: get(row, "url")?,
        filter: ChangeFilter {
            kinds: json(row, "kinds")?,
            connections,
        },
        actions: json(row, "actions")?,
        rate: rate.and_then(|rate| u32::try_from(rate).ok()),
        ordered: flag(row, "ordered")?,
        state: word(row, "state")?,
        reason: get(row, "reason")?,
        cursor: get(row, "cursor")?,
        failing_since: get(row, "failing_since")?,
        created_at: get(row, "created_at")?,
        updated_at: get(row, "updated_at")?,
    })
}

/// What the feed says of an endpoint.
pub(super) fn told(
    endpoint: &WebhookEndpointId,
    action: FeedAction,
    changed: &[&str],
    origin: &Origin,
    at: i64,
) -> FeedEntry {
    FeedEntry {
        action,
        subject: endpoint.to_string(),
        kind: "webhook_endpoint".to_owned(),
        version: 0,
        changed: changed.iter().map(|&field| field.to_owned()).collect(),
        origin: origin.clone(),
        at,
    }
}

impl SqliteStore {
    /// Adds an endpoint with its first secret, and a feed entry. It is told what is committed from now on: its own
    /// cursor is set here.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn insert_webhook_endpoint(
        &self,
        endpoint: &WebhookEndpoint,
        secret: &str,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let organization = &endpoint.organization;
        let mut write = self.write_in(organization).await?;
        sql::query(
            "INSERT INTO webhook_endpoints
                (organization_id, id, name, url, kinds, actions, connections, rate, ordered, state, reason,
                 cursor, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
                COALESCE((SELECT seq FROM feed_heads WHERE organization_id = $1), 0), $12, $12)",
        )
        .bind(organization.as_str())
        .bind(endpoint.id.as_str())
        .bind(&endpoint.name)
        .bind(&endpoint.url)
        .bind(document(&endpoint.filter.kinds)?)
        .bind(document(&endpoint.actions)?)
        .bind(document(&endpoint.filter.connections)?)
        .bind(endpoint.rate.map(i64::from))
        .bind(i64::from(endpoint.ordered))
        .bind(endpoint.state.name())
        .bind(&endpoint.reason)
        .bind(endpoint.created_at)
        .execute(write.conn())
        .await
        .map_err(refused(endpoint.id.as_str()))?;
        self.put_secret(&mut write, organization, &endpoint.id, 1, secret)
            .await?;
        let told = told(
            &endpoint.id,
            FeedAction::Created,
            &[],
            origin,
            endpoint.created_at,
        );
        write.append(organization, vec![told]).await?;
        write.commit().await
    }

    /// An endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_endpoint(
        &self,
        organization: &OrganizationId,
        id: &WebhookEndpointId,
    ) -> Result<Option<WebhookEndpoint>, StoreError> {
        let query = "SELECT * FROM webhook_endpoints WHERE organization_id = $1 AND id = $2";
        let row = self.row(query, organization, id.as_str()).await?;
        row.as_ref().map(read).transpose()
    }

    /// Endpoints, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn webhook_endpoints(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<WebhookEndpoint>, StoreError> {
        let rows = sql::query(
            "SELECT * FROM webhook_endpoints WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3",
        )
        .bind(organization.as_str())
        .bind(paging.after.as_deref().unwrap_or_default())
        .bind(paging.probe())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |endpoint| {
            endpoint.id.as_str()
        }))
    }

    /// Replaces what people set of an endpoint as it was at `seen_at` (its `updated_at`), and says so in the feed.
    /// `skip` leaves out what it was not told yet. `false` when there is none, or when it was changed since: it may have
    /// been disabled.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn update_webhook_endpoint(
        &self,
        endpoint: &WebhookEndpoint,
        seen_at: i64,
        changed: &[&str],
        skip: bool,
        origin: &Origin,
    ) -> Result<bool, StoreError> {
        let organization = &endpoint.organization;
        let mut write = self.write_in(organization).await?;
        let done = sql::query(
            "UPDATE webhook_endpoints
             SET name = $1, url = $2, kinds = $3, actions = $4, connections = $5, rate = $6, ordered = $7,
                 state = $8, reason = $9, updated_at = $11,
                 failing_since = CASE WHEN state = $8 THEN failing_since ELSE $10 END,
                 cursor = CASE WHEN $12 = 1
                    THEN COALESCE((SELECT seq FROM feed_heads WHERE organization_id = $13), 0)
                    ELSE cursor END
             WHERE organization_id = $13 AND id = $14 AND updated_at = $15",
        )
        .bind(&endpoint.name)
        .bind(&endpoint.url)
        .bind(document(&endpoint.filter.kinds)?)
        .bind(document(&endpoint.actions)?)
        .bind(document(&endpoint.filter.connections)?)
        .bind(endpoint.rate.map(i64::from))
        .bind(i64::from(endpoint.ordered))
        .bind(endpoint.state.name())
        .bind(&endpoint.reason)
        .bind(endpoint.failing_since)
        .bind(endpoint.updated_at)
        .bind(i64::from(skip))
        .bind(organization.as_str())
        .bind(endpoint.id.as_str())
        .bind(seen_at)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let revived = endpoint.state == EndpointState::Active && changed.contains(&"state");
        arrange(&mut write, endpoint, skip, revived).await?;
        let entry = told(
            &endpoint.id,
            FeedAction::Updated,
            changed,
            origin,
            endpoint.updated_at,
        );
        write.append(organization, vec![entry]).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Removes an endpoint with all that is known of its deliveries; `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_webhook_endpoint(
        &self,
        organization: &OrganizationId,
        id: &WebhookEndpointId,
        origin: &Origin,
    ) -> Result<bool, StoreError> {
        let now = self.now_ms();
        let mut write = self.write_in(organization).await?;
        // Attempts hang on deliveries without a reference: they are written by the thousand.
        for statement in [
            "DELETE FROM outbound_attempts WHERE organization_id = $1 AND delivery_id IN (
                SELECT d.id FROM outbound_deliveries d WHERE d.organization_id = $1 AND d.endpoint_id = $2)",
            "DELETE FROM webhook_endpoints WHERE organization_id = $1 AND id = $2",
        ] {
            let done = sql::query(statement)
                .bind(organization.as_str())
                .bind(id.as_str())
                .execute(write.conn())
                .await
                .map_err(failed)?;
            if statement.contains("webhook_endpoints") && done.rows_affected() == 0 {
                return Ok(false);
            }
        }
        let entry = told(id, FeedAction::Deleted, &[], origin, now);
        write.append(organization, vec![entry]).await?;
        write.commit().await?;
        Ok(true)
    }
}

/// Brings what waits in line with the endpoint's settings: lanes where order matters, due now when it is active again,
/// and nothing at all when what it was not told is left out.
async fn arrange(
    write: &mut Write,
    endpoint: &WebhookEndpoint,
    skip: bool,
    revived: bool,
) -> Result<(), StoreError> {
    let lanes = if endpoint.ordered {
        "UPDATE outbound_deliveries SET lane = subject
         WHERE organization_id = $1 AND endpoint_id = $2 AND state = 'pending'"
    } else {
        "UPDATE outbound_deliveries SET lane = NULL
         WHERE organization_id = $1 AND endpoint_id = $2 AND state = 'pending' AND lane IS NOT NULL"
    };
    let (organization, id) = (endpoint.organization.as_str(), endpoint.id.as_str());
    let arranged = sql::query(lanes).bind(organization).bind(id);
    arranged.execute(write.conn()).await.map_err(failed)?;
    let then = if skip {
        "UPDATE outbound_deliveries SET state = 'skipped', ended_at = $3
         WHERE organization_id = $1 AND endpoint_id = $2 AND state = 'pending'"
    } else if revived {
        "UPDATE outbound_deliveries SET next_at = $3
         WHERE organization_id = $1 AND endpoint_id = $2 AND state = 'pending' AND next_at > $3"
    } else {
        return Ok(());
    };
    let settled = sql::query(then)
        .bind(organization)
        .bind(id)
        .bind(endpoint.updated_at);
    settled.execute(write.conn()).await.map_err(failed)?;
    Ok(())
}
