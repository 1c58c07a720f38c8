//! Rules between a test and the configuration around it: what one of them alone cannot tell.

use std::time::Duration;

use crate::configuration::{Attributes, Metric, MetricsMode, Order, Shape, TestCase, TestConfiguration};
use crate::mode::ExecutionMode;

use super::dialogue;
use super::gate::check_gates;
use super::metric::{needs_expected_output, needs_expected_tools};
use super::model_server::{check_models, needs_context};
use super::node::{join, join_index};
use super::section::Findings;

/// What is wrong with a test inside its configuration, as (key of the test, sentence). Empty when all is well.
/// Reading a document does this for the tests written in it; do it for the tests of sources, too.
#[must_use]
pub fn check_test(test: &TestCase, configuration: &TestConfiguration) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let attributes = &configuration.attributes;
    // The timeout of the set's defaults is judged once, where it was written.
    let own_timeout = test
        .timeout
        .filter(|_| test.timeout != configuration.test_set.defaults.timeout);
    if let Some(message) = too_long(own_timeout, attributes) {
        wrong.push(("timeout".to_owned(), message));
    }
    if attributes.execution_mode == ExecutionMode::Parallel && !test.capture.is_empty() {
        let message =
            "captured values need attributes.execution_mode: Sequential; in Parallel no test is later than another";
        wrong.push(("capture".to_owned(), message.to_owned()));
    }
    if !test.skip {
        dialogue::check(test, configuration, &mut wrong);
        dialogue::check_goals(test, &mut wrong);
        check_expectations(test, configuration, &mut wrong);
        let own = test.metrics.iter().enumerate();
        let own = own.map(|(index, metric)| (join_index("metrics", index), metric));
        let of_turns = test.turns.iter().enumerate().flat_map(|(turn, at)| {
            let path = join(&join_index("turns", turn), "metrics");
            let metrics = at.metrics.iter().enumerate();
            metrics.map(move |(index, metric)| (join_index(&path, index), metric))
        });
        for (path, metric) in own.chain(of_turns) {
            wrong.extend(check_models(metric, &path, &configuration.models));
        }
        wrong.extend(without_context(test, configuration));
    }
    wrong
}

/// Whether the metrics that hold the test as a whole have something to compare with. Those of a dialogue look at its last
/// answer, and compare with what is expected there when the test itself expects nothing.
fn check_expectations(test: &TestCase, configuration: &TestConfiguration, wrong: &mut Vec<(String, String)>) {
    let last = test.turns.last();
    let output = test.expected_output.is_some() || last.is_some_and(|turn| turn.expected_output.is_some());
    let tools = test.expected_tools.is_some() || test.turns.iter().any(|turn| turn.expected_tools.is_some());
    for (needs, is_there, key) in [
        (needs_expected_output as fn(&Metric) -> bool, output, "expected_output"),
        (needs_expected_tools, tools, "expected_tools"),
    ] {
        if is_there {
            continue;
        }
        for (index, metric) in test.metrics.iter().enumerate() {
            if needs(metric) {
                wrong.push((join_index("metrics", index), nothing_to_compare(metric, "test", key)));
            }
        }
        let common = configuration.metrics.iter().enumerate();
        let unmet = common.filter(|(_, metric)| test.metrics_mode == MetricsMode::Merge && needs(metric));
        if let Some((index, metric)) = unmet.into_iter().next() {
            let message = format!(
                "missing; the metric `{}` (metrics[{index}]) compares every test with it",
                metric.type_name()
            );
            wrong.push((key.to_owned(), message));
        }
    }
}

/// The sentence for a metric that compares with what is not there.
pub(super) fn nothing_to_compare(metric: &Metric, what: &str, key: &str) -> String {
    format!(
        "`{}` has nothing to compare with; give it a `value`, or the {what} an `{key}`",
        metric.type_name()
    )
}

/// The problem of a test without a context that one of its metrics looks at.
fn without_context(test: &TestCase, configuration: &TestConfiguration) -> Option<(String, String)> {
    let mapped = configuration.endpoint.response.map.fields.contains_key("context");
    if mapped || !test.context.is_empty() {
        return None;
    }
    let common = match test.metrics_mode {
        MetricsMode::Merge => configuration.metrics.as_slice(),
        MetricsMode::Replace => &[],
    };
    let metric = test.metrics.iter().chain(common).find_map(needs_context)?;
    let message = format!(
        "missing; `{}` looks at it; give the test one, or write endpoint.response.map.context",
        metric.type_name()
    );
    Some(("context".to_owned(), message))
}

/// What in `attributes` does not go together, as (key, sentence). Reading a document does this; do it again when the mode
/// of a configuration is changed.
#[must_use]
pub fn check_attributes(attributes: &Attributes) -> Vec<(String, String)> {
    let mut wrong = Vec::new();
    let mut refuse = |key: &str, message: &str| wrong.push((format!("attributes.{key}"), message.to_owned()));
    match attributes.execution_mode {
        ExecutionMode::Parallel if attributes.stop_on_failure => refuse(
            "stop_on_failure",
            "needs attributes.execution_mode: Sequential; in Parallel, `fail_fast: true` stops the run at the first failure",
        ),
        ExecutionMode::Sequential if attributes.order == Order::LongestFirst => refuse(
            "order",
            "longest-first needs attributes.execution_mode: Parallel; Sequential runs tests in the submitted order",
        ),
        _ => {}
    }
    if attributes.stop_on_failure && attributes.fail_fast.is_some() {
        let message = "`stop_on_failure` stops the run at the first failure already; give one of them";
        refuse("fail_fast", message);
    }
    wrong
}

/// What in `attributes` keeps its filters from being applied, as (key, sentence). Not done when a document is read, since
/// whoever starts the run may add what is missing.
#[must_use]
pub fn check_filters(attributes: &Attributes) -> Vec<(String, String)> {
    let about_status = || attributes.filters().find(|(_, filter)| filter.is_about_status());
    match (attributes.past_run(), about_status()) {
        (None, Some((key, filter))) => {
            let message = format!("`{filter}` needs a run to look at: `attributes.status_from`, or --from RUN");
            vec![(format!("attributes.{key}"), message)]
        }
        (Some(_), None) if attributes.status_from.is_some() => {
            let message = "says of which run `status:` filters speak, and there is none in `only` or `skip`";
            vec![("attributes.status_from".to_owned(), message.to_owned())]
        }
        _ => Vec::new(),
    }
}

/// The sentence for a timeout that the time of a whole attempt would cut short.
fn too_long(timeout: Option<Duration>, attributes: &Attributes) -> Option<String> {
    let timeout = timeout.filter(|timeout| *timeout > attributes.per_test_timeout)?;
    Some(format!(
        "{} is longer than attributes.per_test_timeout ({})",
        crate::duration::format(timeout),
        crate::duration::format(attributes.per_test_timeout)
    ))
}

/// Checks the tests of a document, and warns of tests that nothing can decide.
pub(super) fn check_document(configuration: &TestConfiguration, findings: &mut Findings) {
    let defaults = &configuration.test_set.defaults;
    if let Some(message) = too_long(defaults.timeout, &configuration.attributes) {
        let key = "test_set.defaults.timeout";
        findings.problem(findings.positions.get(key), key, message);
    }
    for (key, message) in check_attributes(&configuration.attributes) {
        findings.problem(findings.positions.get(&key), &key, message);
    }
    check_gates(configuration, findings);
    for (index, metric) in configuration.metrics.iter().enumerate() {
        for (key, message) in check_models(metric, &join_index("metrics", index), &configuration.models) {
            findings.problem(findings.positions.get(&key), &key, message);
        }
    }
    // A test that could not be read has been left out; paths would then name the wrong ones.
    let mut problems = findings.problems.iter();
    if problems.any(|problem| problem.key.starts_with("test_set.tests")) {
        return;
    }
    for (index, test) in configuration.test_set.tests.iter().enumerate() {
        let path = join_index("test_set.tests", index);
        for (key, message) in check_test(test, configuration) {
            let key = join(&path, &key);
            findings.problem(findings.positions.get(&key), &key, message);
        }
        let inherits = test.metrics_mode == MetricsMode::Merge && !configuration.metrics.is_empty();
        let own = !test.metrics.is_empty() || test.turns.iter().any(|turn| !turn.metrics.is_empty());
        if !own && !inherits && !test.skip {
            let message = "no metric applies to this test, so it will end in error; add one under `metrics`";
            findings.warning(findings.positions.get(&path), &path, message);
        }
    }
    if configuration.test_set.sources.is_empty() {
        check_shape(configuration, findings);
    }
}

/// Checks which test depends on which. With sources only those who read them know all tests there are.
fn check_shape(configuration: &TestConfiguration, findings: &mut Findings) {
    let mut shape = Shape::new(&configuration.attributes);
    for test in &configuration.test_set.tests {
        shape.add(test);
    }
    for problem in shape.finish().err().unwrap_or_default() {
        let key = format!("test_set.tests[{}].{}", problem.index, problem.key);
        findings.problem(findings.positions.get(&key), &key, problem.message);
    }
}
