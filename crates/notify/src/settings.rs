//! Where mail goes, as configured, and what an SMTP URL means.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, Tokio1Executor};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::error::SetupError;
use crate::redaction::Redaction;

/// How mail is delivered. With neither `smtp_url` nor `directory` it is not.
#[derive(Clone, Debug)]
pub struct MailerSettings {
    /// `smtps://user:password@host[:465]`, `smtp://user:password@host[:587]?tls=required` (STARTTLS), or
    /// `smtp://host[:25]` without TLS. User and password are percent-encoded.
    pub smtp_url: Option<SecretString>,
    /// The sender: an address, or a name and an address in angle brackets.
    pub from: String,
    /// For one whole conversation with the server, connecting included.
    pub timeout: Duration,
    /// Writes `<run id>.eml` here instead of sending.
    pub directory: Option<PathBuf>,
}

/// A server as its URL describes it.
pub(crate) struct Server {
    pub(crate) transport: AsyncSmtpTransport<Tokio1Executor>,
    /// For messages: host and port.
    pub(crate) address: String,
    pub(crate) redaction: Redaction,
}

#[derive(Clone, Copy, PartialEq)]
enum Security {
    None,
    StartTls,
    Wrapped,
}

/// Reads an SMTP URL.
pub(crate) fn server(url: &SecretString, timeout: Duration) -> Result<Server, SetupError> {
    let url = Url::parse(url.expose_secret()).map_err(|error| refused(error.to_string()))?;
    let security = security(&url)?;
    let host = host(&url)?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(refused("it has a path"));
    }
    let port = url.port().unwrap_or(match security {
        Security::None => 25,
        Security::StartTls => 587,
        Security::Wrapped => 465,
    });
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&host)
        .port(port)
        .timeout(Some(timeout))
        .tls(tls(security, &host)?);
    let mut redaction = Redaction::default();
    if let Some((user, password)) = credentials(&url)? {
        if security == Security::None && !is_this_machine(&url) {
            return Err(SetupError::PasswordInClear { host });
        }
        redaction = Redaction::new(&user, &password, url.password().unwrap_or_default());
        builder = builder.credentials(Credentials::new(user, password));
    }
    Ok(Server {
        transport: builder.build(),
        address: format!("{host}:{port}"),
        redaction,
    })
}

fn refused(reason: impl Into<String>) -> SetupError {
    SetupError::Url { reason: reason.into() }
}

fn security(url: &Url) -> Result<Security, SetupError> {
    let mut required = false;
    for (key, value) in url.query_pairs() {
        match (key.as_ref(), value.as_ref()) {
            ("tls", "required") => required = true,
            ("tls", _) => return Err(refused("the only value of tls is required")),
            _ => return Err(refused("the only parameter is tls=required")),
        }
    }
    match (url.scheme(), required) {
        ("smtps", _) => Ok(Security::Wrapped),
        ("smtp", true) => Ok(Security::StartTls),
        ("smtp", false) => Ok(Security::None),
        _ => Err(refused("the scheme is neither smtp nor smtps")),
    }
}

/// The host as resolvers and certificates spell it: addresses of IPv6 without brackets.
fn host(url: &Url) -> Result<String, SetupError> {
    let text = url.host_str().filter(|host| !host.is_empty());
    let text = text.ok_or_else(|| refused("it has no host"))?;
    Ok(text.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => {
            name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        }
        None => false,
    }
}

fn tls(security: Security, host: &str) -> Result<Tls, SetupError> {
    let parameters = || {
        TlsParameters::new(host.to_owned()).map_err(|error| SetupError::Tls {
            reason: error.to_string(),
        })
    };
    Ok(match security {
        Security::None => Tls::None,
        Security::StartTls => Tls::Required(parameters()?),
        Security::Wrapped => Tls::Wrapper(parameters()?),
    })
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, SetupError> {
    let decoded = |text: &str| {
        let bytes = percent_decode_str(text).decode_utf8();
        bytes
            .map(String::from)
            .map_err(|_| refused("user or password is not UTF-8"))
    };
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (_, None) => Err(refused("it has a user but no password")),
        ("", Some(_)) => Err(refused("it has a password but no user")),
        (user, Some(password)) => Ok(Some((decoded(user)?, decoded(password)?))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<String, SetupError> {
        server(&SecretString::from(url), Duration::from_secs(1)).map(|server| server.address)
    }

    #[test]
    fn every_form_has_its_port() {
        // What a program does at the start of main; another test may have been faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let table = [
            ("smtp://mail.example.org", "mail.example.org:25"),
            ("smtp://mail:1025", "mail:1025"),
            ("smtp://[::1]:1025", "::1:1025"),
            ("smtp://u:p@mail.example.org?tls=required", "mail.example.org:587"),
            ("smtps://u:p@mail.example.org", "mail.example.org:465"),
            ("smtps://u:p@mail.example.org:2465/", "mail.example.org:2465"),
            ("smtp://u:p@localhost:1025", "localhost:1025"),
            ("smtp://u:p@127.0.0.1:1025", "127.0.0.1:1025"),
        ];
        for (url, address) in table {
            assert_eq!(read(url).as_deref(), Ok(address), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        let table = [
            "http://u:hunter2@mail.example.org",
            "smtp://u:hunter2@mail.example.org",
            "smtp://u:hunter2@mail.example.org?tls=opportunistic",
            "smtp://u:hunter2@mail.example.org?tsl=required",
            "smtp://u:hunter2@mail.example.org:99999?tls=required",
            "smtps://:hunter2@mail.example.org",
            "smtps://u:hunter2@mail.example.org/path",
            "smtps://u:hunter2@",
            "u:hunter2@mail.example.org",
            "smtps://u@mail.example.org",
            "",
        ];
        for url in table {
            let error = read(url).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }

    #[test]
    fn a_password_does_not_cross_the_network_in_clear() {
        assert_eq!(
            read("smtp://u:p@mail.example.org"),
            Err(SetupError::PasswordInClear {
                host: "mail.example.org".to_owned()
            })
        );
    }
}
