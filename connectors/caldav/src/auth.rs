//! Basic (RFC 7617) with a user name and a password, or Bearer (RFC 6750) with a token that is used as it is.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_sdk::oauth::OAuth2;
use connector_sdk::{Account, Auth, AuthScheme, Context, Credentials, Error, ErrorKind};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

#[derive(Debug)]
pub(crate) struct CaldavAuth;

#[async_trait]
impl Auth for CaldavAuth {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::Basic, AuthScheme::Bearer]
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        None
    }

    fn check(&self, credentials: &Credentials) -> Result<(), Error> {
        authorization(credentials, "credentials").map(|_| ())
    }

    async fn account(&self, _ctx: &Context) -> Result<Option<Account>, Error> {
        Ok(None)
    }

    /// Passwords and plain tokens cannot be renewed by us.
    async fn refresh(&self, _ctx: &Context) -> Result<Option<Credentials>, Error> {
        Ok(None)
    }
}

/// Puts name and password, or the token, onto a request.
pub(crate) fn sign(credentials: &Credentials, headers: &mut HeaderMap) -> Result<(), Error> {
    headers.insert(AUTHORIZATION, authorization(credentials, "sign")?);
    Ok(())
}

/// The `Authorization` header: the token when there is one, else name and password.
pub(crate) fn authorization(
    credentials: &Credentials,
    operation: &'static str,
) -> Result<HeaderValue, Error> {
    let text = if credentials.get("token").is_some() {
        format!("Bearer {}", credentials.require("token")?)
    } else {
        let username = credentials.require("username")?;
        let password = credentials.require("password")?;
        if username.contains(':') {
            let message = "`credentials.username` holds a colon, which Basic authentication cannot carry";
            return Err(Error::new(ErrorKind::Invalid, operation, message));
        }
        format!("Basic {}", STANDARD.encode(format!("{username}:{password}")))
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        let message = "`credentials.token` holds a character that no HTTP header can carry";
        Error::new(ErrorKind::Invalid, operation, message)
    })?;
    value.set_sensitive(true);
    Ok(value)
}
