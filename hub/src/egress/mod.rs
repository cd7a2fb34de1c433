//! The way out to addresses that customers give: never into our own networks, whatever the address is written as,
//! whatever its name resolves to, and whatever it resolves to the second time (docs/adr/0011).

mod address;
mod destination;
mod lookup;
mod policy;
mod resolve;
mod transport;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use url::{Host, Url};

pub use destination::parse;
pub use policy::{Policy, PolicyError};
pub use resolve::{NameResolver, SystemResolver};
pub use transport::GuardedTransport;

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections to one host that are kept for later.
const KEPT_PER_HOST: usize = 64;
/// How long they are kept. Also the longest that a name's old address goes on being used.
const KEPT_FOR: Duration = Duration::from_secs(60);

/// Why nothing is sent to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It cannot be read as one.
    #[error("is not a web address: {0}")]
    NotAnAddress(String),
    /// Another protocol.
    #[error("must begin with https://")]
    Scheme,
    /// It holds a name or password.
    #[error("must not hold a name or password")]
    Userinfo,
    /// Its port is not among those allowed.
    #[error("names port {0}, which this server does not send to (setting `egress_ports`)")]
    Port(u16),
    /// It leads where customers have nothing to look for.
    #[error("leads to {address}, {why}, where this server does not send (setting `egress_allow`)")]
    Forbidden {
        /// Where.
        address: IpAddr,
        /// What that is.
        why: &'static str,
    },
    /// Without TLS, and not within the networks that the settings name.
    #[error(
        "must begin with https://; plain http:// goes only to networks that the setting `egress_allow` names"
    )]
    Plain,
    /// Its name is not known.
    #[error("names a host that does not resolve")]
    Unresolved,
}

/// Checks addresses and gives out clients that can reach no others.
#[derive(Clone)]
pub struct Guard {
    policy: Arc<Policy>,
    resolver: Arc<dyn NameResolver>,
    encrypted: reqwest::Client,
    plain: reqwest::Client,
}

impl Guard {
    /// A guard of this policy. Its TLS trusts `extra_roots` besides the well-known authorities.
    ///
    /// # Errors
    /// When a certificate cannot be read.
    pub fn new(
        policy: Policy,
        resolver: Arc<dyn NameResolver>,
        extra_roots: &[Bytes],
    ) -> Result<Self, reqwest::Error> {
        let policy = Arc::new(policy);
        let client = |plain: bool| {
            let guarded = resolve::Guarded {
                policy: Arc::clone(&policy),
                resolver: Arc::clone(&resolver),
                plain,
            };
            let mut builder = reqwest::Client::builder();
            for pem in extra_roots {
                builder = builder.tls_certs_merge([reqwest::Certificate::from_pem(pem)?]);
            }
            builder
                .dns_resolver(guarded)
                // A redirect would lead to an address that nobody checked; receivers have no use for one.
                .redirect(reqwest::redirect::Policy::none())
                // A proxy would resolve the name itself.
                .no_proxy()
                // What a receiver answers is only looked at: nothing that unpacks to gigabytes.
                .no_gzip()
                .referer(false)
                .https_only(!plain)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_max_idle_per_host(KEPT_PER_HOST)
                .pool_idle_timeout(KEPT_FOR)
                .tcp_nodelay(true)
                .user_agent(concat!("Concord/", env!("CARGO_PKG_VERSION")))
                .build()
        };
        Ok(Self {
            encrypted: client(false)?,
            plain: client(true)?,
            policy,
            resolver,
        })
    }

    /// Looks names up for other clients, and gives them checked addresses or none.
    #[must_use]
    pub fn resolver(&self) -> Arc<dyn reqwest::dns::Resolve> {
        // Plain or not depends on the request's scheme, which a resolver is not told: `GuardedTransport` asks for that.
        Arc::new(resolve::Guarded {
            policy: Arc::clone(&self.policy),
            resolver: Arc::clone(&self.resolver),
            plain: false,
        })
    }

    /// The client for an address. Numbers in it are checked here, since no name is resolved for them; names are
    /// resolved and checked when the client connects, and it connects to exactly the addresses that were checked.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn client(&self, url: &Url) -> Result<&reqwest::Client, Refusal> {
        let plain = self.admit(url)?;
        Ok(if plain { &self.plain } else { &self.encrypted })
    }

    /// Whether something could be sent to an address now. A name that is not known (yet) is let pass: nothing is
    /// sent there before it is, and then it is checked.
    ///
    /// # Errors
    /// [`Refusal`].
    pub async fn check(&self, url: &Url) -> Result<(), Refusal> {
        let plain = self.admit(url)?;
        let Some(Host::Domain(name)) = url.host() else {
            return Ok(());
        };
        match self.resolver.resolve(name).await {
            Ok(addresses) => self.policy.admit_all(&addresses, plain),
            Err(_) => Ok(()),
        }
    }

    /// Everything that can be told without a resolver; whether it goes without TLS.
    fn admit(&self, url: &Url) -> Result<bool, Refusal> {
        let plain = match url.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(Refusal::Scheme),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::Userinfo);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !self.policy.takes_port(port) {
            return Err(Refusal::Port(port));
        }
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(Refusal::NotAnAddress("it names no host".to_owned())),
        };
        if let Some(address) = literal {
            self.policy.admit_all(&[address], plain)?;
        }
        Ok(plain)
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// Why a request failed, when the guard refused its address while connecting.
#[must_use]
pub fn refusal_of(error: &reqwest::Error) -> Option<Refusal> {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if let Some(refusal) = inner.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        source = inner.source();
    }
    None
}
