//! What the server sends and stores, read without a server: for tests that give the decoders what no script of ours
//! would write. Programs use the calls of [`Store`](crate::Store).

use std::collections::BTreeMap;

use deadpool_redis::redis::parse_redis_value;
use testfleet_model::RunId;

use crate::answer::Answer;
use crate::claiming::{ClaimAnswer, read_claim};
use crate::error::StoreError;
use crate::view::{RunView, part, run_view};

/// The answer of the claim script, as its bytes come over the wire (RESP 2 or 3).
///
/// # Errors
/// When the bytes are no complete reply, or a reply that the script never gives.
pub fn claim(reply: &[u8]) -> Result<ClaimAnswer, StoreError> {
    let value = parse_redis_value(reply).map_err(|error| StoreError::Answer {
        call: "claim",
        detail: error.to_string(),
    })?;
    read_claim(Answer::new("claim", value)?)
}

/// Who holds a test and for which attempt: an entry of the hash `owners`. `None` where the entry does not say.
#[must_use]
pub fn holder(entry: &[u8]) -> (Option<String>, Option<u32>) {
    let entry = Some(entry.to_vec());
    (part(&entry, 0), part(&entry, 2))
}

/// A run from its stored hash; `None` when that is of no run.
#[must_use]
pub fn run(id: RunId, hash: &BTreeMap<String, String>, done: u32, in_flight: u32) -> Option<RunView> {
    run_view(id, hash, done, in_flight, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0197c5a2-7b7e-7000-8000-000000000001";

    fn bulk(text: &str) -> String {
        format!("${}\r\n{text}\r\n", text.len())
    }

    fn array(items: &[String]) -> String {
        format!("*{}\r\n{}", items.len(), items.concat())
    }

    fn reply() -> String {
        let indices = array(&[bulk("4"), bulk("5")]);
        let payloads = array(&[bulk(r#"{"id":"a"}"#), bulk("")]);
        let tried = array(&[bulk("2"), bulk("1"), bulk("1700000000000"), bulk("1700000000000")]);
        let group = array(&[
            bulk(RUN),
            bulk("Parallel"),
            bulk("7"),
            bulk(""),
            bulk("1700000000500"),
            bulk("1"),
            bulk("-1"),
            indices,
            payloads,
            tried,
            array(&[bulk("5"), bulk("2")]),
        ]);
        let control = array(&[bulk(&format!("collect:{RUN}")), bulk("3"), bulk("1")]);
        array(&[
            bulk("ok"),
            bulk("1700000001000"),
            bulk("-1"),
            control,
            array(&[]),
            group,
        ])
    }

    #[test]
    fn a_claim_reads_tests_tried_before_and_not_and_one_whose_payload_is_gone() {
        let ClaimAnswer::Claimed(claimed) = claim(reply().as_bytes()).unwrap() else {
            panic!("jobs were claimed");
        };
        let tests: Vec<_> = claimed
            .tests
            .iter()
            .map(|test| (test.index, test.attempt, test.lost, test.payload.len(), test.unmet))
            .collect();
        assert_eq!(tests, [(4, 2, 1, 10, None), (5, 1, 0, 0, Some(2))]);
        assert_eq!(claimed.control.len(), 1);
    }

    #[test]
    fn a_reply_cut_off_anywhere_is_an_error_that_names_the_call() {
        let whole = reply();
        for end in 0..whole.len() {
            let error = claim(&whole.as_bytes()[..end]).unwrap_err().to_string();
            assert!(error.contains("claim"), "{end}: {error}");
        }
    }

    #[test]
    fn words_and_kinds_of_other_versions_are_told_apart() {
        let other = claim(array(&[bulk("later")]).as_bytes()).unwrap_err().to_string();
        assert!(other.contains("\"later\""), "{other}");
        let foreign = array(&[bulk(&format!("archive:{RUN}")), bulk("3"), bulk("1")]);
        let passed = array(&[bulk(RUN), bulk("2")]);
        let reply = array(&[bulk("ok"), bulk("1"), bulk("-1"), foreign, passed]);
        let ClaimAnswer::Claimed(claimed) = claim(reply.as_bytes()).unwrap() else {
            panic!("jobs were claimed");
        };
        assert_eq!((claimed.control.len(), claimed.foreign.len()), (0, 1));
        assert_eq!(claimed.foreign_runs[0].format, "2");
    }

    /// Numbers that somebody set by hand: the view shows something sensible and does not panic.
    #[test]
    fn a_negative_or_huge_number_in_a_runs_hash_is_not_believed() {
        for number in ["-5", "99999999999999999999", "1.5", "", "many"] {
            let hash = [("state", "progress"), ("total", number), ("discarded", number)];
            let hash = hash.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let view = run(RUN.parse().unwrap(), &hash, 3, 0).unwrap();
            assert_eq!((view.total, view.left, view.discarded_results), (0, 0, 0), "{number}");
        }
        assert_eq!(holder(b"worker|3|x|y|z"), (Some("worker".to_owned()), None));
        assert_eq!(holder(b"\xff|1|2"), (None, None));
    }
}
