//! How a connection proves who it is.

use async_trait::async_trait;

use crate::context::Context;
use crate::credentials::{AuthScheme, Credentials};
use crate::error::Error;

/// The authentication facet. The hub, not the connector, decides when to refresh, and does so once at a time.
#[async_trait]
pub trait Auth: Send + Sync {
    /// The schemes that a connection may use.
    fn schemes(&self) -> &'static [AuthScheme];

    /// Checks that imported credentials are of a shape this connector can use, before anything is stored.
    ///
    /// # Errors
    /// `Invalid`, naming the member that is missing or wrong, never its value.
    fn check(&self, credentials: &Credentials) -> Result<(), Error>;

    /// New credentials from the current ones; `None` when these cannot be refreshed (a password, a plain token).
    ///
    /// # Errors
    /// `Unauthorized` when the vendor refuses for good: the connection then needs its owner.
    async fn refresh(&self, ctx: &Context) -> Result<Option<Credentials>, Error>;
}
