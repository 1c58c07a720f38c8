//! A test of a run that evaluates stored outputs again: what an earlier run has of it came with the test, and nothing is called.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use testfleet_model::configuration::TestCase;
use testfleet_model::recorded::{Recorded, RecordedAnswer};
use testfleet_model::result::{ErrorClass, ErrorDetail};
use testfleet_store::ClaimedTest;
use tokio::time::Instant;

use super::evaluating::{Evidence, evaluate, result_of_recorded};
use super::{TestExecutor, call_of, captured_too_much, merged};
use crate::attempt::Outcome;
use crate::clock::ServerClock;
use crate::load::Load;
use crate::plan::Plan;

impl TestExecutor {
    /// Evaluates what was recorded, within the time that the test has left: `by`. Nothing is sent, so limits and budgets hear of
    /// nothing.
    pub(super) async fn reevaluate(
        &self,
        job: &ClaimedTest,
        test: &TestCase,
        plan: &Plan,
        claimed_at: ServerClock,
        by: Instant,
        holder: &str,
    ) -> Outcome {
        let (run, call) = match &test.recorded {
            Some(Recorded {
                run,
                answer: RecordedAnswer::Call(call),
            }) => (*run, call),
            Some(Recorded {
                run,
                answer: RecordedAnswer::Unusable(why),
            }) => {
                let message = format!("there is no output of run {run} to evaluate: the test {why}");
                return self.refuse(
                    job,
                    test,
                    claimed_at,
                    ErrorDetail::new(ErrorClass::Reference, message),
                    "",
                );
            }
            None => {
                let message = "there is no output to evaluate: none was stored with the test";
                return self.refuse(
                    job,
                    test,
                    claimed_at,
                    ErrorDetail::new(ErrorClass::Reference, message),
                    "",
                );
            }
        };
        let known: Map<String, Value> = serde_json::from_str(&job.captured).unwrap_or_default();
        let like = call_of(job, plan, test, &known, claimed_at);
        // Ends at `by` at the latest: whoever is not heard then is an error of the metric.
        let assessment = evaluate(&like, plan, Evidence::recorded(call), by, holder, None).await;
        let captured = captured(&job.captured, &call.captured);
        if captured.len() > self.max_result {
            let error = captured_too_much(captured.len(), self.max_result);
            return self.refuse(job, test, claimed_at, error, "");
        }
        let mut result = result_of_recorded(assessment, test, job.index, run, call);
        result.started_at = Some(claimed_at.after(std::time::Duration::ZERO));
        self.finish(result, job, test, claimed_at, "", captured, Load::default())
    }
}

fn captured(before: &str, now: &BTreeMap<String, Value>) -> String {
    let before: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    merged(&before, now)
}
