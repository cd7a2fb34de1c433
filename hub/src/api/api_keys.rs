//! `/v1/api-keys`: who may act in the organization. A key's secret is shown once, when it is made.

use axum::http::StatusCode;
use axum::response::Response;
use model::ApiKeyId;
use serde::{Deserialize, Serialize};
use store::{ApiKey, KeyPermission};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{List, created, moment};
use super::error::{ApiError, Code, Failures};
use super::extract::{Body, Caller, Id};
use crate::keys;
use crate::state::AppState;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(revoke))
}

/// What a key may do besides what every key may: read and change its organization's own things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Call vendors in their own words with the credentials of connections: `/v1/passthrough`.
    Passthrough,
}

impl From<Permission> for KeyPermission {
    fn from(permission: Permission) -> Self {
        match permission {
            Permission::Passthrough => Self::Passthrough,
        }
    }
}

impl From<KeyPermission> for Permission {
    fn from(permission: KeyPermission) -> Self {
        match permission {
            KeyPermission::Passthrough => Self::Passthrough,
        }
    }
}

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyIn {
    /// Its name for people: who or what uses it.
    pub name: String,
    /// What it may do besides what every key may; nothing unless said. A key gives only what it has itself.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

/// A key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyOut {
    /// Its id.
    pub id: ApiKeyId,
    /// Its name for people.
    pub name: String,
    /// How its secret begins.
    pub prefix: String,
    /// What it may do besides what every key may.
    pub permissions: Vec<Permission>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it was last used, to the minute.
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
    /// When it was revoked.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

/// A new key with its secret.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyCreated {
    /// The key.
    #[serde(flatten)]
    pub key: ApiKeyOut,
    /// The secret. It is not stored and never shown again.
    #[schema(example = "ck_...")]
    pub secret: String,
}

impl From<ApiKey> for ApiKeyOut {
    fn from(key: ApiKey) -> Self {
        Self {
            id: key.id,
            name: key.name,
            prefix: key.prefix,
            permissions: key.permissions.into_iter().map(Permission::from).collect(),
            created_at: moment(key.created_at),
            last_used_at: key.last_used_at.map(moment),
            revoked_at: key.revoked_at.map(moment),
        }
    }
}

/// The keys of your organization, revoked ones included.
#[utoipa::path(get, path = "/v1/api-keys", tag = "api keys", security(("api_key" = [])),
    responses((status = 200, body = List<ApiKeyOut>), Failures))]
async fn list(caller: Caller) -> Result<List<ApiKeyOut>, ApiError> {
    let keys = caller.store().api_keys(&caller.organization).await?;
    Ok(List::whole(keys.into_iter().map(ApiKeyOut::from).collect()))
}

/// A new key for your organization. Takes no `Idempotency-Key`: keeping the answer would keep the secret.
#[utoipa::path(post, path = "/v1/api-keys", tag = "api keys", security(("api_key" = [])),
    request_body = ApiKeyIn,
    responses((status = 201, body = super::envelope::Data<ApiKeyCreated>), Failures))]
async fn create(caller: Caller, body: Body<ApiKeyIn>) -> Result<Response, ApiError> {
    let name = body.value.name.trim().to_owned();
    if name.is_empty() || name.len() > keys::LONGEST_NAME {
        let problem = format!("must have 1 to {} bytes", keys::LONGEST_NAME);
        return Err(ApiError::invalid_field("name", &problem));
    }
    let mut permissions: Vec<KeyPermission> = Vec::new();
    for wanted in body.value.permissions.into_iter().map(KeyPermission::from) {
        if !caller.may(wanted) {
            let message = "a key gives only what it may itself; `concord key create` on the server makes one that may more";
            return Err(ApiError::new(Code::Forbidden, message));
        }
        if !permissions.contains(&wanted) {
            permissions.push(wanted);
        }
    }
    let state = caller.state();
    let organization = caller.organization.clone();
    let fresh = keys::Fresh::make(organization, name, permissions, state.clock(), state.entropy());
    caller.store().create_api_key(&fresh.key, &fresh.secret).await?;
    tracing::info!(key = %fresh.key.id, by = %caller.key, "api key made");
    let location = format!("/v1/api-keys/{}", fresh.key.id);
    let made = ApiKeyCreated {
        key: fresh.key.into(),
        secret: fresh.secret,
    };
    Ok(created(&location, made))
}

/// Revokes a key: it opens nothing any more.
#[utoipa::path(delete, path = "/v1/api-keys/{id}", tag = "api keys", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 204, description = "It is revoked"), Failures))]
async fn revoke(caller: Caller, Id(id): Id<ApiKeyId>) -> Result<StatusCode, ApiError> {
    if !caller.store().revoke_api_key(&caller.organization, &id).await? {
        return Err(ApiError::not_found("api key"));
    }
    tracing::info!(key = %id, by = %caller.key, "api key revoked");
    Ok(StatusCode::NO_CONTENT)
}
