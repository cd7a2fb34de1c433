//! Who did what at a vendor with a connection's credentials. A line is written before the call is made, so that none is made
//! unrecorded, and completed when it has ended.

use model::{ApiKeyId, AuditId, ConnectionId, OrganizationId};
use sync::ports::StoreError;

use crate::column::{all, count, failed, get, id, refused};
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{Page, Paging, SqliteStore};

/// How long a line is kept: thirteen months.
const KEPT_MS: i64 = 400 * 24 * 3_600_000;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its id; ids sort by time.
    pub id: AuditId,
    /// Whose.
    pub organization: OrganizationId,
    /// What was done: `passthrough`.
    pub action: String,
    /// Who did it.
    pub key: ApiKeyId,
    /// The request that it was done by.
    pub request: Option<String>,
    /// With whose credentials. The connection may be gone by now.
    pub connection: ConnectionId,
    /// The method.
    pub method: String,
    /// Where: scheme, host and path. Not the query, which may hold what is nobody's business.
    pub target: String,
    /// How much was sent, in bytes.
    pub request_bytes: u64,
    /// When it was about to be made, epoch milliseconds.
    pub at: i64,
    /// How it ended; `None` while nobody knows: it is under way, or the server was killed meanwhile.
    pub end: Option<AuditEnd>,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEnd {
    /// What the vendor answered, or why nothing came.
    pub outcome: Result<u16, String>,
    /// How much came back, in bytes.
    pub response_bytes: u64,
    /// When, epoch milliseconds.
    pub at: i64,
}

/// Which lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of calls with this connection's credentials.
    pub connection: Option<ConnectionId>,
    /// Of calls by this key.
    pub key: Option<ApiKeyId>,
}

fn read(row: &Row) -> Result<AuditLine, StoreError> {
    let ended_at: Option<i64> = get(row, "ended_at")?;
    let end = match ended_at {
        None => None,
        Some(at) => {
            let failure: Option<String> = get(row, "failure")?;
            Some(AuditEnd {
                outcome: match failure {
                    Some(failure) => Err(failure),
                    None => Ok(count(row, "status")?),
                },
                response_bytes: count(row, "response_bytes")?,
                at,
            })
        }
    };
    Ok(AuditLine {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        action: get(row, "action")?,
        key: id(row, "key_id")?,
        request: get(row, "request_id")?,
        connection: id(row, "connection_id")?,
        method: get(row, "method")?,
        target: get(row, "target")?,
        request_bytes: count(row, "request_bytes")?,
        at: get(row, "at")?,
        end,
    })
}

fn bytes(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Forgets what was kept for its time.
pub(crate) async fn sweep(write: &mut Write, now: i64) -> Result<(), StoreError> {
    sql::query("DELETE FROM audit WHERE at < $1")
        .bind(now - KEPT_MS)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}

impl SqliteStore {
    /// Writes down that a call is about to be made. Whoever gets an error makes none.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn begin_audit(&self, line: &AuditLine) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query(
            "INSERT INTO audit
                (organization_id, id, action, key_id, request_id, connection_id, method, target, request_bytes, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(line.organization.as_str())
        .bind(line.id.as_str())
        .bind(&line.action)
        .bind(line.key.as_str())
        .bind(&line.request)
        .bind(line.connection.as_str())
        .bind(&line.method)
        .bind(&line.target)
        .bind(bytes(line.request_bytes))
        .bind(line.at)
        .execute(write.conn())
        .await
        .map_err(refused(line.id.as_str()))?;
        write.commit().await
    }

    /// Writes down how a call ended, once.
    ///
    /// # Errors
    /// `Stale` when there is no such line, or its end is known.
    pub async fn end_audit(
        &self,
        organization: &OrganizationId,
        id: &AuditId,
        end: &AuditEnd,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        let done = sql::query(
            "UPDATE audit SET status = $1, failure = $2, response_bytes = $3, ended_at = $4
             WHERE organization_id = $5 AND id = $6 AND ended_at IS NULL",
        )
        .bind(end.outcome.as_ref().ok().map(|status| i64::from(*status)))
        .bind(end.outcome.as_ref().err())
        .bind(bytes(end.response_bytes))
        .bind(end.at)
        .bind(organization.as_str())
        .bind(id.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        write.touched(done.rows_affected(), id.as_str())?;
        write.commit().await
    }

    /// The lines of an organization, newest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn audit(
        &self,
        organization: &OrganizationId,
        filter: &AuditFilter,
        paging: &Paging,
    ) -> Result<Page<AuditLine>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM audit WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(connection) = &filter.connection {
            query.push(" AND connection_id = ").push_bind(connection.as_str());
        }
        if let Some(key) = &filter.key {
            query.push(" AND key_id = ").push_bind(key.as_str());
        }
        if let Some(after) = &paging.after {
            query.push(" AND id < ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |line| line.id.as_str()))
    }
}
