//! Which addresses belong to nobody on the public internet.
//!
//! IPv4 is public unless listed: <https://www.iana.org/assignments/iana-ipv4-special-registry>. IPv6 is refused unless
//! it is global unicast (`2000::/3`), and some of that is refused too:
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const V4: &[(Ipv4Net, &str)] = &[
    (v4(0, 0, 0, 0, 8), "this host"),
    (v4(10, 0, 0, 0, 8), "a private network"),
    // Alibaba Cloud's metadata is at 100.100.100.200.
    (v4(100, 64, 0, 0, 10), "a carrier's shared network"),
    (v4(127, 0, 0, 0, 8), "this host"),
    // AWS, Google, Azure and others: 169.254.169.254, containers' credentials at 169.254.170.2.
    (
        v4(169, 254, 0, 0, 16),
        "a link-local network, where clouds keep metadata",
    ),
    (v4(172, 16, 0, 0, 12), "a private network"),
    // Oracle Cloud's metadata is at 192.0.0.192.
    (v4(192, 0, 0, 0, 24), "a network for protocols"),
    (v4(192, 0, 2, 0, 24), "a network for documentation"),
    (v4(192, 31, 196, 0, 24), "a network for AS112"),
    (v4(192, 52, 193, 0, 24), "a network for multicast tunnels"),
    (v4(192, 88, 99, 0, 24), "a network for 6to4 relays"),
    (v4(192, 168, 0, 0, 16), "a private network"),
    (v4(192, 175, 48, 0, 24), "a network for AS112"),
    (v4(198, 18, 0, 0, 15), "a network for benchmarks"),
    (v4(198, 51, 100, 0, 24), "a network for documentation"),
    (v4(203, 0, 113, 0, 24), "a network for documentation"),
    // <https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16>
    (v4(168, 63, 129, 16, 32), "Azure's platform, seen from inside"),
    (v4(224, 0, 0, 0, 4), "a multicast network"),
    (v4(240, 0, 0, 0, 4), "a reserved network"),
];

const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 3);

const V6: &[(Ipv6Net, &str)] = &[
    // Teredo (2001::/32), ORCHID, benchmarks (2001:2::/48) and more.
    (v6(0x2001, 0, 0, 23), "a network for protocols and tunnels"),
    (v6(0x2001, 0x0db8, 0, 32), "a network for documentation"),
    (v6(0x2002, 0, 0, 16), "a 6to4 tunnel"),
    (v6(0x2620, 0x004f, 0x8000, 48), "a network for AS112"),
    (v6(0x3fff, 0, 0, 20), "a network for documentation"),
];

/// What a forbidden address is; `None` for one on the public internet.
pub(super) fn forbidden(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => forbidden_v4(address),
        IpAddr::V6(address) => forbidden_v6(address),
    }
}

fn forbidden_v4(address: Ipv4Addr) -> Option<&'static str> {
    let listed = V4.iter().find(|(net, _)| net.contains(&address));
    listed.map(|(_, why)| *why)
}

fn forbidden_v6(address: Ipv6Addr) -> Option<&'static str> {
    if let Some((_, why)) = V6.iter().find(|(net, _)| net.contains(&address)) {
        return Some(why);
    }
    if embedded(address).is_some() {
        return Some("an IPv4 address in another form");
    }
    (!GLOBAL_UNICAST.contains(&address)).then_some("not an address of the public internet")
}

/// The IPv4 address that packets to an IPv6 address end at.
pub(super) fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let words = address.segments();
    let of = |high: u16, low: u16| Some(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match words {
        // Unspecified and loopback, which look like the next form.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // ::a.b.c.d and ::ffff:a.b.c.d (RFC 4291, 2.5.5), ::ffff:0:a.b.c.d (RFC 2765).
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => of(high, low),
        // NAT64: 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215).
        [0x64, 0xff9b, 0 | 1, _, _, _, high, low] => of(high, low),
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => of(high, low),
        // Teredo (RFC 4380): the client's address, inverted.
        [0x2001, 0, _, _, _, _, high, low] => of(!high, !low),
        // ISATAP (RFC 5214).
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => of(high, low),
        _ => None,
    }
}
