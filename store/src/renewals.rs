//! Who renews a connection's credentials: one at a time, by a lease with a fencing number. What is written under a lease
//! that was lost is refused, and what the vendor refused is written down, so that nobody asks again.

use connector_sdk::Credentials;
use model::{ConnectionId, OrganizationId};
use sync::ports::StoreError;
use sync::state::{FeedAction, Health, Origin};

use crate::SqliteStore;
use crate::column::{failed, flag, get};
use crate::connections;
use crate::credentials::PURPOSE;
use crate::sql::{self, QueryBuilder};
use crate::write::Write;

/// Credentials, and how their renewal stands.
#[derive(Debug)]
pub struct Held {
    /// The credentials, unsealed.
    pub credentials: Credentials,
    /// Grows with each write of them.
    pub generation: i64,
    /// Why these cannot be renewed any more.
    pub refused: Option<String>,
    /// Until when nobody asks, epoch milliseconds: the vendor was in trouble.
    pub renew_after: Option<i64>,
    /// Why they were not renewed when it was last tried, where only people can put that right.
    pub trouble: Option<String>,
}

/// The right to renew one generation of credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalLease {
    /// Whose credentials.
    pub connection: ConnectionId,
    /// Which.
    pub generation: i64,
    /// The fencing number.
    pub fence: i64,
    /// Whether an earlier renewal of these was sent and its answer lost: where refresh tokens rotate, the vendor may
    /// have replaced the one that is here.
    pub doubtful: bool,
}

/// How a renewal ended.
#[derive(Debug, Clone, Copy)]
pub enum RenewalEnd<'a> {
    /// The vendor gave new ones.
    Renewed(&'a Credentials),
    /// The vendor will not, and says so for good: the connection needs its owner.
    Refused(&'a str),
    /// It failed otherwise. Nobody tries again before this moment, epoch milliseconds.
    Failed {
        /// The moment.
        renew_after: i64,
        /// Whether the vendor may have given new ones all the same.
        doubtful: bool,
        /// Why, where only people can put that right: the connection says so until the credentials are renewed.
        trouble: Option<&'a str>,
    },
}

impl SqliteStore {
    /// The credentials of a connection, and how their renewal stands.
    ///
    /// # Errors
    /// `Corrupt` when they were sealed with another key, for another row, or changed since.
    pub async fn held_credentials(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
    ) -> Result<Option<Held>, StoreError> {
        let row = sql::query(
            "SELECT key_id, nonce, sealed, generation, refused, renew_after, trouble FROM credentials
             WHERE organization_id = $1 AND connection_id = $2 AND purpose = $3",
        )
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(PURPOSE)
        .fetch_optional(self.read())
        .await
        .map_err(failed)?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Held {
            credentials: self.open_credentials(organization, connection, &row)?,
            generation: get(&row, "generation")?,
            refused: get(&row, "refused")?,
            renew_after: get(&row, "renew_after")?,
            trouble: get(&row, "trouble")?,
        }))
    }

    /// Takes the right to renew this generation for `lease_ms`; `None` when there is a newer one, when another node is
    /// at it, or when nobody is to ask (yet).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn lease_renewal(
        &self,
        organization: &OrganizationId,
        connection: &ConnectionId,
        generation: i64,
        node: &str,
        lease_ms: i64,
    ) -> Result<Option<RenewalLease>, StoreError> {
        let now = self.now_ms();
        let mut write = self.write().await?;
        // A lease that ran out was a node's that died or hung with a renewal under way: its answer is lost.
        let row = sql::query(
            "UPDATE credentials
             SET fence = fence + 1, holder = $1, lease_until = $2,
                 doubtful = CASE WHEN holder IS NULL THEN doubtful ELSE 1 END
             WHERE organization_id = $3 AND connection_id = $4 AND purpose = $5 AND generation = $6
                AND refused IS NULL AND (holder IS NULL OR lease_until <= $7)
                AND (renew_after IS NULL OR renew_after <= $7)
             RETURNING fence, doubtful",
        )
        .bind(node)
        .bind(now + lease_ms)
        .bind(organization.as_str())
        .bind(connection.as_str())
        .bind(PURPOSE)
        .bind(generation)
        .bind(now)
        .fetch_optional(write.conn())
        .await
        .map_err(failed)?;
        write.commit().await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RenewalLease {
            connection: connection.clone(),
            generation,
            fence: get(&row, "fence")?,
            doubtful: flag(&row, "doubtful")?,
        }))
    }

    /// Writes down how a renewal ended; a refusal with the connection's health and a feed entry. `false` when the lease
    /// was lost, or the credentials were replaced by hand meanwhile: then nothing is written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn end_renewal(
        &self,
        organization: &OrganizationId,
        lease: &RenewalLease,
        end: RenewalEnd<'_>,
    ) -> Result<bool, StoreError> {
        let mut write = self.write_in(organization).await?;
        if !self.holds(&mut write, organization, lease).await? {
            return Ok(false);
        }
        match end {
            RenewalEnd::Renewed(credentials) => {
                self.put_credentials(&mut write, organization, &lease.connection, credentials)
                    .await?;
            }
            RenewalEnd::Refused(reason) => self.refuse(&mut write, organization, lease, reason).await?,
            RenewalEnd::Failed {
                renew_after,
                doubtful,
                trouble,
            } => {
                let told = self.trouble_of(&mut write, organization, lease).await?;
                sql::query(
                    "UPDATE credentials
                     SET holder = NULL, lease_until = NULL, renew_after = $1,
                         doubtful = CASE WHEN $2 = 1 THEN 1 ELSE doubtful END, trouble = COALESCE($6, trouble)
                     WHERE organization_id = $3 AND connection_id = $4 AND purpose = $5",
                )
                .bind(renew_after)
                .bind(i64::from(doubtful))
                .bind(organization.as_str())
                .bind(lease.connection.as_str())
                .bind(PURPOSE)
                .bind(trouble)
                .execute(write.conn())
                .await
                .map_err(failed)?;
                // Said once, and not with each attempt.
                if let Some(reason) = trouble.filter(|reason| told.as_deref() != Some(*reason)) {
                    self.tell(&mut write, organization, lease, (Health::Degraded, reason))
                        .await?;
                }
            }
        }
        write.commit().await?;
        Ok(true)
    }

    /// Whether the lease still holds; until the commit it does.
    async fn holds(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        lease: &RenewalLease,
    ) -> Result<bool, StoreError> {
        let mut query = QueryBuilder::new("SELECT fence FROM credentials WHERE organization_id = ");
        query
            .push_bind(organization.as_str())
            .push(" AND connection_id = ")
            .push_bind(lease.connection.as_str())
            .push(" AND purpose = ")
            .push_bind(PURPOSE)
            .push(" AND generation = ")
            .push_bind(lease.generation)
            .push(" AND fence = ")
            .push_bind(lease.fence)
            .push(self.engine().for_update());
        let row = query.build().fetch_optional(write.conn()).await.map_err(failed)?;
        Ok(row.is_some())
    }

    async fn trouble_of(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        lease: &RenewalLease,
    ) -> Result<Option<String>, StoreError> {
        let find = "SELECT trouble FROM credentials
                    WHERE organization_id = $1 AND connection_id = $2 AND purpose = $3";
        let row = sql::query(find)
            .bind(organization.as_str())
            .bind(lease.connection.as_str())
            .bind(PURPOSE)
            .fetch_one(write.conn())
            .await
            .map_err(failed)?;
        get(&row, "trouble")
    }

    async fn refuse(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        lease: &RenewalLease,
        reason: &str,
    ) -> Result<(), StoreError> {
        sql::query(
            "UPDATE credentials SET holder = NULL, lease_until = NULL, refused = $1
             WHERE organization_id = $2 AND connection_id = $3 AND purpose = $4",
        )
        .bind(reason)
        .bind(organization.as_str())
        .bind(lease.connection.as_str())
        .bind(PURPOSE)
        .execute(write.conn())
        .await
        .map_err(failed)?;
        self.tell(write, organization, lease, (Health::NeedsReauth, reason))
            .await
    }

    /// Says with the connection's health, and in the feed, what keeps its credentials from being renewed.
    async fn tell(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        lease: &RenewalLease,
        (health, reason): (Health, &str),
    ) -> Result<(), StoreError> {
        let health = (health, Some(reason));
        connections::set_health(write, organization, &lease.connection, health, None).await?;
        let entry = connections::entry(
            FeedAction::Updated,
            &lease.connection,
            &["health"],
            &Origin::Hub,
            self.now_ms(),
        );
        write.append(organization, vec![entry]).await
    }
}
