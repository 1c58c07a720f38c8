//! Why a connection could not be made, so that people can use it: where to, the cause without the layers of software that it came
//! through, and what to look at.

use std::error::Error;
use std::io;

use rustls::{CertificateError, InvalidMessage};
use url::Url;

use crate::client::causes;

/// Layers that say no more than the cause below them.
const LAYERS: [&str; 4] = [
    "error sending request",
    "tcp connect error",
    "dns error",
    "error resolving DNS",
];

/// A sentence about a connection that was not made. `url` is what was called.
pub(crate) fn sentence(error: &(dyn Error + 'static), url: Option<&Url>) -> String {
    let address = url.and_then(|url| Some((url.host_str()?, url.port_or_known_default()?)));
    let to = address.map_or_else(String::new, |(host, port)| format!(" to {host}:{port}"));
    let advice = advice(error).map_or_else(String::new, |advice| format!("; {advice}"));
    format!("the connection{to} could not be made: {}{advice}", cause(error))
}

/// What is behind the layers.
pub(crate) fn cause(error: &(dyn Error + 'static)) -> String {
    let mut at = error;
    while let Some(below) = at.source().filter(|_| is_layer(&at.to_string())) {
        at = below;
    }
    causes(at)
}

fn is_layer(said: &str) -> bool {
    LAYERS.contains(&said) || (said.starts_with("client error (") && said.ends_with(')'))
}

fn advice(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match tls(error)? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => Some(
            "no authority that is trusted here vouches for it; `endpoint.tls.ca`, or `egress.ca_file` of the worker, names more",
        ),
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("the server does not speak TLS there: is it http:// or ws://?")
        }
        _ => None,
    }
}

/// The error of TLS among the causes, also inside of those of input and output, which do not name it as their source.
fn tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref() {
        return Some(found);
    }
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let inner = wrapped.and_then(|inner| tls(inner as &(dyn Error + 'static)));
    inner.or_else(|| error.source().and_then(tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer above another error.
    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Layer {
        said: &'static str,
        #[source]
        below: io::Error,
    }

    fn told(below: io::Error) -> String {
        let url = Url::parse("https://bot.example.com/chat").unwrap();
        let error = Layer {
            said: "client error (Connect)",
            below,
        };
        sentence(&error, Some(&url))
    }

    #[test]
    fn it_says_where_to_and_why() {
        assert_eq!(
            told(io::Error::new(io::ErrorKind::ConnectionRefused, "refused")),
            "the connection to bot.example.com:443 could not be made: refused"
        );
        let alone = sentence(&io::Error::other("refused"), None);
        assert_eq!(alone, "the connection could not be made: refused");
    }

    #[test]
    fn what_can_be_done_about_tls_is_said() {
        let unknown = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert!(told(io::Error::other(unknown)).contains("`endpoint.tls.ca`"));
        let plain = rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType);
        assert!(told(io::Error::other(io::Error::other(plain))).ends_with("is it http:// or ws://?"));
        let other = rustls::Error::HandshakeNotComplete;
        assert!(!told(io::Error::other(other)).contains(';'));
    }
}
