//! Metrics compiled once, evaluated over any number of responses.

use std::time::Duration;

use serde_json::Value;
use testfleet_model::configuration::{Metric, OnError, Severity};
use testfleet_model::result::MetricResult;

use crate::check::Check;
use crate::excerpt::quote;
use crate::finding::Outcome;
use crate::json_path::Path;
use crate::option;
use crate::problem::{MetricProblem, Problems};
use crate::subject::{Sample, Seen};

/// Compiled metrics. Cheap to share between threads by reference; a run compiles its configuration's metrics once.
#[derive(Debug, Default)]
pub struct MetricSet {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    metric: Metric,
    check: Check,
    transform: Option<Path>,
}

impl MetricSet {
    /// Compiles metrics: regular expressions, schemas, paths, thresholds.
    ///
    /// # Errors
    ///
    /// All problems of all metrics, in the order of the list.
    pub fn compile(metrics: &[Metric]) -> Result<Self, Vec<MetricProblem>> {
        Self::compile_within(metrics, 0)
    }

    /// `depth`: how many sets the metrics are in.
    pub(crate) fn compile_within(metrics: &[Metric], depth: usize) -> Result<Self, Vec<MetricProblem>> {
        let mut entries = Vec::with_capacity(metrics.len());
        let mut all = Vec::new();
        for (index, metric) in metrics.iter().enumerate() {
            let mut problems = Problems::of(index);
            option::check(metric, &mut problems);
            let transform = transform(metric, &mut problems);
            let check = Check::compile(metric, depth, &mut problems);
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
    /// and only serves `duration_ms`.
    pub fn evaluate<'a>(&self, sample: impl Into<Sample<'a>>, clock: impl Fn() -> Duration) -> Vec<MetricResult> {
        let sample = sample.into();
        self.evaluate_seen(&Seen::new(sample.subject.output), &sample, clock)
    }

    /// The same over an output that is a part of the sample's.
    pub(crate) fn evaluate_seen(
        &self,
        seen: &Seen<'_>,
        sample: &Sample<'_>,
        clock: impl Fn() -> Duration,
    ) -> Vec<MetricResult> {
        self.entries
            .iter()
            .map(|entry| {
                let start = clock();
                let outcome = entry.measure(seen, sample);
                let took = clock().saturating_sub(start);
                entry.result(outcome, took)
            })
            .collect()
    }
}

/// The query of `transform`; templates are refused.
fn transform(metric: &Metric, problems: &mut Problems) -> Option<Path> {
    let text = metric.transform.as_deref()?;
    if text.contains("{{") {
        problems.add(
            "transform",
            "a template is not supported by this version; use a JSONPath ($…)",
        );
        return None;
    }
    problems.take("transform", Path::compile(text))
}

impl Entry {
    fn measure(&self, seen: &Seen<'_>, sample: &Sample<'_>) -> Outcome {
        match &self.transform {
            None => self.check.run(seen, sample),
            Some(path) => {
                let output = transformed(path, seen)?;
                self.check.run(&Seen::new(&output), sample)
            }
        }
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
            counts: metric.severity == Severity::Error,
        };
        match outcome {
            Ok(finding) => {
                result.score = Some(finding.measure.score(metric.negate));
                result.is_successful = Some(finding.measure.passes(metric.negate));
                result.threshold = finding.measure.threshold();
                result.reason = finding.reason;
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

fn transformed(path: &Path, seen: &Seen<'_>) -> Result<Value, String> {
    let document = seen.json().map_err(|error| {
        format!(
            "the transform {} needs JSON and the output is none ({error})",
            path.text()
        )
    })?;
    path.select(document)?.ok_or_else(|| {
        format!(
            "the transform {} selects nothing in the output {}",
            path.text(),
            quote(seen.text())
        )
    })
}
