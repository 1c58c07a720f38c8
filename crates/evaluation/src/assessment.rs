//! All of it for one test: which metrics, their results, the verdict.

use std::cell::RefCell;
use std::time::Duration;

use testfleet_model::configuration::{MetricsMode, TestCase};
use testfleet_model::result::{ErrorClass, ErrorDetail, MetricResult};

use crate::check::asked::asking::{Answers, Place};
use crate::check::asked::{Answer, Question};
use crate::excerpt::sentence;
use crate::language::Language;
use crate::metric_set::{Entry, MetricSet};
use crate::subject::{Sample, Seen};
use crate::verdict::{Decision, decide};

/// What the metrics of a test said and what follows from it.
#[derive(Clone, Debug, PartialEq)]
pub struct Assessment {
    /// One result per effective metric, the configuration's first.
    pub metrics: Vec<MetricResult>,
    /// The status of the test.
    pub decision: Decision,
}

/// Evaluates a test's response: `shared` are the configuration's metrics, compiled once per run; the test's own are
/// compiled here. Own metrics that do not compile make the test an error of class `metric`, without results.
/// `clock` is any monotonic time. There is nobody to ask: metrics that ask are errors ([`Evaluation`] asks).
///
/// A [`Subject`](crate::Subject) says what every call tells; [`Subject::with`](crate::Subject::with) adds the rest.
pub fn assess<'a>(
    shared: &'a MetricSet,
    test: &TestCase,
    sample: impl Into<Sample<'a>>,
    clock: impl Fn() -> Duration,
) -> Assessment {
    let mut evaluation = Evaluation::begin(shared, test, sample, None);
    for question in evaluation.advance(&clock) {
        evaluation.answer(&question.id, Answer::none("nobody can be asked here"));
    }
    // What was answered by nobody asks nothing more.
    evaluation.advance(&clock);
    evaluation.finish()
}

/// The evaluation of one response, which may ask: [`Self::advance`] gives the questions that are open, [`Self::answer`] takes
/// the answers, and so on until nothing is asked any more.
#[derive(Debug)]
pub struct Evaluation<'a> {
    shared: Option<&'a MetricSet>,
    own: MetricSet,
    sample: Sample<'a>,
    threshold: Option<f64>,
    answers: Answers,
    /// One per metric, the configuration's first.
    slots: Vec<Slot>,
    /// Why nothing can be evaluated.
    broken: Option<ErrorDetail>,
}

#[derive(Debug, Default)]
struct Slot {
    begun: Option<Duration>,
    result: Option<MetricResult>,
    /// What the metric said before, when it could not be computed.
    before: Option<MetricResult>,
}

impl<'a> Evaluation<'a> {
    /// Begins the evaluation of a test's response. `language`: that of templates.
    pub fn begin(
        shared: &'a MetricSet,
        test: &TestCase,
        sample: impl Into<Sample<'a>>,
        language: Option<Language>,
    ) -> Self {
        let (own, broken) = match MetricSet::compile_within(&test.metrics, 0, language) {
            Ok(own) => (own, None),
            Err(problems) => {
                let list: Vec<_> = problems.iter().map(ToString::to_string).collect();
                let message = format!(
                    "the test's metrics are not usable: {}",
                    sentence(&list.join("; "), 1_000)
                );
                (
                    MetricSet::default(),
                    Some(ErrorDetail::new(ErrorClass::Metric, message)),
                )
            }
        };
        let shared = match test.metrics_mode {
            MetricsMode::Merge if broken.is_none() => Some(shared),
            _ => None,
        };
        let metrics = shared.map_or(0, MetricSet::len) + own.len();
        Self {
            shared,
            own,
            sample: sample.into(),
            threshold: test.threshold,
            answers: Answers::new(),
            slots: (0..metrics).map(|_| Slot::default()).collect(),
            broken,
        }
    }

    /// Takes over what the same metrics said of the same response before, and leaves only those to be computed that were in error;
    /// what these took before is added to what they take now. Results that are not those of the same metrics, by number, name and
    /// type, are none.
    pub fn resume(&mut self, before: &[MetricResult]) {
        let entries = self
            .shared
            .into_iter()
            .flat_map(MetricSet::entries)
            .chain(self.own.entries());
        let is_same = |entry: &Entry, result: &MetricResult| {
            let (name, kind) = entry.names();
            name == result.name && kind == result.kind
        };
        if before.len() != self.slots.len() || !entries.zip(before).all(|(entry, result)| is_same(entry, result)) {
            return;
        }
        for (slot, result) in self.slots.iter_mut().zip(before) {
            let kept = Some(result.clone());
            if result.error.is_some() {
                slot.before = kept;
            } else {
                slot.result = kept;
            }
        }
    }

    /// Goes as far as the answers that are there allow. What it gives has to be answered before it goes on; it may be called
    /// again before that, and gives the questions that are still open.
    pub fn advance(&mut self, clock: impl Fn() -> Duration) -> Vec<Question> {
        let open = RefCell::default();
        let seen = Seen::new(self.sample.subject.output);
        let root = Place::new(&self.answers, &open, String::new());
        let entries = self
            .shared
            .into_iter()
            .flat_map(MetricSet::entries)
            .chain(self.own.entries());
        for (index, (entry, slot)) in entries.zip(&mut self.slots).enumerate() {
            if slot.result.is_some() {
                continue;
            }
            let begun = *slot.begun.get_or_insert_with(&clock);
            let took = || clock().saturating_sub(begun);
            slot.result = entry.evaluate(&seen, &self.sample, &root.within(index), took);
        }
        open.into_inner()
    }

    /// Takes the answer to a question.
    pub fn answer(&mut self, id: &str, answer: Answer) {
        self.answers.insert(id.to_owned(), answer);
    }

    /// What all metrics said and what follows from it. A metric that still waits for an answer is in error.
    #[must_use]
    pub fn finish(self) -> Assessment {
        if let Some(error) = self.broken {
            return Assessment {
                metrics: Vec::new(),
                decision: Decision::error(error),
            };
        }
        let entries = self
            .shared
            .into_iter()
            .flat_map(MetricSet::entries)
            .chain(self.own.entries());
        let metrics: Vec<MetricResult> = entries
            .zip(self.slots)
            .map(|(entry, slot)| {
                let mut result = slot.result.unwrap_or_else(|| entry.unasked());
                if let Some(before) = slot.before {
                    add_spent(&mut result, &before);
                }
                result
            })
            .collect();
        let configured = self
            .shared
            .into_iter()
            .flat_map(MetricSet::metrics)
            .chain(self.own.metrics());
        let decision = decide(configured, &metrics, self.threshold);
        Assessment { metrics, decision }
    }
}

/// Adds what was spent before.
fn add_spent(result: &mut MetricResult, before: &MetricResult) {
    for (name, tokens) in &before.usage {
        *result.usage.entry(name.clone()).or_default() += tokens;
    }
    if let Some(cost) = before.cost {
        *result.cost.get_or_insert(0.0) += cost;
    }
}
