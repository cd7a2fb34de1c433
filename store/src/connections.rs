//! Connections: authorised accounts at providers.

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId};
use serde_json::{Map, Value};
use sync::history::{Cause, HistoryAction, HistoryDetail, HistoryEntry};
use sync::ports::StoreError;
use sync::state::{Connection, FeedAction, FeedEntry, Health, Origin};

use crate::column::{all, corrupt, document, failed, get, id, json, optional_id, refused, spelled, word};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore, history, hooks, inbox, queue};

/// What to change of a connection; `None` leaves as it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConnectionPatch {
    /// Its name.
    pub name: Option<String>,
    /// Its settings, whole.
    pub config: Option<Map<String, Value>>,
    /// Its health with the reason. The only way out of [`Health::Paused`]: the engine's own reports of health do
    /// not wake a connection that someone paused.
    pub health: Option<(Health, Option<String>)>,
}

fn read(row: &Row) -> Result<Connection, StoreError> {
    Ok(Connection {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        provider: get(row, "provider")?,
        name: get(row, "name")?,
        owner: optional_id(row, "owner")?,
        config: json(row, "config")?,
        health: word(row, "health")?,
        health_reason: get(row, "health_reason")?,
        discovered_at: get(row, "discovered_at")?,
        synced_at: get(row, "synced_at")?,
        created_at: get(row, "created_at")?,
    })
}

/// What the engine says of a connection's health. A connection that someone paused stays paused, and one whose credentials
/// cannot be renewed for a reason that people have to put right is not well, however good the token still is.
pub(crate) async fn set_health(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
    (health, reason): (Health, Option<&str>),
    synced_at: Option<i64>,
) -> Result<(), StoreError> {
    let done = sql::query(
        "UPDATE connections
         SET health_reason = CASE
                WHEN health = 'paused' THEN health_reason
                WHEN $2 = 'active' THEN COALESCE((
                    SELECT trouble FROM credentials c
                    WHERE c.organization_id = connections.organization_id AND c.connection_id = connections.id
                        AND c.purpose = 'credentials'
                ), $1)
                ELSE $1
             END,
             health = CASE
                WHEN health = 'paused' THEN health
                WHEN $2 = 'active' AND EXISTS (
                    SELECT 1 FROM credentials c
                    WHERE c.organization_id = connections.organization_id AND c.connection_id = connections.id
                        AND c.purpose = 'credentials' AND c.trouble IS NOT NULL
                ) THEN 'degraded'
                ELSE $2
             END,
             synced_at = COALESCE($3, synced_at), attempted_at = COALESCE($3, attempted_at)
         WHERE organization_id = $4 AND id = $5",
    )
    .bind(reason)
    .bind(spelled(&health)?)
    .bind(synced_at)
    .bind(organization.as_str())
    .bind(connection.as_str())
    .execute(write.conn())
    .await
    .map_err(failed)?;
    write.touched(done.rows_affected(), connection.as_str())
}

pub(crate) async fn discovered(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
    at: i64,
) -> Result<(), StoreError> {
    let done = sql::query("UPDATE connections SET discovered_at = $1 WHERE organization_id = $2 AND id = $3")
        .bind(at)
        .bind(organization.as_str())
        .bind(connection.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
    write.touched(done.rows_affected(), connection.as_str())
}

pub(crate) fn entry(
    action: FeedAction,
    id: &ConnectionId,
    changed: &[&str],
    origin: &Origin,
    at: i64,
) -> FeedEntry {
    FeedEntry {
        action,
        subject: id.to_string(),
        kind: "connection".to_owned(),
        version: 0,
        changed: changed.iter().map(|&field| field.to_owned()).collect(),
        origin: origin.clone(),
        at,
    }
}

pub(crate) async fn insert(write: &mut Write, connection: &Connection) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO connections
            (organization_id, id, provider, name, owner, config, health, health_reason, discovered_at,
             synced_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(connection.organization.as_str())
    .bind(connection.id.as_str())
    .bind(&connection.provider)
    .bind(&connection.name)
    .bind(connection.owner.as_ref().map(|owner| owner.as_str()))
    .bind(document(&connection.config)?)
    .bind(spelled(&connection.health)?)
    .bind(&connection.health_reason)
    .bind(connection.discovered_at)
    .bind(connection.synced_at)
    .bind(connection.created_at)
    .execute(write.conn())
    .await
    .map_err(refused(connection.id.as_str()))?;
    Ok(())
}

impl SqliteStore {
    /// Adds a connection with its credentials, and a feed entry, in one transaction.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn insert_connection(
        &self,
        connection: &Connection,
        credentials: &Credentials,
        origin: &Origin,
    ) -> Result<(), StoreError> {
        let mut write = self.write_in(&connection.organization).await?;
        insert(&mut write, connection).await?;
        self.put_credentials(&mut write, &connection.organization, &connection.id, credentials)
            .await?;
        let entry = entry(FeedAction::Created, &connection.id, &[], origin, self.now_ms());
        write.append(&connection.organization, vec![entry]).await?;
        write.commit().await
    }

    pub(crate) async fn read_connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
    ) -> Result<Option<Connection>, StoreError> {
        let row = self
            .row(
                "SELECT * FROM connections WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The connection of this id. Starts from an address and ends at an organization, as [`Self::hook_target`] does.
    ///
    /// # Errors
    /// When the database fails; `Corrupt` when two organizations own the address.
    pub async fn connection_at(&self, id: &ConnectionId) -> Result<Option<Connection>, StoreError> {
        let rows = sql::query("SELECT * FROM connections WHERE id = $1 LIMIT 2")
            .bind(id.as_str())
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        match rows.as_slice() {
            [] => Ok(None),
            [row] => read(row).map(Some),
            // Ids are random; whose it is must not be guessed.
            [_, _, ..] => Err(corrupt("address of a connection", "two organizations own it")),
        }
    }

    /// The connections of an organization, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connections(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<Connection>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM connections WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(after) = &paging.after {
            query.push(" AND id > ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |connection| {
            connection.id.as_str()
        }))
    }

    /// Changes a connection, with a feed entry; `None` when there is no such connection.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn update_connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        patch: &ConnectionPatch,
        origin: &Origin,
    ) -> Result<Option<Connection>, StoreError> {
        let mut write = self.write_in(organization).await?;
        let (health, reason) = patch.health.clone().unzip();
        let row = sql::query(
            "UPDATE connections
             SET name = COALESCE($1, name), config = COALESCE($2, config),
                 health_reason = CASE WHEN $3 IS NULL THEN health_reason ELSE $4 END,
                 health = COALESCE($3, health)
             WHERE organization_id = $5 AND id = $6
             RETURNING *",
        )
        .bind(&patch.name)
        .bind(patch.config.as_ref().map(document).transpose()?)
        .bind(health.as_ref().map(spelled).transpose()?)
        .bind(reason.flatten())
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(write.conn())
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        let connection = read(&row)?;
        let mut changed = Vec::new();
        changed.extend(patch.name.as_ref().map(|_| "name"));
        changed.extend(patch.config.as_ref().map(|_| "config"));
        changed.extend(patch.health.as_ref().map(|_| "health"));
        if !changed.is_empty() {
            let entry = entry(FeedAction::Updated, id, &changed, origin, self.now_ms());
            write.append(organization, vec![entry]).await?;
        }
        write.commit().await?;
        Ok(Some(connection))
    }

    /// Removes a connection with its credentials, collections, links and jobs. Records that have no other link are
    /// marked deleted, with feed entries. Nothing is written to the provider. `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_connection(
        &self,
        organization: &OrganizationId,
        id: &ConnectionId,
        origin: &Origin,
        cause: &Cause,
    ) -> Result<bool, StoreError> {
        let now = self.now_ms();
        let mut write = self.write_in(organization).await?;
        let mut entries = delete_orphans(&mut write, organization, id, origin, now).await?;
        let told = entries.iter().map(|entry| died(organization, entry, cause));
        let told = told.collect::<Result<_, _>>()?;
        history::append(&mut write, organization, told).await?;
        write.remember(organization, &entries).await?;
        // Collections, links, originals, intents, quarantine and credentials go with it, by their references.
        let done = sql::query("DELETE FROM connections WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        queue::cancel(&mut write, organization, id, now).await?;
        inbox::drop_of(&mut write, organization, id, now).await?;
        hooks::forget_secrets(&mut write, organization, id.as_str()).await?;
        entries.push(entry(FeedAction::Deleted, id, &[], origin, now));
        write.append(organization, entries).await?;
        write.commit().await?;
        Ok(true)
    }

    /// Active and degraded connections of all organizations without a schedule that are to be looked at, and that have no sync job waiting or
    /// running. Each has a moment of its own in every interval, by its id, so that those which were made or looked at
    /// together do not come back together: it is due once that moment has passed since its last sync ended, well or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn due_connections(
        &self,
        now_ms: i64,
        interval_ms: i64,
    ) -> Result<Vec<(OrganizationId, ConnectionId)>, StoreError> {
        let interval_ms = interval_ms.max(1);
        let mut query = QueryBuilder::new(
            "SELECT c.organization_id, c.id FROM connections c
             WHERE c.health IN ('active', 'degraded') AND c.schedule IS NULL AND COALESCE(c.attempted_at, 0) < ",
        );
        query
            .push_bind(now_ms)
            .push(" - (")
            .push_bind(now_ms)
            .push(" - ")
            .push(self.engine().place_of_connection())
            .push(" * ")
            .push_bind(interval_ms)
            .push(" / 1024) % ")
            .push_bind(interval_ms)
            .push(
                " AND NOT EXISTS (
                    SELECT 1 FROM jobs j
                    WHERE j.organization_id = c.organization_id AND j.lane = c.id AND j.name = 'sync'
                        AND j.state IN ('queued', 'running')
                )
             ORDER BY COALESCE(c.attempted_at, 0), c.id",
            );
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        all(&rows, |row| Ok((id(row, "organization_id")?, id(row, "id")?)))
    }
}

/// What the history of such a record says.
fn died(organization: &OrganizationId, entry: &FeedEntry, cause: &Cause) -> Result<HistoryEntry, StoreError> {
    Ok(HistoryEntry {
        organization: organization.clone(),
        record: entry.subject.parse().map_err(|error| corrupt("subject", error))?,
        version: entry.version,
        action: HistoryAction::Deleted,
        path: None,
        detail: HistoryDetail {
            cause: cause.clone(),
            ..HistoryDetail::by(entry.origin.clone())
        },
        at: entry.at,
    })
}

/// Marks the live records deleted that have links on this connection only, and says so in feed entries.
async fn delete_orphans(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
    origin: &Origin,
    now: i64,
) -> Result<Vec<FeedEntry>, StoreError> {
    let rows = sql::query(
        "UPDATE records SET deleted = 1, version = version + 1, updated_at = $1
         WHERE organization_id = $2 AND deleted = 0
            AND id IN (SELECT l.record_id FROM links l WHERE l.organization_id = $2 AND l.connection_id = $3)
            AND NOT EXISTS (
                SELECT 1 FROM links o
                WHERE o.organization_id = records.organization_id AND o.record_id = records.id
                    AND o.connection_id <> $3
            )
         RETURNING id, kind, version",
    )
    .bind(now)
    .bind(organization.as_str())
    .bind(connection.as_str())
    .fetch_all(write.conn())
    .await
    .map_err(failed)?;
    all(&rows, |row| {
        Ok(FeedEntry {
            action: FeedAction::Deleted,
            subject: get(row, "id")?,
            kind: get(row, "kind")?,
            version: get(row, "version")?,
            changed: Vec::new(),
            origin: origin.clone(),
            at: now,
        })
    })
}
