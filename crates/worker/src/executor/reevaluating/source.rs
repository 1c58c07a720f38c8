//! Where the answer of an attempt comes from.

use std::borrow::Cow;

use testfleet_endpoint::Target;
use testfleet_model::configuration::{Metric, MetricKind, TestCase};
use testfleet_model::recorded::{Recorded, RecordedAnswer, RecordedCall};
use testfleet_model::recovery::Earlier;
use testfleet_model::{RunId, Status, TestResult};

use crate::executor::trial::Trial;
use crate::plan::{Answers, Plan};

/// Where the answer of an attempt comes from.
pub(in crate::executor) enum Source<'a> {
    /// The endpoint is called.
    Endpoint(&'a Target),
    /// It was stored.
    Stored(Box<Stored<'a>>),
    /// There is none, for this reason.
    None(String),
}

/// An answer that was given before.
pub(in crate::executor) struct Stored<'a> {
    pub(in crate::executor) call: Cow<'a, RecordedCall>,
    /// The run that it is of, where that is another one.
    from: Option<RunId>,
    /// What became of the test before, in a recovery round.
    earlier: Option<&'a Earlier>,
    /// Whether the answer is that of `earlier`.
    is_own: bool,
}

impl<'a> Stored<'a> {
    /// The result that the same metrics made of the same answer before.
    pub(in crate::executor) fn before(&self) -> Option<&'a TestResult> {
        self.earlier.filter(|_| self.is_own).map(|earlier| &*earlier.result)
    }

    /// Says in a result where its answer is from. The attempts are those that it took, and are counted once.
    pub(super) fn sign(&self, result: &mut TestResult) {
        result.attempts = self.before().map_or(self.call.attempts, |before| before.attempts);
        result.reevaluated_from = self.from;
        result.recovery = self.earlier.map(Earlier::evaluated_again);
    }
}

/// Where the answer of this attempt comes from. In a recovery round of a test that lacks the verdicts of its metrics only, that is
/// the result it has, if that has all that metrics look at.
pub(in crate::executor) fn source(trial: Trial<'_>) -> Source<'_> {
    let Trial { test, plan, .. } = trial;
    let earlier = trial.earlier();
    if let Some(earlier) = earlier.filter(|earlier| earlier.lacks_metrics_only())
        && let RecordedAnswer::Call(call) = RecordedAnswer::from((*earlier.result).clone())
        && call.turns.iter().all(|turn| turn.status != Status::NotRun)
        && unusable(test, plan, &call).is_none()
    {
        return Source::Stored(Box::new(Stored {
            call: Cow::Owned(*call),
            from: earlier.result.reevaluated_from,
            earlier: Some(earlier),
            is_own: true,
        }));
    }
    if let Answers::Endpoint(target) = &plan.answers {
        return Source::Endpoint(target);
    }
    let Some(Recorded { run, answer }) = &test.recorded else {
        return Source::None("there is no output to evaluate: none was stored with the test".to_owned());
    };
    let why = match answer {
        RecordedAnswer::Unusable(why) => Some(why.clone()),
        RecordedAnswer::Call(call) => unusable(test, plan, call),
    };
    match (answer, why) {
        (RecordedAnswer::Call(call), None) => Source::Stored(Box::new(Stored {
            call: Cow::Borrowed(call),
            from: Some(*run),
            earlier,
            is_own: false,
        })),
        (_, why) => {
            let why = why.unwrap_or_default();
            Source::None(format!("there is no output of run {run} to evaluate: the test {why}"))
        }
    }
}

/// Why what was stored does not fit what it is to be held to; a sentence without subject.
fn unusable(test: &TestCase, plan: &Plan, call: &RecordedCall) -> Option<String> {
    let (there, here) = (call.turns.len(), test.turns.len());
    if test.is_dialogue() && there == 0 {
        return Some("was no dialogue there, and is one here; execute it anew".to_owned());
    }
    if !test.is_dialogue() && there > 0 {
        return Some("was a dialogue there, and is none here; execute it anew".to_owned());
    }
    let is_simulated = test.simulated_user.is_some();
    if !is_simulated && there != here {
        return Some(format!("had {there} turns there, and has {here} here; execute it anew"));
    }
    let goal = call.dialogue.as_ref().and_then(|dialogue| dialogue.goal_reached);
    if is_simulated && goal.is_none() {
        return Some("had no simulated user there, and has one here; execute it anew".to_owned());
    }
    let is_cut = call.metadata_is_cut || call.turns.iter().any(|turn| turn.cut.contains("metadata"));
    let own = || {
        test.metrics
            .iter()
            .chain(test.turns.iter().flat_map(|turn| &turn.metrics))
    };
    if is_cut && (asks_webhook(&plan.configuration.metrics) || own().any(is_webhook)) {
        let why = "has metadata of the response that was cut when it was stored (limits.max_output_bytes), and a webhook is to be \
                   shown it; execute it anew with a larger limit of the workers";
        return Some(why.to_owned());
    }
    None
}

fn asks_webhook(metrics: &[Metric]) -> bool {
    metrics.iter().any(is_webhook)
}

fn is_webhook(metric: &Metric) -> bool {
    metric.kind == MetricKind::Webhook || asks_webhook(&metric.metrics)
}
