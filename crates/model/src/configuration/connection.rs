//! How an endpoint is connected to.

use serde::{Deserialize, Serialize};

/// Whom a TLS connection trusts, in addition to the system's authorities and those of the worker. There is no way not to check
/// a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// Certificates of authorities as PEM: the text itself, or a template that gives it from a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
}

impl Tls {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When HTTP/2 is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Http2 {
    /// Where the server chooses it while TLS is set up (ALPN); without TLS never.
    #[default]
    Auto,
    /// Always, without asking the server: also without TLS (RFC 9113, section 3.3).
    PriorKnowledge,
    /// Never.
    Never,
}

impl Http2 {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
