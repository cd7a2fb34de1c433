//! Passwords, and access tokens of vendors that take them (XOAUTH2).

use async_trait::async_trait;
use connector_sdk::oauth::OAuth2;
use connector_sdk::{Account, Auth, AuthScheme, Context, Credentials, Error, ErrorKind};

pub(crate) struct ImapAuth;

#[async_trait]
impl Auth for ImapAuth {
    fn schemes(&self) -> &'static [AuthScheme] {
        &[AuthScheme::Basic, AuthScheme::Bearer]
    }

    fn oauth2(&self) -> Option<&'static OAuth2> {
        None
    }

    fn check(&self, credentials: &Credentials) -> Result<(), Error> {
        let username = credentials.require("username")?;
        if credentials.get("token").is_none() {
            credentials.require("password")?;
        }
        // They end a field of the exchange (RFC 4616 section 2, XOAUTH2).
        if username.contains(['\0', '\x01', '\r', '\n']) {
            let message = "`credentials.username` holds a control character";
            return Err(Error::new(ErrorKind::Invalid, "credentials", message));
        }
        Ok(())
    }

    async fn account(&self, _ctx: &Context) -> Result<Option<Account>, Error> {
        Ok(None)
    }

    async fn refresh(&self, _ctx: &Context) -> Result<Option<Credentials>, Error> {
        Ok(None)
    }
}
