//! What is known of a call that an earlier run made, for evaluating its output again.
//!
//! It is taken from the earlier run's result when a run is submitted and stored with the test, so that the new run needs
//! neither the endpoint nor the earlier run any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::RunId;
use crate::result::{RequestRecord, TestResult};
use crate::state::Status;

/// What an earlier run has of a test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The earlier run.
    pub run: RunId,
    /// What it has.
    pub answer: RecordedAnswer,
}

/// An output, or why there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedAnswer {
    /// The call and its output.
    Call(Box<RecordedCall>),
    /// There is no output that could be evaluated; a sentence without subject ("ended in error …").
    Unusable(String),
}

/// A call and its output, as far as the result tells. Secrets were redacted when it was stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordedCall {
    /// The mapped output.
    pub output: Value,
    /// The HTTP status; `None`: not stored by the version that made the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// How long the call took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoke_time_ms: Option<f64>,
    /// To the first piece of a stream, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// Tokens used, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub usage: BTreeMap<String, f64>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Why the answer ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// The tools that it calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Value>,
    /// The documents that it was made from, as it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
    /// What else of it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// Values captured from the response.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captured: BTreeMap<String, Value>,
    /// Attempts that were spent.
    pub attempts: u32,
    /// What was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecord>,
}

impl From<TestResult> for RecordedAnswer {
    fn from(result: TestResult) -> Self {
        let output = match result.output {
            Some(output) if !output.is_null() => output,
            _ => {
                return Self::Unusable(why_none(
                    result.status,
                    result.error.as_ref().map(|error| &*error.message),
                ));
            }
        };
        let is_cut = |value: &Value| matches!(value, Value::String(text) if text.ends_with('…'));
        if result.truncated
            && (is_cut(&output)
                || result.tool_calls.as_ref().is_some_and(is_cut)
                || result.context.as_ref().is_some_and(is_cut))
        {
            return Self::Unusable(
                "has an output that was cut when it was stored (limits.max_output_bytes, limits.max_result_bytes)"
                    .into(),
            );
        }
        Self::Call(Box::new(RecordedCall {
            output,
            http_status: result.http_status,
            invoke_time_ms: result.invoke_time_ms,
            ttft_ms: result.ttft_ms,
            usage: result.usage,
            cost: result.cost,
            finish_reason: result.finish_reason,
            tool_calls: result.tool_calls,
            context: result.context,
            metadata: result.metadata,
            captured: result.captured,
            attempts: result.attempts,
            request: result.request,
        }))
    }
}

fn why_none(status: Status, error: Option<&str>) -> String {
    let error = error.map(|error| format!(": {error}")).unwrap_or_default();
    match status {
        Status::Error => format!("ended in error{error}"),
        Status::NotRun => format!("was not run{error}"),
        Status::Cancelled => "was cancelled".to_owned(),
        Status::Skipped => "was skipped".to_owned(),
        Status::Pass | Status::Fail | Status::Inconclusive => "has a result without an output".to_owned(),
    }
}

/// The stored form of a test with what an earlier run has of it. `payload`: the test as JSON, without such a record.
///
/// # Errors
/// When the record cannot be written as JSON.
pub fn with_recorded(mut payload: Vec<u8>, recorded: &Recorded) -> Result<Vec<u8>, serde_json::Error> {
    // A test always has an id, so something stands before the brace that is replaced.
    if payload.pop() == Some(b'}') {
        payload.extend_from_slice(b",\"recorded\":");
        serde_json::to_writer(&mut payload, recorded)?;
    }
    payload.push(b'}');
    Ok(payload)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::configuration::TestCase;
    use crate::result::{ErrorClass, ErrorDetail};

    fn result(status: Status, output: Option<Value>) -> TestResult {
        TestResult {
            output,
            ..TestResult::without_execution("a", 0, status, None)
        }
    }

    fn why(result: TestResult) -> String {
        match RecordedAnswer::from(result) {
            RecordedAnswer::Unusable(why) => why,
            call => panic!("{call:?}"),
        }
    }

    #[test]
    fn what_a_result_tells_of_its_call_is_kept() {
        let stored = TestResult {
            http_status: Some(201),
            invoke_time_ms: Some(7.5),
            attempts: 3,
            cost: Some(0.25),
            ..result(Status::Error, Some(json!({"a": 1})))
        };
        let RecordedAnswer::Call(call) = RecordedAnswer::from(stored) else {
            panic!("an output is usable whatever the metrics said")
        };
        assert_eq!((call.http_status, call.attempts, call.cost), (Some(201), 3, Some(0.25)));
        assert_eq!((call.output, call.invoke_time_ms), (json!({"a": 1}), Some(7.5)));
    }

    #[test]
    fn what_cannot_be_evaluated_says_why() {
        let error = ErrorDetail::new(ErrorClass::Connect, "nobody there");
        let failed = TestResult::without_execution("a", 0, Status::Error, Some(error));
        assert_eq!(why(failed), "ended in error: nobody there");
        assert_eq!(why(result(Status::Skipped, None)), "was skipped");
        assert_eq!(why(result(Status::NotRun, None)), "was not run");
        assert_eq!(
            why(result(Status::Pass, Some(Value::Null))),
            "has a result without an output"
        );
        let cut = |output: &str| TestResult {
            truncated: true,
            ..result(Status::Pass, Some(json!(output)))
        };
        assert!(why(cut("begin…")).starts_with("has an output that was cut"));
        assert!(
            matches!(RecordedAnswer::from(cut("whole")), RecordedAnswer::Call(_)),
            "something else was cut"
        );
    }

    #[test]
    fn a_record_becomes_part_of_the_stored_test() {
        let test = TestCase {
            id: "a".to_owned(),
            ..TestCase::default()
        };
        let recorded = Recorded {
            run: RunId::new(Uuid::from_u128(1)),
            answer: RecordedAnswer::from(result(Status::Pass, Some(json!("}")))),
        };
        let payload = with_recorded(serde_json::to_vec(&test).unwrap(), &recorded).unwrap();
        let whole = TestCase {
            recorded: Some(recorded),
            ..test
        };
        assert_eq!(TestCase::from_stored(&payload).unwrap(), whole);
        assert_eq!(serde_json::to_vec(&whole).unwrap(), payload);
    }
}
