//! What an answer is worth: its metrics, and the result they make.

use std::time::Instant;

use testfleet_endpoint::Invocation;
use testfleet_evaluation::{Assessment, Call as CallFacts, Subject, assess};
use testfleet_model::TestResult;
use testfleet_model::configuration::TestCase;
use testfleet_store::ClaimedTest;

use super::{milliseconds, since_begun};
use crate::clock::ServerClock;
use crate::plan::Plan;

/// Outputs from this size on are evaluated on a thread that may block.
const LARGE_OUTPUT: usize = 64 * 1024;

/// Evaluates here, or on a thread that may block when the output is large.
pub(super) async fn evaluate(
    job: &ClaimedTest,
    test: &TestCase,
    plan: &Plan,
    claimed_at: ServerClock,
    invocation: &Invocation,
) -> Assessment {
    let start = Instant::now();
    let finish_reason = invocation.finish_reason();
    let call = CallFacts {
        headers: Some(&invocation.headers),
        finish_reason: finish_reason.as_deref(),
        tool_calls: invocation.tool_calls(),
        first_token_time: invocation.ttft,
        total_time: Some(since_begun(job, claimed_at)),
        usage: Some(&invocation.usage),
        cost: invocation.cost,
        attempts: Some(job.attempt),
    };
    let work = |metrics: &testfleet_evaluation::MetricSet| {
        let subject = Subject {
            output: &invocation.output,
            expected: test.expected_output.as_ref(),
            status: Some(invocation.status),
            invoke_time: Some(invocation.elapsed),
        };
        assess(metrics, test, subject.with(call), || start.elapsed())
    };
    let may_block = tokio::runtime::Handle::current().runtime_flavor() == tokio::runtime::RuntimeFlavor::MultiThread;
    if may_block && invocation.text.len() > LARGE_OUTPUT {
        tokio::task::block_in_place(|| work(&plan.metrics))
    } else {
        work(&plan.metrics)
    }
}

pub(super) fn result_of(assessment: Assessment, test: &TestCase, index: u32, invocation: Invocation) -> TestResult {
    let decision = assessment.decision;
    let mut result = TestResult::without_execution(test.id.clone(), index, decision.status, decision.error);
    result.execution = decision.execution;
    result.verdict = decision.verdict;
    result.metrics = assessment.metrics;
    result.invoke_time_ms = Some(milliseconds(invocation.elapsed));
    result.finish_reason = invocation.finish_reason();
    result.tool_calls = invocation.tool_calls().cloned();
    result.ttft_ms = invocation.ttft.map(milliseconds);
    result.output = Some(invocation.output);
    result.request = Some(invocation.request);
    result.usage = invocation.usage;
    result.cost = invocation.cost;
    result.captured = invocation.captured;
    result
}
