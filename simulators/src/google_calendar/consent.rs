//! The authorization endpoint: a person is shown who asks for what, says yes or no, and is sent back with a code.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#creatingclient>

use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use jiff::SignedDuration;
use url::Url;

use super::params::Params;
use super::state::World;

/// Codes live for ten minutes at most: <https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2>. Google does not
/// say how long its own do.
const CODE_LIVES: SignedDuration = SignedDuration::from_mins(10);

/// What the person in front of the browser does when asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Is shown the page, and chooses an account there (a link with `account=`).
    #[default]
    Asks,
    /// Agrees at once, with this account.
    Agrees(String),
    /// Agrees with this account, but to these scopes only: each has its own box on Google's page.
    /// <https://developers.google.com/identity/protocols/oauth2/resources/granular-permissions>
    AgreesTo(String, Vec<String>),
    /// Declines.
    Declines,
}

/// A code that waits to be exchanged.
#[derive(Clone, Debug)]
pub(crate) struct Code {
    pub code: String,
    pub email: String,
    pub client_id: String,
    pub redirect_uri: String,
    pub scopes: Vec<String>,
    pub challenge: Option<String>,
    /// Whether a refresh token was asked for.
    pub offline: bool,
    pub expires: jiff::Timestamp,
}

/// What an account granted a client, by the refresh token that stands for it.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub email: String,
    pub client_id: String,
    pub refresh_token: Option<String>,
    /// A refresh token that was replaced.
    pub replaced: Option<String>,
    pub scopes: Vec<String>,
    pub access_tokens: Vec<String>,
}

/// Answers `GET /o/oauth2/v2/auth`.
pub(crate) fn authorize(world: &mut World, asked: &Params) -> Response {
    let (client_id, redirect_uri) = match check(world, asked) {
        Ok(checked) => checked,
        // "The user is not redirected" when it is not known where to:
        // https://datatracker.ietf.org/doc/html/rfc6749#section-4.1.2.1
        Err(problem) => {
            let page = format!("<title>Error 400</title><p>Error 400: {problem}</p>");
            return (StatusCode::BAD_REQUEST, Html(page)).into_response();
        }
    };
    let state = asked.get("state").unwrap_or_default().to_owned();
    let mut back = redirect_uri.clone();
    let wanted: Vec<String> = words(asked.get("scope").unwrap_or_default());
    let answer = match asked.get("account") {
        Some(email) => Answer::Agrees(email.to_owned()),
        None => world.answer.clone(),
    };
    let (email, scopes) = match answer {
        Answer::Asks => return Html(page(world, asked, &client_id, &wanted)).into_response(),
        Answer::Declines => {
            back.query_pairs_mut()
                .append_pair("error", "access_denied")
                .append_pair("state", &state);
            return found(&back);
        }
        Answer::Agrees(email) => (email, wanted),
        Answer::AgreesTo(email, scopes) => (email, scopes),
    };
    if !world.accounts.contains_key(&email) {
        let page = "<title>Error 400</title><p>There is no such account.</p>";
        return (StatusCode::BAD_REQUEST, Html(page)).into_response();
    }
    let granted = world.with_earlier(&email, &client_id, scopes, asked.get("include_granted_scopes"));
    let code = format!("4/0{}", world.mint("code"));
    let expires = world
        .now()
        .checked_add(CODE_LIVES)
        .unwrap_or_else(|_| world.now());
    world.codes.push(Code {
        code: code.clone(),
        email,
        client_id,
        redirect_uri: redirect_uri.to_string(),
        scopes: granted.clone(),
        challenge: asked.get("code_challenge").map(str::to_owned),
        offline: asked.get("access_type") == Some("offline"),
        expires,
    });
    {
        let mut query = back.query_pairs_mut();
        query.append_pair("state", &state);
        if let Some(issuer) = &world.issuer {
            query.append_pair("iss", issuer);
        }
        query
            .append_pair("code", &code)
            .append_pair("scope", &granted.join(" "));
    }
    found(&back)
}

/// Who asks, and where the answer goes: exactly an address that the client registered.
fn check(world: &World, asked: &Params) -> Result<(String, Url), &'static str> {
    let client_id = asked.get("client_id").unwrap_or_default();
    if let Some((known, _)) = &world.oauth_client
        && known != client_id
    {
        return Err("invalid_client");
    }
    let redirect = asked.get("redirect_uri").unwrap_or_default();
    if !world.redirect_urls.is_empty() && !world.redirect_urls.iter().any(|known| known == redirect) {
        return Err("redirect_uri_mismatch");
    }
    if asked.get("response_type") != Some("code") || asked.get("scope").unwrap_or_default().is_empty() {
        return Err("invalid_request");
    }
    if asked.has("code_challenge") && asked.get("code_challenge_method") != Some("S256") {
        return Err("invalid_request");
    }
    let redirect = Url::parse(redirect).map_err(|_| "redirect_uri_mismatch")?;
    Ok((client_id.to_owned(), redirect))
}

fn page(world: &World, asked: &Params, client_id: &str, wanted: &[String]) -> String {
    let mut page = format!(
        "<!doctype html><title>Sign in</title><h1>Simulated Google</h1><p>{} wants to:</p><ul>",
        escaped(client_id)
    );
    for scope in wanted {
        page += &format!("<li>{}</li>", escaped(scope));
    }
    page += "</ul><p>Allow it as:</p><ul>";
    for email in world.accounts.keys() {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(asked.pairs()).append_pair("account", email);
        page += &format!(
            "<li><a href=\"?{}\">{}</a></li>",
            escaped(&query.finish()),
            escaped(email)
        );
    }
    page + "</ul>"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
}

pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

fn found(url: &Url) -> Response {
    match HeaderValue::from_str(url.as_str()) {
        Ok(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
        Err(_) => StatusCode::BAD_REQUEST.into_response(),
    }
}

impl World {
    /// With `include_granted_scopes` a new authorization stands for the earlier ones, too:
    /// <https://developers.google.com/identity/protocols/oauth2/web-server#incrementalAuth>.
    fn with_earlier(
        &self,
        email: &str,
        client_id: &str,
        scopes: Vec<String>,
        include: Option<&str>,
    ) -> Vec<String> {
        let mut all = scopes;
        if include == Some("true") {
            for grant in self.grants.iter().filter(|grant| grant.is_of(email, client_id)) {
                for scope in &grant.scopes {
                    if !all.contains(scope) {
                        all.push(scope.clone());
                    }
                }
            }
        }
        all
    }
}

impl Grant {
    pub(crate) fn is_of(&self, email: &str, client_id: &str) -> bool {
        self.email == email && self.client_id == client_id
    }
}
