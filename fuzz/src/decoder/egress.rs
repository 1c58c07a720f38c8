//! Rules of the egress policy, one a line, and behind an empty line URLs that are to be called.

use std::net::IpAddr;

use testfleet_endpoint::{Egress, EgressRule};
use url::{Host, Url};

use super::input::{halves, said, text};

/// Reads the rules and asks them.
pub fn check(data: &[u8]) {
    let (rules, urls) = halves(data);
    let (rules, urls) = (text(rules), text(urls));
    let mut good = Vec::new();
    for line in rules.lines() {
        match line.parse::<EgressRule>() {
            Ok(rule) => {
                let again: EgressRule = rule.to_string().parse().expect("a rule that was shown reads");
                assert_eq!(again, rule);
                good.push(line);
            }
            Err(error) => said(&error.to_string()),
        }
    }
    let invalid = Egress::with_rules(rules.lines())
        .err()
        .map_or(0, |invalid| invalid.len());
    assert_eq!(invalid, rules.lines().count() - good.len());
    let policy = Egress::with_rules(good).expect("good rules together");
    for url in urls.lines().filter_map(|line| Url::parse(line).ok()) {
        if let Err(denied) = policy.check_url(&url) {
            said(&denied.to_string());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            _ => continue,
        };
        if inside(address) {
            assert!(Egress::public_only().check_url(&url).is_err(), "{url}");
        }
    }
}

/// What no rule-less policy may let through, by the standard library's reckoning.
fn inside(address: IpAddr) -> bool {
    let v4 = match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    };
    match (v4, address) {
        (Some(v4), _) => v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified(),
        (None, IpAddr::V6(v6)) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local()
        }
        (None, IpAddr::V4(_)) => false,
    }
}
