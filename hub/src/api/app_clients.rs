//! The part of a provider app that asks people for consent: an OAuth client at the vendor.

use connector_sdk::oauth::{Endpoints, Registration, check_address};
use model::ProviderAppId;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use store::{AppClient, ProviderApp};
use utoipa::ToSchema;

use super::error::{ApiError, Code};
use super::extract::Caller;
use crate::consent::apps;

/// Longest client id and secret, in bytes.
const LONGEST: usize = 4 << 10;

/// An OAuth client as the vendor registered it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OAuthIn {
    /// The client's id.
    #[schema(example = "1234567890-abc.apps.googleusercontent.com")]
    pub client_id: String,
    /// Its secret: sealed at rest, never shown. Left out of a change: the one before stays. Where `token_url` or
    /// `revocation_url` change it has to be said again, so that it is sent to none that it was not given for.
    pub client_secret: Option<String>,
    /// Where people sign in, where that is not the vendor's usual address: a sovereign cloud, an edition of one's own.
    /// Addresses begin with https (http on this machine only).
    pub authorize_url: Option<String>,
    /// Where codes and refresh tokens are exchanged, likewise.
    pub token_url: Option<String>,
    /// Where tokens are given back, likewise.
    pub revocation_url: Option<String>,
    /// How the vendor's server names itself in its answers, likewise.
    pub issuer: Option<String>,
    /// Where the API is, likewise. The tokens of this app's connections are sent nowhere else.
    pub base_url: Option<String>,
}

/// An OAuth client without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct OAuthOut {
    /// The client's id.
    pub client_id: String,
    /// Whether there is a secret.
    pub has_secret: bool,
    /// The callback address to register at the vendor, exactly as it stands here.
    #[schema(example = "https://concord.example.com/oauth/callback/app_01jd3m8y6q0000000000000000")]
    pub redirect_url: String,
    /// Where people sign in, where that is not the vendor's usual address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Where tokens are exchanged, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Where tokens are given back, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
    /// How the vendor's server names itself, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where the API is, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
}

/// Where a client's tokens and secret are sent, where that is not the vendor's usual address.
pub(super) fn token_addresses(client: &AppClient) -> (Option<String>, Option<String>) {
    let endpoints = &client.endpoints;
    (endpoints.token_url.clone(), endpoints.revocation_url.clone())
}

/// What is stored of a client, checked. `before` is what is there.
pub(super) fn checked(
    caller: &Caller,
    provider: &str,
    wanted: OAuthIn,
    before: Option<AppClient>,
) -> Result<AppClient, ApiError> {
    let connector = caller.state().providers().connector(provider);
    let usual = connector.and_then(|connector| connector.info().default_base_url);
    let declared = connector
        .and_then(|connector| connector.auth().oauth2())
        .ok_or_else(|| {
            let message =
                format!("`{provider}` has no sign-in that this version knows of; leave `oauth` out");
            ApiError::new(Code::ProviderNotSupported, message)
        })?;
    let client_id = wanted.client_id.trim().to_owned();
    if client_id.is_empty() || client_id.len() > LONGEST {
        return Err(ApiError::invalid_field(
            "oauth.client_id",
            "must have 1 to 4096 bytes",
        ));
    }
    if wanted
        .client_secret
        .as_ref()
        .is_some_and(|secret| secret.len() > LONGEST)
    {
        return Err(ApiError::invalid_field(
            "oauth.client_secret",
            "must have at most 4096 bytes",
        ));
    }
    let secret = wanted
        .client_secret
        .map(|secret| SecretString::from(secret.trim()));
    let endpoints = Endpoints {
        authorize_url: wanted.authorize_url,
        token_url: wanted.token_url,
        revocation_url: wanted.revocation_url,
        issuer: wanted.issuer,
        base_url: wanted.base_url,
    };
    let wrong = |error: connector_sdk::Error| {
        ApiError::new(Code::InvalidField, error.message).with_details(serde_json::json!({ "path": "oauth" }))
    };
    Registration::new(declared, &endpoints, &client_id, None).map_err(wrong)?;
    if let Some(base_url) = &endpoints.base_url {
        check_address("base_url", base_url).map_err(wrong)?;
    }
    endpoints.check_unmixed(declared, usual).map_err(wrong)?;
    let client = AppClient {
        client_id,
        client_secret: secret,
        endpoints,
    };
    let moves = |before: &AppClient| {
        before.client_secret.is_some() && token_addresses(before) != token_addresses(&client)
    };
    if client.client_secret.is_none() && before.as_ref().is_some_and(moves) {
        let problem = "has to be said again where the vendor's addresses change: it is sent to none that it was not given for";
        return Err(ApiError::invalid_field("oauth.client_secret", problem));
    }
    let kept = || before.and_then(|before| before.client_secret);
    Ok(AppClient {
        client_secret: client.client_secret.or_else(kept),
        ..client
    })
}

/// An app's client as people see it.
pub(super) async fn shown(caller: &Caller, app: &ProviderApp) -> Result<Option<OAuthOut>, ApiError> {
    let client = caller.store().app_client(&app.organization, &app.id).await?;
    client.map(|client| out(caller, &app.id, client)).transpose()
}

fn out(caller: &Caller, id: &ProviderAppId, client: AppClient) -> Result<OAuthOut, ApiError> {
    let redirect = apps::redirect_url(caller.state().origin(), id);
    let redirect = redirect.map_err(|error| ApiError::new(Code::Internal, error.message))?;
    Ok(OAuthOut {
        client_id: client.client_id,
        has_secret: client.client_secret.is_some(),
        redirect_url: redirect.to_string(),
        authorize_url: client.endpoints.authorize_url,
        token_url: client.endpoints.token_url,
        revocation_url: client.endpoints.revocation_url,
        issuer: client.endpoints.issuer,
        base_url: client.endpoints.base_url,
    })
}
