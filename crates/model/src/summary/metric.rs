//! What became of each metric over the results of a run.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::digest::MetricDigest;
use super::score::{ScoreFigures, ScoreFold};

/// Names of metrics that a summary tells of, besides those that gates name. Tests may bring metrics of their own, so they are
/// bounded: the first ones in the order of the alphabet are kept.
pub const MAX_METRIC_NAMES: usize = 100;

/// One metric over all results that have it. Tests whose endpoint failed have none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricSummary {
    /// The metric's type, `not-` prefix included; where several types share a name, the first one of the alphabet.
    #[serde(rename = "type")]
    pub kind: String,
    /// Results that have it: `passed + failed + inconclusive + errors`.
    pub count: u32,
    /// Of those, it passed.
    pub passed: u32,
    /// It failed, also by `on_error: fail`.
    pub failed: u32,
    /// It could not decide.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub inconclusive: u32,
    /// It could not be computed.
    pub errors: u32,
    /// Of its scores; `None` when it never had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<ScoreFigures>,
}

impl MetricSummary {
    /// `passed / count`; `None` without any.
    #[must_use]
    pub fn pass_rate(&self) -> Option<f64> {
        (self.count > 0).then(|| f64::from(self.passed) / f64::from(self.count))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Folds what results say of their metrics.
#[derive(Clone, Debug, Default)]
pub(super) struct MetricsFold {
    /// Names that are kept whatever else there is.
    wanted: BTreeSet<String>,
    kept: BTreeMap<String, MetricFold>,
    others: BTreeMap<String, MetricFold>,
}

#[derive(Clone, Debug, Default)]
struct MetricFold {
    kind: String,
    passed: u32,
    failed: u32,
    inconclusive: u32,
    errors: u32,
    scores: ScoreFold,
}

impl MetricsFold {
    pub(super) fn want(&mut self, name: &str) {
        self.wanted.insert(name.to_owned());
    }

    pub(super) fn add(&mut self, metrics: &[MetricDigest]) {
        for metric in metrics {
            self.of(&metric.name, &metric.kind, |fold| fold.add(metric));
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (name, theirs) in other.kept.iter().chain(&other.others) {
            self.of(name, &theirs.kind, |ours| ours.merge(theirs));
        }
    }

    pub(super) fn finish(&self) -> BTreeMap<String, MetricSummary> {
        let all = self.kept.iter().chain(&self.others);
        all.map(|(name, fold)| (name.clone(), fold.finish())).collect()
    }

    /// A name that is among the kept ones in the end was never pushed out on the way, so that what is told of it is whole and
    /// the order of results does not matter.
    fn of(&mut self, name: &str, kind: &str, change: impl FnOnce(&mut MetricFold)) {
        let is_wanted = !self.wanted.is_empty() && self.wanted.contains(name);
        let map = if is_wanted { &mut self.kept } else { &mut self.others };
        match map.get_mut(name) {
            Some(fold) => {
                if kind < fold.kind.as_str() {
                    kind.clone_into(&mut fold.kind);
                }
                change(fold);
            }
            None => {
                let fold = map.entry(name.to_owned()).or_insert_with(|| MetricFold {
                    kind: kind.to_owned(),
                    ..MetricFold::default()
                });
                change(fold);
                if !is_wanted && map.len() > MAX_METRIC_NAMES {
                    map.pop_last();
                }
            }
        }
    }
}

impl MetricFold {
    fn add(&mut self, metric: &MetricDigest) {
        *match (metric.is_successful, metric.is_error) {
            (Some(true), _) => &mut self.passed,
            (Some(false), _) => &mut self.failed,
            (None, true) => &mut self.errors,
            (None, false) => &mut self.inconclusive,
        } += 1;
        if let Some(score) = metric.score {
            self.scores.add(score);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.inconclusive += other.inconclusive;
        self.errors += other.errors;
        self.scores.merge(&other.scores);
    }

    fn finish(&self) -> MetricSummary {
        MetricSummary {
            kind: self.kind.clone(),
            count: self.passed + self.failed + self.inconclusive + self.errors,
            passed: self.passed,
            failed: self.failed,
            inconclusive: self.inconclusive,
            errors: self.errors,
            score: self.scores.figures(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str, score: Option<f64>, is_successful: Option<bool>, is_error: bool) -> MetricDigest {
        MetricDigest {
            name: name.to_owned(),
            kind: "llm-rubric".to_owned(),
            score,
            is_successful,
            is_error,
        }
    }

    #[test]
    fn a_metric_is_counted_by_what_became_of_it() {
        let mut fold = MetricsFold::default();
        fold.add(&[
            digest("tone", Some(0.9), Some(true), false),
            digest("len", Some(3.0), Some(true), false),
        ]);
        fold.add(&[digest("tone", Some(0.5), Some(false), false)]);
        fold.add(&[digest("tone", None, None, true)]);
        fold.add(&[digest("tone", None, Some(false), true)]);
        fold.add(&[digest("tone", None, None, false)]);
        let told = fold.finish();
        let tone = &told["tone"];
        assert_eq!(
            (tone.count, tone.passed, tone.failed, tone.inconclusive, tone.errors),
            (5, 1, 2, 1, 1)
        );
        let score = tone.score.unwrap();
        assert_eq!((score.scored, score.mean, score.min, score.max), (2, 0.7, 0.5, 0.9));
        assert_eq!(tone.pass_rate(), Some(0.2));
        let stored = serde_json::to_string(&told).unwrap();
        assert_eq!(
            serde_json::from_str::<BTreeMap<String, MetricSummary>>(&stored).unwrap(),
            told
        );
    }

    #[test]
    fn names_are_bounded_and_those_that_gates_name_are_kept() {
        let mut fold = MetricsFold::default();
        fold.want("zz");
        for n in 0..500 {
            fold.add(&[
                digest(&format!("m{:03}", 499 - n), None, Some(true), false),
                digest("zz", None, Some(true), false),
                digest("zzz", None, Some(true), false),
            ]);
        }
        let mut again = fold.clone();
        again.merge(&fold);
        let (told, again) = (fold.finish(), again.finish());
        assert_eq!(told.len(), MAX_METRIC_NAMES + 1);
        assert!(told.contains_key("m000") && told.contains_key("m099") && !told.contains_key("m100"));
        assert_eq!(
            (told["zz"].count, again["zz"].count, again["m099"].count),
            (500, 1_000, 2)
        );
    }
}
