//! Outputs that are evaluated again, while nothing is called: in a run that evaluates those of another run, and in a recovery
//! round of a test that has its output but not the verdict of somebody who was to be asked about it.

mod dialogue;
mod source;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};
use testfleet_model::TestResult;

pub(super) use self::source::{Source, Stored, source};
use super::evaluating::{Evidence, evaluate, result_of_recorded};
use super::slot::Slot;
use super::trial::Trial;
use super::{TestExecutor, captured_too_much, merged};
use crate::attempt::Outcome;
use crate::load::Load;

impl TestExecutor {
    /// Evaluates what was stored, within the time that the test has left. Nothing is sent, so the endpoint's limits get back
    /// what the claim took, and budgets hear of nothing.
    pub(super) async fn reevaluate(&self, trial: Trial<'_>, stored: Stored<'_>) -> Outcome {
        let Trial {
            job, test, claimed_at, ..
        } = trial;
        let captured = captured(&job.captured, &stored.call.captured);
        if captured.len() > self.max_result {
            let error = captured_too_much(captured.len(), self.max_result);
            return self.refuse(job, test, claimed_at, error, "");
        }
        let evaluating = async {
            if test.is_dialogue() {
                self.reevaluate_dialogue(trial, &stored).await
            } else {
                Ok(reevaluate_call(trial, &stored).await)
            }
        };
        let mut slot = Slot::new(&self.store, trial.holder, job, claimed_at, Load::default());
        // A recovery round asks again whoever was not there. It has come in line at the endpoint, which it does not call.
        let evaluated = if trial.earlier().is_some() {
            Box::pin(slot.vacate_while(evaluating)).await
        } else {
            evaluating.await
        };
        let mut result = match evaluated {
            Ok(result) => result,
            Err(error) => return self.refuse(job, test, claimed_at, error, ""),
        };
        result.started_at = Some(claimed_at.after(Duration::ZERO));
        stored.sign(&mut result);
        self.finish(result, job, test, claimed_at, "", captured, slot.load())
    }
}

async fn reevaluate_call(trial: Trial<'_>, stored: &Stored<'_>) -> TestResult {
    let known = trial.captured();
    let like = trial.call(trial.test, &known);
    let before = stored.before().map_or(&[][..], |before| &before.metrics);
    // Ends when the test's time is over at the latest: whoever is not heard then is an error of the metric.
    let assessment = evaluate(trial, &like, Evidence::recorded(&stored.call), before, None).await;
    result_of_recorded(assessment, trial.test, trial.job.index, &stored.call)
}

fn captured(before: &str, now: &BTreeMap<String, Value>) -> String {
    let before: Map<String, Value> = serde_json::from_str(before).unwrap_or_default();
    merged(&before, now)
}
