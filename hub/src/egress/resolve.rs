//! Names to addresses. The addresses that are checked are the ones that are connected to: there is no second look-up
//! that could answer differently.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Policy;

/// Looks names up.
#[async_trait]
pub trait NameResolver: Send + Sync {
    /// The addresses of a name.
    ///
    /// # Errors
    /// When the name is not known, or nobody answers who would know.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the operating system does.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

#[async_trait]
impl NameResolver for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((name, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// The resolver of a client: gives it checked addresses or none.
pub(super) struct Guarded {
    pub(super) policy: Arc<Policy>,
    pub(super) resolver: Arc<dyn NameResolver>,
    pub(super) plain: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, resolver, plain) = (Arc::clone(&self.policy), Arc::clone(&self.resolver), self.plain);
        Box::pin(async move {
            let addresses = resolver.resolve(name.as_str()).await?;
            policy.admit_all(&addresses, plain)?;
            let addresses: Vec<SocketAddr> = addresses
                .into_iter()
                // The client puts the port of the address here.
                .map(|address| SocketAddr::new(address, 0))
                .collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
