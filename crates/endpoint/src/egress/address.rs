//! What makes an address not public.
//!
//! Source: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890). Of IPv6 only `2000::/3` is given out
//! as global unicast; whatever lies outside is denied, also what gets a meaning after this was written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const LOOPBACK: &str = "loopback";
pub(super) const PRIVATE: &str = "private";
/// Where machines of a cloud are told who they are and get credentials, at addresses that look public or private.
const METADATA: &str = "a cloud's metadata service";

/// Metadata services (IPv6) of AWS, Google Cloud and Scaleway. Those at link-local and shared addresses need no entry.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
];
/// Azure's wire server.
const METADATA_V4: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// What makes the address not public; `None` for a public one. One that carries an IPv4 address is public when that is.
pub(super) fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => match inside(address) {
            Some((inner, Cover::Only)) => kind_v4(inner),
            Some((inner, Cover::Also)) => kind_v6(address).or_else(|| kind_v4(inner)),
            None => kind_v6(address),
        },
    }
}

/// The IPv4 address inside an IPv6 one, else the address itself.
pub(super) fn carried(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => inside(v6).map_or(address, |(inner, _)| IpAddr::V4(inner)),
        IpAddr::V4(_) => address,
    }
}

/// What an IPv6 address around an IPv4 one means itself.
enum Cover {
    /// Nothing.
    Only,
    /// It is an address of a network, too.
    Also,
}

fn inside(address: Ipv6Addr) -> Option<(Ipv4Addr, Cover)> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from_bits((u32::from(high) << 16) | u32::from(low));
    Some(match address.segments() {
        // IPv4-mapped (RFC 4291), IPv4-translated (RFC 2765), NAT64 (RFC 6052).
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => (v4(high, low), Cover::Only),
        // IPv4-compatible (RFC 4291), without `::` and `::1`.
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 || low > 1 => (v4(high, low), Cover::Only),
        // 6to4 (RFC 3056), ISATAP (RFC 5214).
        [0x2002, high, low, ..] | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => (v4(high, low), Cover::Also),
        _ => return None,
    })
}

fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    if address == METADATA_V4 {
        return Some(METADATA);
    }
    Some(match address.octets() {
        [127, ..] => LOOPBACK,
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => PRIVATE,
        [169, 254, ..] => "link-local",
        [100, 64..=127, ..] => "shared",
        [0, ..] => "unspecified",
        [224..=239, ..] => "multicast",
        [240..=255, ..]
        | [192, 0, 0, _]
        | [192, 0, 2, _]
        | [192, 88, 99, _]
        | [198, 18..=19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => "reserved",
        _ => return None,
    })
}

fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some(LOOPBACK);
    }
    if METADATA_V6.contains(&address) {
        return Some(METADATA);
    }
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "unspecified",
        [0xfc00..=0xfdff, ..] => PRIVATE,
        [0xfe80..=0xfebf, ..] => "link-local",
        [0xfec0..=0xfeff, ..] => "site-local",
        [0xff00..=0xffff, ..] => "multicast",
        // Protocol assignments (Teredo among them), documentation, documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => "reserved",
        [0x2000..=0x3fff, ..] => return None,
        _ => "reserved",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(text: &str) -> Option<&'static str> {
        kind(text.parse().unwrap())
    }

    #[test]
    fn addresses_of_no_public_network_are_called_by_their_kind() {
        for (text, expected) in [
            ("127.0.0.1", LOOPBACK),
            ("127.255.255.254", LOOPBACK),
            ("10.1.2.3", PRIVATE),
            ("172.16.0.1", PRIVATE),
            ("172.31.255.255", PRIVATE),
            ("192.168.1.1", PRIVATE),
            ("169.254.169.254", "link-local"),
            ("100.100.100.200", "shared"),
            ("0.0.0.0", "unspecified"),
            ("0.1.2.3", "unspecified"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("192.0.0.192", "reserved"),
            ("198.19.0.1", "reserved"),
            ("168.63.129.16", METADATA),
            ("::", "unspecified"),
            ("::1", LOOPBACK),
            ("fd12::1", PRIVATE),
            ("fd00:ec2::254", METADATA),
            ("fd20:ce::254", METADATA),
            ("fd00:42::42", METADATA),
            ("fe80::1", "link-local"),
            ("fec0::1", "site-local"),
            ("ff02::1", "multicast"),
            ("2001:db8::1", "reserved"),
            ("3fff:fff::1", "reserved"),
            ("100::1", "reserved"),
            ("5f00::1", "reserved"),
            ("4000::1", "reserved"),
            ("64:ff9b:1::a00:1", "reserved"),
        ] {
            assert_eq!(kind_of(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn an_address_around_another_is_judged_by_the_one_inside() {
        for (text, expected) in [
            ("::ffff:127.0.0.1", Some(LOOPBACK)),
            ("::ffff:a9fe:a9fe", Some("link-local")),
            ("::ffff:1.1.1.1", None),
            ("::127.0.0.1", Some(LOOPBACK)),
            ("::ffff:0:10.0.0.1", Some(PRIVATE)),
            ("64:ff9b::10.0.0.1", Some(PRIVATE)),
            ("64:ff9b::1.1.1.1", None),
            ("64:ff9b::168.63.129.16", Some(METADATA)),
            ("2002:7f00:1::", Some(LOOPBACK)),
            ("2002:a9fe:a9fe::1", Some("link-local")),
            ("2002:101:101::1", None),
            // Teredo is denied whatever it carries.
            ("2001:0:101:101::1", Some("reserved")),
            ("2606:4700::5efe:10.0.0.1", Some(PRIVATE)),
            ("2606:4700::200:5efe:127.0.0.1", Some(LOOPBACK)),
            ("fe80::5efe:1.1.1.1", Some("link-local")),
            ("2606:4700::5efe:1.1.1.1", None),
        ] {
            assert_eq!(kind_of(text), expected, "{text}");
        }
    }

    #[test]
    fn public_addresses_are_nothing_else() {
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2a00::1",
            "3ffe::1",
            "2001:4860::1",
        ] {
            assert_eq!(kind_of(text), None, "{text}");
        }
    }
}
