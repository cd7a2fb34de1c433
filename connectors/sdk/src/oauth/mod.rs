//! OAuth 2.0 as a connector declares it ([`OAuth2`], plain data) and as the hub carries it out with an app's
//! [`Registration`]: where to send a person, exchange of the code, renewal, revocation.
//! <https://datatracker.ietf.org/doc/html/rfc6749>, <https://datatracker.ietf.org/doc/html/rfc9700>

mod calls;
mod door;
mod registration;

pub use calls::{Granted, LONGEST_ANSWER, authorize_url, exchange, refresh, refresh_by, revoke};
pub use registration::{Endpoints, Registration, check_address};

use serde::Serialize;

/// What a vendor's authorization server is like, as its documentation says.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct OAuth2 {
    /// Where people are sent.
    pub authorize_url: &'static str,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: &'static str,
    /// Where tokens are given back (<https://datatracker.ietf.org/doc/html/rfc7009>).
    pub revocation_url: Option<&'static str>,
    /// How the server names itself in `iss`.
    pub issuer: Option<&'static str>,
    /// Whether each answer to the browser names the issuer, so that one without it is refused
    /// (<https://datatracker.ietf.org/doc/html/rfc9207>). One that names another issuer is refused in any case.
    pub names_issuer: bool,
    /// Whether it takes PKCE with S256.
    pub pkce: bool,
    /// Whether a refresh token is replaced when it is used. Then a renewal is never sent twice by itself.
    pub rotates: bool,
    /// Where the client proves itself.
    pub client_proof: ClientProof,
    /// What else the authorize URL says.
    pub authorize_params: &'static [(&'static str, &'static str)],
    /// What can be asked for, by what it is used for.
    pub permissions: &'static [Permission],
    /// The vendor's page.
    pub docs_url: &'static str,
}

/// Where a client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientProof {
    /// `client_id` and `client_secret` in the form.
    Body,
    /// HTTP Basic.
    Header,
}

/// Something that a connection can be used for, and the scopes that it takes.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Permission {
    /// Its name in the API: `write`.
    pub name: &'static str,
    /// What it lets the hub do, for the person who is asked.
    pub purpose: &'static str,
    /// The vendor's scopes.
    pub scopes: &'static [&'static str],
    /// Whether no connection is of use without it.
    pub required: bool,
}

impl OAuth2 {
    /// The permission of this name.
    #[must_use]
    pub fn permission(&self, name: &str) -> Option<&'static Permission> {
        self.permissions.iter().find(|permission| permission.name == name)
    }

    /// The scopes of these permissions and of the required ones, each once.
    #[must_use]
    pub fn scopes_of(&self, names: &[String]) -> Vec<&'static str> {
        let mut scopes = Vec::new();
        let wanted = |permission: &&Permission| {
            permission.required || names.iter().any(|name| name == permission.name)
        };
        for permission in self.permissions.iter().filter(wanted) {
            for scope in permission.scopes {
                if !scopes.contains(scope) {
                    scopes.push(*scope);
                }
            }
        }
        scopes
    }
}
