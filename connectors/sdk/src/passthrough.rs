//! What calls in the vendor's own words may do with a connection's credentials, as a connector declares it.

use http::HeaderMap;
use serde::Serialize;

use crate::credentials::Credentials;
use crate::error::Error;

/// Plain data, and the one thing that only the connector knows. The hub does the rest alike for all vendors: it refuses
/// what is not named here.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Passthrough {
    /// Where calls may go besides the connection's base URL: `https://people.example.com`, scheme and host alone. They
    /// stand for connections at the vendor's usual address only; one that names an address of its own goes there alone.
    pub origins: &'static [&'static str],
    /// The methods that are taken.
    pub methods: &'static [&'static str],
    /// Puts what credentials are proven with onto a request's headers, in the place of whatever stands there.
    /// `Unauthorized` or `Invalid` when they do not suffice for one.
    #[serde(skip)]
    pub sign: fn(&Credentials, &mut HeaderMap) -> Result<(), Error>,
}
