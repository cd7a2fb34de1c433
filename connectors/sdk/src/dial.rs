//! Byte streams to providers that do not speak HTTP: opened and secured by the hub, never by a connector.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{Error, ErrorKind};

/// How long a stream may take to be made, and to be secured.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What bytes go through in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// A stream to a provider.
pub type ByteStream = Box<dyn Duplex>;

/// How a stream is kept from other people's eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS from its first byte.
    Tls,
    /// TLS from [`Dial::secure`] on; nothing of the account is sent before.
    StartTls,
    /// Not at all: only on this machine, or into networks that the settings name.
    Plain,
}

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The server's name or address; an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the stream is protected.
    pub security: Security,
    /// The connector's name for what it does, for errors.
    pub operation: &'static str,
}

impl Endpoint {
    fn error(&self, kind: ErrorKind, message: String) -> Error {
        Error::new(kind, self.operation, message)
    }

    /// The address, where it is written as one.
    #[must_use]
    pub fn literal(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

/// Opens streams.
#[async_trait]
pub trait Dial: Send + Sync {
    /// A stream to a server; for [`Security::Tls`] its certificate has been checked.
    ///
    /// # Errors
    /// `Unavailable` when the server cannot be reached or must not be, or its certificate is not trusted; `Invalid` when
    /// it must not be spoken to without TLS.
    async fn dial(&self, to: &Endpoint) -> Result<ByteStream, Error>;

    /// The same stream under TLS, its certificate checked. What was read of it and not used must be thrown away by the
    /// caller: it was not protected.
    ///
    /// # Errors
    /// `Unavailable` when the certificate is not trusted or the server does not go along.
    async fn secure(&self, to: &Endpoint, stream: ByteStream) -> Result<ByteStream, Error>;
}

/// For providers that are spoken to by HTTP alone, or live in the process: opens nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoDial;

#[async_trait]
impl Dial for NoDial {
    async fn dial(&self, to: &Endpoint) -> Result<ByteStream, Error> {
        Err(to.error(ErrorKind::Unsupported, "no stream can be opened here".to_owned()))
    }

    async fn secure(&self, to: &Endpoint, _stream: ByteStream) -> Result<ByteStream, Error> {
        Err(to.error(ErrorKind::Unsupported, "no stream can be secured here".to_owned()))
    }
}

/// Says which addresses a stream may go to. It is asked once per stream, and the stream goes to one of its answers.
#[async_trait]
pub trait Lookup: Send + Sync {
    /// The addresses.
    ///
    /// # Errors
    /// As [`Dial::dial`].
    async fn addresses(&self, to: &Endpoint) -> Result<Vec<SocketAddr>, Error>;
}

/// As the operating system resolves; without TLS to this machine only.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, to: &Endpoint) -> Result<Vec<SocketAddr>, Error> {
        let found = tokio::net::lookup_host((to.host.as_str(), to.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|error| unreachable_error(to, &error))?.collect();
        if to.security == Security::Plain && !found.iter().all(|address| address.ip().is_loopback()) {
            let message = "a server on another machine is spoken to under TLS only; nothing was sent";
            return Err(to.error(ErrorKind::Invalid, message.to_owned()));
        }
        Ok(found)
    }
}

/// Streams over the network.
#[derive(Clone)]
pub struct NetworkDialer {
    tls: TlsConnector,
    lookup: Arc<dyn Lookup>,
}

impl NetworkDialer {
    /// Trusts what the machine trusts, and `extra_roots` (PEM) besides.
    ///
    /// # Errors
    /// When a certificate cannot be read, or the machine's cannot.
    pub fn new(extra_roots: &[Bytes], lookup: Arc<dyn Lookup>) -> Result<Self, Error> {
        fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
            let message = "TLS cannot be set up: a certificate that is to be trusted cannot be read";
            Error::new(ErrorKind::Unexpected, "transport", message).with_source(error)
        }
        let mut roots = Vec::new();
        for pem in extra_roots {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                roots.push(certificate.map_err(failed)?);
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider));
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier.map_err(failed)?))
            .with_no_client_auth();
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            lookup,
        })
    }

    async fn connect(&self, to: &Endpoint) -> Result<ByteStream, Error> {
        let addresses = self.lookup.addresses(to).await?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Commands are small and each is waited for.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "a stream keeps its delay");
                    }
                    return Ok(Box::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable_error(to, &last))
    }
}

#[async_trait]
impl Dial for NetworkDialer {
    async fn dial(&self, to: &Endpoint) -> Result<ByteStream, Error> {
        let stream = in_time(to, self.connect(to)).await?;
        match to.security {
            Security::Tls => self.secure(to, stream).await,
            Security::StartTls | Security::Plain => Ok(stream),
        }
    }

    async fn secure(&self, to: &Endpoint, stream: ByteStream) -> Result<ByteStream, Error> {
        let name = ServerName::try_from(to.host.clone()).map_err(|_| {
            to.error(
                ErrorKind::Invalid,
                format!("`{}` is no name of a server", to.host),
            )
        })?;
        in_time(to, async {
            let secured = self.tls.connect(name, stream).await;
            let secured = secured.map_err(|error| distrusted(to, error))?;
            Ok(Box::new(secured) as ByteStream)
        })
        .await
    }
}

async fn in_time<T>(to: &Endpoint, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(CONNECT_TIMEOUT, work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(to.error(
            ErrorKind::Unavailable,
            format!("{} did not answer in time", to.host),
        )),
    }
}

fn unreachable_error(to: &Endpoint, error: &io::Error) -> Error {
    let message = format!("{} cannot be reached at port {}: {error}", to.host, to.port);
    to.error(ErrorKind::Unavailable, message)
}

fn distrusted(to: &Endpoint, error: io::Error) -> Error {
    let text = error.to_string();
    let message = if text.contains("xpired") {
        format!("the certificate of {} has expired; nothing was sent", to.host)
    } else if text.contains("certificate") {
        format!("the certificate of {} is not trusted; nothing was sent", to.host)
    } else {
        format!("{} does not speak TLS at port {}: {text}", to.host, to.port)
    };
    to.error(ErrorKind::Unavailable, message).with_source(error)
}
