//! How a dialogue ends: the verdict over all of its turns, and the result that tells of them.

use serde_json::Value;
use testfleet_endpoint::{Invocation, InvokeError};
use testfleet_evaluation::{Decision, decide, effective};
use testfleet_model::configuration::{Metric, TestCase};
use testfleet_model::result::{ErrorDetail, MetricResult, TurnResult};
use testfleet_model::{Status, TestResult};
use testfleet_store::Signal;

use super::state::DialogueState;
use super::{Attempt, Dialogue, Used, judging, turn};
use crate::attempt::Outcome;
use crate::executor::evaluating::{Evidence, headers_for};
use crate::executor::slot::Slot;
use crate::executor::trial::Trial;
use crate::executor::{TestExecutor, milliseconds};
use crate::load::Load;

impl TestExecutor {
    /// The last turn was answered: now the metrics of the test as a whole.
    pub(super) async fn over(&self, attempt: Attempt<'_>, mut dialogue: Dialogue, mut last: Invocation) -> Outcome {
        let trial = attempt.trial;
        let Trial { job, test, plan, .. } = trial;
        let load = dialogue.used.load(Load::of(Signal::Accepted));
        sum_up(&dialogue.state.turns, &mut last);
        let said = dialogue.state.turns.last().map_or("", |turn| turn.input.as_str());
        let whole = turn::whole(test, said, &dialogue.state.transcript);
        let held_to = effective(&plan.configuration.metrics, &whole);
        let total = trial.total_time();
        let reason = last.finish_reason();
        let evidence = Evidence::of(&last, reason.as_deref(), job.attempt, total).with_goal(&dialogue.state.record);
        let mut slot = Slot::new(&self.store, trial.holder, job, trial.claimed_at, load);
        let judged = judging::judge_whole(trial, &whole, &dialogue.captured, evidence, &[], Some(&mut slot)).await;
        let load = slot.load();
        let metrics = match judged {
            Ok(metrics) => metrics,
            Err(error) => return self.in_error(attempt, dialogue, error, load),
        };
        let whole = Some((&held_to[..], &metrics[..]));
        let decision = self.decide(trial, &dialogue.state.turns, whole, test.threshold);
        let headers = headers_for(held_to.iter().copied(), &last.headers);
        let captured = if dialogue.state.captured.is_empty() {
            String::new()
        } else {
            Value::Object(std::mem::take(&mut dialogue.captured)).to_string()
        };
        let mut result = self.result(trial, dialogue.into_state(), decision);
        result.set_metrics(metrics);
        result.total_time_ms = Some(milliseconds(total));
        result.headers = headers;
        result.http_status = Some(last.status);
        result.request = Some(last.request);
        result.output = Some(last.output);
        self.finish(result, job, test, trial.claimed_at, "", captured, load)
    }

    /// Another attempt where the endpoint's policy has one left; else the error is the result.
    pub(super) fn call_failed(&self, attempt: Attempt<'_>, dialogue: Dialogue, mut failure: InvokeError) -> Outcome {
        let Trial {
            job,
            test,
            plan,
            claimed_at,
            ..
        } = attempt.trial;
        let load = Load::of_failure(&failure);
        let load = dialogue.used.load(load);
        if let Some(again) = self.tried_again(job, test, plan, claimed_at, &failure, load) {
            return again;
        }
        if let Some(turn) = dialogue.state.turns.last() {
            failure.detail.message = format!("{}: {}", turn.label(), failure.detail.message);
        }
        let mut result = self.result(attempt.trial, dialogue.into_state(), Decision::error(failure.detail));
        result.request = failure.request;
        self.end(attempt, result, load)
    }

    pub(super) fn in_error(&self, attempt: Attempt<'_>, dialogue: Dialogue, error: ErrorDetail, load: Load) -> Outcome {
        let result = self.result(attempt.trial, dialogue.into_state(), Decision::error(error));
        self.end(attempt, result, load)
    }

    pub(super) fn end(&self, attempt: Attempt<'_>, result: TestResult, load: Load) -> Outcome {
        let Trial {
            job, test, claimed_at, ..
        } = attempt.trial;
        self.finish(result, job, test, claimed_at, "", String::new(), load)
    }

    /// The rules of verdicts over the metrics of all turns that were taken, and of the test as a whole.
    pub(in crate::executor) fn decide(
        &self,
        trial: Trial<'_>,
        turns: &[TurnResult],
        whole: Option<(&[&Metric], &[MetricResult])>,
        threshold: Option<f64>,
    ) -> Decision {
        let Trial { test, plan, .. } = trial;
        let tests: Vec<TestCase> = turns
            .iter()
            .zip(&test.turns)
            .map(|(_, turn)| turn::test_of(test, Some(turn), "", &[]))
            .collect();
        let mut metrics: Vec<&Metric> = tests
            .iter()
            .flat_map(|one| effective(&plan.configuration.metrics, one))
            .collect();
        let mut results: Vec<MetricResult> = turns.iter().flat_map(|turn| turn.metrics.iter().cloned()).collect();
        if let Some((held_to, own)) = whole {
            metrics.extend(held_to);
            results.extend_from_slice(own);
        }
        decide(metrics, &results, threshold)
    }

    /// The result of a dialogue, with every turn that it was to have.
    pub(in crate::executor) fn result(&self, trial: Trial<'_>, state: DialogueState, decision: Decision) -> TestResult {
        let Trial { job, test, .. } = trial;
        let mut result = TestResult::without_execution(test.id.clone(), job.index, decision.status, decision.error);
        result.execution = decision.execution;
        result.verdict = decision.verdict;
        result.attempts = job.attempt;
        result.started_at = Some(trial.claimed_at.after(std::time::Duration::ZERO));
        let mut used = Used::default();
        for turn in &state.turns {
            used.add(&turn.usage, turn.cost);
        }
        result.usage = used.usage;
        result.cost = used.cost;
        let times = |of: fn(&TurnResult) -> Option<f64>| state.turns.iter().filter_map(of).reduce(f64::max);
        result.invoke_time_ms = times(|turn| turn.invoke_time_ms);
        result.ttft_ms = times(|turn| turn.ttft_ms);
        if let Some(last) = state.turns.last() {
            result.finish_reason.clone_from(&last.finish_reason);
            result.tool_calls.clone_from(&last.tool_calls);
            result.output.clone_from(&last.output);
        }
        result.conversation_id = state.conversation_id;
        result.captured = state.captured.into_iter().collect();
        let record = state.record;
        result.dialogue = (record != Default::default()).then_some(record);
        result.turns = state.turns;
        result.set_metrics(Vec::new());
        for (number, turn) in (1..).zip(&test.turns).skip(result.turns.len()) {
            let not_taken = TurnResult::new(number, turn.name.clone(), turn.input.clone(), Status::NotRun);
            result.turns.push(not_taken);
        }
        result
    }
}

/// What the test's own metrics see of the calls: the slowest of them, the sums of what they used, and all tools they called.
fn sum_up(turns: &[TurnResult], last: &mut Invocation) {
    let longest = |of: fn(&TurnResult) -> Option<f64>| turns.iter().filter_map(of).reduce(f64::max);
    let duration = |ms: f64| std::time::Duration::try_from_secs_f64(ms / 1_000.0).ok();
    if let Some(slowest) = longest(|turn| turn.invoke_time_ms).and_then(duration) {
        last.elapsed = slowest;
    }
    last.ttft = longest(|turn| turn.ttft_ms).and_then(duration);
    let mut used = Used::default();
    for turn in turns {
        used.add(&turn.usage, turn.cost);
    }
    last.usage = used.usage;
    last.cost = used.cost;
    if let Some(called) = all_tool_calls(turns) {
        last.fields.insert("tool_calls".to_owned(), called);
    }
}

/// The calls of tools of all turns; `None` when there are none, or they are no lists.
pub(in crate::executor) fn all_tool_calls(turns: &[TurnResult]) -> Option<Value> {
    let lists = turns.iter().filter_map(|turn| turn.tool_calls.as_ref()?.as_array());
    let called: Vec<Value> = lists.flatten().cloned().collect();
    (!called.is_empty()).then_some(Value::Array(called))
}
