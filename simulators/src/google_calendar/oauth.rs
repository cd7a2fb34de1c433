//! The token endpoint and the revocation endpoint.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#exchange-authorization-code>

use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::consent::Grant;
use super::params::Params;
use super::state::World;

/// What becomes of a refresh token when it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// It stays: Google's own way.
    #[default]
    Never,
    /// Another one takes its place, as at vendors that rotate; the old one is not good any more.
    Replaces,
    /// As before, but the old one goes on being good until the new one was used.
    ReplacesWithGrace,
}

type Refusal = (StatusCode, &'static str, &'static str);

const fn invalid_grant(description: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, "invalid_grant", description)
}

fn answer(outcome: Result<Value, Refusal>) -> Response {
    match outcome {
        Ok(answer) => axum::Json(answer).into_response(),
        Err((status, error, description)) => {
            let body = json!({"error": error, "error_description": description});
            (status, axum::Json(body)).into_response()
        }
    }
}

/// Answers a form post to `/token`.
pub(crate) fn token(world: &mut World, form: &Params) -> Response {
    answer(match form.get("grant_type") {
        Some("refresh_token") => known_client(world, form).and_then(|()| refresh(world, form)),
        Some("authorization_code") => known_client(world, form).and_then(|()| exchange(world, form)),
        Some(_) | None => Err((
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "Invalid grant_type",
        )),
    })
}

/// Answers a form post to `/revoke`: "if the token is an access token and it has a corresponding refresh token, the
/// refresh token will also be revoked", and with it whatever the account granted to the client.
/// <https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke>
pub(crate) fn revoke(world: &mut World, form: &Params) -> Response {
    let token = form.get("token").unwrap_or_default().to_owned();
    let found = world
        .grants
        .iter()
        .find(|grant| grant.refresh_token.as_deref() == Some(&token) || grant.access_tokens.contains(&token));
    let Some((email, client_id)) = found.map(|grant| (grant.email.clone(), grant.client_id.clone())) else {
        return answer(Err((
            StatusCode::BAD_REQUEST,
            "invalid_token",
            "Token expired or revoked",
        )));
    };
    world.end_grants(|grant| grant.is_of(&email, &client_id));
    answer(Ok(json!({})))
}

fn known_client(world: &World, form: &Params) -> Result<(), Refusal> {
    match &world.oauth_client {
        Some((id, secret))
            if form.get("client_id") != Some(id) || form.get("client_secret") != Some(secret) =>
        {
            Err((
                StatusCode::UNAUTHORIZED,
                "invalid_client",
                "The OAuth client was not found.",
            ))
        }
        Some(_) | None => Ok(()),
    }
}

fn exchange(world: &mut World, form: &Params) -> Result<Value, Refusal> {
    let given = form.get("code").unwrap_or_default();
    let place = world.codes.iter().position(|code| code.code == given);
    // A code is good for one use, whatever comes of it.
    let code = world
        .codes
        .swap_remove(place.ok_or(invalid_grant("Malformed auth code."))?);
    if code.expires <= world.now() || form.get("client_id") != Some(&code.client_id) {
        return Err(invalid_grant("Bad Request"));
    }
    if form.get("redirect_uri") != Some(&code.redirect_uri) {
        return Err((StatusCode::BAD_REQUEST, "redirect_uri_mismatch", "Bad Request"));
    }
    if let Some(challenge) = &code.challenge {
        let verifier = form
            .get("code_verifier")
            .ok_or(invalid_grant("Missing code verifier."))?;
        if *challenge != URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) {
            return Err(invalid_grant("Invalid code verifier."));
        }
    }
    let refresh_token = code.offline.then(|| format!("1//{}", world.mint("refresh")));
    world.grants.push(Grant {
        email: code.email,
        client_id: code.client_id,
        refresh_token: refresh_token.clone(),
        replaced: None,
        scopes: code.scopes.clone(),
        access_tokens: Vec::new(),
    });
    let last = world.grants.len() - 1;
    Ok(world.granted(Some(last), &code.scopes.join(" "), refresh_token))
}

fn refresh(world: &mut World, form: &Params) -> Result<Value, Refusal> {
    let given = form.get("refresh_token").unwrap_or_default().to_owned();
    let configured = world
        .accounts
        .values()
        .find(|account| account.refresh_token.as_deref() == Some(given.as_str()))
        .map(|account| account.email.clone());
    if let Some(email) = configured {
        let answer = world.granted(None, "https://www.googleapis.com/auth/calendar", None);
        let token = answer["access_token"].as_str().unwrap_or_default().to_owned();
        world.admit(&email, token);
        return Ok(answer);
    }
    let grace = world.rotation == Rotation::ReplacesWithGrace;
    let place = world.grants.iter().position(|grant| {
        grant.refresh_token.as_deref() == Some(&given) || (grace && grant.replaced.as_deref() == Some(&given))
    });
    let place = place.ok_or(invalid_grant("Token has been expired or revoked."))?;
    let scopes = world.grants[place].scopes.join(" ");
    let replaced = match world.rotation {
        Rotation::Never => None,
        Rotation::Replaces | Rotation::ReplacesWithGrace => {
            let next = format!("1//{}", world.mint("refresh"));
            world.grants[place].replaced = Some(given);
            world.grants[place].refresh_token = Some(next.clone());
            Some(next)
        }
    };
    Ok(world.granted(Some(place), &scopes, replaced))
}

impl World {
    /// A token answer, and its access token let in.
    fn granted(&mut self, grant: Option<usize>, scope: &str, refresh_token: Option<String>) -> Value {
        let token = format!("ya29.{}", self.mint("access"));
        if let Some(grant) = grant.and_then(|place| self.grants.get_mut(place)) {
            grant.access_tokens.push(token.clone());
            let email = grant.email.clone();
            self.admit(&email, token.clone());
        }
        let mut answer = json!({
            "access_token": token,
            "expires_in": self.access_token_lifetime.as_secs(),
            "scope": scope,
            "token_type": "Bearer",
        });
        if let Some(token) = refresh_token {
            answer["refresh_token"] = json!(token);
        }
        answer
    }

    fn admit(&mut self, email: &str, token: String) {
        let expiry = self.now().checked_add(self.access_token_lifetime).ok();
        if let Some(account) = self.accounts.get_mut(email) {
            account.access_tokens.insert(token, expiry);
        }
    }

    /// Ends grants with all their tokens.
    pub(crate) fn end_grants(&mut self, ends: impl Fn(&Grant) -> bool) {
        let all = std::mem::take(&mut self.grants);
        let (gone, kept): (Vec<Grant>, Vec<Grant>) = all.into_iter().partition(ends);
        self.grants = kept;
        for grant in gone {
            if let Some(account) = self.accounts.get_mut(&grant.email) {
                account
                    .access_tokens
                    .retain(|token, _| !grant.access_tokens.contains(token));
            }
        }
    }
}
