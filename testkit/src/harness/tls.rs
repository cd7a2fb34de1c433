//! TLS for tests: a fresh authority and a certificate it signed, valid or expired, and a front that speaks TLS before
//! a plain server.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use url::Url;

/// A server's certificate for `localhost` and 127.0.0.1, with the authority that signed it.
#[derive(Clone)]
pub struct TlsIdentity {
    /// What a server needs to speak TLS.
    pub server: Arc<ServerConfig>,
    /// The authority's certificate in PEM, for a client that shall trust it.
    pub authority_pem: String,
}

impl TlsIdentity {
    /// A certificate that is valid for the years to come.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn valid() -> Result<Self> {
        Self::between(2020, 2096)
    }

    /// A certificate whose time ended in 2021.
    ///
    /// # Errors
    /// When a key or certificate cannot be made.
    pub fn expired() -> Result<Self> {
        Self::between(2020, 2021)
    }

    fn between(first_year: i32, last_year: i32) -> Result<Self> {
        let mut authority = CertificateParams::new(Vec::<String>::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        authority
            .distinguished_name
            .push(DnType::CommonName, "Concord test authority");
        let authority_key = KeyPair::generate()?;
        let authority_pem = authority.self_signed(&authority_key)?.pem();
        let issuer = Issuer::new(authority, authority_key);

        let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        leaf.not_before = rcgen::date_time_ymd(first_year, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        leaf.distinguished_name.push(DnType::CommonName, "localhost");
        let leaf_key = KeyPair::generate()?;
        let certificate = leaf.signed_by(&leaf_key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));

        // Named, since the workspace's tree holds more than one cryptography provider and rustls then picks none.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .context("the certificate and its key")?;
        Ok(Self {
            server: Arc::new(server),
            authority_pem,
        })
    }
}

/// Speaks TLS on a free loopback port and passes the plain bytes to a server behind it.
pub struct TlsFront {
    address: SocketAddr,
    _accepting: AbortOnDropHandle<()>,
}

impl TlsFront {
    /// Stands before `upstream` with that identity.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(upstream: SocketAddr, identity: &TlsIdentity) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let acceptor = TlsAcceptor::from(identity.server.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // A client that refuses the certificate, or leaves, ends its own connection only.
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(upstream).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Ok(Self {
            address,
            _accepting: AbortOnDropHandle::new(accepting),
        })
    }

    /// `https://localhost:PORT/`.
    ///
    /// # Errors
    /// Never in practice; the address is ours.
    pub fn base_url(&self) -> Result<Url> {
        Ok(Url::parse(&format!(
            "https://localhost:{}/",
            self.address.port()
        ))?)
    }
}
