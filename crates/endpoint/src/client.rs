//! The HTTP client: connections that are reused, no redirect, no retry, no proxy but the configured one, and a resolver that
//! keeps to the egress policy.

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Certificate, Client, redirect};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use testfleet_model::configuration::Http2;
use testfleet_model::result::ErrorClass;
use tracing::warn;

use url::Url;

use crate::call::Failure;
use crate::egress::{Egress, EgressDenied, Proxy};
use crate::guard;
use crate::unmade;

/// How long an idle connection is kept. Short of the 60 seconds after which many servers and load balancers close.
const POOL_IDLE: Duration = Duration::from_secs(50);
/// How long what was sent may remain without being taken. Without it a connection whose other side reads nothing any more, but is
/// there, would be kept for as long as that likes.
#[cfg(target_os = "linux")]
const UNTAKEN: Duration = Duration::from_secs(60);
/// Clients that are kept; only a URL whose port is a template needs more than one.
const MAX_CLIENTS: usize = 16;
/// What the other side of an HTTP/2 connection may send of one answer before we read it, in bytes: a call that waits for
/// memory does not read.
const HTTP2_STREAM: u32 = 128 * 1024;
/// The same for all answers of the connection. Never what limits them: calls that wait must not keep the others from
/// reading.
const HTTP2_CONNECTION: u32 = 1 << 30;
/// The name our calls go by.
pub(crate) const NAME: &str = concat!("testfleet/", env!("CARGO_PKG_VERSION"));

/// Clients by port, since a rule of the policy may name a port and a resolver is told only the name.
#[derive(Debug)]
pub(crate) struct Clients {
    egress: Arc<Egress>,
    connect_timeout: Duration,
    roots: Vec<Certificate>,
    http2: Http2,
    /// Also by whether they go through the proxy.
    by_port: Mutex<HashMap<(u16, bool), Client>>,
}

impl Clients {
    pub(crate) fn new(
        egress: Arc<Egress>,
        connect_timeout: Duration,
        roots: &[CertificateDer<'static>],
        http2: Http2,
    ) -> Result<Self, String> {
        let roots = roots.iter().map(|der| Certificate::from_der(der));
        let unreadable = |error| format!("a root certificate cannot be read: {}", causes(&error));
        Ok(Self {
            egress,
            connect_timeout,
            roots: roots.collect::<Result<_, _>>().map_err(unreadable)?,
            http2,
            by_port: Mutex::new(HashMap::new()),
        })
    }

    /// The client for calls of this URL, which has been checked against the policy as far as the client itself does not.
    pub(crate) async fn of(&self, url: &Url) -> Result<Client, Failure> {
        let proxy = self.egress.proxy_for(url);
        if proxy.is_some() {
            guard::check_proxied(&self.egress, url).await?;
        } else {
            self.egress.check_url(url).map_err(guard::denied)?;
        }
        self.get(url.port_or_known_default().unwrap_or_default(), proxy)
    }

    /// Lets go of all connections: calls that are under way keep theirs, others make new ones. Where HTTP/2 may be spoken,
    /// a connection outlives a call that failed, and the other side can go on to send what has to be read (pings, settings,
    /// resets), without a call and as fast as it likes.
    pub(crate) fn let_go(&self) {
        if self.http2 != Http2::Never {
            self.by_port.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn get(&self, port: u16, proxy: Option<&Proxy>) -> Result<Client, Failure> {
        let key = (port, proxy.is_some());
        let mut clients = self.by_port.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let client = self.build(port, proxy).map_err(|error| {
            Failure::new(
                ErrorClass::Internal,
                format!("the HTTP client could not be built: {}", causes(&error)),
            )
        })?;
        if clients.len() >= MAX_CLIENTS {
            clients.clear();
        }
        clients.insert(key, client.clone());
        Ok(client)
    }

    fn build(&self, port: u16, proxy: Option<&Proxy>) -> reqwest::Result<Client> {
        // Does nothing when the program has chosen a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let resolver = Arc::new(GuardedResolver {
            // The only name that is resolved for a proxied call is that of the proxy.
            egress: proxy.is_none().then(|| Arc::clone(&self.egress)),
            port,
        });
        let through = match proxy {
            Some(proxy) => {
                let through = reqwest::Proxy::all(proxy.url().as_str())?;
                Some(match proxy.credentials() {
                    Some((name, password)) => through.basic_auth(name, password),
                    None => through,
                })
            }
            None => None,
        };
        let builder = || {
            // What the environment says of proxies is not looked at.
            let mut builder = Client::builder().no_proxy();
            if let Some(proxy) = &through {
                builder = builder.proxy(proxy.clone());
            }
            builder = match self.http2 {
                Http2::Auto => builder,
                Http2::PriorKnowledge => builder.http2_prior_knowledge(),
                Http2::Never => builder.http1_only(),
            };
            #[cfg(target_os = "linux")]
            {
                builder = builder.tcp_user_timeout(UNTAKEN);
            }
            builder
                .user_agent(NAME)
                .dns_resolver(Arc::clone(&resolver))
                .connect_timeout(self.connect_timeout)
                .pool_idle_timeout(POOL_IDLE)
                .http2_initial_stream_window_size(HTTP2_STREAM)
                .http2_initial_connection_window_size(HTTP2_CONNECTION)
                .tcp_nodelay(true)
                .tcp_keepalive(Duration::from_secs(30))
                .redirect(redirect::Policy::none())
                .retry(reqwest::retry::never())
                .referer(false)
        };
        builder().tls_certs_merge(self.roots.clone()).build().or_else(|error| {
            // A container without any root certificate can still call http endpoints.
            warn!(
                error = %causes(&error),
                "no root certificates could be loaded, so https endpoints will not be trusted: install ca-certificates or set SSL_CERT_FILE"
            );
            builder().tls_certs_only(self.roots.clone()).build()
        })
    }
}

/// What is said of a text without certificates.
pub(crate) const NO_CERTIFICATE: &str = "there is no certificate in it; expected PEM, -----BEGIN CERTIFICATE-----";

/// The certificates of a PEM text, each of which must be usable as a root.
pub(crate) fn root_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let unreadable = |error: &dyn Error| format!("a root certificate cannot be read: {}", causes(error));
    CertificateDer::pem_slice_iter(pem)
        .map(|der| {
            let der = der.map_err(|error| unreadable(&error))?;
            RootCertStore::empty()
                .add(der.clone())
                .map_err(|error| unreadable(&error))?;
            Ok(der)
        })
        .collect()
}

/// Resolves names through the system and drops every address the policy denies.
#[derive(Debug)]
struct GuardedResolver {
    /// `None`: every address is allowed.
    egress: Option<Arc<Egress>>,
    port: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let egress = self.egress.clone();
        let port = self.port;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let found = found.map(|address| address.ip());
            let allowed = match &egress {
                Some(egress) => egress.filter(name.as_str(), port, found)?,
                None => found.collect(),
            };
            let addresses: Addrs = Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// What an error of the client means.
pub(crate) fn failure(error: reqwest::Error, connect_timeout: Duration) -> Failure {
    let url = error.url().cloned();
    let error = error.without_url();
    if let Some(denied) = find::<EgressDenied>(&error) {
        return Failure::new(ErrorClass::Egress, denied.to_string());
    }
    if error.is_connect() {
        if error.is_timeout() {
            let limit = testfleet_model::duration::format(connect_timeout);
            return Failure::new(
                ErrorClass::Connect,
                format!("no connection within timeouts.connect ({limit})"),
            );
        }
        return Failure::new(ErrorClass::Connect, unmade::sentence(&error, url.as_ref()));
    }
    if error.is_builder() {
        let why = causes(&error);
        return Failure::new(ErrorClass::Template, format!("the request could not be built: {why}"));
    }
    let why = unmade::cause(&error);
    Failure::new(ErrorClass::Protocol, format!("the call broke off: {why}"))
}

fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error and what caused it, each thing said once.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
