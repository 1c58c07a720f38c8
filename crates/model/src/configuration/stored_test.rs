//! A test in its stored form: the payload of a job.
//!
//! Whoever submits writes it, a worker reads it, and in between it lies in a store that others can write to. So what is
//! read may be anything: each way in which it can be wrong has a sentence of its own, which becomes the result.

use super::TestCase;

/// Why a stored test cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum StoredTestError {
    /// There is an index but nothing stored under it.
    #[error("nothing is stored for this test, although its run counts it")]
    Gone,
    /// It is not what a submission writes: cut off, damaged, or of a version with other words.
    #[error("the stored test cannot be read: {0}")]
    Document(#[from] serde_json::Error),
}

impl TestCase {
    /// Reads the payload of a job.
    ///
    /// # Errors
    /// When it is empty, or no JSON of a test.
    pub fn from_stored(payload: &[u8]) -> Result<Self, StoredTestError> {
        if payload.is_empty() {
            return Err(StoredTestError::Gone);
        }
        Ok(serde_json::from_slice(payload)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{Message, Metric, MetricKind};

    fn stored() -> Vec<u8> {
        let test = TestCase {
            id: "greeting".to_owned(),
            input: Some("Hällo \"you\"".to_owned()),
            messages: Some(vec![Message {
                role: "user".to_owned(),
                content: "hi".to_owned(),
            }]),
            expected_output: Some(serde_json::json!({"score": 0.1, "list": [1, null, true]})),
            metrics: vec![Metric::new(MetricKind::IsJson)],
            ..TestCase::default()
        };
        serde_json::to_vec(&test).unwrap()
    }

    #[test]
    fn a_stored_test_reads_as_it_was_written() {
        let test = TestCase::from_stored(&stored()).unwrap();
        assert_eq!(serde_json::to_vec(&test).unwrap(), stored());
    }

    #[test]
    fn an_index_without_a_payload_is_named_as_such() {
        let error = TestCase::from_stored(b"").unwrap_err();
        assert!(matches!(error, StoredTestError::Gone));
        assert!(error.to_string().contains("nothing is stored"), "{error}");
    }

    /// F47: at the first cut or damage the answer is a sentence, never a panic and never another test.
    #[test]
    fn a_test_cut_off_anywhere_is_refused_with_its_place() {
        let whole = stored();
        for end in 1..whole.len() {
            let error = TestCase::from_stored(&whole[..end]).unwrap_err().to_string();
            assert!(error.starts_with("the stored test cannot be read: "), "{end}: {error}");
            assert!(error.contains("column"), "{end}: {error}");
        }
    }

    /// F47
    #[test]
    fn a_flipped_bit_is_read_as_a_test_or_refused_in_a_sentence() {
        let whole = stored();
        for at in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[at / 8] ^= 1 << (at % 8);
            match TestCase::from_stored(&damaged) {
                Ok(test) => {
                    let again = serde_json::to_vec(&test).unwrap();
                    assert_eq!(TestCase::from_stored(&again).unwrap(), test, "{at}");
                }
                Err(error) => assert!(error.to_string().len() > 20, "{at}: {error}"),
            }
        }
    }

    #[test]
    fn what_a_newer_version_may_write_is_refused_by_name() {
        for (payload, named) in [
            (r#"{"id": "a", "metrics": [{"type": "telepathy"}]}"#, "telepathy"),
            (r#"{"id": "a", "metrics_mode": "both"}"#, "both"),
            (r#"{"id": {"v": 2}}"#, "map"),
            (r#"{"version": 2, "body": "…"}"#, "missing field `id`"),
            ("[]", "invalid length 0"),
            ("\u{1}\u{2}", "expected value"),
        ] {
            let error = TestCase::from_stored(payload.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(named), "{payload}: {error}");
        }
    }
}
