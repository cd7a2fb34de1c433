//! OAuth 2.0 at Google: what its server is like, and what can be asked for.
//! <https://developers.google.com/identity/protocols/oauth2/web-server>

use async_trait::async_trait;
use connector_sdk::oauth::{ClientProof, OAuth2, Permission, refresh_by};
use connector_sdk::{Account, Auth, AuthScheme, Context, Credentials, Error, ErrorKind};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use serde_json::Value;

use crate::api::Api;
use crate::connector::GoogleConnector;

/// Each scope is the narrowest that its calls take:
/// <https://developers.google.com/workspace/calendar/api/auth>.
const PERMISSIONS: &[Permission] = &[
    Permission {
        name: "read",
        purpose: "see your calendars and their events",
        scopes: &[
            "https://www.googleapis.com/auth/calendar.calendarlist.readonly",
            "https://www.googleapis.com/auth/calendar.events.readonly",
        ],
        required: true,
    },
    Permission {
        name: "write",
        purpose: "make, change and delete events",
        scopes: &["https://www.googleapis.com/auth/calendar.events"],
        required: false,
    },
    Permission {
        name: "free_busy",
        purpose: "see when you are free or busy",
        scopes: &["https://www.googleapis.com/auth/calendar.freebusy"],
        required: false,
    },
];

static OAUTH2: OAuth2 = OAuth2 {
    authorize_url: "https://accounts.google.com/o/oauth2/v2/auth",
    token_url: "https://oauth2.googleapis.com/token",
    revocation_url: Some("https://oauth2.googleapis.com/revoke"),
    issuer: Some("https://accounts.google.com"),
    // Its pages promise no `iss` in the answer to the browser; each app has a callback of its own instead.
    names_issuer: false,
    pkce: true,
    // "The refresh token is only returned [...] for the first authorization", and is not replaced when it is used.
    rotates: false,
    client_proof: ClientProof::Body,
    authorize_params: &[
        // A refresh token comes only with both:
        // https://developers.google.com/identity/protocols/oauth2/web-server#offline
        ("access_type", "offline"),
        ("prompt", "consent"),
        // https://developers.google.com/identity/protocols/oauth2/web-server#incrementalAuth
        ("include_granted_scopes", "true"),
    ],
    permissions: PERMISSIONS,
    docs_url: "https://developers.google.com/identity/protocols/oauth2/web-server",
};

#[async_trait]
impl Auth for GoogleConnector {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::Oauth2]
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        Some(&OAUTH2)
    }

    fn check(&self, credentials: &Credentials) -> Result<(), Error> {
        if credentials.get("refresh_token").is_none() {
            return credentials.require("access_token").map(drop);
        }
        for name in ["refresh_token", "client_id", "client_secret"] {
            credentials.require(name)?;
        }
        Ok(())
    }

    /// The address of the account is the id of its primary calendar:
    /// <https://developers.google.com/workspace/calendar/api/concepts/events-calendars#calendars>.
    async fn account(&self, ctx: &Context) -> Result<Option<Account>, Error> {
        let api = Api::new(ctx, "account");
        let url = api.url(&["users", "me", "calendarList", "primary"], &[])?;
        let entry: Value = api.get(url).await?;
        let id = entry.get("id").and_then(Value::as_str).ok_or_else(|| {
            let message = "the primary calendar has no id: whose account it is cannot be told";
            api.error(ErrorKind::Unexpected, message)
        })?;
        Ok(Some(Account {
            id: id.to_owned(),
            name: id.to_owned(),
        }))
    }

    async fn refresh(&self, ctx: &Context) -> Result<Option<Credentials>, Error> {
        refresh_by(ctx, &OAUTH2).await
    }
}

/// Puts the access token onto a request.
pub(crate) fn sign(credentials: &Credentials, headers: &mut HeaderMap) -> Result<(), Error> {
    headers.insert(AUTHORIZATION, bearer(credentials, "sign")?);
    Ok(())
}

/// The `Authorization` header. A connection that was imported with a refresh token alone has no access token yet: the hub
/// refreshes when it is told so.
pub(crate) fn bearer(credentials: &Credentials, operation: &'static str) -> Result<HeaderValue, Error> {
    let token = credentials.get("access_token").unwrap_or_default();
    let unusable = || {
        let message = "there is no usable access token; it has to be renewed";
        Error::new(ErrorKind::Unauthorized, operation, message)
    };
    if token.is_empty() {
        return Err(unusable());
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}
