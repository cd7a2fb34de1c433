//! Tries address and credentials at the provider before anything is stored.

use std::sync::Arc;
use std::time::Duration;

use connector_sdk::{Credentials, ErrorKind, RemoteCollection};
use model::{CollectionId, ConnectionId};
use serde_json::{Map, Value};
use sync::ports::{Effect, Provider, Providers as _, Store as _};
use sync::state::{Collection, Connection};

use crate::api::error::{ApiError, Code};
use crate::api::extract::Caller;
use crate::state::AppState;

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A provider opened with what someone sent.
pub(super) struct Trial {
    provider: Provider,
}

/// Checks everything that can be checked without asking the provider.
pub(super) fn open(
    state: &AppState,
    provider: &str,
    config: &Map<String, Value>,
    credentials: &Map<String, Value>,
) -> Result<Trial, ApiError> {
    let providers = state.providers();
    let Some(connector) = providers.connector(provider) else {
        let known: Vec<_> = providers
            .connectors()
            .map(|connector| connector.info().id)
            .collect();
        let problem = format!("must be one of: {}", known.join(", "));
        return Err(ApiError::invalid_field("provider", &problem));
    };
    crate::providers::base_url(
        config,
        connector.info().default_base_url,
        connector.info().schemes,
    )
    .map_err(|error| ApiError::invalid_field("config.base_url", &error.message))?;
    let wrong_credentials = |error: connector_sdk::Error| {
        ApiError::new(Code::InvalidField, error.message)
            .with_details(serde_json::json!({ "path": "credentials" }))
    };
    let credentials = Credentials::from_json(credentials).map_err(wrong_credentials)?;
    connector.auth().check(&credentials).map_err(wrong_credentials)?;
    let provider = providers
        .open_unstored(provider, config, credentials)
        .map_err(|error| ApiError::from_provider(&error))?;
    Ok(Trial { provider })
}

/// Checks a connection with other settings and the credentials that it has. Asked is as its work asks: tokens are renewed
/// where all nodes renew them, and kept.
pub(super) async fn reopen(state: &AppState, connection: &Connection, verify: bool) -> Result<(), ApiError> {
    let providers = state.providers();
    let info = providers
        .connector(&connection.provider)
        .map(|connector| connector.info());
    let usual = info.and_then(|info| info.default_base_url);
    let schemes = info.map_or(connector_sdk::WEB, |info| info.schemes);
    crate::providers::base_url(&connection.config, usual, schemes)
        .map_err(|error| ApiError::invalid_field("config.base_url", &error.message))?;
    if !verify {
        return Ok(());
    }
    let asked = async {
        let provider = providers.open(connection).await?;
        match provider.connector.pull() {
            Some(pull) => pull.collections(&provider.ctx).await.map(drop),
            None => Ok(()),
        }
    };
    in_time(asked).await
}

/// A person waits for the answer.
async fn in_time<T>(asked: impl Future<Output = Result<T, connector_sdk::Error>>) -> Result<T, ApiError> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(outcome) => outcome.map_err(|error| ApiError::from_provider(&error)),
        Err(_) => {
            let seconds = PATIENCE.as_secs();
            let message = format!("the provider did not answer within {seconds} seconds");
            Err(ApiError::new(Code::ProviderUnreachable, message))
        }
    }
}

impl Trial {
    pub(super) fn credentials(&self) -> &Credentials {
        &self.provider.ctx.credentials
    }

    /// The account's name and the server's, as a name for the connection.
    pub(super) fn usual_name(&self) -> String {
        let host = self.provider.ctx.base_url.host_str().unwrap_or_default();
        match self.credentials().get("username") {
            Some(name) => format!("{name} at {host}"),
            None => format!("{} at {host}", self.provider.connector.info().name),
        }
    }

    /// Asks the provider for its collections. Credentials that have run out are renewed once.
    pub(super) async fn collections(&self) -> Result<Vec<RemoteCollection>, ApiError> {
        let Some(pull) = self.provider.connector.pull() else {
            return Ok(Vec::new());
        };
        let ctx = &self.provider.ctx;
        let asked = async {
            match pull.collections(ctx).await {
                Err(error) if error.kind == ErrorKind::Unauthorized => {
                    // An imported access token is often old; the refresh token beside it is what counts.
                    let Some(renewed) = self.provider.connector.auth().refresh(ctx).await? else {
                        return Err(error);
                    };
                    let mut ctx = ctx.clone();
                    ctx.credentials = Arc::new(renewed);
                    pull.collections(&ctx).await
                }
                outcome => outcome,
            }
        };
        in_time(asked).await
    }
}

/// Stores what the trial found, so that the answer can show it and the first sync need not ask again.
pub(super) async fn store_collections(
    caller: &Caller,
    connection: &ConnectionId,
    found: Vec<RemoteCollection>,
) -> Result<(), ApiError> {
    let state = caller.state();
    let mut effects = Vec::with_capacity(found.len() + 1);
    for remote in found {
        let (now_ms, random) = state.id_parts();
        effects.push(Effect::PutCollection(Box::new(Collection {
            id: CollectionId::new(now_ms, random),
            organization: caller.organization.clone(),
            connection: connection.clone(),
            remote,
            cursor: None,
            enumerated_at: None,
            enabled: true,
            hold: None,
        })));
    }
    if effects.is_empty() {
        return Ok(());
    }
    effects.push(Effect::Discovered {
        connection: connection.clone(),
        at: state.clock().now_ms(),
    });
    caller.store().commit(&caller.organization, None, effects).await?;
    Ok(())
}
