//! Giving consent back when a connection is removed.

use std::time::Duration;

use connector_sdk::{Error, ErrorKind, oauth};
use secrecy::SecretString;
use store::Grant;
use sync::state::Connection;

use super::apps;
use crate::state::AppState;

/// Whoever removes a connection waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was granted to a connection that is about to be removed, with its token.
pub struct Leaving {
    connection: Connection,
    grant: Grant,
    token: SecretString,
}

/// Reads what is to be given back; `None` where nothing was granted.
///
/// # Errors
/// When the database fails.
pub async fn leaving(
    state: &AppState,
    connection: &Connection,
) -> Result<Option<Leaving>, sync::ports::StoreError> {
    let store = state.unscoped_store();
    let (organization, id) = (&connection.organization, &connection.id);
    let Some(grant) = store.grant(organization, id).await? else {
        return Ok(None);
    };
    let Some(credentials) = store.credentials(organization, id).await? else {
        return Ok(None);
    };
    let token = credentials
        .get("refresh_token")
        .or_else(|| credentials.get("access_token"));
    Ok(token.map(|token| Leaving {
        connection: connection.clone(),
        grant,
        token: SecretString::from(token),
    }))
}

/// Gives the token back at the vendor once its connection is gone. Not if another connection lives by the same account's
/// consent to the same app: many vendors end them all. What fails is logged; the tokens are not kept here in any case.
pub async fn give_back(state: &AppState, leaving: Leaving) {
    let id = &leaving.connection.id;
    match tokio::time::timeout(PATIENCE, revoke(state, &leaving)).await {
        Ok(Ok(true)) => tracing::info!(connection = %id, "its tokens were given back"),
        Ok(Ok(false)) => {
            tracing::info!(connection = %id, "its tokens were forgotten and not given back: the vendor takes none, or another connection lives by them");
        }
        Ok(Err(error)) => {
            tracing::warn!(%error, connection = %id, "its tokens were forgotten and could not be given back; the account's owner can take the consent back at the vendor");
        }
        Err(_) => {
            tracing::warn!(connection = %id, "its tokens were forgotten and could not be given back in time; the account's owner can take the consent back at the vendor");
        }
    }
}

async fn revoke(state: &AppState, leaving: &Leaving) -> Result<bool, Error> {
    let store = state.unscoped_store();
    let Leaving {
        connection,
        grant,
        token,
    } = leaving;
    let shared = match &grant.account {
        Some(account) => store.grants_through(&grant.app, Some(account)).await,
        None => Ok(0),
    };
    let shared = shared.map_err(|error| {
        let message = "whether others live by the same consent cannot be told now";
        Error::new(ErrorKind::Unavailable, "auth.revoke", message).with_source(error)
    })?;
    if shared > 0 {
        return Ok(false);
    }
    let opened = state.providers().open_unstored(
        &connection.provider,
        &connection.config,
        connector_sdk::Credentials::default(),
    )?;
    let app = apps::load(store, opened.connector.as_ref(), &grant.app).await?;
    oauth::revoke(opened.ctx.http.as_ref(), app.declared, &app.registration, token).await
}
