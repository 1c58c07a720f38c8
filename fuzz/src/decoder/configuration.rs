//! A configuration in each of its formats, with all checks that `testfleet run` makes before it starts.

use serde_json::Map;
use testfleet_evaluation::MetricSet;
use testfleet_model::TestConfiguration;
use testfleet_model::configuration::reading::{
    Defaults, DocumentFormat, Problem, check_test, from_canonical_json, read_configuration,
};

use super::endpoint::{call, placed, run, target};
use super::input::{SECRET, said, text};

const FORMATS: [(&str, DocumentFormat); 3] = [
    ("suite.yaml", DocumentFormat::Yaml),
    ("suite.json", DocumentFormat::Json),
    ("suite.toml", DocumentFormat::Toml),
];
/// Tests that are rendered.
const RENDERED: usize = 3;

/// Reads the text in each format.
pub fn check(data: &[u8]) {
    let text = text(data);
    for (file, format) in FORMATS {
        match read_configuration(&text, file, format, &Defaults::default()) {
            Ok(reading) => {
                reading.warnings.iter().for_each(|warning| located(warning, file));
                stored(&reading.configuration);
                executed(&reading.configuration);
            }
            Err(problems) => {
                assert!(!problems.0.is_empty(), "an error without a problem");
                problems.0.iter().for_each(|problem| located(problem, file));
            }
        }
    }
    // What lies in the store is read by another door.
    match from_canonical_json(&text) {
        Ok(configuration) => stored(&configuration),
        Err(error) => said(&error.to_string()),
    }
}

fn located(problem: &Problem, file: &str) {
    assert_eq!(problem.file, file);
    assert!(problem.line >= 1 && problem.column >= 1, "{problem:?}");
    said(&problem.message);
    // People write the secret itself where its place is asked for.
    assert!(
        !(problem.key.ends_with(".from") && problem.message.contains(SECRET)),
        "{problem}"
    );
}

fn stored(configuration: &TestConfiguration) {
    let written = serde_json::to_string(configuration).expect("a configuration can be written");
    let again = from_canonical_json(&written).expect("what was written reads");
    assert_eq!(&again, configuration);
}

fn executed(configuration: &TestConfiguration) {
    let TestConfiguration { endpoint, secrets, .. } = configuration;
    let problems = testfleet_endpoint::check(endpoint, secrets);
    problems.iter().for_each(placed);
    let metrics = MetricSet::compile(&configuration.metrics);
    metrics
        .err()
        .unwrap_or_default()
        .iter()
        .for_each(|problem| said(&problem.message));
    for test in &configuration.test_set.tests {
        for (key, message) in check_test(test, configuration) {
            assert!(!key.is_empty());
            said(&message);
        }
        testfleet_endpoint::check_test(test, "test", endpoint.response.format)
            .iter()
            .for_each(placed);
    }
    let target = target(endpoint, secrets);
    assert_eq!(target.is_some(), problems.is_empty(), "the check and the run disagree");
    let Some(target) = target else { return };
    for test in configuration.test_set.tests.iter().take(RENDERED) {
        if let Err(error) = target.prepare(&call(&run(), test, &Map::new())) {
            said(&error.detail.message);
        }
    }
}
