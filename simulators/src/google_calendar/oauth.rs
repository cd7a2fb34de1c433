//! The token endpoint: exchanges a refresh token for an access token that expires.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};

use super::params::Params;
use super::state::World;

/// Answers a form post.
pub(crate) fn token(world: &mut World, form: &Params) -> Response {
    match exchange(world, form) {
        Ok(answer) => axum::Json(answer).into_response(),
        Err((status, error, description)) => {
            let body = json!({"error": error, "error_description": description});
            (status, axum::Json(body)).into_response()
        }
    }
}

fn exchange(world: &mut World, form: &Params) -> Result<Value, (StatusCode, &'static str, &'static str)> {
    if form.get("grant_type") != Some("refresh_token") {
        return Err((
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            "Invalid grant_type",
        ));
    }
    if let Some((id, secret)) = &world.oauth_client
        && (form.get("client_id") != Some(id) || form.get("client_secret") != Some(secret))
    {
        return Err((
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            "The OAuth client was not found.",
        ));
    }
    let given = form.get("refresh_token").unwrap_or_default().to_owned();
    let holder = world
        .accounts
        .values()
        .find(|account| account.refresh_token.as_deref() == Some(given.as_str()));
    let Some(email) = holder.map(|account| account.email.clone()) else {
        return Err((
            StatusCode::BAD_REQUEST,
            "invalid_grant",
            "Token has been expired or revoked.",
        ));
    };
    let access_token = format!("ya29.{}", world.mint("access"));
    let lifetime = world.access_token_lifetime;
    let expiry = world.now().checked_add(lifetime).ok();
    if let Some(account) = world.accounts.get_mut(&email) {
        account.access_tokens.insert(access_token.clone(), expiry);
    }
    Ok(json!({
        "access_token": access_token,
        "expires_in": lifetime.as_secs(),
        "scope": "https://www.googleapis.com/auth/calendar",
        "token_type": "Bearer",
    }))
}
