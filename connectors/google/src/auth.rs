//! OAuth 2.0 with imported tokens. How a person gives consent is the hub's business.
//! <https://developers.google.com/identity/protocols/oauth2/web-server#offline>

use async_trait::async_trait;
use bytes::Bytes;
use connector_sdk::{Auth, AuthScheme, Context, Credentials, Error, ErrorKind, HttpRequest};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde::Deserialize;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::connector::GoogleConnector;
use crate::errors::parse_error;

const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const OPERATION: &str = "auth.refresh";

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    refresh_token: Option<String>,
}

#[async_trait]
impl Auth for GoogleConnector {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::Oauth2]
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

    async fn refresh(&self, ctx: &Context) -> Result<Option<Credentials>, Error> {
        let credentials = ctx.credentials.as_ref();
        if credentials.get("refresh_token").is_none() {
            return Ok(None);
        }
        let form = Serializer::new(String::new())
            .append_pair("grant_type", "refresh_token")
            .append_pair("refresh_token", credentials.require("refresh_token")?)
            .append_pair("client_id", credentials.require("client_id")?)
            .append_pair("client_secret", credentials.require("client_secret")?)
            .finish();
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = HttpRequest {
            method: Method::POST,
            url: token_url(ctx)?,
            headers,
            body: Bytes::from(form),
            operation: OPERATION,
            // Google's refresh tokens do not change when they are used.
            idempotent: true,
        };
        let response = ctx.http.send(request).await?;
        if !response.status.is_success() {
            return Err(parse_error(OPERATION, &response, None));
        }
        let granted: Granted = serde_json::from_slice(&response.body).map_err(|_| {
            // Neither body nor cause is kept: they may hold the token.
            Error::new(
                ErrorKind::Unexpected,
                OPERATION,
                "the token endpoint's answer holds no access token",
            )
            .with_status(response.status.as_u16())
        })?;
        let mut renewed = credentials.with("access_token", granted.access_token);
        if let Some(token) = granted.refresh_token {
            renewed = renewed.with("refresh_token", token);
        }
        Ok(Some(renewed))
    }
}

fn token_url(ctx: &Context) -> Result<Url, Error> {
    let configured = ctx.config.get("token_url").and_then(serde_json::Value::as_str);
    Url::parse(configured.unwrap_or(TOKEN_URL))
        .ok()
        .filter(|url| matches!(url.scheme(), "https" | "http"))
        .ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                OPERATION,
                "`config.token_url` is no web address",
            )
        })
}
