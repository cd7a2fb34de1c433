//! Streams that are not HTTP under guard (setting `guard_connections`): looked up once, checked, and opened to exactly
//! the addresses that were checked.

use std::net::SocketAddr;

use async_trait::async_trait;
use connector_sdk::dial::{Endpoint, Lookup, Security};
use connector_sdk::{Error, ErrorKind};

use super::{Guard, Refusal};

#[async_trait]
impl Lookup for Guard {
    async fn addresses(&self, to: &Endpoint) -> Result<Vec<SocketAddr>, Error> {
        let refused = |refusal: Refusal| {
            let message = format!("the address {refusal}; nothing was sent");
            Error::new(ErrorKind::Unavailable, to.operation, message)
        };
        if !self.policy.takes_port(to.port) {
            return Err(refused(Refusal::Port(to.port)));
        }
        let found = match to.literal() {
            Some(address) => vec![address],
            None => {
                let found = self.resolver.resolve(&to.host).await;
                found.map_err(|_| refused(Refusal::Unresolved))?
            }
        };
        let plain = to.security == Security::Plain;
        self.policy.admit_all(&found, plain).map_err(refused)?;
        Ok(found
            .into_iter()
            .map(|address| SocketAddr::new(address, to.port))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::egress::{Policy, SystemResolver};

    async fn told(host: &str, port: u16, security: Security) -> Result<Vec<SocketAddr>, String> {
        let policy = Policy::parse("127.0.0.0/8", "993, 143").unwrap();
        let guard = Guard::new(policy, Arc::new(SystemResolver), &[]).unwrap();
        let to = Endpoint {
            host: host.to_owned(),
            port,
            security,
            operation: "dial",
        };
        guard.addresses(&to).await.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn a_stream_goes_where_the_settings_let_it_and_nowhere_else() {
        assert_eq!(
            told("127.0.0.1", 993, Security::Tls).await.unwrap(),
            ["127.0.0.1:993".parse().unwrap()]
        );
        assert!(told("127.0.0.1", 143, Security::Plain).await.is_ok());
        for (host, port, security, word) in [
            ("127.0.0.1", 25, Security::Tls, "port 25"),
            ("10.1.2.3", 993, Security::Tls, "private"),
            ("169.254.169.254", 993, Security::Tls, "metadata"),
            ("::ffff:10.1.2.3", 993, Security::Tls, "another form"),
            ("8.8.8.8", 143, Security::Plain, "https"),
        ] {
            let message = told(host, port, security).await.unwrap_err();
            assert!(message.contains(word), "{host}: {message}");
        }
    }
}
