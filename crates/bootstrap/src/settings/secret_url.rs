//! A URL that may carry credentials: shown without them, told only on request.

use std::fmt;

use url::Url;

const MASK: &str = "***";
/// Where Redis URLs of Unix sockets carry credentials.
const SECRET_PARAMETERS: [&str; 2] = ["user", "pass"];

/// A URL whose `Debug` and `Display` hide user and password (some mail services put the token in both).
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps a URL; it is not checked here.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL with its credentials. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The URL with `***` in place of its credentials; only that when it cannot be read as a URL.
    #[must_use]
    pub fn masked(&self) -> String {
        let Ok(mut url) = Url::parse(&self.0) else {
            return MASK.to_owned();
        };
        // Both fail only for URLs without a host, which cannot have credentials there.
        if !url.username().is_empty() || url.password().is_some() {
            let _ = url.set_username(MASK);
            let _ = url.set_password(None);
        }
        if url.query().is_some() {
            let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            let masked = pairs.into_iter().map(|(name, value)| {
                let value = if SECRET_PARAMETERS.contains(&name.as_str()) {
                    MASK.to_owned()
                } else {
                    value
                };
                (name, value)
            });
            let masked: Vec<_> = masked.collect();
            url.query_pairs_mut().clear().extend_pairs(masked);
        }
        url.to_string()
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.masked())
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_hidden_wherever_a_url_may_have_them() {
        let cases = [
            ("redis://ada:lovelace@host:6379/2", "redis://***@host:6379/2"),
            ("redis://:lovelace@host", "redis://***@host"),
            ("smtps://lovelace@mail.example", "smtps://***@mail.example"),
            (
                "redis+unix:///run/r.sock?db=1&pass=lovelace",
                "redis+unix:///run/r.sock?db=1&pass=***",
            ),
            ("redis://host:6379", "redis://host:6379"),
            ("lovelace", "***"),
        ];
        for (url, masked) in cases {
            assert_eq!(SecretUrl::new(url).to_string(), masked);
            assert!(!format!("{:?}", SecretUrl::new(url)).contains("lovelace"));
            assert_eq!(SecretUrl::new(url).expose(), url);
        }
    }
}
