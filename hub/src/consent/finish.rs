//! From a code to a connection: exchange, what was really granted, whose account it is, and then all of it stored at once.

use std::time::Duration;

use connector_sdk::oauth::{self, Granted};
use connector_sdk::{Account, Credentials, Error, ErrorKind};
use model::{ConnectionId, JobId};
use secrecy::SecretString;
use serde_json::Value;
use store::{Connect, Grant, GrantedTo, Journey};
use sync::ports::{Store as _, StoreError};
use sync::state::{Connection, Health, JobTask, NewJob, Origin};

use super::apps::{self, OAuthApp};
use crate::state::AppState;
use crate::webhooks::refresh_routes_of;

/// What came of a journey.
pub(super) struct Connected {
    pub(super) connection: ConnectionId,
    /// The account's name.
    pub(super) name: String,
}

/// Why nothing came of it, for the person who came back.
pub(super) struct Failed {
    pub(super) title: &'static str,
    pub(super) text: String,
}

impl Failed {
    fn new(title: &'static str, text: impl Into<String>) -> Self {
        Self {
            title,
            text: text.into(),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Stale(_) => Self::new(
                "This link does not work any more",
                "It was used up meanwhile, or the connection is gone. Ask for a new link. Nothing was connected.",
            ),
            other => {
                tracing::error!(error = %other, "a consent could not be stored");
                Self::new(
                    "Try again in a moment",
                    "The server could not store the connection. Open the link once more. Nothing was connected.",
                )
            }
        }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        tracing::warn!(%error, "a consent could not be used");
        let text = match error.kind {
            ErrorKind::Unauthorized => {
                "The vendor does not accept its own answer: it is too old, or was used before."
            }
            ErrorKind::PermissionDenied => {
                "The vendor does not let this app do it; whoever runs this server has to put that right."
            }
            ErrorKind::RateLimited | ErrorKind::Unavailable => "The vendor does not answer at this moment.",
            ErrorKind::NotFound
            | ErrorKind::VersionConflict
            | ErrorKind::AlreadyExists
            | ErrorKind::CursorExpired
            | ErrorKind::Invalid
            | ErrorKind::Unsupported
            | ErrorKind::BadSignature
            | ErrorKind::Unexpected => "The vendor answered something that cannot be used.",
        };
        Self::new(
            "This did not work",
            format!("{text} Open the link once more. Nothing was connected."),
        )
    }
}

/// Exchanges the code and stores the connection.
pub(super) async fn finish(
    state: &AppState,
    journey: &Journey,
    app: &OAuthApp,
    code: &SecretString,
    verifier: &SecretString,
) -> Result<Connected, Failed> {
    let store = state.unscoped_store();
    let provider = store.provider_app(&journey.app.owner, &journey.app.id).await?;
    let provider = provider.map(|app| app.provider).unwrap_or_default();
    let mut config = journey.wanted.config.clone();
    if let Some(base_url) = &app.base_url {
        config.insert("base_url".to_owned(), Value::from(base_url.as_str()));
    }
    let opened = state
        .providers()
        .open_unstored(&provider, &config, Credentials::default())?;
    let redirect = apps::redirect_url(state.origin(), &journey.app.id)?;
    let http = opened.ctx.http.as_ref();
    let asked = oauth::exchange(http, app.declared, &app.registration, &redirect, code, verifier);
    let patience = state.providers().token_patience();
    let granted = in_time(patience, asked).await?;
    let scopes = scopes(journey, app, &granted)?;
    let fresh = granted.over(&Credentials::default(), state.clock().now_ms());
    let opened = state
        .providers()
        .open_unstored(&provider, &config, fresh.clone())?;
    let account = in_time(patience, opened.connector.auth().account(&opened.ctx)).await?;
    let grant = Grant {
        app: journey.app.clone(),
        account: account.as_ref().map(|account| account.id.clone()),
        scopes,
        granted_at: state.clock().now_ms(),
    };
    let (connection, is_new) = match known(state, journey, account.as_ref()).await? {
        Some(connection) => (connection, false),
        None => {
            let name = journey.wanted.name.clone();
            let (now_ms, random) = state.id_parts();
            let connection = Connection {
                id: ConnectionId::new(now_ms, random),
                organization: journey.organization.clone(),
                name: name
                    .or_else(|| account.as_ref().map(|account| account.name.clone()))
                    .unwrap_or_else(|| opened.connector.info().name.to_owned()),
                provider,
                owner: None,
                config,
                health: Health::Active,
                health_reason: None,
                discovered_at: None,
                synced_at: None,
                created_at: state.clock().now_ms(),
            };
            (connection, true)
        }
    };
    let connect = Connect {
        to: if is_new {
            GrantedTo::New(&connection)
        } else {
            GrantedTo::Known(&connection.id)
        },
        credentials: &fresh,
        grant: &grant,
        link: journey.link.as_ref(),
    };
    let stored = store
        .connect(&journey.organization, connect, &Origin::Hub)
        .await?;
    let (connection, is_new) = if stored == connection.id {
        (connection, is_new)
    } else {
        // Another of the account's journeys was faster.
        let known = store.connection(&journey.organization, &stored).await?;
        (known.ok_or_else(|| StoreError::Stale(stored.to_string()))?, false)
    };
    begin_sync(state, &connection).await?;
    tracing::info!(connection = %connection.id, provider = connection.provider, is_new, "connected by consent");
    Ok(Connected {
        name: account.map_or_else(|| connection.name.clone(), |account| account.name),
        connection: connection.id,
    })
}

/// A person waits for the vendor's answers.
async fn in_time<T>(patience: Duration, asked: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(patience, asked).await.unwrap_or_else(|_| {
        let message = format!("the vendor did not answer within {} seconds", patience.as_secs());
        Err(Error::new(ErrorKind::Unavailable, "auth.exchange", message))
    })
}

/// What was granted, if it is all that was asked for: vendors let people take single permissions away, and a connection
/// that can do half of what it is for fails later and elsewhere.
fn scopes(journey: &Journey, app: &OAuthApp, granted: &Granted) -> Result<Vec<String>, Failed> {
    let wanted = app.declared.scopes_of(&journey.wanted.permissions);
    let Some(scopes) = &granted.scopes else {
        return Ok(wanted.into_iter().map(str::to_owned).collect());
    };
    let has = |scope: &&str| scopes.iter().any(|granted| granted == *scope);
    let missing: Vec<&str> = app
        .declared
        .permissions
        .iter()
        .filter(|permission| permission.scopes.iter().any(|scope| wanted.contains(scope)))
        .filter(|permission| !permission.scopes.iter().all(&has))
        .map(|permission| permission.purpose)
        .collect();
    if missing.is_empty() {
        return Ok(scopes.clone());
    }
    Err(Failed::new(
        "Something is missing",
        format!(
            "You did not allow it to {}. Without that it is of no use. Open the link once more and leave all boxes \
             ticked. Nothing was connected.",
            missing.join(", nor to ")
        ),
    ))
}

/// The connection that this consent is for: the one that was named, if its account is the same; or the one that the
/// account has already.
async fn known(
    state: &AppState,
    journey: &Journey,
    account: Option<&Account>,
) -> Result<Option<Connection>, Failed> {
    let (store, organization) = (state.unscoped_store(), &journey.organization);
    let id = match &journey.connection {
        Some(id) => {
            let before = store.grant(organization, id).await?;
            let Some(expected) = before.and_then(|grant| grant.account) else {
                return Err(StoreError::Stale(id.to_string()).into());
            };
            if account.map(|account| account.id.as_str()) != Some(expected.as_str()) {
                let other = account.map_or("another account", |account| account.name.as_str());
                return Err(Failed::new(
                    "This is another account",
                    format!(
                        "You signed in as {other}; this connection belongs to another account, and what it synced would be \
                         mixed. Open the link once more and sign in with that one. Nothing was changed."
                    ),
                ));
            }
            Some(id.clone())
        }
        None => match account {
            Some(account) => {
                store
                    .connection_of_account(organization, &journey.app, &account.id)
                    .await?
            }
            None => None,
        },
    };
    let Some(id) = id else { return Ok(None) };
    match store.connection(organization, &id).await? {
        Some(connection) => Ok(Some(connection)),
        None => Err(StoreError::Stale(id.to_string()).into()),
    }
}

/// The connection's first sync, or its first again.
async fn begin_sync(state: &AppState, connection: &Connection) -> Result<(), Failed> {
    refresh_routes_of(state, connection).await?;
    let (now_ms, random) = state.id_parts();
    let job = NewJob {
        id: JobId::new(now_ms, random),
        organization: connection.organization.clone(),
        task: JobTask::Sync {
            connection: connection.id.clone(),
            discover: true,
            approve_deletes: false,
        },
        run_at: state.clock().now_ms(),
    };
    state.unscoped_store().enqueue(job).await?;
    Ok(())
}
