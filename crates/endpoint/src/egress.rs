//! Which addresses calls may go to.
//!
//! Public addresses are allowed. Private, loopback, link-local (where clouds keep their metadata service), shared,
//! multicast and reserved ones are not, unless a rule names them. The check is made on every address a name
//! resolves to, at the moment the connection is made, so that a name cannot be swapped between check and use; and on
//! addresses written in a URL, which no resolver ever sees. IPv6 addresses that carry an IPv4 address are judged by
//! the latter.

mod address;
mod proxy;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use url::{Host, Url};

use self::address::{LOOPBACK, PRIVATE, carried, kind};
pub use self::proxy::{InvalidProxy, Proxy};

/// The policy: deny what is not public, except what a rule allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    rules: Vec<EgressRule>,
    loopback: bool,
    private: bool,
    proxy: Option<Arc<Proxy>>,
}

/// An exception: a host, an address or a network, with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EgressRule {
    what: Destination,
    /// `None`: every port.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    /// A name; the addresses it resolves to are then not looked at.
    Name(String),
    /// Every name below one, not the name itself.
    Below(String),
    /// Addresses whose first bits are these.
    Network { address: IpAddr, bits: u8 },
}

/// A text that is no rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an egress rule: expected a host, host:port, *.domain, an IP address, address:port or a network such as 10.0.0.0/8"
)]
pub struct InvalidRule {
    /// What was given.
    pub text: String,
}

/// A destination the policy does not allow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} port {port} is not allowed by the egress policy ({address} is {kind}); to allow it, add {host}:{port} to egress.allow"
)]
pub struct EgressDenied {
    /// The host of the URL.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The first address that was denied.
    pub address: IpAddr,
    /// What kind of address it is: `loopback`, `private`, …
    pub kind: &'static str,
}

impl Egress {
    /// Public addresses only.
    #[must_use]
    pub fn public_only() -> Self {
        Self::default()
    }

    /// The policy of the given rules, all invalid ones reported at once.
    ///
    /// # Errors
    /// The rules that cannot be read.
    pub fn with_rules<S: AsRef<str>>(rules: impl IntoIterator<Item = S>) -> Result<Self, Vec<InvalidRule>> {
        let mut egress = Self::default();
        let mut invalid = Vec::new();
        for rule in rules {
            match rule.as_ref().parse() {
                Ok(rule) => egress.rules.push(rule),
                Err(error) => invalid.push(error),
            }
        }
        if invalid.is_empty() { Ok(egress) } else { Err(invalid) }
    }

    /// Whether loopback addresses are allowed without a rule: for a local `testfleet run`, whose user tries a service
    /// of their own machine.
    #[must_use]
    pub fn allow_loopback(mut self, allow: bool) -> Self {
        self.loopback = allow;
        self
    }

    /// Whether private networks (RFC 1918, RFC 4193) are allowed without a rule. Link-local addresses stay denied.
    #[must_use]
    pub fn allow_private(mut self, allow: bool) -> Self {
        self.private = allow;
        self
    }

    /// The same policy for calls that go through a proxy. Where they end is checked before as far as it can be known here, see
    /// `Guard`; what the proxy makes of a name is its own.
    #[must_use]
    pub fn through(mut self, proxy: Proxy) -> Self {
        self.proxy = Some(Arc::new(proxy));
        self
    }

    /// Checks what can be known before resolving: an address in the URL. Names pass; see [`Egress::filter`].
    ///
    /// # Errors
    /// When the URL's host is an address that is not allowed.
    pub fn check_url(&self, url: &Url) -> Result<(), EgressDenied> {
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        let port = url.port_or_known_default().unwrap_or_default();
        self.filter(&address.to_string(), port, [address]).map(|_| ())
    }

    /// Of the addresses a host resolved to, those that may be called.
    ///
    /// # Errors
    /// When none is left; names the first that was denied.
    pub fn filter(
        &self,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = IpAddr>,
    ) -> Result<Vec<IpAddr>, EgressDenied> {
        let any = self.names(host, port);
        let mut allowed = Vec::new();
        let mut denied = None;
        for address in addresses {
            match self.denies(address, port) {
                Some(kind) if !any => {
                    denied.get_or_insert(EgressDenied {
                        host: host.to_owned(),
                        port,
                        address,
                        kind,
                    });
                }
                _ => allowed.push(address),
            }
        }
        match denied {
            Some(denied) if allowed.is_empty() => Err(denied),
            _ => Ok(allowed),
        }
    }

    /// Whether a rule names the host: whatever it resolves to is allowed.
    pub(crate) fn names(&self, host: &str, port: u16) -> bool {
        let name = plain_name(host);
        self.rules.iter().any(|rule| rule.names(&name, port))
    }

    /// Why the address is denied; `None` when it is allowed.
    fn denies(&self, address: IpAddr, port: u16) -> Option<&'static str> {
        let carried = carried(address);
        let kind = kind(address)?;
        let allowed = (self.loopback && kind == LOOPBACK)
            || (self.private && kind == PRIVATE)
            || self
                .rules
                .iter()
                .any(|rule| rule.covers(address, port) || rule.covers(carried, port));
        (!allowed).then_some(kind)
    }
}

impl EgressRule {
    fn names(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
            && match &self.what {
                Destination::Name(name) => name == host,
                Destination::Below(domain) => host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
                Destination::Network { .. } => false,
            }
    }

    fn covers(&self, candidate: IpAddr, port: u16) -> bool {
        let Destination::Network { address, bits } = self.what else {
            return false;
        };
        self.port.is_none_or(|own| own == port)
            && match (address, candidate) {
                (IpAddr::V4(a), IpAddr::V4(b)) => same_bits(u128::from(a.to_bits()), u128::from(b.to_bits()), 32, bits),
                (IpAddr::V6(a), IpAddr::V6(b)) => same_bits(a.to_bits(), b.to_bits(), 128, bits),
                _ => false,
            }
    }
}

/// A name as rules have it.
fn plain_name(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn same_bits(a: u128, b: u128, width: u8, bits: u8) -> bool {
    let ignored = u32::from(width - bits.min(width));
    a.checked_shr(ignored).unwrap_or(0) == b.checked_shr(ignored).unwrap_or(0)
}

impl FromStr for EgressRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let invalid = || InvalidRule { text: text.to_owned() };
        let rule = text.trim();
        if let Some(network) = network(rule) {
            return Ok(Self {
                what: network,
                port: None,
            });
        }
        let (host, port) = match rule.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| invalid())?)),
            None => (rule, None),
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Some(what) = network(bare) {
            return Ok(Self { what, port });
        }
        let (domain, below) = match host.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (host, false),
        };
        // The same parser that reads URLs, so that a rule and a URL spell a name alike.
        let Ok(Host::Domain(name)) = Host::parse(domain) else {
            return Err(invalid());
        };
        // After parsing, which decodes `%2e` and maps other full stops; hosts that are called are compared without it.
        // What is left could be something else than a name: `10.%2e`.
        let name = name.trim_end_matches('.');
        let is_name = Host::parse(name) == Ok(Host::Domain(name.to_owned()));
        if !is_name || name.contains('*') {
            return Err(invalid());
        }
        let what = if below { Destination::Below } else { Destination::Name };
        Ok(Self {
            what: what(name.to_owned()),
            port,
        })
    }
}

/// An address, or a network in CIDR notation.
fn network(text: &str) -> Option<Destination> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse().ok()?, Some(bits.parse::<u8>().ok()?)),
        None => (text.parse().ok()?, None),
    };
    let width = match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    };
    let bits = bits.unwrap_or(width);
    (bits <= width).then_some(Destination::Network { address, bits })
}

impl fmt::Display for EgressRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Destination::Name(name) => f.write_str(name)?,
            Destination::Below(domain) => write!(f, "*.{domain}")?,
            Destination::Network { address, bits } => match (address, self.port) {
                (IpAddr::V4(address), Some(_)) if *bits == 32 => write!(f, "{address}")?,
                (IpAddr::V6(address), Some(_)) if *bits == 128 => write!(f, "[{address}]")?,
                (IpAddr::V6(address), Some(_)) => write!(f, "[{address}/{bits}]")?,
                (address, _) => write!(f, "{address}/{bits}")?,
            },
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(egress: &Egress, url: &str) -> bool {
        egress.check_url(&Url::parse(url).unwrap()).is_ok()
    }

    #[test]
    fn only_public_addresses_pass_without_a_rule() {
        let egress = Egress::public_only().allow_loopback(false);
        for url in [
            "http://127.0.0.1/",
            "http://127.9.9.9/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0/",
            "http://10.1.2.3/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data",
            "http://100.100.100.200/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://[::127.0.0.1]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(!allowed(&egress, url), "{url}");
        }
        for url in [
            "http://1.1.1.1/",
            "http://172.32.0.1/",
            "http://100.128.0.1/",
            "http://[2606:4700::1111]/",
            "http://[::ffff:1.1.1.1]/",
        ] {
            assert!(allowed(&egress, url), "{url}");
        }
    }

    #[test]
    fn addresses_are_known_in_every_notation() {
        let egress = Egress::public_only().allow_loopback(false);
        for url in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0177.0.0.1/",
            "http://0x7f000001/",
            "http://0x7f.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0/",
            "http://%31%32%37.0.0.1/",
            "http://\u{ff11}27.0.0.1/",
            "http://127\u{3002}0\u{3002}0\u{3002}1/",
            "http://\u{2460}\u{2461}7.0.0.1/",
            "http://127.0.0.1./",
            "http://1.1.1.1@127.0.0.1/",
            "http://1.1.1.1:80@127.0.0.1:80/",
            "http://user:password@169.254.169.254/latest/meta-data",
            "http:\\\\10.1.2.3\\",
            "http://127.0.0.1\\@1.1.1.1/",
            "http://[::1]/",
            "http://[0:0:0:0:0:0:0:1]/",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:0:7f00:1]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "wss://[2002:7f00:1::]/",
            "ws://2130706433/",
        ] {
            assert!(!allowed(&egress, url), "{url}");
        }
        for url in [
            "http://1.1.1.1/",
            "http://127.0.0.1@1.1.1.1/",
            "http://[2606:4700::1111]/",
        ] {
            assert!(allowed(&egress, url), "{url}");
        }
    }

    #[test]
    fn a_rule_allows_what_it_names_and_nothing_more() {
        let egress = Egress::with_rules(["10.0.0.0/8", "127.0.0.1:8080", "[::1]:9000", "fd00::/8"]).unwrap();
        for (url, expected) in [
            ("http://10.200.0.1:1234/", true),
            ("http://11.0.0.1/", true),
            ("http://192.168.0.1/", false),
            ("http://127.0.0.1:8080/", true),
            ("http://[::ffff:127.0.0.1]:8080/", true),
            ("http://127.0.0.1:8081/", false),
            ("http://127.0.0.2:8080/", false),
            ("http://[::1]:9000/", true),
            ("http://[::1]/", false),
            ("http://[fd12::1]/", true),
        ] {
            assert_eq!(allowed(&egress, url), expected, "{url}");
        }
    }

    #[test]
    fn a_name_rule_trusts_whatever_the_name_resolves_to() {
        let egress = Egress::with_rules(["LLM.internal:443", "*.lab.example"]).unwrap();
        let private = [IpAddr::from([10, 0, 0, 1])];
        for (host, port, expected) in [
            ("llm.internal", 443, true),
            ("llm.internal.", 443, true),
            ("llm.internal", 80, false),
            ("other.internal", 443, false),
            ("a.lab.example", 80, true),
            ("lab.example", 80, false),
            ("evil-lab.example", 80, false),
        ] {
            assert_eq!(egress.filter(host, port, private).is_ok(), expected, "{host}:{port}");
        }
    }

    #[test]
    fn of_several_addresses_only_the_allowed_ones_are_left() {
        let egress = Egress::public_only();
        let public = IpAddr::from([1, 1, 1, 1]);
        let mixed = [IpAddr::from([127, 0, 0, 1]), public];
        assert_eq!(egress.filter("mixed.example", 80, mixed), Ok(vec![public]));
    }

    #[test]
    fn loopback_and_private_are_allowed_separately_and_metadata_by_neither() {
        let egress = Egress::public_only().allow_loopback(true);
        assert!(allowed(&egress, "http://127.0.0.1/") && allowed(&egress, "http://[::1]/"));
        assert!(!allowed(&egress, "http://10.0.0.1/"));
        let egress = Egress::public_only().allow_private(true);
        assert!(allowed(&egress, "http://10.0.0.1/") && allowed(&egress, "http://[fd00::1]/"));
        assert!(!allowed(&egress, "http://127.0.0.1/") && !allowed(&egress, "http://169.254.169.254/"));
        assert!(!allowed(&egress, "http://[fd00:ec2::254]/") && !allowed(&egress, "http://168.63.129.16/"));
    }

    #[test]
    fn all_invalid_rules_are_reported_at_once() {
        let invalid = Egress::with_rules(["ok.example", "10.0.0.0/33", "host:port", "", "a b"]).unwrap_err();
        assert_eq!(invalid.len(), 4, "{invalid:?}");
    }

    #[test]
    fn a_rule_reads_back_as_it_is_shown() {
        for text in [
            "a.example",
            "a.example:80",
            "*.b.example",
            "10.0.0.0/8",
            "127.0.0.1:80",
            "[::1]:80",
        ] {
            let rule: EgressRule = text.parse().unwrap();
            assert_eq!(rule.to_string(), text);
        }
    }

    #[test]
    fn a_rule_that_is_shown_reads_as_the_same_rule() {
        for text in [
            "10.0.0.0/8",
            "10.0.0.0/8:8080",
            "127.0.0.1:80",
            "::1",
            "[::1]:9000",
            "[fd00::/8]:8080",
            "fd00::/0:8080",
            "*.lab.example:443",
            "HOST",
            "host%2e",
            "host\u{3002}",
        ] {
            let rule: EgressRule = text.parse().unwrap();
            assert_eq!(rule.to_string().parse(), Ok(rule), "{text}");
        }
        for text in ["10.%2e", "%2e", "."] {
            assert!(text.parse::<EgressRule>().is_err(), "{text}");
        }
    }
}
