//! Intents: remote writes whose outcome is not known yet.

use model::{ConnectionId, IntentId, LinkId, OrganizationId, PartKey};
use sync::ports::StoreError;
use sync::state::Intent;

use crate::SqliteStore;
use crate::column::{all, document, failed, get, id, json, refused, word};
use crate::sql::{self, Row};
use crate::write::Write;

fn read(row: &Row) -> Result<Intent, StoreError> {
    Ok(Intent {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        link: id(row, "link_id")?,
        connection: id(row, "connection_id")?,
        part: PartKey::occurrence(get::<String>(row, "part")?),
        action: word(row, "action")?,
        sent: json(row, "sent")?,
        changed: json(row, "changed")?,
        created_at: get(row, "created_at")?,
    })
}

pub(crate) async fn open(
    write: &mut Write,
    organization: &OrganizationId,
    intent: &Intent,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO intents
            (organization_id, id, link_id, connection_id, part, action, sent, changed, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(organization.as_str())
    .bind(intent.id.as_str())
    .bind(intent.link.as_str())
    .bind(intent.connection.as_str())
    .bind(intent.part.as_str())
    .bind(intent.action.name())
    .bind(document(&intent.sent)?)
    .bind(document(&intent.changed)?)
    .bind(intent.created_at)
    .execute(write.conn())
    .await
    .map_err(refused(intent.id.as_str()))?;
    Ok(())
}

/// Forgets an intent. One that went with its link is closed already.
pub(crate) async fn close(
    write: &mut Write,
    organization: &OrganizationId,
    intent: &IntentId,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM intents WHERE organization_id = $1 AND id = $2")
        .bind(organization.as_str())
        .bind(intent.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

/// Refuses to go on while a write through the link has no known outcome.
pub(crate) async fn expect_none(
    write: &mut Write,
    organization: &OrganizationId,
    link: &LinkId,
) -> Result<(), StoreError> {
    let open: i64 =
        sql::query_scalar("SELECT COUNT(*) FROM intents WHERE organization_id = $1 AND link_id = $2")
            .bind(organization.as_str())
            .bind(link.as_str())
            .fetch_one(write.conn())
            .await
            .map_err(failed)?;
    if open == 0 {
        Ok(())
    } else {
        Err(StoreError::Stale(link.to_string()))
    }
}

impl SqliteStore {
    pub(crate) async fn read_open_intents(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Vec<Intent>, StoreError> {
        let rows =
            sql::query("SELECT * FROM intents WHERE organization_id = $1 AND connection_id = $2 ORDER BY id")
                .bind(organization.as_str())
                .bind(connection.as_str())
                .fetch_all(self.read())
                .await
                .map_err(failed)?;
        all(&rows, read)
    }
}
