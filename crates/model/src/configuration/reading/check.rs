//! Rules between a test and the configuration around it: what one of them alone cannot tell.

use crate::configuration::{MetricsMode, TestCase, TestConfiguration};
use crate::mode::ExecutionMode;

use super::metric::needs_expected_output;
use super::node::{join, join_index};
use super::section::Findings;

/// What is wrong with a test inside its configuration, as (key of the test, sentence). Empty when all is well.
/// Reading a document does this for the tests written in it; do it for the tests of sources, too.
#[must_use]
pub fn check_test(test: &TestCase, configuration: &TestConfiguration) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let attributes = &configuration.attributes;
    if let Some(timeout) = test.timeout.filter(|timeout| *timeout > attributes.per_test_timeout) {
        let message = format!(
            "{} is longer than attributes.per_test_timeout ({})",
            crate::duration::format(timeout),
            crate::duration::format(attributes.per_test_timeout)
        );
        wrong.push(("timeout".to_owned(), message));
    }
    if attributes.execution_mode == ExecutionMode::Parallel && !test.capture.is_empty() {
        let message =
            "captured values need attributes.execution_mode: Sequential; in Parallel no test is later than another";
        wrong.push(("capture".to_owned(), message.to_owned()));
    }
    if test.expected_output.is_none() && !test.skip {
        for (index, metric) in test.metrics.iter().enumerate() {
            if needs_expected_output(metric) {
                let message = format!(
                    "`{}` has nothing to compare with; give it a `value`, or the test an `expected_output`",
                    metric.type_name()
                );
                wrong.push((join_index("metrics", index), message));
            }
        }
        let common = configuration.metrics.iter().enumerate();
        let unmet =
            common.filter(|(_, metric)| test.metrics_mode == MetricsMode::Merge && needs_expected_output(metric));
        if let Some((index, metric)) = unmet.into_iter().next() {
            let message = format!(
                "missing; the metric `{}` (metrics[{index}]) compares every test with it",
                metric.type_name()
            );
            wrong.push(("expected_output".to_owned(), message));
        }
    }
    wrong
}

/// Checks the tests of a document, and warns of tests that nothing can decide.
pub(super) fn check_document(configuration: &TestConfiguration, findings: &mut Findings) {
    // A test that could not be read has been left out; paths would then name the wrong ones.
    let complete = findings
        .problems
        .iter()
        .all(|problem| !problem.key.starts_with("test_set.tests"));
    if !complete {
        return;
    }
    let defaults = &configuration.test_set.defaults;
    for (index, test) in configuration.test_set.tests.iter().enumerate() {
        let path = join_index("test_set.tests", index);
        for (key, message) in check_test(test, configuration) {
            let mut key = join(&path, &key);
            if key.ends_with(".timeout") && test.timeout == defaults.timeout {
                "test_set.defaults.timeout".clone_into(&mut key);
            }
            let position = findings.positions.get(&key);
            let known = findings.problems.iter().any(|problem| problem.key == key);
            if !known {
                findings.problem(position, &key, message);
            }
        }
        let inherits = test.metrics_mode == MetricsMode::Merge && !configuration.metrics.is_empty();
        if test.metrics.is_empty() && !inherits && !test.skip {
            let message = "no metric applies to this test, so it will end in error; add one under `metrics`";
            findings.warning(findings.positions.get(&path), &path, message);
        }
    }
}
