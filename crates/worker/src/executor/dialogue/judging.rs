//! What the metrics of a dialogue say: those of a turn, and those of the test as a whole. The answers may have been given just now, or
//! stored before.

use serde_json::{Map, Value};
use testfleet_evaluation::{Assessment, effective};
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{ErrorDetail, MetricResult, TurnResult};

use super::defect;
use crate::executor::evaluating::{Evidence, evaluate};
use crate::executor::slot::Slot;
use crate::executor::trial::Trial;

/// Evaluates a turn, and puts what its metrics say into its record. `one`: the turn as a test of one call; `before`: as with
/// [`evaluate`].
///
/// # Errors
/// When the metrics cannot be computed at all.
pub(in crate::executor) async fn judge_turn(
    trial: Trial<'_>,
    one: &TestCase,
    captured: &Map<String, Value>,
    evidence: Evidence<'_>,
    before: &[MetricResult],
    record: &mut TurnResult,
) -> Result<(), ErrorDetail> {
    let evidence = evidence.of_turn(record.number);
    if let Some(assessment) = assessed(trial, one, captured, evidence, before, None).await? {
        record.status = assessment.decision.status;
        record.metrics = assessment.metrics;
        record.error = assessment.decision.error;
    }
    Ok(())
}

/// What the metrics of the test as a whole say; nothing where it has none. `slot`: as with [`evaluate`].
///
/// # Errors
/// When they cannot be computed at all.
pub(in crate::executor) async fn judge_whole(
    trial: Trial<'_>,
    whole: &TestCase,
    captured: &Map<String, Value>,
    evidence: Evidence<'_>,
    before: &[MetricResult],
    slot: Option<&mut Slot<'_>>,
) -> Result<Vec<MetricResult>, ErrorDetail> {
    let assessment = assessed(trial, whole, captured, evidence, before, slot).await?;
    Ok(assessment.map(|assessment| assessment.metrics).unwrap_or_default())
}

async fn assessed(
    trial: Trial<'_>,
    test: &TestCase,
    captured: &Map<String, Value>,
    evidence: Evidence<'_>,
    before: &[MetricResult],
    slot: Option<&mut Slot<'_>>,
) -> Result<Option<Assessment>, ErrorDetail> {
    let held_to = effective(&trial.plan.configuration.metrics, test).len();
    if held_to == 0 {
        return Ok(None);
    }
    let assessment = evaluate(trial, &trial.call(test, captured), evidence, before, slot).await;
    if assessment.metrics.len() == held_to {
        return Ok(Some(assessment));
    }
    // They could not be compiled; the decision says why.
    let error = assessment.decision.error;
    Err(error.unwrap_or_else(|| defect("metrics have no results")))
}
