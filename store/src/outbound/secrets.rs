//! Secrets of webhook endpoints: sealed at rest, two at most, so that one can take the place of the other.

use model::{OrganizationId, WebhookEndpointId};
use sync::ports::StoreError;
use sync::state::{FeedAction, Origin};
use zeroize::Zeroizing;

use super::endpoints::told;
use crate::SqliteStore;
use crate::column::{corrupt, failed, get, refused};
use crate::seal::Sealed;
use crate::sql::{self, Row};
use crate::write::Write;

/// What is sealed in these rows.
pub(crate) const PURPOSE: &str = "webhook secret";

/// A secret of an endpoint. Deliberately without `Debug`.
#[derive(Clone)]
pub struct EndpointSecret {
    /// Its text, `whsec_...`.
    pub text: Zeroizing<String>,
    /// When it stops signing, epoch milliseconds; `None` for the newest.
    pub expires_at: Option<i64>,
}

impl SqliteStore {
    /// The secrets that sign now, the newest first.
    ///
    /// # Errors
    /// `Corrupt` when one was sealed with another key, for another row, or changed since.
    pub async fn webhook_secrets(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
    ) -> Result<Vec<EndpointSecret>, StoreError> {
        let rows = sql::query(
            "SELECT * FROM webhook_secrets
             WHERE organization_id = $1 AND endpoint_id = $2 AND (expires_at IS NULL OR expires_at > $3)
             ORDER BY number DESC",
        )
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .bind(self.now_ms())
        .fetch_all(self.read())
        .await
        .map_err(failed)?;
        rows.iter()
            .map(|row| self.unsealed(organization, endpoint, row))
            .collect()
    }

    /// Gives an endpoint a new secret. The one before it goes on signing until `until_ms`, older ones end now. `false`
    /// when there is no such endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rotate_webhook_secret(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        secret: &str,
        until_ms: i64,
        origin: &Origin,
    ) -> Result<bool, StoreError> {
        let now = self.now_ms();
        let mut write = self.write_in(organization).await?;
        let found = sql::query(
            "UPDATE webhook_endpoints SET updated_at = CASE WHEN updated_at < $1 THEN $1 ELSE updated_at + 1 END
             WHERE organization_id = $2 AND id = $3",
        )
        .bind(now)
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .execute(write.conn())
        .await
        .map_err(failed)?;
        if found.rows_affected() == 0 {
            return Ok(false);
        }
        let newest: Option<i64> = sql::query_scalar(
            "SELECT MAX(number) FROM webhook_secrets WHERE organization_id = $1 AND endpoint_id = $2",
        )
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .fetch_one(write.conn())
        .await
        .map_err(failed)?;
        let newest = newest.unwrap_or(0);
        for (statement, bound) in [
            (
                "DELETE FROM webhook_secrets WHERE organization_id = $1 AND endpoint_id = $2 AND number < $3",
                newest,
            ),
            (
                "UPDATE webhook_secrets SET expires_at = $3 WHERE organization_id = $1 AND endpoint_id = $2",
                until_ms,
            ),
        ] {
            sql::query(statement)
                .bind(organization.as_str())
                .bind(endpoint.as_str())
                .bind(bound)
                .execute(write.conn())
                .await
                .map_err(failed)?;
        }
        self.put_secret(&mut write, organization, endpoint, newest + 1, secret)
            .await?;
        let entry = told(endpoint, FeedAction::Updated, &["secret"], origin, now);
        write.append(organization, vec![entry]).await?;
        write.commit().await?;
        Ok(true)
    }

    pub(super) async fn put_secret(
        &self,
        write: &mut Write,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        number: i64,
        secret: &str,
    ) -> Result<(), StoreError> {
        let place = [
            organization.as_str(),
            endpoint.as_str(),
            &number.to_string(),
            PURPOSE,
        ];
        let key = self.sealing_key(write).await?;
        let sealed = key
            .seal(&place, secret.as_bytes())
            .map_err(|error| corrupt("webhook secret", error))?;
        sql::query(
            "INSERT INTO webhook_secrets
                (organization_id, endpoint_id, number, created_at, expires_at, key_id, nonce, sealed)
             VALUES ($1, $2, $3, $4, NULL, $5, $6, $7)",
        )
        .bind(organization.as_str())
        .bind(endpoint.as_str())
        .bind(number)
        .bind(self.now_ms())
        .bind(sealed.key_id)
        .bind(sealed.nonce)
        .bind(sealed.bytes)
        .execute(write.conn())
        .await
        .map_err(refused(endpoint.as_str()))?;
        Ok(())
    }

    fn unsealed(
        &self,
        organization: &OrganizationId,
        endpoint: &WebhookEndpointId,
        row: &Row,
    ) -> Result<EndpointSecret, StoreError> {
        let number: i64 = get(row, "number")?;
        let sealed = Sealed {
            key_id: get(row, "key_id")?,
            nonce: get(row, "nonce")?,
            bytes: get(row, "sealed")?,
        };
        let place = [
            organization.as_str(),
            endpoint.as_str(),
            &number.to_string(),
            PURPOSE,
        ];
        let plain = self
            .keys()
            .unseal(&place, &sealed)
            .map_err(|error| corrupt("webhook secret", error))?;
        let text = std::str::from_utf8(&plain).map_err(|_| corrupt("webhook secret", "not text"))?;
        Ok(EndpointSecret {
            text: Zeroizing::new(text.to_owned()),
            expires_at: get(row, "expires_at")?,
        })
    }
}
