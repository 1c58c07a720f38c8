//! What an answer is worth: its metrics, and the result they make.

use std::time::{Duration, Instant};

use serde_json::Value;
use testfleet_endpoint::Invocation;
use testfleet_evaluation::{Assessment, Call as CallFacts, Subject, assess};
use testfleet_model::configuration::TestCase;
use testfleet_model::recorded::RecordedCall;
use testfleet_model::{RunId, TestResult};
use testfleet_store::ClaimedTest;

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
            },
            size: invocation.text.len(),
        }
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
            size: call.output.as_str().map_or(LARGE_OUTPUT, str::len),
        }
    }
}

/// Evaluates here, or on a thread that may block when the output is large.
pub(super) async fn evaluate(test: &TestCase, plan: &Plan, evidence: Evidence<'_>) -> Assessment {
    let start = Instant::now();
    let work = |metrics: &testfleet_evaluation::MetricSet| {
        let subject = Subject {
            output: evidence.output,
            expected: test.expected_output.as_ref(),
            status: evidence.status,
            invoke_time: evidence.invoke_time,
        };
        let call = CallFacts {
            expected_tools: test.expected_tools.as_deref(),
            ..evidence.call
        };
        assess(metrics, test, subject.with(call), || start.elapsed())
    };
    let may_block = tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread;
    if may_block && evidence.size > LARGE_OUTPUT {
        tokio::task::block_in_place(|| work(&plan.metrics))
    } else {
        work(&plan.metrics)
    }
}

pub(super) fn result_of(assessment: Assessment, test: &TestCase, index: u32, invocation: Invocation) -> TestResult {
    let mut result = assessed(assessment, test, index);
    result.http_status = Some(invocation.status);
    result.invoke_time_ms = Some(milliseconds(invocation.elapsed));
    result.finish_reason = invocation.finish_reason();
    result.conversation_id.clone_from(&invocation.conversation_id);
    result.tool_calls = invocation.tool_calls().cloned();
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
    result.metrics = assessment.metrics;
    result
}
