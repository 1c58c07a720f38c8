//! Stored documents: the canonical JSON, as `serde` writes it.

use serde::Deserialize;

use crate::configuration::{FORMAT_VERSION, TestConfiguration};

/// Why a stored document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// It was written by a version with another format.
    #[error("the stored configuration has format version {found}, this version reads {FORMAT_VERSION}")]
    Version {
        /// Its version.
        found: u64,
    },
    /// It is no canonical document.
    #[error("the stored configuration is not a canonical document: {0}")]
    Document(#[from] serde_json::Error),
}

/// Reads a stored document. Only exact names and complete documents are accepted; what people write goes
/// through [`read_configuration`](super::read_configuration).
///
/// # Errors
/// When the text is no canonical document, or one of another version.
pub fn from_canonical_json(text: &str) -> Result<TestConfiguration, CanonicalError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u64,
    }
    let Versioned { version } = serde_json::from_str(text)?;
    if version != u64::from(FORMAT_VERSION) {
        return Err(CanonicalError::Version { found: version });
    }
    Ok(serde_json::from_str(text)?)
}
