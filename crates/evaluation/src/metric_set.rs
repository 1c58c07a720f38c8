//! Metrics compiled once, evaluated over any number of responses.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use testfleet_model::configuration::{Metric, OnError, Severity};
use testfleet_model::result::MetricResult;

use crate::check::Check;
use crate::check::asked::asking::{Answers, Place};
use crate::finding::Outcome;
use crate::language::Language;
use crate::option;
use crate::problem::{MetricProblem, Problems};
use crate::subject::{Sample, Seen};
use crate::transform::Transform;

/// Compiled metrics. Cheap to share between threads by reference; a run compiles its configuration's metrics once.
#[derive(Debug, Default)]
pub struct MetricSet {
    entries: Vec<Entry>,
}

#[derive(Debug)]
pub(crate) struct Entry {
    metric: Metric,
    check: Check,
    transform: Option<Transform>,
}

impl MetricSet {
    /// Compiles metrics: regular expressions, schemas, paths, thresholds.
    ///
    /// # Errors
    ///
    /// All problems of all metrics, in the order of the list.
    pub fn compile(metrics: &[Metric]) -> Result<Self, Vec<MetricProblem>> {
        Self::compile_within(metrics, 0, None)
    }

    /// The same, with a language for the templates of `transform` and `prompt`, which are refused without one.
    ///
    /// # Errors
    ///
    /// All problems of all metrics, in the order of the list.
    pub fn compile_with(metrics: &[Metric], language: Language) -> Result<Self, Vec<MetricProblem>> {
        Self::compile_within(metrics, 0, Some(language))
    }

    /// `depth`: how many sets the metrics are in.
    pub(crate) fn compile_within(
        metrics: &[Metric],
        depth: usize,
        language: Option<Language>,
    ) -> Result<Self, Vec<MetricProblem>> {
        let mut entries = Vec::with_capacity(metrics.len());
        let mut all = Vec::new();
        for (index, metric) in metrics.iter().enumerate() {
            let mut problems = Problems::of(index);
            option::check(metric, &mut problems);
            let transform = metric.transform.as_deref();
            let transform = transform.and_then(|text| Transform::compile(text, language, &mut problems));
            let check = Check::compile(metric, depth, language, &mut problems);
            all.extend(problems.into_list());
            if let Some(check) = check {
                entries.push(Entry {
                    metric: metric.clone(),
                    check,
                    transform,
                });
            }
        }
        if all.is_empty() { Ok(Self { entries }) } else { Err(all) }
    }

    /// The metrics as they were given.
    pub fn metrics(&self) -> impl Iterator<Item = &Metric> {
        self.entries.iter().map(|entry| &entry.metric)
    }

    /// How many metrics there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// One result per metric, in their order. `negate` and `on_error` are applied; `clock` is any monotonic time
    /// and only serves `duration_ms`. There is nobody to ask: metrics that ask are errors. [`Evaluation`](crate::Evaluation)
    /// asks.
    pub fn evaluate<'a>(&self, sample: impl Into<Sample<'a>>, clock: impl Fn() -> Duration) -> Vec<MetricResult> {
        let sample = sample.into();
        let (answers, open) = (Answers::new(), RefCell::default());
        let place = Place::new(&answers, &open, String::new());
        let results = self.evaluate_seen(&Seen::new(sample.subject.output), &sample, &place, clock);
        let pairs = self.entries.iter().zip(results);
        pairs
            .map(|(entry, result)| result.unwrap_or_else(|| entry.unasked()))
            .collect()
    }

    /// The same over an output that is a part of the sample's; `None` for metrics that have asked something.
    pub(crate) fn evaluate_seen(
        &self,
        seen: &Seen<'_>,
        sample: &Sample<'_>,
        place: &Place<'_>,
        clock: impl Fn() -> Duration,
    ) -> Vec<Option<MetricResult>> {
        let entries = self.entries.iter().enumerate();
        entries
            .map(|(index, entry)| {
                let start = clock();
                entry.evaluate(seen, sample, &place.within(index), || clock().saturating_sub(start))
            })
            .collect()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

impl Entry {
    /// The name and the type that its results have.
    pub(crate) fn names(&self) -> (String, String) {
        (self.metric.display_name(), self.metric.type_name())
    }

    /// The result; `None` when something was asked. `took`: the time since the metric was begun.
    pub(crate) fn evaluate(
        &self,
        seen: &Seen<'_>,
        sample: &Sample<'_>,
        place: &Place<'_>,
        took: impl Fn() -> Duration,
    ) -> Option<MetricResult> {
        let outcome = match &self.transform {
            None => self.check.run(seen, sample, place)?,
            Some(transform) => match transform.apply(seen, sample) {
                Ok(output) => self.check.run(&Seen::new(&output), sample, place)?,
                Err(why) => Err(why),
            },
        };
        let mut result = self.result(outcome, took());
        let spent = place.spent();
        result.usage = spent.usage;
        result.cost = spent.cost;
        result.transient = result.error.is_some() && place.is_transient();
        Some(result)
    }

    /// The result of a metric that has nobody to ask.
    pub(crate) fn unasked(&self) -> MetricResult {
        let why = format!(
            "{} asks somebody, and nobody can be asked here",
            self.metric.kind.word()
        );
        self.result(Err(why), Duration::ZERO)
    }

    fn result(&self, outcome: Outcome, took: Duration) -> MetricResult {
        let metric = &self.metric;
        let mut result = MetricResult {
            name: metric.display_name(),
            kind: metric.type_name(),
            score: None,
            is_successful: None,
            threshold: None,
            reason: String::new(),
            duration_ms: took.as_secs_f64() * 1_000.0,
            error: None,
            transient: false,
            samples: Vec::new(),
            usage: BTreeMap::new(),
            cost: None,
            counts: metric.severity == Severity::Error,
        };
        match outcome {
            Ok(finding) => {
                result.score = Some(finding.measure.score(metric.negate));
                result.is_successful = Some(finding.measure.passes(metric.negate));
                result.threshold = finding.measure.threshold();
                result.reason = finding.reason;
                result.samples = finding.samples;
            }
            Err(error) => {
                result.reason = format!("could not be computed: {error}");
                result.error = Some(error);
                match metric.on_error {
                    OnError::Error => {}
                    OnError::Fail => result.is_successful = Some(false),
                    OnError::Skip => result.counts = false,
                }
            }
        }
        result
    }
}
