//! The page that says who asks for what, and the way from it to the vendor.

use axum::extract::{Path, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use connector_sdk::{Error, oauth};
use model::{ConnectLinkId, ConnectionId, JourneyId, OrganizationId};
use secrecy::ExposeSecret as _;
use store::{AppRef, Journey, Wanted};
use sync::ports::StoreError;
use sync::state::Health;

use super::apps::{self, OAuthApp};
use super::cookie::JourneyCookie;
use super::page::{Page, escape, paragraph, stop};
use super::secrets::{digest, fresh, verifier};
use crate::state::AppState;

/// How long a person may take at the vendor, in seconds.
const JOURNEY_SECONDS: i64 = 600;

/// What somebody is asked for: by a link, or because a connection needs its owner.
struct Ask {
    organization: OrganizationId,
    link: Option<ConnectLinkId>,
    app: AppRef,
    connection: Option<ConnectionId>,
    wanted: Wanted,
}

/// Everything the page needs.
struct Scene {
    ask: Ask,
    app: OAuthApp,
    vendor: &'static str,
    organization_name: String,
}

/// Why there is no page.
pub(super) enum Trouble {
    Gone,
    App(Error),
    Store(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::App(error)
    }
}

impl Trouble {
    pub(super) fn respond(self) -> Response {
        match self {
            Self::Gone => stop(
                StatusCode::NOT_FOUND,
                "This link does not work any more",
                "It was used, it is too old, or it was taken back. Ask whoever sent it for a new one. Nothing was \
                 connected.",
            ),
            Self::App(error) => {
                tracing::warn!(%error, "an app cannot ask for consent");
                stop(
                    StatusCode::BAD_GATEWAY,
                    "This cannot be connected now",
                    "The registration at the vendor does not work; whoever runs this server has to put it right. \
                     Nothing was connected.",
                )
            }
            Self::Store(error) => {
                tracing::error!(%error, "a page of consent could not be made");
                stop(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Try again in a moment",
                    "The server cannot answer now. Nothing was connected.",
                )
            }
        }
    }
}

pub(super) async fn show(State(state): State<AppState>, Path(token): Path<String>) -> Response {
    shown(by_link(&state, &token).await)
}

pub(super) async fn show_repair(State(state): State<AppState>, Path(id): Path<String>) -> Response {
    shown(by_connection(&state, &id).await)
}

pub(super) async fn set_out(
    State(state): State<AppState>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Response {
    let scene = by_link(&state, &token).await;
    leave(&state, scene, &headers).await
}

pub(super) async fn set_out_to_repair(
    State(state): State<AppState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let scene = by_connection(&state, &id).await;
    leave(&state, scene, &headers).await
}

fn shown(scene: Result<Scene, Trouble>) -> Response {
    match scene {
        Ok(scene) => scene.page(),
        Err(trouble) => trouble.respond(),
    }
}

async fn leave(state: &AppState, scene: Result<Scene, Trouble>, headers: &HeaderMap) -> Response {
    let scene = match scene {
        Ok(scene) => scene,
        Err(trouble) => return trouble.respond(),
    };
    // Another site's form shall not send people on their way who never saw the page.
    let site = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok());
    if !matches!(site, None | Some("same-origin" | "none")) {
        return scene.page();
    }
    match begin(state, scene).await {
        Ok(response) => response,
        Err(trouble) => trouble.respond(),
    }
}

/// Writes the journey down and sends the browser off with its cookie.
async fn begin(state: &AppState, scene: Scene) -> Result<Response, Trouble> {
    let (entropy, now_ms) = (state.entropy(), state.clock().now_ms());
    let (secret, browser) = (fresh(entropy), fresh(entropy));
    let text = secret.expose_secret();
    let (epoch_ms, random) = state.id_parts();
    let Scene { ask, app, .. } = scene;
    let scopes = scopes(state, &ask, &app).await?;
    let journey = Journey {
        id: JourneyId::new(epoch_ms, random),
        organization: ask.organization,
        state_digest: digest(text),
        browser_digest: digest(browser.expose_secret()),
        link: ask.link,
        app: ask.app,
        connection: ask.connection,
        wanted: ask.wanted,
        used_at: None,
        expires_at: now_ms + JOURNEY_SECONDS * 1_000,
        created_at: now_ms,
    };
    let redirect = apps::redirect_url(state.origin(), &app.reference.id)?;
    let verifier = verifier(&browser, text);
    let to = oauth::authorize_url(
        app.declared,
        &app.registration,
        &redirect,
        &scopes,
        text,
        &verifier,
    );
    state.unscoped_store().insert_journey(&journey).await?;
    let cookie = JourneyCookie::of(&journey.state_digest, state.origin());
    let mut response = StatusCode::SEE_OTHER.into_response();
    if let (Ok(mut location), Some(cookie)) = (
        HeaderValue::from_str(to.as_str()),
        cookie.set(&browser, JOURNEY_SECONDS),
    ) {
        location.set_sensitive(true);
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// What is asked for now, and what the connection was granted before: the new token takes the old one's place.
async fn scopes(state: &AppState, ask: &Ask, app: &OAuthApp) -> Result<Vec<String>, StoreError> {
    let wanted = app.declared.scopes_of(&ask.wanted.permissions);
    let mut scopes: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
    if let Some(connection) = &ask.connection {
        let before = state
            .unscoped_store()
            .grant(&ask.organization, connection)
            .await?;
        for scope in before.map(|grant| grant.scopes).unwrap_or_default() {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
    }
    Ok(scopes)
}

async fn by_link(state: &AppState, token: &str) -> Result<Scene, Trouble> {
    let store = state.unscoped_store();
    let link = store
        .connect_link_at(&digest(token))
        .await?
        .ok_or(Trouble::Gone)?;
    if link.uses_left <= 0 || link.expires_at <= state.clock().now_ms() {
        return Err(Trouble::Gone);
    }
    let ask = Ask {
        organization: link.organization,
        link: Some(link.id),
        app: link.app,
        connection: link.connection,
        wanted: link.wanted,
    };
    scene(state, ask).await
}

/// A connection that needs its owner. Its id is no secret, and need not be one: only the same account can repair it.
async fn by_connection(state: &AppState, id: &str) -> Result<Scene, Trouble> {
    let store = state.unscoped_store();
    let id: ConnectionId = id.parse().map_err(|_| Trouble::Gone)?;
    let connection = store.connection_at(&id).await?.ok_or(Trouble::Gone)?;
    let grant = store
        .grant(&connection.organization, &id)
        .await?
        .ok_or(Trouble::Gone)?;
    if connection.health != Health::NeedsReauth || grant.account.is_none() {
        return Err(Trouble::Gone);
    }
    let ask = Ask {
        organization: connection.organization,
        link: None,
        app: grant.app,
        connection: Some(id),
        wanted: Wanted::default(),
    };
    scene(state, ask).await
}

async fn scene(state: &AppState, ask: Ask) -> Result<Scene, Trouble> {
    let store = state.unscoped_store();
    let registered = store
        .provider_app(&ask.app.owner, &ask.app.id)
        .await?
        .ok_or(Trouble::Gone)?;
    let connector = state
        .providers()
        .connector(&registered.provider)
        .ok_or(Trouble::Gone)?;
    let app = apps::load(store, connector.as_ref(), &ask.app).await?;
    let organization = store
        .organization(&ask.organization)
        .await?
        .ok_or(Trouble::Gone)?;
    Ok(Scene {
        ask,
        app,
        vendor: connector.info().name,
        organization_name: organization.name,
    })
}

impl Scene {
    fn page(&self) -> Response {
        let mut body = paragraph(&format!(
            "{} asks to connect your account at {} to Concord, its integration hub. It wants to:",
            self.organization_name, self.vendor
        ));
        body += "<ul>\n";
        let wanted = |name: &str| self.ask.wanted.permissions.iter().any(|wanted| wanted == name);
        for permission in self.app.declared.permissions {
            if permission.required || wanted(permission.name) {
                body += &format!("<li>{}</li>\n", escape(permission.purpose));
            }
        }
        body += "</ul>\n";
        let url = &self.app.registration.authorize_url;
        let host = url.host_str().unwrap_or_default();
        body += &format!(
            "<form method=\"post\"><button>Continue to {}</button></form>\n<p class=\"small\">You sign in at {}; your \
             password is not seen here. Close this page if you do not know who asks: nothing is connected then.</p>\n",
            escape(self.vendor),
            escape(host)
        );
        Page {
            status: StatusCode::OK,
            title: if self.ask.connection.is_some() {
                "Connect your account again"
            } else {
                "Connect your account"
            },
            body,
            leads_to: Some(url.origin().ascii_serialization()),
        }
        .respond()
    }
}
