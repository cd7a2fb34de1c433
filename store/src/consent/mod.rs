//! Consent: what makes an app an OAuth client, links at which people are asked, journeys of browsers, and grants.

mod clients;
mod grants;
mod journeys;
mod links;

use model::{OrganizationId, ProviderAppId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sync::ports::StoreError;

pub use clients::AppClient;
pub use grants::{Connect, Grant, GrantedTo};
pub use journeys::Journey;
pub use links::ConnectLink;

use crate::column::{failed, id};
use crate::sql::{self, Row};
use crate::write::Write;

pub(crate) use clients::PURPOSE as CLIENT_PURPOSE;

/// Whose the installation's own apps are: an organization that no row and no key says anything of.
#[must_use]
pub fn installation() -> OrganizationId {
    OrganizationId::new(0, 0)
}

/// An app, and whose it is: an organization's, or the installation's ([`installation`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppRef {
    /// Whose.
    pub owner: OrganizationId,
    /// Which.
    pub id: ProviderAppId,
}

impl AppRef {
    fn read(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            owner: id(row, "app_owner")?,
            id: id(row, "app_id")?,
        })
    }
}

/// What a connection is to be, once somebody has given consent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its name for people; the account's unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its settings.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// What it is to be used for, by the names that its connector gives.
    pub permissions: Vec<String>,
    /// Where the browser goes afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
}

/// How long a journey that is over can be told from one that never was, for whoever comes back late.
const JOURNEY_KEPT_MS: i64 = 3_600_000;
/// How long a link that is used up or too old is listed, for whoever made it.
const LINK_KEPT_MS: i64 = 24 * 3_600_000;

/// Forgets links and journeys that are over: an hour and a day later.
pub(crate) async fn sweep(write: &mut Write, now: i64) -> Result<(), StoreError> {
    for (sql, kept_ms) in [
        ("DELETE FROM consents WHERE expires_at <= $1", JOURNEY_KEPT_MS),
        ("DELETE FROM connect_links WHERE expires_at <= $1", LINK_KEPT_MS),
        ("DELETE FROM connect_links WHERE used_up_at <= $1", LINK_KEPT_MS),
    ] {
        sql::query(sql)
            .bind(now - kept_ms)
            .execute(write.conn())
            .await
            .map_err(failed)?;
    }
    Ok(())
}
