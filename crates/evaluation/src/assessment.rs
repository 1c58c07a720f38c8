//! All of it for one test: which metrics, their results, the verdict.

use std::time::Duration;

use testfleet_model::configuration::{MetricsMode, TestCase};
use testfleet_model::result::{ErrorClass, ErrorDetail, MetricResult};

use crate::excerpt::sentence;
use crate::metric_set::MetricSet;
use crate::subject::Sample;
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
/// `clock` is any monotonic time.
///
/// A [`Subject`](crate::Subject) says what every call tells; [`Subject::with`](crate::Subject::with) adds the rest.
pub fn assess<'a>(
    shared: &MetricSet,
    test: &TestCase,
    sample: impl Into<Sample<'a>>,
    clock: impl Fn() -> Duration,
) -> Assessment {
    let sample = sample.into();
    let own = match MetricSet::compile(&test.metrics) {
        Ok(own) => own,
        Err(problems) => {
            let list: Vec<_> = problems.iter().map(ToString::to_string).collect();
            let message = format!(
                "the test's metrics are not usable: {}",
                sentence(&list.join("; "), 1_000)
            );
            let decision = Decision::error(ErrorDetail::new(ErrorClass::Metric, message));
            return Assessment {
                metrics: Vec::new(),
                decision,
            };
        }
    };
    let none = MetricSet::default();
    let shared = match test.metrics_mode {
        MetricsMode::Merge => shared,
        MetricsMode::Replace => &none,
    };
    let mut metrics = shared.evaluate(sample, &clock);
    metrics.extend(own.evaluate(sample, &clock));
    let decision = decide(shared.metrics().chain(own.metrics()), &metrics, test.threshold);
    Assessment { metrics, decision }
}
