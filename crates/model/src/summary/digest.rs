//! What the summary needs to know of a stored result, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::configuration::Repetition;
use crate::recovery::Spent;
use crate::result::{MetricResult, TestResult};
use crate::state::Status;

/// A light view of a stored [`TestResult`]: reads from the same JSON and skips outputs, requests and reasons
/// without keeping them, so that folding 100,000 results allocates next to nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultDigest {
    /// The test's place in the submitted order, from 0.
    pub index: u32,
    /// Both axes as one word.
    pub status: Status,
    /// Attempts spent; 0 when the test never started.
    pub attempts: u32,
    /// The successful call of the endpoint, in milliseconds; `None` when none succeeded.
    #[serde(default)]
    pub invoke_time_ms: Option<f64>,
    /// Tokens used, by name.
    #[serde(default)]
    pub usage: BTreeMap<String, f64>,
    /// What the call cost.
    #[serde(default)]
    pub cost: Option<f64>,
    /// Tokens that models took for its metrics, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judge_usage: BTreeMap<String, f64>,
    /// What that cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judge_cost: Option<f64>,
    /// What the test took before the recovery round that the result is of.
    #[serde(
        default,
        rename = "recovery",
        with = "before",
        skip_serializing_if = "Option::is_none"
    )]
    pub before: Option<Spent>,
    /// Which repetition of its test it is; `None` when the test is executed once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repetition: Option<Repetition>,
    /// What its metrics said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricDigest>,
}

impl ResultDigest {
    /// A result of one attempt that says nothing else.
    #[must_use]
    pub fn new(index: u32, status: Status) -> Self {
        Self {
            index,
            status,
            attempts: 1,
            invoke_time_ms: None,
            usage: BTreeMap::new(),
            cost: None,
            judge_usage: BTreeMap::new(),
            judge_cost: None,
            before: None,
            repetition: None,
            metrics: Vec::new(),
        }
    }
}

/// What a summary takes from a [`MetricResult`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricDigest {
    /// The metric's name.
    pub name: String,
    /// The metric's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The measured number.
    pub score: Option<f64>,
    /// Whether it passed; `None` when it could not decide or is in error.
    pub is_successful: Option<bool>,
    /// Whether it could not be computed. Stored is the reason, which is not kept.
    #[serde(
        default,
        rename = "error",
        deserialize_with = "is_there",
        serialize_with = "some_reason"
    )]
    pub is_error: bool,
}

/// Of a result's `recovery`, what was spent before.
mod before {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::recovery::Spent;

    #[derive(Serialize, Deserialize)]
    struct Recovery {
        #[serde(default)]
        before: Spent,
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Spent>, D::Error> {
        Ok(Option::<Recovery>::deserialize(from)?.map(|recovery| recovery.before))
    }

    pub(super) fn serialize<S: Serializer>(before: &Option<Spent>, into: S) -> Result<S::Ok, S::Error> {
        before.clone().map(|before| Recovery { before }).serialize(into)
    }
}

fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Option::<serde::de::IgnoredAny>::deserialize(from).map(|error| error.is_some())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn some_reason<S: Serializer>(is_error: &bool, into: S) -> Result<S::Ok, S::Error> {
    is_error.then_some("").serialize(into)
}

impl From<&MetricResult> for MetricDigest {
    fn from(result: &MetricResult) -> Self {
        Self {
            name: result.name.clone(),
            kind: result.kind.clone(),
            score: result.score,
            is_successful: result.is_successful,
            is_error: result.error.is_some(),
        }
    }
}

impl From<&TestResult> for ResultDigest {
    fn from(result: &TestResult) -> Self {
        Self {
            index: result.index,
            status: result.status,
            attempts: result.attempts,
            invoke_time_ms: result.invoke_time_ms,
            usage: result.usage.clone(),
            cost: result.cost,
            judge_usage: result.judge_usage.clone(),
            judge_cost: result.judge_cost,
            before: result.recovery.as_ref().map(|recovery| recovery.before.clone()),
            repetition: result.repetition.clone(),
            metrics: result.metrics.iter().map(MetricDigest::from).collect(),
        }
    }
}

/// What comparing runs and gates over a part of them need of a stored [`TestResult`] besides its [`ResultDigest`]. Read only
/// for runs that have either.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ResultLabels {
    /// The test's id within its set.
    pub test_id: String,
    /// What the test is tagged with.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recovery::Recovery;
    use crate::result::{ErrorClass, ErrorDetail, MetricResult, RequestRecord};

    fn full() -> TestResult {
        TestResult {
            description: Some("says \"hello\"".to_owned()),
            attempts: 3,
            invoke_time_ms: Some(12.345),
            output: Some(serde_json::json!({"text": "a\nb", "index": 99, "status": "Error"})),
            request: Some(RequestRecord {
                method: "POST".to_owned(),
                url: "http://127.0.0.1/".to_owned(),
                headers: BTreeMap::from([("x".to_owned(), "y".to_owned())]),
                body: Some(serde_json::json!({"usage": {"input_tokens": 5}})),
                input: None,
            }),
            metrics: vec![MetricResult {
                name: "contains".to_owned(),
                kind: "contains".to_owned(),
                score: Some(1.0),
                is_successful: Some(true),
                threshold: None,
                reason: "found".to_owned(),
                duration_ms: 0.1,
                error: None,
                transient: false,
                samples: Vec::new(),
                usage: BTreeMap::new(),
                cost: None,
                counts: false,
            }],
            usage: BTreeMap::from([("input_tokens".to_owned(), 12.0)]),
            cost: Some(0.002),
            judge_usage: BTreeMap::from([("input_tokens".to_owned(), 40.0)]),
            judge_cost: Some(0.01),
            recovery: Some(Recovery {
                round: 1,
                attempts: 2,
                error: None,
                evaluated_again: false,
                attempts_before_call: 0,
                before: Spent {
                    cost: Some(0.004),
                    ..Spent::default()
                },
            }),
            ..TestResult::without_execution(
                "greeting",
                7,
                Status::Pass,
                Some(ErrorDetail::new(ErrorClass::Internal, "an unused detail")),
            )
        }
    }

    #[test]
    fn a_digest_reads_from_the_json_of_a_full_result() {
        let result = full();
        let json = serde_json::to_vec(&result).unwrap();
        let digest: ResultDigest = serde_json::from_slice(&json).unwrap();
        assert_eq!(digest, ResultDigest::from(&result));
        assert_eq!((digest.index, digest.attempts, digest.cost), (7, 3, Some(0.002)));
    }

    #[test]
    fn a_digest_reads_from_a_result_that_never_ran() {
        let result = TestResult::without_execution("t", 0, Status::NotRun, None);
        let json = serde_json::to_string(&result).unwrap();
        let digest: ResultDigest = serde_json::from_str(&json).unwrap();
        assert_eq!(digest, ResultDigest::from(&result));
    }

    /// F47: whoever folds counts such a test as an error, so it must not read as something else.
    #[test]
    fn a_result_cut_off_anywhere_is_refused_with_its_place() {
        let whole = serde_json::to_vec(&full()).unwrap();
        for end in 0..whole.len() {
            let error = serde_json::from_slice::<ResultDigest>(&whole[..end]).unwrap_err();
            assert!(error.to_string().contains("column"), "{end}: {error}");
        }
    }

    #[test]
    fn numbers_and_words_that_no_result_has_are_refused_by_name() {
        for (text, named) in [
            (r#"{"index": -1, "status": "Pass", "attempts": 1}"#, "`-1`"),
            (
                r#"{"index": 4294967296, "status": "Pass", "attempts": 1}"#,
                "`4294967296`",
            ),
            (r#"{"index": 0, "status": "Maybe", "attempts": 1}"#, "`Maybe`"),
            (r#"{"index": 0, "attempts": 1}"#, "`status`"),
            (
                r#"{"index": 0, "status": "Pass", "attempts": 1, "cost": 1e999}"#,
                "out of range",
            ),
        ] {
            let error = serde_json::from_str::<ResultDigest>(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
