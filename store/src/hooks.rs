//! What webhook addresses need: provider apps, secrets, routes, and the look-ups that start from an address.

use std::collections::BTreeSet;

use model::{ConnectionId, OrganizationId, ProviderAppId};
use serde::{Deserialize, Serialize};
use sync::ports::StoreError;
use zeroize::{Zeroize, Zeroizing};

use crate::column::{all, corrupt, failed, get, id, refused};
use crate::seal::Sealed;
use crate::sql::{self, QueryBuilder, Row};
use crate::write::Write;
use crate::{AppClient, Page, Paging, SqliteStore};

/// What is sealed in these rows.
pub(crate) const PURPOSE: &str = "webhook secrets";

/// A registration at a vendor that serves many connections through one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderApp {
    /// Its id.
    pub id: ProviderAppId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connector that reads what it sends.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// Epoch milliseconds.
    pub created_at: i64,
}

/// A secret that webhooks are verified with. Wiped from memory when dropped; `Debug` shows since when it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSecret {
    /// The secret as the provider shows it.
    pub text: String,
    /// Since when it is live, epoch milliseconds.
    pub since: i64,
    /// Until when it is live, epoch milliseconds; `None`: until it is replaced.
    pub until: Option<i64>,
}

impl std::fmt::Debug for HookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HookSecret")
            .field("since", &self.since)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

impl Drop for HookSecret {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

/// Whose webhooks are verified with secrets, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HookOwner {
    /// An address of one connection.
    Connection(ConnectionId),
    /// An address that many share.
    App(ProviderAppId),
}

impl HookOwner {
    fn as_str(&self) -> &str {
        match self {
            Self::Connection(id) => id.as_str(),
            Self::App(id) => id.as_str(),
        }
    }
}

/// What an address leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookTarget {
    /// Whose it is.
    pub organization: OrganizationId,
    /// The connection or the app.
    pub owner: HookOwner,
    /// The connector.
    pub provider: String,
    /// Everything that a delivery there may be proven with, newest first; those that are over are left out.
    pub secrets: Vec<HookSecret>,
}

fn read(row: &Row) -> Result<ProviderApp, StoreError> {
    Ok(ProviderApp {
        id: id(row, "id")?,
        organization: id(row, "organization_id")?,
        provider: get(row, "provider")?,
        name: get(row, "name")?,
        created_at: get(row, "created_at")?,
    })
}

impl SqliteStore {
    /// What an address of a connection leads to. The one look-up that starts from an address and ends at an
    /// organization.
    ///
    /// # Errors
    /// When the database fails; `Corrupt` when two organizations own the address.
    pub async fn hook_target(&self, owner: &HookOwner) -> Result<Option<HookTarget>, StoreError> {
        let sql = match owner {
            HookOwner::Connection(_) => {
                "SELECT organization_id, provider FROM connections WHERE id = $1 LIMIT 2"
            }
            HookOwner::App(_) => "SELECT organization_id, provider FROM provider_apps WHERE id = $1 LIMIT 2",
        };
        let rows = sql::query(sql)
            .bind(owner.as_str())
            .fetch_all(self.read())
            .await
            .map_err(failed)?;
        let row = match rows.as_slice() {
            [] => return Ok(None),
            [row] => row,
            // Ids are random; whose it is must not be guessed.
            [_, _, ..] => return Err(corrupt("webhook address", "two organizations own it")),
        };
        let organization: OrganizationId = id(row, "organization_id")?;
        let now = self.now_ms();
        let mut secrets = self.hook_secrets(&organization, owner).await?;
        secrets.retain(|secret| secret.until.is_none_or(|until| until > now));
        Ok(Some(HookTarget {
            provider: get(row, "provider")?,
            organization,
            owner: owner.clone(),
            secrets,
        }))
    }

    /// The secrets of an address, newest first.
    ///
    /// # Errors
    /// `Corrupt` when they were sealed with another key, for another row, or changed since.
    pub async fn hook_secrets(
        &self,
        organization: &OrganizationId,
        owner: &HookOwner,
    ) -> Result<Vec<HookSecret>, StoreError> {
        let row = self
            .row(
                "SELECT key_id, nonce, sealed FROM hook_secrets WHERE organization_id = $1 AND owner = $2",
                organization,
                owner.as_str(),
            )
            .await?;
        let Some(row) = row else { return Ok(Vec::new()) };
        let sealed = Sealed {
            key_id: get(&row, "key_id")?,
            nonce: get(&row, "nonce")?,
            bytes: get(&row, "sealed")?,
        };
        let plain = self
            .keys()
            .unseal(&[organization.as_str(), owner.as_str(), PURPOSE], &sealed)
            .map_err(|error| corrupt("webhook secrets", error))?;
        // A parser's message may quote its input: it is not passed on.
        serde_json::from_slice(&plain).map_err(|_| corrupt("webhook secrets", "not what was sealed"))
    }

    /// Replaces the secrets of an address; `false` when there is no such connection or app.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_hook_secrets(
        &self,
        organization: &OrganizationId,
        owner: &HookOwner,
        secrets: &[HookSecret],
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        let sql = match owner {
            HookOwner::Connection(_) => "SELECT id FROM connections WHERE organization_id = $1 AND id = $2",
            HookOwner::App(_) => "SELECT id FROM provider_apps WHERE organization_id = $1 AND id = $2",
        };
        let found = sql::query(sql)
            .bind(organization.as_str())
            .bind(owner.as_str())
            .fetch_optional(write.conn())
            .await
            .map_err(failed)?;
        if found.is_none() {
            return Ok(false);
        }
        self.seal_hook_secrets(&mut write, organization, owner, secrets)
            .await?;
        write.commit().await?;
        Ok(true)
    }

    async fn seal_hook_secrets(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        owner: &HookOwner,
        secrets: &[HookSecret],
    ) -> Result<(), StoreError> {
        let plain = serde_json::to_vec(secrets)
            .map(Zeroizing::new)
            .map_err(|_| corrupt("webhook secrets", "cannot be written as JSON"))?;
        let key = self.sealing_key(write).await?;
        let sealed = key
            .seal(&[organization.as_str(), owner.as_str(), PURPOSE], &plain)
            .map_err(|error| corrupt("webhook secrets", error))?;
        sql::query(
            "INSERT INTO hook_secrets (organization_id, owner, key_id, nonce, sealed, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (organization_id, owner) DO UPDATE
             SET key_id = excluded.key_id, nonce = excluded.nonce, sealed = excluded.sealed,
                 updated_at = excluded.updated_at",
        )
        .bind(organization.as_str())
        .bind(owner.as_str())
        .bind(sealed.key_id)
        .bind(sealed.nonce)
        .bind(sealed.bytes)
        .bind(self.now_ms())
        .execute(write.conn())
        .await
        .map_err(refused(owner.as_str()))?;
        Ok(())
    }

    /// Adds an app with the secrets of its address, and what makes it an OAuth client, if it is one.
    ///
    /// # Errors
    /// `Stale` when the id is taken.
    pub async fn insert_provider_app(
        &self,
        app: &ProviderApp,
        secrets: &[HookSecret],
        client: Option<&AppClient>,
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query(
            "INSERT INTO provider_apps (organization_id, id, provider, name, created_at)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(app.organization.as_str())
        .bind(app.id.as_str())
        .bind(&app.provider)
        .bind(&app.name)
        .bind(app.created_at)
        .execute(write.conn())
        .await
        .map_err(refused(app.id.as_str()))?;
        let owner = HookOwner::App(app.id.clone());
        self.seal_hook_secrets(&mut write, &app.organization, &owner, secrets)
            .await?;
        if let Some(client) = client {
            self.seal_client(&mut write, &app.organization, &app.id, client)
                .await?;
        }
        write.commit().await
    }

    /// The apps of an organization, in order of id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn provider_apps(
        &self,
        organization: &OrganizationId,
        paging: &Paging,
    ) -> Result<Page<ProviderApp>, StoreError> {
        let mut query = QueryBuilder::new("SELECT * FROM provider_apps WHERE organization_id = ");
        query.push_bind(organization.as_str());
        if let Some(after) = &paging.after {
            query.push(" AND id > ").push_bind(after.as_str());
        }
        query.push(" ORDER BY id LIMIT ").push_bind(paging.probe());
        let rows = query.build().fetch_all(self.read()).await.map_err(failed)?;
        Ok(Page::cut(all(&rows, read)?, paging, |app| app.id.as_str()))
    }

    /// An app.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn provider_app(
        &self,
        organization: &OrganizationId,
        id: &ProviderAppId,
    ) -> Result<Option<ProviderApp>, StoreError> {
        let row = self
            .row(
                "SELECT * FROM provider_apps WHERE organization_id = $1 AND id = $2",
                organization,
                id.as_str(),
            )
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Gives an app another name; `None` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rename_provider_app(
        &self,
        organization: &OrganizationId,
        id: &ProviderAppId,
        name: &str,
    ) -> Result<Option<ProviderApp>, StoreError> {
        let mut write = self.write().await?;
        let row = sql::query(
            "UPDATE provider_apps SET name = $1 WHERE organization_id = $2 AND id = $3 RETURNING *",
        )
        .bind(name)
        .bind(organization.as_str())
        .bind(id.as_str())
        .fetch_optional(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        row.as_ref().map(read).transpose()
    }

    /// Removes an app with its secrets; `false` when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_provider_app(
        &self,
        organization: &OrganizationId,
        id: &ProviderAppId,
    ) -> Result<bool, StoreError> {
        let mut write = self.write().await?;
        forget_secrets(&mut write, organization, id.as_str()).await?;
        let done = sql::query("DELETE FROM provider_apps WHERE organization_id = $1 AND id = $2")
            .bind(organization.as_str())
            .bind(id.as_str())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// The connections of a provider under a route.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn routed(
        &self,
        organization: &OrganizationId,
        provider: &str,
        route: &str,
    ) -> Result<Vec<ConnectionId>, StoreError> {
        let rows = sql::query(
            "SELECT connection_id FROM connection_routes
             WHERE organization_id = $1 AND provider = $2 AND route_key = $3 ORDER BY connection_id",
        )
        .bind(organization.as_str())
        .bind(provider)
        .bind(route)
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        all(&rows, |row| id(row, "connection_id"))
    }

    /// Under which routes a connection is found.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn routes_of(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<BTreeSet<String>, StoreError> {
        let routes: Vec<String> = sql::query_scalar(
            "SELECT route_key FROM connection_routes WHERE organization_id = $1 AND connection_id = $2",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        Ok(routes.into_iter().collect())
    }

    /// Under which routes a connection is found from now on.
    ///
    /// # Errors
    /// When the database fails; `Stale` when the connection is gone.
    pub async fn put_routes(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        provider: &str,
        routes: &[String],
    ) -> Result<(), StoreError> {
        let mut write = self.write().await?;
        sql::query("DELETE FROM connection_routes WHERE organization_id = $1 AND connection_id = $2")
            .bind(organization.as_str())
            .bind(connection.as_str())
            .execute(write.conn())
            .await
            .map_err(failed)?;
        for route in routes {
            sql::query(
                "INSERT INTO connection_routes (organization_id, provider, route_key, connection_id)
                 VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            )
            .bind(organization.as_str())
            .bind(provider)
            .bind(route)
            .bind(connection.as_str())
            .execute(write.conn())
            .await
            .map_err(refused(connection.as_str()))?;
        }
        write.commit().await
    }
}

/// The secrets of an address go with it.
pub(crate) async fn forget_secrets(
    write: &mut Write,
    organization: &OrganizationId,
    owner: &str,
) -> Result<(), StoreError> {
    sql::query("DELETE FROM hook_secrets WHERE organization_id = $1 AND owner = $2")
        .bind(organization.as_str())
        .bind(owner)
        .execute(write.conn())
        .await
        .map_err(failed)?;
    Ok(())
}
