//! What is handed out is accepted by everything that looks at a configuration before it runs.

use testfleet_evaluation::MetricSet;
use testfleet_model::configuration::reading::{
    Defaults, DocumentFormat, Positions, Problem, Problems, read_configuration,
};

/// Reads the result as `testfleet config check` does.
///
/// # Errors
/// All problems, with their places in the result.
pub(crate) fn accept(yaml: &str, file: &str) -> Result<(), Problems> {
    let name = format!("{file} (imported)");
    let reading = read_configuration(yaml, &name, DocumentFormat::Yaml, &Defaults::default())?;
    let positions: &Positions = &reading.positions;
    let configuration = &reading.configuration;
    let mut problems: Vec<Problem> = Vec::new();
    for problem in testfleet_endpoint::check(&configuration.endpoint, &configuration.secrets) {
        problems.push(positions.problem(&problem.key, problem.message));
    }
    for (index, test) in configuration.test_set.tests.iter().enumerate() {
        let key = format!("test_set.tests[{index}]");
        for problem in testfleet_endpoint::check_test(test, &key, configuration.endpoint.response.format) {
            problems.push(positions.problem(&problem.key, problem.message));
        }
        for problem in MetricSet::compile(&test.metrics).err().unwrap_or_default() {
            problems.push(positions.problem(&format!("{key}.{}", problem.path()), problem.message));
        }
    }
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems::sorted(problems))
    }
}
