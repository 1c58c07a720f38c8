//! What an answer is worth: its metrics, and the result they make.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use testfleet_endpoint::{Call, Invocation};
use testfleet_evaluation::{Assessment, Background, Call as CallFacts, Evaluation, Goal, Headers, Question, Subject};
use testfleet_judge::{LANGUAGE, Occasion};
use testfleet_model::TestResult;
use testfleet_model::configuration::{Metric, MetricKind, TestCase};
use testfleet_model::recorded::RecordedCall;
use testfleet_model::result::{DialogueRecord, MetricResult};
use tokio::time::Instant;

use super::milliseconds;
use super::slot::Slot;
use super::trial::Trial;

/// Outputs from this size on are evaluated on a thread that may block.
const LARGE_OUTPUT: usize = 64 * 1024;
/// Headers of a response that are stored.
const MAX_HEADERS: usize = 32;
/// The longest header that is stored, in bytes; one that is cut would be compared as another one.
const MAX_HEADER_BYTES: usize = 4_096;

/// What metrics look at: an answer, and what is known of the call that gave it.
pub(super) struct Evidence<'a> {
    output: &'a Value,
    status: Option<u16>,
    invoke_time: Option<Duration>,
    call: CallFacts<'a>,
    /// The documents that the answer was made from, as it says.
    context: Option<&'a Value>,
    /// What else of the answer is kept.
    metadata: Option<&'a Value>,
    /// Of what the endpoint said, in bytes.
    size: usize,
    /// The turn of a dialogue that it is about, from 1.
    turn: Option<u32>,
}

impl<'a> Evidence<'a> {
    /// Of a call that was just made, in this attempt of the test. `finish_reason`: [`Invocation::finish_reason`]; `total`: since the
    /// first attempt began. Times are as exact as they are stored, so that a metric says the same of what was stored.
    pub(super) fn of(
        invocation: &'a Invocation,
        finish_reason: Option<&'a str>,
        attempt: u32,
        total: Duration,
    ) -> Self {
        Self {
            output: &invocation.output,
            status: Some(invocation.status),
            invoke_time: Some(as_stored(invocation.elapsed)),
            call: CallFacts {
                headers: Some(Headers::All(&invocation.headers)),
                finish_reason,
                tool_calls: invocation.tool_calls(),
                first_token_time: invocation.ttft.map(as_stored),
                total_time: Some(as_stored(total)),
                usage: Some(&invocation.usage),
                cost: invocation.cost,
                attempts: Some(attempt),
                expected_tools: None,
                goal: None,
            },
            context: invocation.fields.get("context"),
            metadata: invocation.fields.get("metadata"),
            size: invocation.text.len(),
            turn: None,
        }
    }

    /// The same as what a turn of a dialogue has to show.
    pub(super) fn of_turn(self, number: u32) -> Self {
        Self {
            turn: Some(number),
            ..self
        }
    }

    /// The same, with what became of the goal of the user whom a model played, if one did.
    pub(super) fn with_goal(mut self, dialogue: &'a DialogueRecord) -> Self {
        self.call.goal = dialogue.goal_reached.map(|is_reached| Goal {
            is_reached,
            reason: dialogue.reason.as_deref().unwrap_or_default(),
        });
        self
    }

    /// Of a call that was made before, as far as it was stored.
    pub(super) fn recorded(call: &'a RecordedCall) -> Self {
        let duration = |milliseconds: Option<f64>| Duration::try_from_secs_f64(milliseconds? / 1_000.0).ok();
        Self {
            output: &call.output,
            status: call.http_status,
            invoke_time: duration(call.invoke_time_ms),
            call: CallFacts {
                headers: Some(Headers::Stored(&call.headers)),
                total_time: duration(call.total_time_ms),
                finish_reason: call.finish_reason.as_deref(),
                tool_calls: call.tool_calls.as_ref(),
                first_token_time: duration(call.ttft_ms),
                usage: Some(&call.usage),
                cost: call.cost,
                attempts: Some(call.attempts),
                ..CallFacts::default()
            },
            context: call.context.as_ref(),
            metadata: call.metadata.as_ref(),
            size: call.output.as_str().map_or(LARGE_OUTPUT, str::len),
            turn: None,
        }
    }
}

/// A time as exact as a result has it.
fn as_stored(time: Duration) -> Duration {
    Duration::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

/// Those headers of a response that these metrics look at, for whoever evaluates it again.
pub(super) fn headers_for<'a>(
    metrics: impl IntoIterator<Item = &'a Metric>,
    headers: &BTreeMap<String, String>,
) -> BTreeMap<String, Option<String>> {
    let mut kept = BTreeMap::new();
    for metric in metrics {
        match metric.kind {
            MetricKind::AssertSet => kept.extend(headers_for(&metric.metrics, headers)),
            MetricKind::Header => {
                let name = metric.header.as_deref().unwrap_or_default().trim().to_ascii_lowercase();
                let value = headers.get(&name).cloned();
                if value.as_ref().is_none_or(|value| value.len() <= MAX_HEADER_BYTES) {
                    kept.insert(name, value);
                }
            }
            _ => {}
        }
    }
    while kept.len() > MAX_HEADERS {
        kept.pop_last();
    }
    kept
}

/// Evaluates an answer to a test: that of `call`, or one to its like that was stored. Metrics that ask are asked for until the
/// test's time is over; what has no answer then is an error of the metric. `before`: what the same metrics said of the same answer
/// before; only those that were in error are computed. `slot`: what is given back when somebody else is asked, where the endpoint
/// is not called again.
pub(super) async fn evaluate(
    trial: Trial<'_>,
    call: &Call<'_>,
    evidence: Evidence<'_>,
    before: &[MetricResult],
    mut slot: Option<&mut Slot<'_>>,
) -> Assessment {
    let Trial { plan, by, .. } = trial;
    let test = call.test;
    let start = Instant::now();
    let subject = Subject {
        output: evidence.output,
        expected: test.expected_output.as_ref(),
        status: evidence.status,
        invoke_time: evidence.invoke_time,
    };
    // What could not be rendered was not sent; a stored answer may be one to an earlier state of the test.
    let prompt = testfleet_endpoint::prompt(call).unwrap_or_default();
    let context = context_of(evidence.context, test);
    let run_id = call.run.to_string();
    let background = Background {
        input: prompt.input.as_deref(),
        messages: &prompt.messages,
        context: &context,
        vars: Some(&test.vars),
        metadata: Some(&test.metadata),
        response_metadata: evidence.metadata,
        test_id: &test.id,
        run_id: &run_id,
    };
    let facts = CallFacts {
        expected_tools: test.expected_tools.as_deref(),
        ..evidence.call
    };
    let sample = subject.with(facts).about(background);
    let mut evaluation = Evaluation::begin(&plan.metrics, test, sample, Some(LANGUAGE));
    evaluation.resume(before);
    let is_large = evidence.size > LARGE_OUTPUT;
    let occasion = Occasion {
        turn: evidence.turn,
        ..occasion(call, trial.holder)
    };
    loop {
        let open = advance(&mut evaluation, is_large, start);
        if open.is_empty() {
            return evaluation.finish();
        }
        let asking = testfleet_judge::answer(&plan.models, open, &occasion, by);
        let answers = match slot.take() {
            // Tests that ask nobody do not carry it.
            Some(slot) => Box::pin(slot.vacate_while(asking)).await,
            None => asking.await,
        };
        for (id, answer) in answers {
            evaluation.answer(&id, answer);
        }
    }
}

/// What a call of a model says of the test that it is made for.
pub(super) fn occasion<'a>(call: &Call<'a>, holder: &'a str) -> Occasion<'a> {
    Occasion {
        run: call.run,
        run_name: call.run_name,
        test_id: &call.test.id,
        index: call.index,
        epoch: call.epoch,
        turn: None,
        attempt: call.attempt,
        holder,
        now: call.now,
    }
}

/// Evaluates here, or on a thread that may block when the output is large.
fn advance(evaluation: &mut Evaluation<'_>, is_large: bool, start: Instant) -> Vec<Question> {
    let clock = || start.elapsed();
    let may_block = tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread;
    if may_block && is_large {
        tokio::task::block_in_place(|| evaluation.advance(clock))
    } else {
        evaluation.advance(clock)
    }
}

/// The documents that the response names, else those of the test.
fn context_of(named: Option<&Value>, test: &TestCase) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match named {
        None | Some(Value::Null) => test.context.clone(),
        Some(Value::Array(documents)) => documents.iter().filter(|value| !value.is_null()).map(text).collect(),
        Some(one) => vec![text(one)],
    }
}

pub(super) fn result_of(assessment: Assessment, test: &TestCase, index: u32, invocation: Invocation) -> TestResult {
    let mut result = assessed(assessment, test, index);
    result.http_status = Some(invocation.status);
    result.invoke_time_ms = Some(milliseconds(invocation.elapsed));
    result.finish_reason = invocation.finish_reason();
    result.conversation_id.clone_from(&invocation.conversation_id);
    result.tool_calls = invocation.tool_calls().cloned();
    result.context = invocation.kept("context");
    result.metadata = invocation.kept("metadata");
    result.ttft_ms = invocation.ttft.map(milliseconds);
    result.output = Some(invocation.output);
    result.request = Some(invocation.request);
    result.usage = invocation.usage;
    result.cost = invocation.cost;
    result.captured = invocation.captured;
    result
}

/// The same of a call that was made before: what it says of the call is from there.
pub(super) fn result_of_recorded(
    assessment: Assessment,
    test: &TestCase,
    index: u32,
    call: &RecordedCall,
) -> TestResult {
    let mut result = assessed(assessment, test, index);
    result.http_status = call.http_status;
    result.headers.clone_from(&call.headers);
    result.total_time_ms = call.total_time_ms;
    result.conversation_id.clone_from(&call.conversation_id);
    result.invoke_time_ms = call.invoke_time_ms;
    result.ttft_ms = call.ttft_ms;
    result.finish_reason.clone_from(&call.finish_reason);
    result.tool_calls.clone_from(&call.tool_calls);
    result.context.clone_from(&call.context);
    result.metadata.clone_from(&call.metadata);
    result.output = Some(call.output.clone());
    result.request.clone_from(&call.request);
    result.usage.clone_from(&call.usage);
    result.cost = call.cost;
    result.captured.clone_from(&call.captured);
    result.attempts = call.attempts;
    result
}

fn assessed(assessment: Assessment, test: &TestCase, index: u32) -> TestResult {
    let decision = assessment.decision;
    let mut result = TestResult::without_execution(test.id.clone(), index, decision.status, decision.error);
    result.execution = decision.execution;
    result.verdict = decision.verdict;
    result.set_metrics(assessment.metrics);
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_headers_that_metrics_name_are_kept_and_those_that_were_not_there_are_known_to_be_missing() {
        let metrics: Vec<Metric> = serde_json::from_value(json!([
            {"type": "header", "header": " X-Request-Id "},
            {"type": "assert-set", "metrics": [{"type": "header", "header": "X-Long"}, {"type": "header", "header": "X-None"}]},
            {"type": "contains", "value": "x"},
        ]))
        .unwrap();
        let headers = BTreeMap::from(
            [
                ("x-request-id", "r".to_owned()),
                ("x-long", "l".repeat(MAX_HEADER_BYTES + 1)),
                ("set-cookie", "session".to_owned()),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let kept = headers_for(&metrics, &headers);
        let expected = [("x-none", None), ("x-request-id", Some("r"))];
        let told: Vec<(&str, Option<&str>)> = kept
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()))
            .collect();
        assert_eq!(told, expected);
        let many: Vec<Metric> = (0..MAX_HEADERS + 5)
            .map(|number| serde_json::from_value(json!({"type": "header", "header": format!("h{number}")})).unwrap())
            .collect();
        assert_eq!(headers_for(&many, &headers).len(), MAX_HEADERS);
    }
}
