//! The proxy that calls go through, where an operator has set one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::{Egress, EgressRule, InvalidRule};

/// A proxy for HTTP, and for everything else by its method CONNECT. The address of the proxy itself is not subject to the policy:
/// whoever sets it allows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Without credentials.
    url: Url,
    credentials: Option<(String, String)>,
    /// What is called without it.
    direct: Vec<EgressRule>,
}

/// A setting that describes no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    /// Its URL, which is not shown: it may have a password.
    #[error("expected http://[user:password@]host[:port]")]
    Url,
    /// What is to be called without it.
    #[error("{0}")]
    Direct(#[from] InvalidRule),
}

impl Proxy {
    /// The proxy at `http://[user:password@]host[:port]`, except for the hosts, addresses and networks of `direct`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn new<S: AsRef<str>>(url: &str, direct: impl IntoIterator<Item = S>) -> Result<Self, InvalidProxy> {
        let mut url = Url::parse(url.trim()).map_err(|_| InvalidProxy::Url)?;
        let plain = url.scheme() == "http" && url.has_host() && url.path() == "/" && url.query().is_none();
        if !plain || url.fragment().is_some() {
            return Err(InvalidProxy::Url);
        }
        let decode = |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned());
        let name = decode(url.username()).map_err(|_| InvalidProxy::Url)?;
        let password = decode(url.password().unwrap_or_default()).map_err(|_| InvalidProxy::Url)?;
        let credentials = (!name.is_empty() || !password.is_empty()).then_some((name, password));
        // Neither fails for a URL with a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let direct = direct.into_iter().map(|rule| rule.as_ref().parse());
        Ok(Self {
            url,
            credentials,
            direct: direct.collect::<Result<_, _>>()?,
        })
    }

    /// Without credentials.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn credentials(&self) -> Option<(&str, &str)> {
        self.credentials
            .as_ref()
            .map(|(name, password)| (name.as_str(), password.as_str()))
    }

    /// The value of `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<String> {
        let (name, password) = self.credentials()?;
        Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
    }

    /// What must not be shown: the password, and what it is sent as.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let sent = self
            .authorization()
            .map(|value| value.trim_start_matches("Basic ").to_owned());
        let password = self.credentials().map(|(_, password)| password.to_owned());
        password
            .into_iter()
            .chain(sent)
            .filter(|text| !text.is_empty())
            .collect()
    }

    fn is_for(&self, url: &Url) -> bool {
        let port = url.port_or_known_default().unwrap_or_default();
        !self.direct.iter().any(|rule| match url.host() {
            Some(Host::Domain(name)) => rule.names(&super::plain_name(name), port),
            Some(Host::Ipv4(address)) => rule.covers(address.into(), port),
            Some(Host::Ipv6(address)) => rule.covers(address.into(), port),
            None => true,
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.url.as_str())
            .field("credentials", &self.credentials.is_some())
            .field("direct", &self.direct)
            .finish()
    }
}

impl Egress {
    /// The proxy that a call of this URL goes through.
    pub(crate) fn proxy_for(&self, url: &Url) -> Option<&Proxy> {
        self.proxy.as_deref().filter(|proxy| proxy.is_for(url))
    }

    /// Secrets of the proxy, for redaction.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.proxy.as_ref().map(|proxy| proxy.secrets()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_plain_url_and_shows_no_password() {
        let proxy = Proxy::new("http://ada:p%40ss-w0rd@proxy.test:3128", ["*.internal"]).unwrap();
        assert_eq!(proxy.url().as_str(), "http://proxy.test:3128/");
        assert_eq!(proxy.credentials(), Some(("ada", "p@ss-w0rd")));
        assert_eq!(proxy.authorization().unwrap(), "Basic YWRhOnBAc3MtdzByZA==");
        let shown = format!("{proxy:?}");
        assert!(!shown.contains("w0rd") && !shown.contains("YWRh"), "{shown}");
        for url in [
            "",
            "proxy:3128",
            "https://p/",
            "socks5://p/",
            "http://p/path",
            "http://p/?q",
        ] {
            assert_eq!(Proxy::new(url, [""; 0]), Err(InvalidProxy::Url), "{url}");
        }
        assert!(matches!(Proxy::new("http://p/", ["a b"]), Err(InvalidProxy::Direct(_))));
    }

    #[test]
    fn what_is_called_directly_is_named_by_host_port_or_network() {
        let direct = ["localhost", "*.internal:8080", "10.0.0.0/8", "::1"];
        let egress = Egress::public_only().through(Proxy::new("http://p:1", direct).unwrap());
        for (url, proxied) in [
            ("https://api.test/", true),
            ("http://LOCALHOST:99/", false),
            ("http://localhost./", false),
            ("http://a.internal:8080/", false),
            ("http://a.internal/", true),
            ("http://10.9.9.9/", false),
            ("http://11.9.9.9/", true),
            ("wss://[::1]/", false),
        ] {
            assert_eq!(egress.proxy_for(&Url::parse(url).unwrap()).is_some(), proxied, "{url}");
        }
        assert_eq!(Egress::public_only().proxy_for(&Url::parse("http://a/").unwrap()), None);
    }
}
