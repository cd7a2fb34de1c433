//! Who calls. Authorisation is this type: a handler reaches data only through it, so none can forget the check.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use model::{ApiKeyId, OrganizationId};
use store::{KeyPermission, SqliteStore};
use sync::engine::Engine;
use sync::history::Cause;
use sync::state::Origin;

use crate::api::error::{ApiError, Code};
use crate::api::layers::RequestId;
use crate::state::AppState;

/// A known API key, and all that its organization may reach.
#[derive(Clone)]
pub struct Caller {
    /// Where it acts.
    pub organization: OrganizationId,
    /// The key.
    pub key: ApiKeyId,
    permissions: Vec<KeyPermission>,
    request: Option<String>,
    state: AppState,
}

impl Caller {
    /// What is stored. Every query takes [`Self::organization`] first.
    #[must_use]
    pub fn store(&self) -> &SqliteStore {
        self.state.unscoped_store()
    }

    /// The rest of the application.
    #[must_use]
    pub const fn state(&self) -> &AppState {
        &self.state
    }

    /// Whether its key may do this besides what every key may.
    #[must_use]
    pub fn may(&self, permission: KeyPermission) -> bool {
        self.permissions.contains(&permission)
    }

    /// The request's id.
    #[must_use]
    pub fn request(&self) -> Option<&str> {
        self.request.as_deref()
    }

    /// The sync engine, for this request: the history of what it changes names the request and its key.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.state.engine().caused_by(self.cause())
    }

    /// Through what this caller's changes come.
    #[must_use]
    pub fn cause(&self) -> Cause {
        Cause::request(self.request.clone(), self.key.to_string())
    }

    /// Who is named as the author of this caller's changes.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin::Api(self.key.to_string())
    }
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let request = parts.extensions.get::<RequestId>().map(|id| id.0.clone());
        let secret = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| secret.trim())
            .ok_or_else(|| {
                ApiError::new(
                    Code::Unauthorized,
                    "send an API key: `Authorization: Bearer ck_...`",
                )
            })?;
        let found = state.unscoped_store().find_api_key(secret).await?;
        let key = found
            .ok_or_else(|| ApiError::new(Code::Unauthorized, "this API key is not known, or was revoked"))?;
        Ok(Self {
            organization: key.organization,
            key: key.id,
            permissions: key.permissions,
            request,
            state: state.clone(),
        })
    }
}
