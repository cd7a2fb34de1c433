//! An app's registration at a vendor: who the hub is there, and where "there" is.

use std::fmt;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::OAuth2;
use crate::error::{Error, ErrorKind};

/// Where a vendor's authorization server is, where it is not where its connector says: a sovereign cloud, an edition of
/// one's own, a simulator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoints {
    /// Instead of [`OAuth2::authorize_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Instead of [`OAuth2::token_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_url: Option<String>,
    /// Instead of [`OAuth2::revocation_url`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_url: Option<String>,
    /// Instead of [`OAuth2::issuer`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where the API is that the tokens are for. Tokens of an app are sent nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
}

impl Endpoints {
    /// Whether what is sent where fits together: sign-in, tokens, revocation and API are all at the vendor's own origins, as
    /// its connector declares them, or none is. A mix would send a code, a secret or a token to an address that it was not
    /// given for: the vendor's token to another's API, or the secret for another's server to the vendor.
    ///
    /// # Errors
    /// `Invalid`, naming an address of either sort.
    pub fn check_unmixed(&self, declared: &OAuth2, default_base_url: Option<&str>) -> Result<(), Error> {
        let usual = [
            ("authorize_url", Some(declared.authorize_url)),
            ("token_url", Some(declared.token_url)),
            ("base_url", default_base_url),
            ("revocation_url", declared.revocation_url),
        ];
        let origin = |text: &str| Url::parse(text).ok().map(|url| url.origin());
        let own: Vec<_> = usual.iter().filter_map(|(_, url)| origin((*url)?)).collect();
        let given = [
            &self.authorize_url,
            &self.token_url,
            &self.base_url,
            &self.revocation_url,
        ];
        let (mut vendors, mut others) = (None, None);
        for ((name, usual), given) in usual.iter().zip(given) {
            // Where nothing is said the vendor's own stands, but for revocation: that goes with the rest.
            let stands = given.as_deref().or(usual.filter(|_| *name != "revocation_url"));
            let Some(origin) = stands.and_then(origin) else {
                continue;
            };
            if own.contains(&origin) {
                vendors = vendors.or(Some(*name));
            } else {
                others = others.or(Some(*name));
            }
        }
        match (vendors, others) {
            (Some(vendors), Some(others)) => Err(Error::new(
                ErrorKind::Invalid,
                "registration",
                format!(
                    "`{others}` is elsewhere while `{vendors}` is the vendor's own: secrets and tokens of one would be \
                     sent to the other. Name `authorize_url`, `token_url` and `base_url` elsewhere, or none of them"
                ),
            )),
            (Some(_) | None, None) | (None, Some(_)) => Ok(()),
        }
    }
}

/// A registration, with all that is needed to act under it. `Debug` shows no secret.
#[derive(Clone)]
pub struct Registration {
    /// The client's id.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<SecretString>,
    /// Where people are sent.
    pub authorize_url: Url,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: Url,
    /// Where tokens are given back.
    pub revocation_url: Option<Url>,
    /// How the server names itself.
    pub issuer: Option<String>,
}

impl Registration {
    /// The registration of a client, at the vendor's own addresses unless `elsewhere` names others. Addresses of the
    /// vendor's are not mixed with others: whoever names a token endpoint without an issuer or a revocation endpoint
    /// has none.
    ///
    /// # Errors
    /// `Invalid`, naming the address that cannot be used.
    pub fn new(
        declared: &OAuth2,
        elsewhere: &Endpoints,
        client_id: &str,
        client_secret: Option<SecretString>,
    ) -> Result<Self, Error> {
        let moved = elsewhere.authorize_url.is_some() || elsewhere.token_url.is_some();
        let own = |vendors: Option<&'static str>| vendors.filter(|_| !moved).map(str::to_owned);
        let revocation_url = elsewhere
            .revocation_url
            .clone()
            .or_else(|| own(declared.revocation_url));
        let authorize_url = elsewhere
            .authorize_url
            .as_deref()
            .unwrap_or(declared.authorize_url);
        let token_url = elsewhere.token_url.as_deref().unwrap_or(declared.token_url);
        Ok(Self {
            client_id: client_id.to_owned(),
            client_secret,
            authorize_url: check_address("authorize_url", authorize_url)?,
            token_url: check_address("token_url", token_url)?,
            revocation_url: revocation_url
                .map(|url| check_address("revocation_url", &url))
                .transpose()?,
            issuer: elsewhere.issuer.clone().or_else(|| own(declared.issuer)),
        })
    }

    pub(super) fn secret(&self) -> Option<&str> {
        self.client_secret
            .as_ref()
            .map(|secret| secret.expose_secret())
            .filter(|secret| !secret.is_empty())
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("client_id", &self.client_id)
            .field("token_url", &self.token_url.as_str())
            .finish_non_exhaustive()
    }
}

/// An address that secrets may be sent to: over TLS, or to this machine.
///
/// # Errors
/// `Invalid`, naming the address.
pub fn check_address(name: &str, text: &str) -> Result<Url, Error> {
    let invalid =
        |problem: &str| Error::new(ErrorKind::Invalid, "registration", format!("`{name}` {problem}"));
    let url = Url::parse(text).map_err(|_| invalid("is no web address"))?;
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(invalid("is no web address")),
    };
    match url.scheme() {
        "https" => {}
        "http" if here => {}
        _ => return Err(invalid("must begin with https:// (http:// only on this machine)")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(invalid("must hold neither name nor password nor fragment"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::ClientProof;

    const VENDOR: OAuth2 = OAuth2 {
        authorize_url: "https://vendor.example/authorize",
        token_url: "https://vendor.example/token",
        revocation_url: Some("https://vendor.example/revoke"),
        issuer: Some("https://vendor.example"),
        names_issuer: true,
        pkce: true,
        rotates: false,
        client_proof: ClientProof::Body,
        authorize_params: &[],
        permissions: &[],
        docs_url: "",
    };

    #[test]
    fn addresses_elsewhere_are_not_mixed_with_the_vendors_own() {
        let own = Registration::new(&VENDOR, &Endpoints::default(), "hub", None).unwrap();
        assert_eq!(own.issuer.as_deref(), Some("https://vendor.example"));
        assert!(own.revocation_url.is_some());
        let elsewhere = Endpoints {
            authorize_url: Some("https://other.example/a".to_owned()),
            token_url: Some("https://other.example/t".to_owned()),
            ..Endpoints::default()
        };
        let moved = Registration::new(&VENDOR, &elsewhere, "hub", None).unwrap();
        assert_eq!((moved.issuer, moved.revocation_url), (None, None));
    }

    #[test]
    fn addresses_are_all_the_vendors_or_all_anothers() {
        let base = Some("https://api.vendor.example/v3/");
        let url = |text: &str| Some(text.to_owned());
        let (theirs, other) = ("https://vendor.example/other", "https://other.example/");
        let none = Endpoints::default();
        let all = Endpoints {
            authorize_url: url(other),
            token_url: url("https://login.other.example/"),
            base_url: url("https://api.other.example/"),
            ..Endpoints::default()
        };
        let at_the_vendors = Endpoints {
            token_url: url(theirs),
            base_url: url("https://api.vendor.example/v4/"),
            ..Endpoints::default()
        };
        for fits in [&none, &all, &at_the_vendors] {
            fits.check_unmixed(&VENDOR, base).unwrap();
        }
        let without_api = Endpoints {
            base_url: None,
            ..all.clone()
        };
        without_api.check_unmixed(&VENDOR, None).unwrap();
        for mixed in [
            Endpoints {
                base_url: None,
                ..all.clone()
            },
            Endpoints {
                base_url: url("https://api.vendor.example/"),
                ..all.clone()
            },
            Endpoints {
                token_url: url(theirs),
                ..all.clone()
            },
            Endpoints {
                revocation_url: url(theirs),
                ..all.clone()
            },
            Endpoints {
                token_url: url(other),
                ..none.clone()
            },
            Endpoints {
                revocation_url: url(other),
                ..none.clone()
            },
            Endpoints {
                base_url: url("http://api.vendor.example/"),
                ..none.clone()
            },
        ] {
            let error = mixed.check_unmixed(&VENDOR, base).unwrap_err();
            assert!(error.message.contains("vendor's own"), "{error}");
        }
    }

    #[test]
    fn secrets_go_over_tls_or_stay_on_this_machine() {
        assert!(check_address("token_url", "https://vendor.example/token").is_ok());
        assert!(check_address("token_url", "http://127.0.0.1:8080/token").is_ok());
        for wrong in [
            "http://vendor.example/token",
            "file:///etc/passwd",
            "https://ada:hunter2@vendor.example/",
            "https://vendor.example/#x",
            "token",
        ] {
            let error = check_address("token_url", wrong).unwrap_err();
            assert!(error.message.contains("token_url"), "{error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let secret = Some(SecretString::from("hunter2"));
        let registration = Registration::new(&VENDOR, &Endpoints::default(), "hub", secret).unwrap();
        assert!(!format!("{registration:?}").contains("hunter2"));
    }
}
