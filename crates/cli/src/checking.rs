//! What the crates that execute a configuration say against it before it runs, each problem at its place in the file.
//!
//! Reading a document finds wrong keys and types; here templates, mappings, paths, regular expressions, schemas and
//! thresholds are compiled by the very code that will run them.

use testfleet_endpoint::{CompileProblem, ProcessLookup, Secrets};
use testfleet_evaluation::MetricSet;
use testfleet_judge::LANGUAGE;
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::Endpoint;
use testfleet_model::configuration::reading::{Positions, Problem, check_attributes, check_filters, check_test};

use crate::loading::Located;

/// What is wrong with the endpoint and the metrics for all tests, and with attributes that the command line changed.
#[must_use]
pub fn configuration(configuration: &TestConfiguration, positions: &Positions) -> Vec<Problem> {
    let endpoint = match configuration.endpoint.is_absent() {
        true => Vec::new(),
        false => testfleet_endpoint::check(&configuration.endpoint, &configuration.secrets),
    };
    let metrics = MetricSet::compile_with(&configuration.metrics, LANGUAGE);
    let metrics = metrics.err().unwrap_or_default();
    let of_attributes = check_attributes(&configuration.attributes)
        .into_iter()
        .chain(check_filters(&configuration.attributes))
        .map(|(key, message)| positions.problem(&key, message));
    let of_endpoint = endpoint
        .into_iter()
        .chain(testfleet_judge::check(configuration))
        .map(|CompileProblem { key, message }| positions.problem(&key, message));
    let of_metrics = metrics
        .into_iter()
        .map(|problem| positions.problem(&problem.path(), problem.message));
    of_attributes.chain(of_endpoint).chain(of_metrics).collect()
}

/// Required secrets that have no value in this process.
#[must_use]
pub fn secrets(configuration: &TestConfiguration, positions: &Positions) -> Vec<Problem> {
    let resolved = Secrets::resolve(&configuration.secrets, &ProcessLookup);
    resolved
        .missing_required()
        .filter(|missing| is_needed(configuration, &missing.name))
        .map(|missing| {
            let message = format!("the secret has no value: {}", missing.reason);
            positions.problem(&format!("secrets.{}", missing.name), message)
        })
        .collect()
}

/// Whether a run may ask for a secret. One that evaluates stored outputs does not, where only the endpoint names it.
fn is_needed(configuration: &TestConfiguration, secret: &str) -> bool {
    if configuration.attributes.reference_test_run_id.is_none() {
        return true;
    }
    let rest = TestConfiguration {
        endpoint: Endpoint::absent(),
        ..configuration.clone()
    };
    let name = format!("secrets.{secret}");
    serde_json::to_string(&rest).is_ok_and(|text| text.contains(&name))
}

/// What is wrong with one test.
#[must_use]
pub fn test(located: &Located, configuration: &TestConfiguration, positions: &Positions) -> Vec<Problem> {
    let test = &located.test;
    let mut found: Vec<(String, String)> = check_test(test, configuration);
    let format = configuration.endpoint.response.format;
    // The key is put in front below, where tests of sources have none.
    for CompileProblem { key, message } in testfleet_endpoint::check_test(test, "", format) {
        found.push((key.trim_start_matches('.').to_owned(), message));
    }
    for CompileProblem { key, message } in
        testfleet_judge::check_metrics(&test.metrics, "metrics", &configuration.secrets)
    {
        found.push((key, message));
    }
    let metrics = MetricSet::compile_with(&test.metrics, LANGUAGE);
    for problem in metrics.err().unwrap_or_default() {
        found.push((problem.path(), problem.message));
    }
    for (at, turn) in test.turns.iter().enumerate() {
        for problem in MetricSet::compile_with(&turn.metrics, LANGUAGE)
            .err()
            .unwrap_or_default()
        {
            found.push((format!("turns[{at}].{}", problem.path()), problem.message));
        }
    }
    found
        .into_iter()
        .map(|(key, message)| place(located, &key, message, positions))
        .collect()
}

/// Which templates of a test name variables that it does not have.
#[must_use]
pub fn variables(located: &Located, positions: &Positions) -> Vec<Problem> {
    let test = &located.test;
    if test.skip {
        return Vec::new();
    }
    testfleet_endpoint::check_variables(test, "")
        .into_iter()
        .map(|CompileProblem { key, message }| {
            let message = format!("{message}; the test {:?} can only end in error", test.id);
            place(located, key.trim_start_matches('.'), message, positions)
        })
        .collect()
}

/// A problem with a key of a test, at its place.
#[must_use]
pub fn place(located: &Located, key: &str, message: String, positions: &Positions) -> Problem {
    if located.key.is_empty() {
        return Problem::new(&located.file, located.position, key, message);
    }
    positions.problem(&format!("{}.{key}", located.key), message)
}
