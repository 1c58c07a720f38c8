//! Which metrics a test has.

use testfleet_model::configuration::Metric;
use testfleet_model::configuration::{MetricsMode, TestCase};

/// The metrics of a test, in the order of their results: the configuration's first, then the test's own. With
/// `metrics_mode: replace` the test's own only, even if it has none.
#[must_use]
pub fn effective<'a>(configuration: &'a [Metric], test: &'a TestCase) -> Vec<&'a Metric> {
    let shared = match test.metrics_mode {
        MetricsMode::Merge => configuration,
        MetricsMode::Replace => &[],
    };
    shared.iter().chain(&test.metrics).collect()
}
