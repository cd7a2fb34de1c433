//! `POST /v1/connections/authorize`: a link at which somebody connects an account by signing in at the vendor; and the
//! links there are.

use axum::http::StatusCode;
use axum::response::Response;
use connector_sdk::Connector;
use connector_sdk::oauth::{OAuth2, check_address};
use model::{ConnectLinkId, ConnectionId, ProviderAppId};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{AppRef, ConnectLink, ProviderApp, Wanted};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::envelope::{Data, List, created, moment};
use crate::api::error::{ApiError, Code, Failures};
use crate::api::extract::{Body, Caller, Id, Params, paging};
use crate::consent::{apps, digest, fresh};
use crate::keys::LONGEST_NAME;
use crate::state::AppState;

/// How long a link works unless said, in seconds.
const USUAL_SECONDS: i64 = 900;
const SHORTEST_SECONDS: i64 = 60;
/// 30 days.
const LONGEST_SECONDS: i64 = 30 * 24 * 3_600;
/// How many people may use one link at most.
const MOST_USES: i64 = 10_000;

/// Its routes.
pub(super) fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(authorize))
        .routes(routes!(list))
        .routes(routes!(read, remove))
}

/// Who is to be asked, for what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthorizeIn {
    /// The provider: its one app of yours with a client id is taken, or the installation's if you have none.
    #[schema(example = "google")]
    pub provider: Option<String>,
    /// The app, where there are several.
    pub provider_app_id: Option<ProviderAppId>,
    /// A connection that was made by consent, to be repaired or to be allowed more. Its owner signs in again; another account is refused. Unset:
    /// a new connection comes of it.
    pub connection_id: Option<ConnectionId>,
    /// The new connection's name for people; the account's unless said.
    pub name: Option<String>,
    /// The new connection's settings. `base_url` is the app's to say.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub config: Map<String, Value>,
    /// What the connection is to be used for, as `/v1/connectors` lists it; everything unless said. What is required is
    /// asked for in any case.
    #[schema(example = json!(["read", "write"]))]
    pub permissions: Option<Vec<String>>,
    /// Where the browser goes afterwards, with `outcome` (`connected`, `declined`) and `connection_id` in the query;
    /// https, or http on this machine. Unset: a page says how it went.
    pub return_url: Option<String>,
    /// How long the link works, in seconds: 60 to 2,592,000 (30 days), 900 unless said.
    pub expires_in_seconds: Option<i64>,
    /// How many accounts may be connected with it: 1 to 10,000, 1 unless said. With more it can be sent to many people,
    /// each of whom connects an account of their own.
    pub uses: Option<i64>,
}

/// A link.
#[derive(Debug, Serialize, ToSchema)]
pub struct ConnectLinkOut {
    /// Its id.
    pub id: ConnectLinkId,
    /// The app that asks.
    pub provider_app_id: ProviderAppId,
    /// The connection that is repaired or widened by it; null: a new one comes of each use.
    pub connection_id: Option<ConnectionId>,
    /// What is asked for.
    pub permissions: Vec<String>,
    /// How many accounts may still be connected with it.
    pub uses_left: i64,
    /// Until when it works.
    #[schema(format = DateTime)]
    pub expires_at: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// A new link with its address.
#[derive(Serialize, ToSchema)]
pub struct ConnectLinkCreated {
    /// The link.
    #[serde(flatten)]
    pub link: ConnectLinkOut,
    /// The address to be opened in the browser of whoever connects an account. Whoever has it can use it. It is shown
    /// only now.
    #[schema(example = "https://concord.example.com/connect/dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")]
    pub url: String,
}

impl From<ConnectLink> for ConnectLinkOut {
    fn from(link: ConnectLink) -> Self {
        Self {
            id: link.id,
            provider_app_id: link.app.id,
            connection_id: link.connection,
            permissions: link.wanted.permissions,
            uses_left: link.uses_left,
            expires_at: moment(link.expires_at),
            created_at: moment(link.created_at),
        }
    }
}

/// Makes a link to a page at which somebody connects an account by signing in at the vendor. The page says who asks for
/// what; nothing happens before a button is pressed there. Takes no `Idempotency-Key`: keeping the answer would keep the
/// link.
#[utoipa::path(post, path = "/v1/connections/authorize", tag = "connections", security(("api_key" = [])),
    request_body = AuthorizeIn,
    responses((status = 201, body = Data<ConnectLinkCreated>), Failures))]
async fn authorize(caller: Caller, body: Body<AuthorizeIn>) -> Result<Response, ApiError> {
    let wanted = body.value;
    let state = caller.state();
    let app = app_of(&caller, &wanted).await?;
    let (connector, declared) = declared(&caller, &app.provider)?;
    let reference = AppRef {
        owner: app.organization,
        id: app.id,
    };
    let loaded = apps::load(caller.store(), connector, &reference).await;
    loaded.map_err(|error| ApiError::new(Code::Conflict, error.message))?;
    let now_ms = state.clock().now_ms();
    let (epoch_ms, random) = state.id_parts();
    let link = ConnectLink {
        id: ConnectLinkId::new(epoch_ms, random),
        organization: caller.organization.clone(),
        app: reference,
        connection: wanted.connection_id.clone(),
        uses_left: within("uses", wanted.uses, 1, (1, MOST_USES))?,
        expires_at: now_ms
            + 1_000
                * within(
                    "expires_in_seconds",
                    wanted.expires_in_seconds,
                    USUAL_SECONDS,
                    (SHORTEST_SECONDS, LONGEST_SECONDS),
                )?,
        wanted: checked(wanted, declared)?,
        created_by: caller.key.to_string(),
        created_at: now_ms,
    };
    let secret = fresh(state.entropy());
    let digest = digest(secret.expose_secret());
    caller.store().insert_connect_link(&link, &digest).await?;
    tracing::info!(link = %link.id, by = %caller.key, "link to connect accounts made");
    let location = format!("/v1/connect-links/{}", link.id);
    let url = format!("{}/connect/{}", state.origin(), secret.expose_secret());
    Ok(created(
        &location,
        ConnectLinkCreated {
            link: link.into(),
            url,
        },
    ))
}

/// Which piece.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListParams {
    /// At most so many, from 1 to 200; 50 unless said.
    limit: Option<u32>,
    /// `page.next` of an earlier answer.
    cursor: Option<String>,
}

/// Your links that have not expired, used up ones too, in order of id.
#[utoipa::path(get, path = "/v1/connect-links", tag = "connections", security(("api_key" = [])),
    params(ListParams), responses((status = 200, body = List<ConnectLinkOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<List<ConnectLinkOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let page = caller
        .store()
        .connect_links(&caller.organization, &paging)
        .await?;
    Ok(List::of(page, ConnectLinkOut::from))
}

/// Shows a link; its address is not known any more.
#[utoipa::path(get, path = "/v1/connect-links/{id}", tag = "connections", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Data<ConnectLinkOut>), Failures))]
async fn read(caller: Caller, Id(id): Id<ConnectLinkId>) -> Result<Data<ConnectLinkOut>, ApiError> {
    let found = caller.store().connect_link(&caller.organization, &id).await?;
    let link = found.ok_or_else(|| ApiError::not_found("link"))?;
    Ok(Data { data: link.into() })
}

/// Takes a link back. Connections that were made with it stay.
#[utoipa::path(delete, path = "/v1/connect-links/{id}", tag = "connections", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 204, description = "It is gone"), Failures))]
async fn remove(caller: Caller, Id(id): Id<ConnectLinkId>) -> Result<StatusCode, ApiError> {
    if !caller
        .store()
        .delete_connect_link(&caller.organization, &id)
        .await?
    {
        return Err(ApiError::not_found("link"));
    }
    tracing::info!(link = %id, by = %caller.key, "link to connect accounts taken back");
    Ok(StatusCode::NO_CONTENT)
}

/// The app that is to ask: the one that is named, that of the connection, or the provider's only one.
async fn app_of(caller: &Caller, wanted: &AuthorizeIn) -> Result<ProviderApp, ApiError> {
    let (store, organization) = (caller.store(), &caller.organization);
    let mut provider = wanted.provider.clone();
    let mut id = wanted.provider_app_id.clone();
    if let Some(connection_id) = &wanted.connection_id {
        let connection = super::find(caller, connection_id).await?;
        if provider
            .as_ref()
            .is_some_and(|provider| *provider != connection.provider)
        {
            let problem = format!("the connection is one of `{}`", connection.provider);
            return Err(ApiError::invalid_field("provider", &problem));
        }
        provider = Some(connection.provider);
        let grant = store.grant(organization, connection_id).await?;
        // Without an account it could not be told that the same person comes back; and what was made by hand has
        // addresses of its own, to which the tokens would go.
        let Some(grant) = grant.filter(|grant| grant.account.is_some()) else {
            let message = "this connection was not made by consent: make a new one without `connection_id`, or PATCH its \
                           `credentials`";
            return Err(ApiError::new(Code::Conflict, message));
        };
        if id.as_ref().is_some_and(|id| *id != grant.app.id) {
            let problem = "the connection came through another app; leave this out, or make a new connection";
            return Err(ApiError::invalid_field("provider_app_id", problem));
        }
        id = Some(grant.app.id);
    }
    if let Some(id) = id {
        let found = apps::find(store, organization, &id).await?;
        let app = found.ok_or_else(|| ApiError::not_found("provider app"))?;
        return match provider {
            Some(provider) if provider != app.provider => {
                let problem = format!("is an app of `{}`", app.provider);
                Err(ApiError::invalid_field("provider_app_id", &problem))
            }
            Some(_) | None => Ok(app),
        };
    }
    let Some(provider) = provider else {
        let message = "say `provider` or `provider_app_id`";
        return Err(ApiError::new(Code::MissingField, message));
    };
    declared(caller, &provider)?;
    let mut found = apps::of_provider(store, organization, &provider).await?;
    match (found.pop(), found.len()) {
        (Some(app), 0) => Ok(app),
        (Some(_), _) => {
            let problem = "there are several apps of this provider; say which";
            Err(ApiError::invalid_field("provider_app_id", problem))
        }
        (None, _) => {
            let message = format!(
                "there is no app of `{provider}` with a client id yet: register one at the vendor, then POST \
                 /v1/provider-apps with `oauth`"
            );
            Err(ApiError::new(Code::Conflict, message))
        }
    }
}

fn declared<'a>(
    caller: &'a Caller,
    provider: &str,
) -> Result<(&'a dyn Connector, &'static OAuth2), ApiError> {
    let connector = caller.state().providers().connector(provider);
    let connector = connector.ok_or_else(|| ApiError::invalid_field("provider", "is not known"))?;
    let declared = connector.auth().oauth2().ok_or_else(|| {
        let problem = "has no sign-in of its own: POST /v1/connections with the account's credentials";
        ApiError::invalid_field("provider", problem)
    })?;
    Ok((connector.as_ref(), declared))
}

fn checked(wanted: AuthorizeIn, declared: &OAuth2) -> Result<Wanted, ApiError> {
    let name = wanted.name.map(|name| name.trim().to_owned());
    if name
        .as_ref()
        .is_some_and(|name| name.is_empty() || name.len() > LONGEST_NAME)
    {
        let problem = format!("must have 1 to {LONGEST_NAME} bytes");
        return Err(ApiError::invalid_field("name", &problem));
    }
    for theirs in ["base_url", "token_url"] {
        if wanted.config.contains_key(theirs) {
            let path = format!("config.{theirs}");
            let problem = "is the app's to say: tokens go nowhere else";
            return Err(ApiError::invalid_field(&path, problem));
        }
    }
    let known = || declared.permissions.iter().map(|permission| permission.name);
    let permissions = match wanted.permissions {
        Some(permissions) => permissions,
        None => known().map(str::to_owned).collect(),
    };
    if let Some(unknown) = permissions
        .iter()
        .find(|name| declared.permission(name).is_none())
    {
        let problem = format!(
            "`{unknown}` is none of: {}",
            known().collect::<Vec<_>>().join(", ")
        );
        return Err(ApiError::invalid_field("permissions", &problem));
    }
    if let Some(url) = &wanted.return_url {
        check_address("return_url", url)
            .map_err(|error| ApiError::invalid_field("return_url", &error.message))?;
    }
    Ok(Wanted {
        name,
        config: wanted.config,
        permissions,
        return_url: wanted.return_url,
    })
}

fn within(path: &str, given: Option<i64>, usual: i64, (least, most): (i64, i64)) -> Result<i64, ApiError> {
    let number = given.unwrap_or(usual);
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    let problem = format!("must be from {least} to {most}");
    Err(ApiError::invalid_field(path, &problem))
}
