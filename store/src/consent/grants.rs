//! What connections were granted. A connection and its grant are written together.

use connector_sdk::Credentials;
use model::{ConnectLinkId, ConnectionId, OrganizationId};
use sync::ports::StoreError;
use sync::state::{Connection, FeedAction, Origin};

use super::{AppRef, links};
use crate::SqliteStore;
use crate::column::{document, failed, get, id, json, refused};
use crate::connections;
use crate::sql::{self, Row, Target};
use crate::write::Write;

/// What a connection was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Through which app.
    pub app: AppRef,
    /// By whose account, as the provider tells it apart.
    pub account: Option<String>,
    /// The vendor's scopes.
    pub scopes: Vec<String>,
    /// When, epoch milliseconds.
    pub granted_at: i64,
}

/// Which connection a grant is for.
#[derive(Debug, Clone, Copy)]
pub enum GrantedTo<'a> {
    /// The one that the account has through this app; where it has none, this one is made.
    New(&'a Connection),
    /// One that was there.
    Known(&'a ConnectionId),
}

/// A grant with its tokens, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// For which connection.
    pub to: GrantedTo<'a>,
    /// The tokens, over what a connection that was there holds: a vendor that gives no refresh token again means the one
    /// before.
    pub credentials: &'a Credentials,
    /// What was granted.
    pub grant: &'a Grant,
    /// The link that is used up by it.
    pub link: Option<&'a ConnectLinkId>,
}

fn read(row: &Row) -> Result<Grant, StoreError> {
    Ok(Grant {
        app: AppRef::read(row)?,
        account: get(row, "account")?,
        scopes: json(row, "scopes")?,
        granted_at: get(row, "granted_at")?,
    })
}

async fn put(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
    grant: &Grant,
) -> Result<(), StoreError> {
    sql::query(
        "INSERT INTO grants (organization_id, connection_id, app_owner, app_id, account, scopes, granted_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (organization_id, connection_id) DO UPDATE
         SET app_owner = excluded.app_owner, app_id = excluded.app_id, account = excluded.account,
             scopes = excluded.scopes, granted_at = excluded.granted_at",
    )
    .bind(organization.as_str())
    .bind(connection.as_str())
    .bind(grant.app.owner.as_str())
    .bind(grant.app.id.as_str())
    .bind(&grant.account)
    .bind(document(&grant.scopes)?)
    .bind(grant.granted_at)
    .execute(write.conn())
    .await
    .map_err(refused(connection.as_str()))?;
    Ok(())
}

impl SqliteStore {
    /// What a connection was granted; `None` when its credentials were given by hand.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grant(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Option<Grant>, StoreError> {
        let row = self
            .row(
                "SELECT * FROM grants WHERE organization_id = $1 AND connection_id = $2",
                organization,
                connection.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Stores a grant with its tokens and its connection, in one transaction: a new connection, or one that works
    /// again. A feed entry says so. Answers with the connection. Whether an account has one already is asked in the same
    /// transaction, in the organization's turn: of two that bring the same account at once the second finds the first's.
    ///
    /// # Errors
    /// `Stale` when the link has been used up, or the connection is gone.
    pub async fn connect(
        &self,
        organization: &OrganizationId,
        connect: Connect<'_>,
        origin: &Origin,
    ) -> Result<ConnectionId, StoreError> {
        let mut write = self.write_in(organization).await?;
        if let Some(link) = connect.link {
            links::take_use(&mut write, organization, link, self.now_ms()).await?;
        }
        let known = match (connect.to, &connect.grant.account) {
            (GrantedTo::Known(id), _) => Some(id.clone()),
            (GrantedTo::New(_), Some(account)) => {
                of_account(write.conn(), organization, &connect.grant.app, account).await?
            }
            (GrantedTo::New(_), None) => None,
        };
        let (id, action, changed): (_, _, &[&str]) = match (known, connect.to) {
            (None, GrantedTo::New(connection)) => {
                connections::insert(&mut write, connection).await?;
                (connection.id.clone(), FeedAction::Created, &[])
            }
            (Some(id), GrantedTo::New(_) | GrantedTo::Known(_)) => (id, FeedAction::Updated, &["health"]),
            (None, GrantedTo::Known(id)) => (id.clone(), FeedAction::Updated, &["health"]),
        };
        let before = self.credentials_in(&mut write, organization, &id).await?;
        let credentials = connect.credentials.over(&before.unwrap_or_default());
        self.put_credentials(&mut write, organization, &id, &credentials)
            .await?;
        if action == FeedAction::Updated {
            // After the credentials: with new ones nothing keeps it from being well.
            wake(&mut write, organization, &id).await?;
        }
        put(&mut write, organization, &id, connect.grant).await?;
        let entry = connections::entry(action, &id, changed, origin, self.now_ms());
        write.append(organization, vec![entry]).await?;
        write.commit().await?;
        Ok(id)
    }

    /// The connection of an account in an organization, made through this app.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn connection_of_account(
        &self,
        organization: &OrganizationId,
        app: &AppRef,
        account: &str,
    ) -> Result<Option<ConnectionId>, StoreError> {
        of_account(self.read(), organization, app, account).await
    }

    /// How many connections, of whatever organization, live by an app's grants; of an account's, if one is named. Across
    /// organizations: vendors end all that an account granted an app when one token is given back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn grants_through(&self, app: &AppRef, account: Option<&str>) -> Result<i64, StoreError> {
        sql::query_scalar(
            "SELECT COUNT(*) FROM grants
             WHERE app_owner = $1 AND app_id = $2 AND ($3 IS NULL OR account = $3)",
        )
        .bind(app.owner.as_str())
        .bind(app.id.as_str())
        .bind(account)
        .fetch_one(self.read())
        .await
        .map_err(failed)
    }
}

async fn of_account(
    target: impl Into<Target<'_>>,
    organization: &OrganizationId,
    app: &AppRef,
    account: &str,
) -> Result<Option<ConnectionId>, StoreError> {
    let row = sql::query(
        "SELECT connection_id FROM grants
         WHERE app_owner = $1 AND app_id = $2 AND account = $3 AND organization_id = $4
         ORDER BY connection_id LIMIT 1",
    )
    .bind(app.owner.as_str())
    .bind(app.id.as_str())
    .bind(account)
    .bind(organization.as_str())
    .fetch_optional(target)
    .await
    .map_err(failed)?;
    row.as_ref().map(|row| id(row, "connection_id")).transpose()
}

/// A connection works again. One that someone paused stays paused.
async fn wake(
    write: &mut Write,
    organization: &OrganizationId,
    connection: &ConnectionId,
) -> Result<(), StoreError> {
    connections::set_health(
        write,
        organization,
        connection,
        (sync::state::Health::Active, None),
        None,
    )
    .await
}
