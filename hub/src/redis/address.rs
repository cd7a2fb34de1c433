//! Where the server is, and how one shows that without the password.

use std::fmt;

use bytes::Bytes;
use redis::{Client, ConnectionAddr, IntoConnectionInfo as _, TlsCertificates};
use secrecy::{ExposeSecret as _, SecretString};

/// A checked address of a server.
#[derive(Clone)]
pub struct Address {
    client: Client,
    shown: String,
}

/// A text that is no address of a server. It does not say which: that may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no address of a Redis server")]
pub struct NoAddress;

impl Address {
    /// Reads `redis://user:password@host:port/database`, `rediss://` for TLS, or `unix:///path`. TLS trusts
    /// `extra_roots` (PEM) besides the well-known authorities.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(url: &SecretString, extra_roots: &[Bytes]) -> Result<Self, NoAddress> {
        let info = url
            .expose_secret()
            .into_connection_info()
            .map_err(|_| NoAddress)?;
        let shown = match info.addr() {
            ConnectionAddr::Tcp(host, port) => format!("{host}:{port}"),
            // Without a check of its certificate anybody can be the server.
            ConnectionAddr::TcpTls { insecure: true, .. } => return Err(NoAddress),
            ConnectionAddr::TcpTls { host, port, .. } => format!("{host}:{port} (TLS)"),
            ConnectionAddr::Unix(path) => path.display().to_string(),
            _ => return Err(NoAddress),
        };
        let client = match info.addr() {
            ConnectionAddr::TcpTls { .. } => {
                // Named, since a process may hold more than one cryptography provider, and rustls then picks none.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                let certificates = TlsCertificates {
                    client_tls: None,
                    root_cert: (!extra_roots.is_empty()).then(|| roots(extra_roots)),
                };
                Client::build_with_tls(info, certificates)
            }
            _ => Client::open(info),
        };
        Ok(Self {
            client: client.map_err(|_| NoAddress)?,
            shown,
        })
    }

    pub(super) const fn client(&self) -> &Client {
        &self.client
    }
}

impl fmt::Display for Address {
    /// Host and port.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

/// These and the well-known authorities, in PEM: the driver takes either its own or all.
fn roots(extra: &[Bytes]) -> Vec<u8> {
    use base64::Engine as _;
    let mut pem = Vec::new();
    for root in extra {
        pem.extend_from_slice(root);
        pem.push(b'\n');
    }
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let text = base64::engine::general_purpose::STANDARD.encode(root);
        pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
        for line in text.as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
    }
    pem
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, NoAddress> {
        Address::parse(&SecretString::from(url), &[])
    }

    #[test]
    fn an_address_is_shown_without_its_password() {
        for (url, shown) in [
            ("redis://127.0.0.1/", "127.0.0.1:6379"),
            (
                "redis://ada:hunter2@redis.example.com:7000/3",
                "redis.example.com:7000",
            ),
            (
                "rediss://:hunter2@redis.example.com/",
                "redis.example.com:6379 (TLS)",
            ),
            ("unix:///run/redis.sock?pass=hunter2", "/run/redis.sock"),
        ] {
            let address = address(url).unwrap();
            assert_eq!(address.to_string(), shown);
            let debugged = format!("{address:?} {:?}", address.client());
            assert!(!debugged.contains("hunter2"), "{debugged}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for url in [
            "",
            "redis",
            "https://ada:hunter2@example.com/",
            "redis://ada:hunter2@/0",
            "redis://h:notaport/",
            "redis://h/notanumber",
            "rediss://h/#insecure",
        ] {
            let error = address(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{url}");
        }
    }

    #[test]
    fn a_private_authority_is_trusted_besides_the_well_known_ones() {
        let url = SecretString::from("rediss://h/");
        let root = testkit::harness::TlsIdentity::valid().unwrap().authority_pem;
        assert!(Address::parse(&url, &[Bytes::from(root)]).is_ok());
    }
}
