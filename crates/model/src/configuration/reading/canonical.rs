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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::reading::{Defaults, DocumentFormat, read_configuration};

    fn stored() -> String {
        let document = r#"{"version": 1, "name": "n", "endpoint": {"url": "https://x.example/"},
            "test_set": {"tests": [{"id": "a", "input": "hi"}]}, "metrics": [{"type": "contains", "value": "x"}]}"#;
        let reading = read_configuration(document, "a.json", DocumentFormat::Json, &Defaults::default()).unwrap();
        serde_json::to_string(&reading.configuration).unwrap()
    }

    #[test]
    fn another_version_is_named_before_anything_else_is_read() {
        let later = r#"{"version": 7, "what": {"comes": "then"}}"#;
        let error = from_canonical_json(later).unwrap_err();
        assert!(matches!(error, CanonicalError::Version { found: 7 }));
        assert_eq!(
            error.to_string(),
            "the stored configuration has format version 7, this version reads 1"
        );
    }

    /// F47
    #[test]
    fn a_stored_configuration_cut_off_anywhere_is_refused_with_its_place() {
        let whole = stored();
        assert!(from_canonical_json(&whole).is_ok());
        for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
            let error = from_canonical_json(&whole[..end]).unwrap_err().to_string();
            assert!(
                error.contains("not a canonical document: ") && error.contains("column"),
                "{end}: {error}"
            );
        }
    }

    #[test]
    fn versions_that_are_none_are_no_documents() {
        for version in ["-1", "1.5", "null", "\"1\"", "18446744073709551616"] {
            let text = stored().replacen("\"version\":1", &format!("\"version\":{version}"), 1);
            let error = from_canonical_json(&text).unwrap_err();
            assert!(matches!(error, CanonicalError::Document(_)), "{version}: {error}");
        }
    }
}
