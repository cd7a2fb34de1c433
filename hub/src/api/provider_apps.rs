//! `/v1/provider-apps`: registrations at vendors that serve many connections: one webhook address for all of them, one
//! OAuth client that asks people for consent, or both.

use axum::http::StatusCode;
use axum::response::Response;
use model::ProviderAppId;
use serde::{Deserialize, Serialize};
use store::{AppRef, HookOwner, ProviderApp};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app_clients::{self, OAuthIn, OAuthOut};
use super::envelope::{Data, List, created, moment};
use super::error::{ApiError, Code, Failures};
use super::extract::{Body, Caller, Id, Params, paging};
use super::webhook::{AddressOut, SecretIn, address, check_provider, fresh, rotate};
use crate::keys::LONGEST_NAME;
use crate::state::AppState;

/// Its routes.
pub fn router() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(read, change, remove))
        .routes(routes!(replace_secret))
}

/// A new app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderAppIn {
    /// The provider, as `/v1/connectors` lists them.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// What its deliveries are proven with: the signing secret or public key as the vendor shows it. Unset: one is
    /// made, and shown once.
    pub secret: Option<String>,
    /// The OAuth client that the vendor registered, through which people connect their accounts.
    pub oauth: Option<OAuthIn>,
}

/// What to change of an app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderAppPatchIn {
    /// A new name.
    pub name: Option<String>,
    /// The OAuth client, whole, but for a secret that stays when it is left out. Connections that live by this app go
    /// on with it.
    pub oauth: Option<OAuthIn>,
}

/// An app.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProviderAppOut {
    /// Its id.
    pub id: ProviderAppId,
    /// The provider.
    pub provider: String,
    /// Its name for people.
    pub name: String,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// An app with its webhook address.
#[derive(Serialize, ToSchema)]
pub struct ProviderAppDetail {
    /// The app.
    #[serde(flatten)]
    pub app: ProviderAppOut,
    /// Where its deliveries come in. Which connections one concerns, it says itself; a key that no connection owns is
    /// kept for ten minutes, in which one may come.
    pub webhook: AddressOut,
    /// The OAuth client; null where the app asks nobody for consent.
    pub oauth: Option<OAuthOut>,
}

impl From<ProviderApp> for ProviderAppOut {
    fn from(app: ProviderApp) -> Self {
        Self {
            id: app.id,
            provider: app.provider,
            name: app.name,
            created_at: moment(app.created_at),
        }
    }
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

/// Your apps, in order of id.
#[utoipa::path(get, path = "/v1/provider-apps", tag = "webhooks", security(("api_key" = [])),
    params(ListParams), responses((status = 200, body = List<ProviderAppOut>), Failures))]
async fn list(caller: Caller, Params(params): Params<ListParams>) -> Result<List<ProviderAppOut>, ApiError> {
    let paging = paging(params.limit, params.cursor.as_deref())?;
    let page = caller
        .store()
        .provider_apps(&caller.organization, &paging)
        .await?;
    Ok(List::of(page, ProviderAppOut::from))
}

/// A new app. Takes no `Idempotency-Key`: keeping the answer would keep the secret.
#[utoipa::path(post, path = "/v1/provider-apps", tag = "webhooks", security(("api_key" = [])),
    request_body = ProviderAppIn, responses((status = 201, body = Data<ProviderAppDetail>), Failures))]
async fn create(caller: Caller, body: Body<ProviderAppIn>) -> Result<Response, ApiError> {
    let wanted = body.value;
    let state = caller.state();
    let client = match wanted.oauth {
        Some(oauth) => Some(app_clients::checked(&caller, &wanted.provider, oauth, None)?),
        None => None,
    };
    if client.is_none() {
        check_provider(state, &wanted.provider)?;
    }
    let name = name(&wanted.name)?;
    let now_ms = state.clock().now_ms();
    let (secret, made) = fresh(wanted.secret, now_ms)?;
    let (epoch_ms, random) = state.id_parts();
    let app = ProviderApp {
        id: ProviderAppId::new(epoch_ms, random),
        organization: caller.organization.clone(),
        provider: wanted.provider,
        name,
        created_at: now_ms,
    };
    caller
        .store()
        .insert_provider_app(&app, &[secret], client.as_ref())
        .await?;
    tracing::info!(app = %app.id, provider = app.provider, by = %caller.key, "provider app made");
    let location = format!("/v1/provider-apps/{}", app.id);
    Ok(created(&location, detail(&caller, app, made).await?))
}

/// One app, with its webhook address.
#[utoipa::path(get, path = "/v1/provider-apps/{id}", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 200, body = Data<ProviderAppDetail>), Failures))]
async fn read(caller: Caller, Id(id): Id<ProviderAppId>) -> Result<Data<ProviderAppDetail>, ApiError> {
    let app = find(&caller, &id).await?;
    Ok(Data {
        data: detail(&caller, app, None).await?,
    })
}

/// Changes an app: its name, its OAuth client.
#[utoipa::path(patch, path = "/v1/provider-apps/{id}", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), request_body = ProviderAppPatchIn,
    responses((status = 200, body = Data<ProviderAppDetail>), Failures))]
async fn change(
    caller: Caller,
    Id(id): Id<ProviderAppId>,
    body: Body<ProviderAppPatchIn>,
) -> Result<Data<ProviderAppDetail>, ApiError> {
    let mut app = find(&caller, &id).await?;
    let (store, organization) = (caller.store(), &caller.organization);
    let renamed = body.value.name.as_deref().map(name).transpose()?;
    if let Some(oauth) = body.value.oauth {
        let before = store.app_client(organization, &id).await?;
        let moves = before.as_ref().map(app_clients::token_addresses);
        let client = app_clients::checked(&caller, &app.provider, oauth, before)?;
        if moves.is_some_and(|before| before != app_clients::token_addresses(&client)) {
            refuse_to_move(&caller, &id).await?;
        }
        store.put_app_client(organization, &id, &client).await?;
        tracing::info!(app = %id, by = %caller.key, "provider app's OAuth client changed");
    }
    if let Some(name) = renamed {
        let renamed = store.rename_provider_app(organization, &id, &name).await?;
        app = renamed.ok_or_else(|| ApiError::not_found("provider app"))?;
    }
    Ok(Data {
        data: detail(&caller, app, None).await?,
    })
}

/// Sets a new secret for an app's deliveries. The one before it is taken for a while longer, so that the vendor can be
/// told in peace; of three the oldest ends.
#[utoipa::path(put, path = "/v1/provider-apps/{id}/secret", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), request_body = SecretIn,
    responses((status = 200, body = Data<ProviderAppDetail>), Failures))]
async fn replace_secret(
    caller: Caller,
    Id(id): Id<ProviderAppId>,
    body: Body<SecretIn>,
) -> Result<Data<ProviderAppDetail>, ApiError> {
    let app = find(&caller, &id).await?;
    let made = rotate(&caller, &HookOwner::App(id), body.value).await?;
    Ok(Data {
        data: detail(&caller, app, made).await?,
    })
}

/// Removes an app: its address takes nothing any more. What came in before is still worked on. Refused while connections
/// live by its consent: they could not renew their tokens.
#[utoipa::path(delete, path = "/v1/provider-apps/{id}", tag = "webhooks", security(("api_key" = [])),
    params(("id" = String, Path)), responses((status = 204, description = "It is gone"), Failures))]
async fn remove(caller: Caller, Id(id): Id<ProviderAppId>) -> Result<StatusCode, ApiError> {
    let living = living(&caller, &id).await?;
    if living > 0 {
        let message =
            format!("{living} connections live by this app's consent; remove or re-authorize them first");
        return Err(ApiError::new(Code::Conflict, message));
    }
    if !caller
        .store()
        .delete_provider_app(&caller.organization, &id)
        .await?
    {
        return Err(ApiError::not_found("provider app"));
    }
    caller.state().intake().forget(&HookOwner::App(id.clone()));
    tracing::info!(app = %id, by = %caller.key, "provider app removed");
    Ok(StatusCode::NO_CONTENT)
}

/// The refresh tokens of an app's connections were given for the addresses that it has.
async fn refuse_to_move(caller: &Caller, id: &ProviderAppId) -> Result<(), ApiError> {
    let living = living(caller, id).await?;
    if living > 0 {
        let message = format!(
            "{living} connections live by this app's consent, and their tokens are not sent to other addresses; make \
             another app for those"
        );
        return Err(ApiError::new(Code::Conflict, message));
    }
    Ok(())
}

/// How many connections live by an app's consent.
async fn living(caller: &Caller, id: &ProviderAppId) -> Result<i64, ApiError> {
    let reference = AppRef {
        owner: caller.organization.clone(),
        id: id.clone(),
    };
    Ok(caller.store().grants_through(&reference, None).await?)
}

async fn find(caller: &Caller, id: &ProviderAppId) -> Result<ProviderApp, ApiError> {
    let found = caller.store().provider_app(&caller.organization, id).await?;
    found.ok_or_else(|| ApiError::not_found("provider app"))
}

async fn detail(
    caller: &Caller,
    app: ProviderApp,
    made: Option<String>,
) -> Result<ProviderAppDetail, ApiError> {
    let mut webhook = address(caller, &HookOwner::App(app.id.clone()), made).await?;
    if check_provider(caller.state(), &app.provider).is_err() {
        webhook.url = None;
    }
    Ok(ProviderAppDetail {
        webhook,
        oauth: app_clients::shown(caller, &app).await?,
        app: app.into(),
    })
}

fn name(given: &str) -> Result<String, ApiError> {
    let name = given.trim();
    if name.is_empty() || name.len() > LONGEST_NAME {
        let problem = format!("must have 1 to {LONGEST_NAME} bytes");
        return Err(ApiError::invalid_field("name", &problem));
    }
    Ok(name.to_owned())
}
