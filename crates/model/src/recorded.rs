//! What is known of a call that an earlier run made, for evaluating its output again.
//!
//! It is taken from the earlier run's result when a run is submitted and stored with the test, so that the new run needs
//! neither the endpoint nor the earlier run any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::RunId;
use crate::result::{DialogueRecord, ErrorClass, RequestRecord, TestResult, TurnResult};
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
    /// The headers that were stored, as in [`TestResult::headers`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Option<String>>,
    /// From the claim of the first attempt to where the metrics began, in milliseconds; `None`: not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_time_ms: Option<f64>,
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
    /// Attempts that it took, without those of recovery rounds before it.
    pub attempts: u32,
    /// What was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecord>,
    /// Whether `metadata` is not all of it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub metadata_is_cut: bool,
    /// The turns of a dialogue; empty when there was none. What stands beside them is as in a [`TestResult`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<TurnResult>,
    /// What else there is to know of a dialogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialogue: Option<DialogueRecord>,
    /// The conversation that the call belonged to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl RecordedCall {
    /// A turn of a dialogue as a call; `None`: it was not answered.
    #[must_use]
    pub fn of_turn(turn: &TurnResult) -> Option<Self> {
        Some(Self {
            output: turn.output.clone()?,
            http_status: turn.http_status,
            headers: turn.headers.clone(),
            total_time_ms: turn.total_time_ms,
            invoke_time_ms: turn.invoke_time_ms,
            ttft_ms: turn.ttft_ms,
            usage: turn.usage.clone(),
            cost: turn.cost,
            finish_reason: turn.finish_reason.clone(),
            tool_calls: turn.tool_calls.clone(),
            context: turn.context.clone(),
            metadata: turn.metadata.clone(),
            captured: BTreeMap::new(),
            attempts: turn.attempt,
            request: None,
            metadata_is_cut: turn.cut.contains("metadata"),
            turns: Vec::new(),
            dialogue: None,
            conversation_id: None,
        })
    }
}

impl From<TestResult> for RecordedAnswer {
    fn from(mut result: TestResult) -> Self {
        let output = match result.output.take() {
            Some(output) if !output.is_null() => output,
            _ => {
                return Self::Unusable(why_none(
                    result.status,
                    result.error.as_ref().map(|error| &*error.message),
                ));
            }
        };
        if let Some(why) = cut(&result, &output).or_else(|| incomplete(&result)) {
            return Self::Unusable(why);
        }
        let attempts = result.attempts_of_call();
        // What a version before this one stored of an evaluation says nothing of the call's time.
        let of_call = result.reevaluated_from.is_none() && attempts == 1;
        Self::Call(Box::new(RecordedCall {
            output,
            http_status: result.http_status,
            headers: result.headers,
            total_time_ms: result
                .total_time_ms
                .or_else(|| of_call.then_some(result.execution_time_ms)),
            metadata_is_cut: result.cut.contains("metadata"),
            turns: result.turns.into_iter().map(unjudged).collect(),
            dialogue: result.dialogue,
            conversation_id: result.conversation_id,
            invoke_time_ms: result.invoke_time_ms,
            ttft_ms: result.ttft_ms,
            usage: result.usage,
            cost: result.cost,
            finish_reason: result.finish_reason,
            tool_calls: result.tool_calls,
            context: result.context,
            metadata: result.metadata,
            captured: result.captured,
            attempts,
            request: result.request,
        }))
    }
}

/// A turn without what its metrics said.
fn unjudged(turn: TurnResult) -> TurnResult {
    TurnResult {
        metrics: Vec::new(),
        error: None,
        ..turn
    }
}

/// What metrics look at and is not whole.
fn cut(result: &TestResult, output: &Value) -> Option<String> {
    let is_cut = |value: &Value| matches!(value, Value::String(text) if text.ends_with('…'));
    let mut named: Vec<String> = Vec::new();
    if result.cut.is_empty() {
        // Of a version that did not say what it cut.
        let kept = [
            ("output", Some(output)),
            ("tool_calls", result.tool_calls.as_ref()),
            ("context", result.context.as_ref()),
        ];
        let cut = kept.into_iter().filter(|(_, value)| value.is_some_and(is_cut));
        named.extend(cut.filter(|_| result.truncated).map(|(name, _)| name.to_owned()));
    } else {
        named.extend(
            LOOKED_AT
                .iter()
                .filter(|name| result.cut.contains(**name))
                .map(|name| (*name).to_owned()),
        );
        for turn in &result.turns {
            let of_turn = LOOKED_AT.iter().filter(|name| turn.cut.contains(**name));
            named.extend(of_turn.map(|name| format!("{name} of turn {}", turn.number)));
        }
    }
    if named.is_empty() {
        return None;
    }
    let more = named.len().saturating_sub(MAX_NAMED);
    named.truncate(MAX_NAMED);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    Some(format!(
        "has a result that was cut when it was stored ({}{more}); execute it anew with a larger limits.max_output_bytes or \
         limits.max_result_bytes of the workers",
        named.join(", ")
    ))
}

/// Of a result and of a turn, what has to be whole.
const LOOKED_AT: [&str; 6] = ["output", "input", "tool_calls", "context", "finish_reason", "captured"];
/// Parts that a sentence names.
const MAX_NAMED: usize = 5;

/// Why a dialogue cannot be looked at as a whole.
fn incomplete(result: &TestResult) -> Option<String> {
    if result.turns.is_empty() {
        return None;
    }
    let of_metrics = |class| matches!(class, ErrorClass::Metric | ErrorClass::NoMetric);
    if let Some(error) = result.error.as_ref().filter(|error| !of_metrics(error.class)) {
        return Some(why_none(Status::Error, Some(&error.message)));
    }
    let taken = || result.turns.iter().filter(|turn| turn.status != Status::NotRun);
    if let Some(turn) = taken().find(|turn| turn.output.is_none()) {
        return Some(format!("has no output of turn {}; execute it anew", turn.number));
    }
    // A call that was answered always had a status.
    let before = taken().find(|turn| turn.http_status.is_none())?;
    Some(format!(
        "is a dialogue that an earlier version stored, without the HTTP status, the documents and the metadata of turn {}; execute \
         it anew",
        before.number
    ))
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
        assert!(why(cut("begin…")).starts_with("has a result that was cut when it was stored (output)"));
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

    fn dialogue(status: Status) -> TestResult {
        let turn = |number: u32| TurnResult {
            output: Some(json!(format!("answer {number}"))),
            http_status: Some(200),
            ..TurnResult::new(number, None, "hi", Status::Pass)
        };
        TestResult {
            turns: vec![turn(1), turn(2)],
            ..result(status, Some(json!("answer 2")))
        }
    }

    #[test]
    fn a_dialogue_is_whole_or_says_what_is_missing() {
        assert!(
            matches!(RecordedAnswer::from(dialogue(Status::Fail)), RecordedAnswer::Call(call) if call.turns.len() == 2)
        );
        let mut one = dialogue(Status::Error);
        one.error = Some(ErrorDetail::new(ErrorClass::SimulatedUser, "nobody played"));
        assert_eq!(why(one), "ended in error: nobody played");
        let mut one = dialogue(Status::Error);
        one.error = Some(ErrorDetail::new(ErrorClass::Metric, "nobody judged"));
        assert!(matches!(RecordedAnswer::from(one), RecordedAnswer::Call(_)));
        let mut one = dialogue(Status::Pass);
        one.turns[0].http_status = None;
        assert!(why(one).starts_with("is a dialogue that an earlier version stored"));
        let mut one = dialogue(Status::Pass);
        one.turns[1].cut = ["output".to_owned(), "reasons".to_owned()].into();
        one.cut = ["turns".to_owned()].into();
        assert!(why(one).contains("(output of turn 2)"));
        let mut one = dialogue(Status::Fail);
        one.turns[1] = TurnResult::new(2, None, "hi", Status::NotRun);
        one.output = Some(json!("answer 1"));
        assert!(
            matches!(RecordedAnswer::from(one), RecordedAnswer::Call(_)),
            "it was stopped"
        );
    }

    /// What was cut and is not looked at makes an output no worse, even where the output looks as if it were cut.
    #[test]
    fn what_was_cut_is_told_by_name_where_the_result_knows_it() {
        let with = |cut: &[&str]| TestResult {
            truncated: true,
            cut: cut.iter().map(|name| (*name).to_owned()).collect(),
            ..result(Status::Pass, Some(json!("and so on…")))
        };
        assert!(matches!(
            RecordedAnswer::from(with(&["reasons", "request"])),
            RecordedAnswer::Call(_)
        ));
        let RecordedAnswer::Call(call) = RecordedAnswer::from(with(&["metadata"])) else {
            panic!("metadata is looked at by few")
        };
        assert!(call.metadata_is_cut);
        let said = why(with(&["tool_calls", "context"]));
        assert!(
            said.contains("(tool_calls, context)") && said.contains("limits.max_output_bytes"),
            "{said}"
        );
    }

    #[test]
    fn the_time_of_an_older_result_is_known_where_there_was_one_attempt() {
        let timed = |attempts, total| {
            let stored = TestResult {
                attempts,
                execution_time_ms: 7.5,
                total_time_ms: total,
                ..result(Status::Pass, Some(json!("a")))
            };
            match RecordedAnswer::from(stored) {
                RecordedAnswer::Call(call) => call.total_time_ms,
                RecordedAnswer::Unusable(why) => panic!("{why}"),
            }
        };
        assert_eq!(
            (timed(1, None), timed(2, None), timed(2, Some(9.0))),
            (Some(7.5), None, Some(9.0))
        );
        let again = TestResult {
            reevaluated_from: Some(RunId::new(Uuid::from_u128(1))),
            attempts: 1,
            ..result(Status::Pass, Some(json!("a")))
        };
        assert!(matches!(RecordedAnswer::from(again), RecordedAnswer::Call(call) if call.total_time_ms.is_none()));
    }
}
