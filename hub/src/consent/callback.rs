//! The callback: a browser comes back from a vendor. What does not fit together ends here, before anything is exchanged.

use axum::extract::{Path, Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use model::ProviderAppId;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use store::{Journey, StoreError};
use url::Url;

use super::apps::{self, OAuthApp};
use super::cookie::JourneyCookie;
use super::finish::{Connected, Failed, finish};
use super::journey::Trouble;
use super::page::stop;
use super::secrets::{digest, verifier};
use crate::state::AppState;

/// What a vendor sends back with the browser. Others of its parameters are left aside. Deliberately without `Debug`.
#[derive(Deserialize)]
pub(super) struct Answer {
    state: Option<SecretString>,
    code: Option<SecretString>,
    iss: Option<String>,
    error: Option<String>,
}

/// Why a browser that comes back is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// No journey has this state.
    Unknown,
    /// It is another browser that set out.
    OtherBrowser,
    /// It set out to another app's vendor.
    OtherApp,
    /// The answer is another issuer's, or should say whose it is and does not.
    OtherIssuer,
    /// It came back before, or too late.
    Over,
    /// There is neither a code nor an error.
    Empty,
}

impl Refusal {
    const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "This answer belongs to nothing that was begun here.",
            Self::OtherBrowser => {
                "This answer belongs to another browser, or its cookies were cleared. Begin again from the link, and \
                 stay in one browser."
            }
            Self::OtherApp | Self::OtherIssuer => {
                "This answer came from another server than the one you were sent to."
            }
            Self::Over => "This answer was used before, or came too late. Begin again from the link.",
            Self::Empty => "The vendor sent neither a consent nor a reason.",
        }
    }

    fn respond(self) -> Response {
        // Worth a look when there are many: somebody may be trying.
        tracing::warn!(why = ?self, "an answer to a request for consent was refused");
        metrics::counter!("concord_consent_refused_total").increment(1);
        let text = format!("{} Nothing was connected.", self.text());
        stop(StatusCode::BAD_REQUEST, "This did not work", &text)
    }
}

/// `GET /oauth/callback/{app}`.
pub(super) async fn come_back(
    State(state): State<AppState>,
    Path(app): Path<String>,
    Query(answer): Query<Answer>,
    headers: HeaderMap,
) -> Response {
    let Some(given) = &answer.state else {
        return Refusal::Unknown.respond();
    };
    let state_digest = digest(given.expose_secret());
    let cookie = JourneyCookie::of(&state_digest, state.origin());
    let mut response = match go_on(&state, &app, &answer, &state_digest, cookie.read(&headers)).await {
        Ok(response) => response,
        Err(End::Refused(refusal)) => return refusal.respond(),
        Err(End::Trouble(trouble)) => trouble.respond(),
    };
    if let Some(cleared) = cookie.clear() {
        response.headers_mut().append(SET_COOKIE, cleared);
    }
    response
}

enum End {
    Refused(Refusal),
    Trouble(Trouble),
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Trouble(error.into())
    }
}

async fn go_on(
    state: &AppState,
    app: &str,
    answer: &Answer,
    state_digest: &str,
    browser: Option<SecretString>,
) -> Result<Response, End> {
    let store = state.unscoped_store();
    let refuse = |refusal| Err(End::Refused(refusal));
    let Some(journey) = store.journey_at(state_digest).await? else {
        return refuse(Refusal::Unknown);
    };
    // First of all: who has not the cookie learns nothing, and ends nothing.
    let browser = browser.filter(|cookie| digest(cookie.expose_secret()) == journey.browser_digest);
    let Some(browser) = browser else {
        return refuse(Refusal::OtherBrowser);
    };
    if app.parse::<ProviderAppId>().ok().as_ref() != Some(&journey.app.id) {
        return refuse(Refusal::OtherApp);
    }
    let app = load(state, &journey).await?;
    if !is_its_issuer(&app, answer.iss.as_deref()) {
        return refuse(Refusal::OtherIssuer);
    }
    let now_ms = state.clock().now_ms();
    if !store
        .end_journey(&journey.organization, &journey.id, now_ms)
        .await?
    {
        return refuse(Refusal::Over);
    }
    if let Some(error) = &answer.error {
        return Ok(declined(&journey, error));
    }
    let (Some(code), Some(given)) = (&answer.code, &answer.state) else {
        return refuse(Refusal::Empty);
    };
    let verifier = verifier(&browser, given.expose_secret());
    // In a task of its own: the code is spent with the first request, whether or not the browser waits for the rest.
    let (of_task, went, code) = (state.clone(), journey.clone(), code.clone());
    let task = tokio::spawn(async move { finish(&of_task, &went, &app, &code, &verifier).await });
    Ok(match task.await {
        Ok(Ok(connected)) => arrived(&journey, &connected),
        Ok(Err(Failed { title, text })) => stop(StatusCode::UNPROCESSABLE_ENTITY, title, &text),
        Err(error) => {
            tracing::error!(%error, "a consent broke off");
            let text = "The server could not finish this. Open the link once more.";
            stop(StatusCode::INTERNAL_SERVER_ERROR, "Try again in a moment", text)
        }
    })
}

async fn load(state: &AppState, journey: &Journey) -> Result<OAuthApp, Trouble> {
    let store = state.unscoped_store();
    let registered = store.provider_app(&journey.app.owner, &journey.app.id).await?;
    let registered = registered.ok_or(Trouble::Gone)?;
    let connector = state
        .providers()
        .connector(&registered.provider)
        .ok_or(Trouble::Gone)?;
    Ok(apps::load(store, connector.as_ref(), &journey.app).await?)
}

/// RFC 9207, 2.4: an issuer that is named must be the one that was asked, and where the vendor promises to name it, it
/// must be named.
fn is_its_issuer(app: &OAuthApp, named: Option<&str>) -> bool {
    match (&app.registration.issuer, named) {
        (Some(ours), Some(named)) => ours == named,
        (Some(_), None) => !app.declared.names_issuer,
        // Nothing is known to compare with; the app's own callback address stands in for it.
        (None, _) => true,
    }
}

fn declined(journey: &Journey, error: &str) -> Response {
    tracing::info!(journey = %journey.id, "consent was not given");
    let text = if error == "access_denied" {
        "You did not allow it, so nothing was connected. To try again, open the link once more."
    } else {
        "The vendor did not go on, so nothing was connected. To try again, open the link once more; if it stays like \
         this, tell whoever sent it."
    };
    match back_to(journey, &[("outcome", "declined")]) {
        Some(response) => response,
        None => stop(StatusCode::OK, "Not connected", text),
    }
}

fn arrived(journey: &Journey, connected: &Connected) -> Response {
    let outcome = [
        ("outcome", "connected"),
        ("connection_id", connected.connection.as_str()),
    ];
    match back_to(journey, &outcome) {
        Some(response) => response,
        None => {
            let text = format!("{} is connected. You can close this page.", connected.name);
            stop(StatusCode::OK, "Connected", &text)
        }
    }
}

/// Where whoever made the link wants the browser afterwards.
fn back_to(journey: &Journey, outcome: &[(&str, &str)]) -> Option<Response> {
    let mut url = Url::parse(journey.wanted.return_url.as_deref()?).ok()?;
    url.query_pairs_mut().extend_pairs(outcome);
    let mut response = StatusCode::SEE_OTHER.into_response();
    let location = HeaderValue::from_str(url.as_str()).ok()?;
    response.headers_mut().insert(LOCATION, location);
    Some(response)
}
