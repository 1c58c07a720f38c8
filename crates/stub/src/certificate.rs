//! Certificates for TLS, made anew by every stub: an authority, and what it vouches for, rightly or not.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a server shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A certificate for `localhost`, `127.0.0.1` and `::1`.
    Right,
    /// One that has expired.
    Expired,
    /// One for another host.
    WrongHost,
    /// One that nobody vouches for.
    SelfSigned,
}

/// An authority that only this stub has.
#[derive(Debug)]
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn make() -> Result<Self, rcgen::Error> {
        let mut parameters = named("testfleet stub authority");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// Its certificate, which callers have to trust.
    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// How a server speaks TLS that shows this. `alpn` are the protocols it offers, the best first.
    pub(crate) fn server(&self, shown: Shown, alpn: &[&[u8]]) -> Result<Arc<ServerConfig>, TlsError> {
        let key = KeyPair::generate()?;
        let mut parameters = named("testfleet stub");
        let names: &[&str] = if shown == Shown::WrongHost {
            &["elsewhere.test"]
        } else {
            &["localhost", "127.0.0.1", "::1"]
        };
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        parameters.subject_alt_names = CertificateParams::new(names)?.subject_alt_names;
        if shown == Shown::Expired {
            parameters.not_before = date_time_ymd(2001, 1, 1);
            parameters.not_after = date_time_ymd(2002, 1, 1);
        }
        let certificate = if shown == Shown::SelfSigned {
            parameters.self_signed(&key)?
        } else {
            parameters.signed_by(&key, &self.issuer)?
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

/// Why TLS cannot be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// No certificate could be made.
    #[error("make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The certificate that was made cannot be used.
    #[error("use a certificate: {0}")]
    Use(#[from] rustls::Error),
}

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}
