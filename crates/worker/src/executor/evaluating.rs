//! What an answer is worth: its metrics, and the result they make.

use std::time::Duration;

use serde_json::Value;
use testfleet_endpoint::{Call, Invocation};
use testfleet_evaluation::{Assessment, Background, Call as CallFacts, Evaluation, Goal, Question, Subject};
use testfleet_judge::{LANGUAGE, Occasion};
use testfleet_model::configuration::TestCase;
use testfleet_model::recorded::RecordedCall;
use testfleet_model::result::DialogueRecord;
use testfleet_model::{RunId, TestResult};
use testfleet_store::ClaimedTest;
use tokio::time::Instant;

use super::slot::Slot;
use super::{milliseconds, since_begun};
use crate::clock::ServerClock;
use crate::plan::Plan;

/// Outputs from this size on are evaluated on a thread that may block.
const LARGE_OUTPUT: usize = 64 * 1024;

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
}

impl<'a> Evidence<'a> {
    /// Of a call that was just made. `finish_reason`: [`Invocation::finish_reason`].
    pub(super) fn of(
        invocation: &'a Invocation,
        finish_reason: Option<&'a str>,
        job: &ClaimedTest,
        claimed_at: ServerClock,
    ) -> Self {
        Self {
            output: &invocation.output,
            status: Some(invocation.status),
            invoke_time: Some(invocation.elapsed),
            call: CallFacts {
                headers: Some(&invocation.headers),
                finish_reason,
                tool_calls: invocation.tool_calls(),
                first_token_time: invocation.ttft,
                total_time: Some(since_begun(job, claimed_at)),
                usage: Some(&invocation.usage),
                cost: invocation.cost,
                attempts: Some(job.attempt),
                expected_tools: None,
                goal: None,
            },
            context: invocation.fields.get("context"),
            metadata: invocation.fields.get("metadata"),
            size: invocation.text.len(),
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

    /// Of a call that an earlier run made. Its headers, and how long the whole test took, were not stored.
    pub(super) fn recorded(call: &'a RecordedCall) -> Self {
        let duration = |milliseconds: Option<f64>| Duration::try_from_secs_f64(milliseconds? / 1_000.0).ok();
        Self {
            output: &call.output,
            status: call.http_status,
            invoke_time: duration(call.invoke_time_ms),
            call: CallFacts {
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
        }
    }
}

/// Evaluates an answer to a test: that of `call`, or one to its like that was stored. Metrics that ask are asked for until `by`;
/// what has no answer then is an error of the metric. `holder`: the incarnation of the worker that holds the test. `slot`: what is given back when somebody else is asked, where the endpoint
/// is not called again.
pub(super) async fn evaluate(
    call: &Call<'_>,
    plan: &Plan,
    evidence: Evidence<'_>,
    by: Instant,
    holder: &str,
    mut slot: Option<&mut Slot<'_>>,
) -> Assessment {
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
    let is_large = evidence.size > LARGE_OUTPUT;
    let occasion = occasion(call, holder);
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
    let kept = |name: &str| invocation.fields.get(name).filter(|value| !value.is_null()).cloned();
    result.context = kept("context");
    result.metadata = kept("metadata");
    result.ttft_ms = invocation.ttft.map(milliseconds);
    result.output = Some(invocation.output);
    result.request = Some(invocation.request);
    result.usage = invocation.usage;
    result.cost = invocation.cost;
    result.captured = invocation.captured;
    result
}

/// The same of a call that an earlier run made: what it says of the call is from there.
pub(super) fn result_of_recorded(
    assessment: Assessment,
    test: &TestCase,
    index: u32,
    run: RunId,
    call: &RecordedCall,
) -> TestResult {
    let mut result = assessed(assessment, test, index);
    result.http_status = call.http_status;
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
    result.reevaluated_from = Some(run);
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
