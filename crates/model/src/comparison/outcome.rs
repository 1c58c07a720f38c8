//! What is kept of a run to compare others with it: for each test its status, how many repetitions passed, scores and time.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::configuration::RepeatPolicy;
use crate::state::Status;
use crate::summary::outcome::Counts;
use crate::summary::{ResultDigest, ResultLabels};

/// Names of metrics whose scores are kept; those that come first.
pub const MAX_COMPARED_METRICS: usize = 100;
/// The version of the stored form.
const FORMAT: u32 = 1;
/// Executions of one test that a stored outcome may have; a configuration can ask for 1,000. What compares them counts them.
const MAX_EXECUTED: u32 = 100_000;
/// The largest score or time of a stored outcome, either way.
const MAX_NUMBER: f64 = 1e15;

/// The outcomes of a run's tests by id; repetitions are put together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// Name and type of each metric that has scores.
    pub metrics: Vec<(String, String)>,
    /// By test id.
    pub tests: BTreeMap<String, TestOutcome>,
}

/// What became of one test.
#[derive(Clone, Debug, PartialEq)]
pub struct TestOutcome {
    /// Of a repeated test that of all its repetitions; see [`RepeatedTest`](crate::summary::RepeatedTest).
    pub status: Status,
    /// Executions that passed.
    pub passed: u32,
    /// Executions that something came of: a verdict or an error.
    pub executed: u32,
    /// Mean of its successful calls, in milliseconds; `None` when there was none.
    pub latency_ms: Option<f64>,
    /// Mean score by index of the metric.
    pub scores: Vec<(u16, f64)>,
}

/// Why stored outcomes cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OutcomesProblem {
    /// They are damaged, or of another version.
    #[error("it cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// They are of another version.
    #[error("it has format {0}, and this version knows {FORMAT}; store the baseline again")]
    Format(u32),
    /// A number that no run has: somebody else wrote it.
    #[error("the outcome of test {0:?} has numbers that no run has; store the baseline again")]
    Number(String),
}

/// The stored form: lists without names, since there are as many of them as tests.
#[derive(Serialize, Deserialize)]
struct Stored {
    format: u32,
    metrics: Vec<(String, String)>,
    tests: Vec<StoredTest>,
}

#[derive(Serialize, Deserialize)]
struct StoredTest(String, Status, u32, u32, Option<f64>, Vec<(u16, f64)>);

impl StoredTest {
    /// Whether a run can have had it.
    fn is_possible(&self) -> bool {
        let Self(_, _, passed, executed, latency_ms, scores) = self;
        let scores = scores.iter().map(|(_, score)| score);
        passed <= executed
            && *executed <= MAX_EXECUTED
            && latency_ms.is_none_or(|latency| latency >= 0.0)
            && scores.chain(latency_ms).all(|number| number.abs() <= MAX_NUMBER)
    }
}

impl Outcomes {
    /// The stored form, about 50 bytes and its id for each test.
    ///
    /// # Errors
    /// Never for outcomes that were folded or read.
    pub fn to_stored(&self) -> Result<String, serde_json::Error> {
        let tests = self.tests.iter().map(|(id, test)| {
            let scores = test.scores.iter().map(|(metric, score)| (*metric, rounded(*score)));
            let latency = test.latency_ms.map(rounded);
            StoredTest(
                id.clone(),
                test.status,
                test.passed,
                test.executed,
                latency,
                scores.collect(),
            )
        });
        serde_json::to_string(&Stored {
            format: FORMAT,
            metrics: self.metrics.clone(),
            tests: tests.collect(),
        })
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When it is damaged, or of another version.
    pub fn from_stored(stored: &str) -> Result<Self, OutcomesProblem> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_str(stored)?;
        if head.format != FORMAT {
            return Err(OutcomesProblem::Format(head.format));
        }
        let Stored { metrics, tests, .. } = serde_json::from_str(stored)?;
        if let Some(wrong) = tests.iter().find(|test| !test.is_possible()) {
            return Err(OutcomesProblem::Number(wrong.0.clone()));
        }
        let tests = tests
            .into_iter()
            .map(|StoredTest(id, status, passed, executed, latency_ms, scores)| {
                let outcome = TestOutcome {
                    status,
                    passed,
                    executed,
                    latency_ms,
                    scores,
                };
                (id, outcome)
            });
        Ok(Self {
            metrics,
            tests: tests.collect(),
        })
    }
}

/// Six digits are more than anybody compares, and keep the stored form small.
fn rounded(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

/// Folds results into [`Outcomes`], in any order.
#[derive(Clone, Debug, Default)]
pub struct OutcomeFold {
    names: HashMap<(String, String), u16>,
    metrics: Vec<(String, String)>,
    tests: BTreeMap<String, Folded>,
}

#[derive(Clone, Debug, Default)]
struct Folded {
    counts: Counts,
    /// Of a test that is not repeated.
    only: Option<Status>,
    /// Repetitions that there are, with or without a result.
    of: u32,
    called: u32,
    latency_sum_ms: f64,
    /// Metric, sum and number of its scores.
    scores: Vec<(u16, f64, u32)>,
}

impl OutcomeFold {
    /// Adds a result that was not added before. One of a test without an id, which could not be read, is left out.
    pub fn add(&mut self, result: &ResultDigest, labels: &ResultLabels) {
        let (id, of) = match &result.repetition {
            Some(repetition) => (&repetition.test, repetition.of),
            None => (&labels.test_id, 1),
        };
        if id.is_empty() {
            return;
        }
        let mut scores = Vec::with_capacity(result.metrics.len());
        for metric in &result.metrics {
            let score = metric.score.filter(|score| score.is_finite());
            scores.extend(self.number_of(&metric.name, &metric.kind).zip(score));
        }
        let folded = match self.tests.get_mut(id) {
            Some(folded) => folded,
            None => self.tests.entry(id.clone()).or_default(),
        };
        folded.of = of;
        folded.only = result.repetition.is_none().then_some(result.status);
        folded.counts.count(result.status);
        if let Some(milliseconds) = result.invoke_time_ms.filter(|ms| ms.is_finite() && *ms >= 0.0) {
            folded.called += 1;
            folded.latency_sum_ms += milliseconds;
        }
        for (metric, score) in scores {
            match folded.scores.iter_mut().find(|(known, ..)| *known == metric) {
                Some((_, sum, count)) => (*sum, *count) = (*sum + score, *count + 1),
                None => folded.scores.push((metric, score, 1)),
            }
        }
    }

    /// The outcomes; a repeated test passes by this policy.
    #[must_use]
    pub fn finish(self, policy: RepeatPolicy) -> Outcomes {
        let tests = self.tests.into_iter().map(|(id, folded)| (id, folded.finish(policy)));
        Outcomes {
            metrics: self.metrics,
            tests: tests.collect(),
        }
    }

    fn number_of(&mut self, name: &str, kind: &str) -> Option<u16> {
        let key = (name.to_owned(), kind.to_owned());
        if let Some(number) = self.names.get(&key) {
            return Some(*number);
        }
        if self.metrics.len() >= MAX_COMPARED_METRICS {
            return None;
        }
        let number = u16::try_from(self.metrics.len()).ok()?;
        self.metrics.push(key.clone());
        self.names.insert(key, number);
        Some(number)
    }
}

impl Folded {
    fn finish(self, policy: RepeatPolicy) -> TestOutcome {
        let mut counts = self.counts;
        // A repetition whose result cannot be read is one in error.
        counts.errors += self.of.saturating_sub(counts.total());
        TestOutcome {
            status: self.only.unwrap_or_else(|| counts.status_of_repeated(policy, self.of)),
            passed: counts.passed,
            executed: counts.executed() + counts.errors,
            latency_ms: (self.called > 0).then(|| self.latency_sum_ms / f64::from(self.called)),
            scores: self
                .scores
                .into_iter()
                .map(|(metric, sum, count)| (metric, sum / f64::from(count.max(1))))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::Repetition;
    use crate::summary::MetricDigest;

    fn labels(id: &str) -> ResultLabels {
        ResultLabels {
            test_id: id.to_owned(),
            ..ResultLabels::default()
        }
    }

    fn scored(index: u32, status: Status, score: f64, ms: f64) -> ResultDigest {
        ResultDigest {
            invoke_time_ms: Some(ms),
            metrics: vec![MetricDigest {
                name: "tone".to_owned(),
                kind: "llm-rubric".to_owned(),
                score: Some(score),
                is_successful: Some(true),
                is_error: false,
            }],
            ..ResultDigest::new(index, status)
        }
    }

    #[test]
    fn repetitions_are_put_together_and_the_rest_stays_as_it_is() {
        let mut fold = OutcomeFold::default();
        fold.add(&scored(0, Status::Fail, 0.25, 20.0), &labels("once"));
        for (number, status) in [(1, Status::Pass), (2, Status::Fail), (3, Status::Pass)] {
            let repetition = Some(Repetition {
                number,
                of: 4,
                test: "again".to_owned(),
            });
            let result = ResultDigest {
                repetition,
                ..scored(number, status, f64::from(number), 10.0)
            };
            fold.add(&result, &labels(&format!("again#{number}")));
        }
        fold.add(&ResultDigest::new(9, Status::Error), &labels(""));
        let outcomes = fold.finish(RepeatPolicy { min_pass_rate: 0.5 });
        assert_eq!(outcomes.metrics, [("tone".to_owned(), "llm-rubric".to_owned())]);
        let expected = TestOutcome {
            status: Status::Pass,
            passed: 2,
            executed: 4,
            latency_ms: Some(10.0),
            scores: vec![(0, 2.0)],
        };
        assert_eq!(outcomes.tests["again"], expected);
        assert_eq!((outcomes.tests.len(), outcomes.tests["once"].status), (2, Status::Fail));
        let stored = outcomes.to_stored().unwrap();
        assert_eq!(Outcomes::from_stored(&stored).unwrap(), outcomes);
        assert_eq!(
            stored,
            r#"{"format":1,"metrics":[["tone","llm-rubric"]],"tests":[["again","Pass",2,4,10.0,[[0,2.0]]],["once","Fail",0,1,20.0,[[0,0.25]]]]}"#
        );
    }

    #[test]
    fn what_another_version_stored_or_nobody_did_is_refused() {
        let other = Outcomes::from_stored(r#"{"format":2,"tests":{}}"#).unwrap_err();
        assert_eq!(
            other.to_string(),
            "it has format 2, and this version knows 1; store the baseline again"
        );
        assert!(
            Outcomes::from_stored("{\"format\":1")
                .unwrap_err()
                .to_string()
                .contains("EOF")
        );
    }

    #[test]
    fn metrics_without_end_are_bounded() {
        let mut fold = OutcomeFold::default();
        for n in 0..300 {
            let mut result = scored(n, Status::Pass, 1.0, 1.0);
            result.metrics[0].name = format!("m{n}");
            fold.add(&result, &labels(&format!("t{n}")));
        }
        let outcomes = fold.finish(RepeatPolicy::default());
        assert_eq!(
            (outcomes.metrics.len(), outcomes.tests.len()),
            (MAX_COMPARED_METRICS, 300)
        );
        assert!(outcomes.tests["t299"].scores.is_empty());
    }
}
