//! What of the egress policy needs names to be resolved.

use std::net::{IpAddr, SocketAddr};

use testfleet_model::result::ErrorClass;
use url::{Host, Url};

use crate::call::Failure;
use crate::egress::{Egress, EgressDenied};

/// The addresses that this URL may be connected to.
///
/// # Errors
/// When it has no host, the name does not resolve, or no address of it is allowed.
pub(crate) async fn addresses(egress: &Egress, url: &Url) -> Result<Vec<SocketAddr>, Failure> {
    let port = url.port_or_known_default().unwrap_or_default();
    let allowed = match url.host() {
        Some(Host::Domain(name)) => egress.filter(name, port, resolve(name).await?).map_err(denied)?,
        Some(Host::Ipv4(address)) => literal(egress, url, address.into())?,
        Some(Host::Ipv6(address)) => literal(egress, url, address.into())?,
        None => return Err(Failure::new(ErrorClass::Template, "the URL has no host")),
    };
    Ok(allowed
        .into_iter()
        .map(|address| SocketAddr::new(address, port))
        .collect())
}

fn literal(egress: &Egress, url: &Url, address: IpAddr) -> Result<Vec<IpAddr>, Failure> {
    egress.check_url(url).map_err(denied)?;
    Ok(vec![address])
}

/// Checks where a proxy may be asked to connect to: every address of the name has to be allowed, since the proxy takes the one
/// it likes. A name that a rule allows is not resolved, which works where only the proxy can do it.
pub(crate) async fn check_proxied(egress: &Egress, url: &Url) -> Result<(), Failure> {
    egress.check_url(url).map_err(denied)?;
    let Some(name) = url.domain() else { return Ok(()) };
    let port = url.port_or_known_default().unwrap_or_default();
    if egress.names(name, port) {
        return Ok(());
    }
    let found = resolve(name).await.map_err(|mut failure| {
        failure.detail.message += &format!(
            "; the address is needed to check what the proxy is asked for. Where only the proxy can resolve names, add {name}:{port} to egress.allow"
        );
        failure
    })?;
    for address in found {
        egress.filter(name, port, [address]).map_err(denied)?;
    }
    Ok(())
}

async fn resolve(name: &str) -> Result<Vec<IpAddr>, Failure> {
    let unresolved = |why: String| {
        let message = format!("the connection could not be made: the name {name} could not be resolved: {why}");
        Failure::new(ErrorClass::Connect, message)
    };
    let found = tokio::net::lookup_host((name, 0)).await;
    let found: Vec<IpAddr> = found
        .map_err(|error| unresolved(error.to_string()))?
        .map(|address| address.ip())
        .collect();
    if found.is_empty() {
        return Err(unresolved("it has no address".to_owned()));
    }
    Ok(found)
}

pub(crate) fn denied(denied: EgressDenied) -> Failure {
    Failure::new(ErrorClass::Egress, denied.to_string())
}
