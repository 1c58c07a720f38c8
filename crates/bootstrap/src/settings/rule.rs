//! What single texts must look like: the rules that are more than a type and a range.

use std::net::{IpAddr, SocketAddr};

use deadpool_redis::redis::IntoConnectionInfo;
use tracing_subscriber::EnvFilter;
use url::{Host, Url};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Keys whose value is a list.
const LISTS: [&str; 2] = ["egress.allow", "egress.no_proxy"];

pub(super) fn is_list(key: &str) -> bool {
    LISTS.contains(&key)
}

/// Kubernetes puts variables such as `TESTFLEET_SERVER_PORT=tcp://10.0.0.7:80` into every container beside a service
/// `testfleet-server`. They are nobody's mistake.
pub(super) fn is_service_link(variable: &str, value: &str) -> bool {
    const SCHEMES: [&str; 3] = ["tcp://", "udp://", "sctp://"];
    let names_a_port = ["_PORT_", "_SERVICE_PORT"].iter().any(|part| variable.contains(part));
    variable.ends_with("_SERVICE_HOST")
        || names_a_port
        || variable.ends_with("_PORT") && SCHEMES.iter().any(|scheme| value.starts_with(scheme))
}

pub(super) fn redis_url(text: &str) -> Result<(), String> {
    let known = ["redis", "valkey", "redis+unix", "valkey+unix", "unix"];
    let expected = "expected redis://[user:password@]host[:port][/db] or redis+unix:///path";
    if text.starts_with("rediss:") || text.starts_with("valkeys:") {
        return Err(format!(
            "{expected}; TLS is not built in, use a local proxy such as stunnel"
        ));
    }
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| known.contains(&scheme)) {
        return Err(expected.to_owned());
    }
    // The reason is the library's own and does not repeat the URL.
    text.into_connection_info()
        .map(|_| ())
        .map_err(|error| format!("{expected}; {error}"))
}

pub(super) fn smtp_url(text: &str) -> Result<(), String> {
    url_with_host(text, &["smtp", "smtps"])
        .ok_or_else(|| "expected smtp://[user:password@]host[:port] or smtps://[user:password@]host[:port]".to_owned())
}

pub(super) fn base_url(text: &str) -> Result<(), String> {
    url_with_host(text, &["http", "https"]).ok_or_else(|| "expected http(s)://host[:port][/path]".to_owned())
}

pub(super) fn proxy_url(text: &str) -> Result<(), String> {
    url_with_host(text, &["http"]).ok_or_else(|| "expected http://[user:password@]host[:port]".to_owned())
}

fn url_with_host(text: &str, schemes: &[&str]) -> Option<()> {
    let url = Url::parse(text).ok()?;
    (schemes.contains(&url.scheme()) && url.has_host()).then_some(())
}

pub(super) fn prefix(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if (1..=32).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(());
    }
    Err("expected 1 to 32 of the characters A-Z a-z 0-9 _ . -".to_owned())
}

pub(super) fn socket_address(text: &str) -> Result<(), String> {
    text.parse::<SocketAddr>()
        .map(|_| ())
        .map_err(|_| "expected an address and a port, such as 127.0.0.1:9464 or [::]:9464".to_owned())
}

pub(super) fn worker_id(text: &str) -> Result<(), String> {
    if text.len() <= 128 && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err("expected at most 128 bytes without control characters".to_owned())
}

/// `address` or `Name <address>`. The mail library has the last word.
pub(super) fn mailbox(text: &str) -> Result<(), String> {
    let address = match text.trim().strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<').map(|(_, address)| address),
        None => Some(text.trim()),
    };
    let parts = address.and_then(|address| address.rsplit_once('@'));
    let good = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>,;".contains(c));
    match parts {
        Some((user, host)) if good(user) && good(host) => Ok(()),
        _ => Err("expected an address such as testfleet@example.com or testfleet <testfleet@example.com>".to_owned()),
    }
}

/// `host`, `host:port`, `*.domain`, an address, or a network in CIDR form.
pub(super) fn egress(text: &str) -> Result<(), String> {
    let good = match text.split_once('/') {
        Some((address, bits)) => is_network(address, bits),
        None => {
            let name = text.strip_prefix("*.").unwrap_or(text);
            is_host(name)
                || name
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| is_host(host) && is_port(port))
        }
    };
    if good {
        Ok(())
    } else {
        Err(format!(
            "expected host, host:port, *.domain or a network such as 10.0.0.0/8, found {text:?}"
        ))
    }
}

fn is_network(address: &str, bits: &str) -> bool {
    let widest = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= widest)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    match Host::parse(text) {
        Ok(Host::Domain(name)) => name.chars().all(plain),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        Err(_) => text.parse::<IpAddr>().is_ok(),
    }
}

/// A level, or `target=level` exceptions. A lone word that is no level would be read as a target by the library: a
/// misspelt level would silence the log.
pub(super) fn log_level(text: &str) -> Result<(), String> {
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let mut parts = text.split(',').map(str::trim);
    let good = parts.all(|part| part.contains('=') || part.contains('[') || is_level(part));
    if good && EnvFilter::try_new(text).is_ok() {
        return Ok(());
    }
    Err(format!(
        "expected {}, or exceptions such as info,testfleet_store=debug",
        LEVELS.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn egress_rules_name_hosts_ports_and_networks() {
        for good in [
            "host",
            "api.example.com",
            "localhost:8080",
            "10.0.0.0/8",
            "127.0.0.1",
            "127.0.0.1:80",
            "*.internal",
            "*.internal:8080",
            "[::1]:80",
            "::1",
            "fd00::/8",
        ] {
            assert_eq!(egress(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "http://host",
            "host:0",
            "host:99999",
            "10.0.0.0/33",
            "host/8",
            "a b",
        ] {
            assert!(egress(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_misspelt_level_is_no_target() {
        for good in ["info", "WARN", "info,testfleet_store=debug", "off"] {
            assert_eq!(log_level(good), Ok(()), "{good}");
        }
        for bad in ["", "inof", "info,verbose", "store=loud"] {
            assert!(log_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn senders_have_an_address() {
        for good in ["a@b", "testfleet <testfleet@localhost>", "\"A, B\" <a@b.example>"] {
            assert_eq!(mailbox(good), Ok(()), "{good}");
        }
        for bad in ["", "nobody", "a@", "a <b>", "a@b, c@d"] {
            assert!(mailbox(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn redis_urls_are_what_the_client_can_open() {
        for good in [
            "redis://h",
            "redis://u:p@h:1/2",
            "redis+unix:///run/r.sock",
            "valkey://h",
        ] {
            assert_eq!(redis_url(good), Ok(()), "{good}");
        }
        for bad in ["h:6379", "http://h", "rediss://h", "redis://h/none"] {
            assert!(redis_url(bad).is_err(), "{bad}");
        }
    }
}
