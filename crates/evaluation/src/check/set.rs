//! `assert-set`: metrics that count as one.
//!
//! Its members are decided as the metrics of a test are: by all of them without a threshold, by their weighted mean with one.
//! The score is that mean in both cases.

use std::time::Duration;

use testfleet_model::configuration::Metric;
use testfleet_model::result::MetricResult;
use testfleet_model::state::Status;

use super::asked::asking::Place;
use crate::excerpt::{quote, sentence};
use crate::finding::{Finding, Outcome};
use crate::language::Language;
use crate::metric_set::MetricSet;
use crate::problem::Problems;
use crate::subject::{Sample, Seen};
use crate::verdict::{decide, weighted_mean};

/// Members that a reason names.
const LISTED: usize = 3;

/// Evaluates its members.
#[derive(Debug)]
pub(crate) struct Set {
    members: MetricSet,
    threshold: Option<f64>,
}

impl Set {
    pub(super) fn compile(
        metric: &Metric,
        depth: usize,
        language: Option<Language>,
        problems: &mut Problems,
    ) -> Option<Self> {
        if depth >= Metric::MAX_SET_DEPTH {
            problems.add(
                "metrics",
                format!("sets of metrics may be nested {} deep", Metric::MAX_SET_DEPTH),
            );
            return None;
        }
        let before = problems.len();
        if metric.metrics.is_empty() {
            problems.add("metrics", "assert-set needs at least one metric");
        }
        // Written so that NaN is refused too.
        if metric.threshold.is_some_and(|number| !(0.0..=1.0).contains(&number)) {
            problems.add(
                "threshold",
                "must be at least 0 and at most 1 (the weighted mean of the members)",
            );
        }
        let members = match MetricSet::compile_within(&metric.metrics, depth + 1, language) {
            Ok(members) => members,
            Err(found) => {
                problems.add_members(found);
                return None;
            }
        };
        (problems.len() == before).then_some(Self {
            members,
            threshold: metric.threshold,
        })
    }

    /// `None` while a member waits for an answer.
    pub(super) fn run(&self, seen: &Seen<'_>, sample: &Sample<'_>, place: &Place<'_>) -> Option<Outcome> {
        let members = self.members.evaluate_seen(seen, sample, place, || Duration::ZERO);
        let results: Vec<MetricResult> = members.into_iter().collect::<Option<_>>()?;
        Some(self.decide(&results))
    }

    fn decide(&self, results: &[MetricResult]) -> Outcome {
        let decision = decide(self.members.metrics(), results, self.threshold);
        let passes = match decision.status {
            Status::Pass => true,
            Status::Fail => false,
            _ => {
                let why = decision.error.map(|error| error.message);
                return Err(why.unwrap_or_else(|| "a member of the set could not decide".to_owned()));
            }
        };
        let mean = weighted_mean(self.members.metrics(), results).unwrap_or(0.0);
        Ok(Finding::number(
            mean,
            self.threshold,
            passes,
            reason(mean, self.threshold, passes, results),
        ))
    }
}

fn reason(mean: f64, threshold: Option<f64>, passes: bool, results: &[MetricResult]) -> String {
    let counting = || results.iter().filter(|result| result.counts);
    let failed: Vec<_> = counting().filter(|result| result.is_successful != Some(true)).collect();
    let (all, passed) = (counting().count(), counting().count() - failed.len());
    let held = match (threshold, passes) {
        (Some(threshold), true) => format!(" >= {threshold}"),
        (Some(threshold), false) if mean < threshold => format!(" not >= {threshold}"),
        (Some(threshold), false) => format!(" >= {threshold}, but a required member failed"),
        (None, _) => String::new(),
    };
    let mut said = format!("{passed} of {all} metrics pass, weighted mean {mean:.3}{held}");
    for result in failed.iter().take(LISTED) {
        let why = sentence(&result.reason, 300);
        said.push_str(&format!("; {} fails: {why}", quote(&result.name)));
    }
    if failed.len() > LISTED {
        said.push_str(&format!("; and {} more", failed.len() - LISTED));
    }
    said
}
