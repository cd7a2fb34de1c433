//! What the settings say about the way out: networks that may be reached although they are not public, and ports.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::Refusal;
use super::address::{embedded, forbidden};

/// Networks and ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    allowed: Vec<IpNet>,
    ports: Vec<RangeInclusive<u16>>,
}

/// A part of the settings that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be read")]
pub struct PolicyError(pub String);

impl Policy {
    /// From the settings' texts: networks such as `10.1.0.0/16, fd00::/8`, ports such as `443, 8000-8999`.
    ///
    /// # Errors
    /// Names the part that cannot be read.
    pub fn parse(allowed: &str, ports: &str) -> Result<Self, PolicyError> {
        let wrong = |part: &str| PolicyError(part.to_owned());
        let net = |part: &str| {
            part.parse::<IpNet>()
                .or_else(|_| part.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| wrong(part))
        };
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let bound = |text: &str| text.trim().parse::<u16>().map_err(|_| wrong(part));
            let range = bound(first)?..=bound(last)?;
            if range.is_empty() || *range.start() == 0 {
                return Err(wrong(part));
            }
            Ok(range)
        };
        Ok(Self {
            allowed: parts(allowed).map(net).collect::<Result<_, _>>()?,
            ports: parts(ports).map(range).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn takes_port(&self, port: u16) -> bool {
        self.ports.iter().any(|range| range.contains(&port))
    }

    /// All addresses of a name must be fit: one that has both a public and a private one is up to no good.
    pub(super) fn admit_all(&self, addresses: &[IpAddr], plain: bool) -> Result<(), Refusal> {
        if addresses.is_empty() {
            return Err(Refusal::Unresolved);
        }
        addresses
            .iter()
            .try_for_each(|address| self.admit(*address, plain))
    }

    fn admit(&self, address: IpAddr, plain: bool) -> Result<(), Refusal> {
        let allowed = self.allows(address);
        if !allowed && let Some(why) = forbidden(address) {
            return Err(Refusal::Forbidden { address, why });
        }
        if plain && !allowed {
            return Err(Refusal::Plain);
        }
        Ok(())
    }

    /// Whether the settings name its network. An IPv4 address in another form must be fit itself, too: who allows
    /// NAT64 does not thereby allow everything behind it.
    fn allows(&self, address: IpAddr) -> bool {
        let named = |address: IpAddr| self.allowed.iter().any(|net| net.contains(&address));
        let inner = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => embedded(address).map(IpAddr::V4),
        };
        named(address) && inner.is_none_or(|inner| named(inner) || forbidden(inner).is_none())
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_read_are_refused_by_their_part() {
        for (allowed, ports, part) in [
            ("10.0.0.0/33", "443", "10.0.0.0/33"),
            ("10.0.0.0/8, example.com", "443", "example.com"),
            ("", "http", "http"),
            ("", "0", "0"),
            ("", "9-8", "9-8"),
            ("", "443,65536", "65536"),
        ] {
            assert_eq!(Policy::parse(allowed, ports), Err(PolicyError(part.to_owned())));
        }
    }

    #[test]
    fn who_allows_nat64_does_not_allow_what_is_private_behind_it() {
        let policy = Policy::parse("64:ff9b::/96", "443").unwrap();
        let admit = |text: &str| policy.admit_all(&[text.parse().unwrap()], false);
        assert_eq!(admit("64:ff9b::8.8.8.8"), Ok(()));
        assert!(matches!(
            admit("64:ff9b::10.0.0.1"),
            Err(Refusal::Forbidden { .. })
        ));
    }

    #[test]
    fn plain_http_goes_only_to_networks_that_are_named() {
        let policy = Policy::parse("10.0.0.0/8, 192.0.2.7", "80-81").unwrap();
        let admit = |text: &str| policy.admit_all(&[text.parse().unwrap()], true);
        assert_eq!(admit("10.1.2.3"), Ok(()));
        assert_eq!(admit("192.0.2.7"), Ok(()));
        assert_eq!(admit("8.8.8.8"), Err(Refusal::Plain));
        assert!(matches!(admit("192.0.2.8"), Err(Refusal::Forbidden { .. })));
        assert!(policy.takes_port(81) && !policy.takes_port(82));
    }
}
