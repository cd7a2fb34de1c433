//! How a connection proves who it is.

use async_trait::async_trait;

use crate::context::Context;
use crate::credentials::{AuthScheme, Credentials};
use crate::error::Error;
use crate::oauth::OAuth2;

/// An account at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What the provider tells it apart by, as long as it lives.
    pub id: String,
    /// Its name for people.
    pub name: String,
}

/// The authentication facet. The hub, not the connector, decides when to refresh, and does so once at a time.
#[async_trait]
pub trait Auth: Send + Sync {
    /// The schemes that a connection may use.
    fn schemes(&self) -> &'static [AuthScheme];

    /// The vendor's authorization server, where people give consent; `None` where there is none.
    fn oauth2(&self) -> Option<&'static OAuth2>;

    /// Checks that imported credentials are of a shape this connector can use, before anything is stored.
    ///
    /// # Errors
    /// `Invalid`, naming the member that is missing or wrong, never its value.
    fn check(&self, credentials: &Credentials) -> Result<(), Error>;

    /// Whose these credentials are, by the provider's word; `None` where it does not say. Present where there is
    /// consent: a person who consents again must be the same one.
    ///
    /// # Errors
    /// As the provider answers.
    async fn account(&self, ctx: &Context) -> Result<Option<Account>, Error>;

    /// New credentials from the current ones alone; `None` when these cannot be refreshed (a password, a plain token).
    /// Tokens that came through an app are refreshed by the hub, with the app's secret.
    ///
    /// # Errors
    /// `Unauthorized` when the vendor refuses for good: the connection then needs its owner.
    async fn refresh(&self, ctx: &Context) -> Result<Option<Credentials>, Error>;
}
