//! Connections and collections as clients send and see them.

use std::collections::BTreeMap;

use connector_sdk::Access;
use model::{CollectionId, ConnectionId, JobId, Kind, ProviderAppId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Grant, LinkCounts};
use sync::state::{Collection, Connection, Health};
use utoipa::ToSchema;

use super::schedule::{Shown, said};
use crate::api::envelope::moment;
use crate::api::holds::HoldOut;
use crate::schedules::Schedule;

/// A new connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionIn {
    /// The provider, as `/v1/connectors` lists them: `caldav`, `google`.
    #[schema(example = "caldav")]
    pub provider: String,
    /// Its name for people; the account's name or the server's address unless said.
    pub name: Option<String>,
    /// Settings: `base_url`, and what the connector understands besides.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"base_url": "https://dav.example.com/"}))]
    pub config: Map<String, Value>,
    /// What the account proves itself with; which members, depends on the connector. Sealed at rest, never shown.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({"username": "ada", "password": "..."}))]
    pub credentials: Map<String, Value>,
}

/// What to change of a connection.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectionPatchIn {
    /// A new name.
    pub name: Option<String>,
    /// Settings to set, or with null to take away.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Map<String, Value>>,
    /// New credentials, whole.
    #[schema(value_type = Option<Object>)]
    pub credentials: Option<Map<String, Value>>,
    /// Whether its syncs rest.
    pub paused: Option<bool>,
    /// When it is synced, in the place of the setting `sync_interval_seconds`; null: as that says.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Schedule>)]
    pub schedule: Option<Option<Schedule>>,
    /// What to change of its collections, by their ids.
    #[schema(value_type = Option<BTreeMap<String, CollectionPatchIn>>)]
    pub collections: Option<BTreeMap<CollectionId, CollectionPatchIn>>,
}

/// What to change of a collection.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectionPatchIn {
    /// Whether it is synced.
    pub enabled: Option<bool>,
    /// When it is synced, apart from the connection's others; null: with them.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<Schedule>)]
    pub schedule: Option<Option<Schedule>>,
}

/// A connection.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionOut {
    /// Its id.
    pub id: ConnectionId,
    /// Its provider.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// Its settings. Credentials are never shown.
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// How it is doing.
    pub health: Health,
    /// Why it is not `active`, for a person.
    pub health_reason: Option<String>,
    /// When a sync of the whole last ended well.
    #[schema(format = DateTime)]
    pub synced_at: Option<String>,
    /// When its collections were last listed.
    #[schema(format = DateTime)]
    pub discovered_at: Option<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

impl From<Connection> for ConnectionOut {
    fn from(connection: Connection) -> Self {
        Self {
            id: connection.id,
            provider: connection.provider,
            name: connection.name,
            config: connection.config,
            health: connection.health,
            health_reason: connection.health_reason,
            synced_at: connection.synced_at.map(moment),
            discovered_at: connection.discovered_at.map(moment),
            created_at: moment(connection.created_at),
        }
    }
}

/// A connection with its collections.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionDetail {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionOut,
    /// What was granted, where the account was connected by signing in at the vendor; null where credentials were given.
    pub consent: Option<ConsentOut>,
    /// Where the account's owner connects it again, while its health is `needs_reauth`. Another account is refused there.
    pub repair_url: Option<String>,
    /// When it is synced, where someone said it.
    pub schedule: Option<Schedule>,
    /// When its next periodic sync is due; null while it rests.
    #[schema(format = DateTime)]
    pub next_sync_at: Option<String>,
    /// Its collections, in order of their names.
    pub collections: Vec<CollectionOut>,
}

/// What an account's owner granted.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConsentOut {
    /// The app that asked.
    pub provider_app_id: ProviderAppId,
    /// Whose account, as the provider tells it apart.
    pub account: Option<String>,
    /// The vendor's scopes.
    pub scopes: Vec<String>,
    /// When.
    #[schema(format = DateTime)]
    pub granted_at: String,
}

impl From<Grant> for ConsentOut {
    fn from(grant: Grant) -> Self {
        Self {
            provider_app_id: grant.app.id,
            account: grant.account,
            scopes: grant.scopes,
            granted_at: moment(grant.granted_at),
        }
    }
}

/// A new connection with the job that syncs it for the first time.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectionCreated {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionDetail,
    /// Ask `/v1/jobs/{id}` how far it is.
    pub job_id: JobId,
}

/// A container on a connection: a calendar.
#[derive(Debug, Serialize, ToSchema)]
pub struct CollectionOut {
    /// Its id.
    pub id: CollectionId,
    /// The kind of its records.
    pub kind: Kind,
    /// Its name at the provider.
    pub name: String,
    /// Its id at the provider.
    pub remote_id: String,
    /// Whether the account may write to it.
    pub writable: bool,
    /// Whether it is synced.
    pub enabled: bool,
    /// When it is synced, where that is not with the connection's others.
    pub schedule: Option<Schedule>,
    /// When it is due next by a schedule of its own.
    #[schema(format = DateTime)]
    pub next_sync_at: Option<String>,
    /// Set when a pull stopped because it would have deleted or changed too much: what it would have done. Answer
    /// with `/v1/calendars/{id}/hold/approve` or `/reject`.
    pub hold: Option<HoldOut>,
    /// Records that are tied to an object in it.
    pub records: i64,
    /// Of these, those that have something on its way.
    pub pending: i64,
    /// Of these, those whose last change the provider refused for good; `/v1/links` says why.
    pub rejected: i64,
    /// Objects that could not be understood; `/v1/quarantine` says why.
    pub quarantined: i64,
    /// When it was last read from end to end.
    #[schema(format = DateTime)]
    pub enumerated_at: Option<String>,
}

impl CollectionOut {
    pub(super) fn of(collection: Collection, counts: LinkCounts, shown: Shown) -> Self {
        Self {
            id: collection.id,
            kind: collection.remote.kind,
            name: collection.remote.name,
            remote_id: collection.remote.id.0,
            writable: match collection.remote.access {
                Access::ReadWrite => true,
                Access::ReadOnly => false,
            },
            enabled: collection.enabled,
            schedule: shown.schedule,
            next_sync_at: shown.next_sync_at,
            hold: collection.hold.map(HoldOut::from),
            records: counts.synced + counts.pending + counts.rejected,
            pending: counts.pending,
            rejected: counts.rejected,
            quarantined: counts.quarantined,
            enumerated_at: collection.enumerated_at.map(moment),
        }
    }
}
