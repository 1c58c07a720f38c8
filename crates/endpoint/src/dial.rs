//! Connections that we make ourselves, for what is no HTTP request: TCP to a checked address, or a tunnel through the proxy, and
//! TLS on top of it.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use testfleet_model::result::ErrorClass;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tracing::warn;
use url::{Host, Url};

use crate::call::Failure;
use crate::egress::{Egress, Proxy};
use crate::guard;

/// The longest answer of a proxy to CONNECT, in bytes.
const MAX_HEAD: usize = 8 * 1024;

/// A connection, whatever it is made of.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Io for T {}

/// Makes connections.
#[derive(Debug)]
pub(crate) struct Dialer {
    egress: Arc<Egress>,
    limit: Duration,
    roots: Vec<CertificateDer<'static>>,
    /// Made when the first connection needs it: it reads the system's certificates.
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Dialer {
    /// `limit` is for name resolution, TCP, the proxy and TLS together.
    pub(crate) fn new(egress: Arc<Egress>, limit: Duration, roots: Vec<CertificateDer<'static>>) -> Self {
        Self {
            egress,
            limit,
            roots,
            tls: OnceLock::new(),
        }
    }

    /// A connection to the host of the URL, with TLS where its scheme is `wss` or `https`.
    pub(crate) async fn dial(&self, url: &Url) -> Result<Box<dyn Io>, Failure> {
        let dialled = timeout(self.limit, Box::pin(self.connect(url))).await;
        dialled.unwrap_or_else(|_| {
            let limit = testfleet_model::duration::format(self.limit);
            let message = format!("no connection within timeouts.connect ({limit})");
            Err(Failure::new(ErrorClass::Connect, message))
        })
    }

    async fn connect(&self, url: &Url) -> Result<Box<dyn Io>, Failure> {
        let until = Instant::now() + self.limit;
        let stream = match self.egress.proxy_for(url) {
            Some(proxy) => {
                guard::check_proxied(&self.egress, url).await?;
                self.tunnel(proxy, url, until).await?
            }
            None => {
                let addresses = guard::addresses(&self.egress, url).await?;
                one_of(addresses.into_iter(), until)
                    .await
                    .map_err(|error| unmade(&error, url))?
            }
        };
        if !matches!(url.scheme(), "wss" | "https") {
            return Ok(Box::new(stream));
        }
        let config = self
            .tls
            .get_or_init(|| tls(&self.roots))
            .as_ref()
            .map_err(|message| Failure::new(ErrorClass::Internal, format!("TLS could not be set up: {message}")))?;
        let name = match url.host() {
            Some(Host::Ipv4(address)) => ServerName::IpAddress(std::net::IpAddr::V4(address).into()),
            Some(Host::Ipv6(address)) => ServerName::IpAddress(std::net::IpAddr::V6(address).into()),
            Some(Host::Domain(name)) => {
                ServerName::try_from(name.trim_end_matches('.').to_owned()).map_err(|error| {
                    Failure::new(ErrorClass::Connect, format!("{name} is no name of a server: {error}"))
                })?
            }
            None => return Err(Failure::new(ErrorClass::Template, "the URL has no host")),
        };
        let secured = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
        Ok(Box::new(secured.map_err(|error| unmade(&error, url))?))
    }

    /// A tunnel to the host of the URL (RFC 9110, section 9.3.6).
    async fn tunnel(&self, proxy: &Proxy, url: &Url, until: Instant) -> Result<TcpStream, Failure> {
        let failed = |what: String| {
            Failure::new(
                ErrorClass::Connect,
                format!("the connection to the proxy failed: {what}"),
            )
        };
        let host = proxy.url().host_str().unwrap_or_default();
        let port = proxy.url().port_or_known_default().unwrap_or(80);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port))
            .await
            .map_err(|error| failed(error.to_string()))?;
        let found: Vec<_> = found.collect();
        let mut stream = one_of(found.into_iter(), until)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let target = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let mut head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(value) = proxy.authorization() {
            head += &format!("Proxy-Authorization: {value}\r\n");
        }
        head += "\r\n";
        stream
            .write_all(head.as_bytes())
            .await
            .map_err(|error| failed(error.to_string()))?;
        let mut answer = Vec::new();
        // Byte by byte, so that nothing of what comes through the tunnel is taken.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == MAX_HEAD {
                return Err(failed(format!("its answer is longer than {MAX_HEAD} bytes")));
            }
            let byte = stream.read_u8().await.map_err(|error| failed(error.to_string()))?;
            answer.push(byte);
        }
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        let status = line.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
        match status.and_then(|status| status.parse::<u16>().ok()) {
            Some(200..=299) => Ok(stream),
            Some(status) => Err(failed(format!("it answered {status} to CONNECT {target}"))),
            None => Err(failed("it does not answer in HTTP/1.1".to_owned())),
        }
    }
}

/// A connection to the first address that takes one. Each gets an equal share of the time that is left.
async fn one_of(
    addresses: impl ExactSizeIterator<Item = std::net::SocketAddr>,
    until: Instant,
) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address");
    let count = addresses.len();
    for (tried, address) in addresses.enumerate() {
        let left = u32::try_from(count - tried).unwrap_or(u32::MAX);
        let share = until.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, format!("{address} does not answer")),
        }
    }
    Err(last)
}

fn unmade(error: &io::Error, url: &Url) -> Failure {
    Failure::new(ErrorClass::Connect, crate::unmade::sentence(error, Some(url)))
}

/// Trusts what the HTTP client trusts.
fn tls(roots: &[CertificateDer<'static>]) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let mut config = match Verifier::new_with_extra_roots(roots.to_vec(), provider) {
        Ok(verifier) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth(),
        Err(error) => {
            // A container without any root certificate.
            warn!(%error, "no root certificates could be loaded, so wss endpoints will not be trusted: install ca-certificates or set SSL_CERT_FILE");
            let mut store = RootCertStore::empty();
            store.add_parsable_certificates(roots.to_vec());
            builder.with_root_certificates(store).with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
