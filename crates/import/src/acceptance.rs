//! What is handed out is accepted by everything that looks at a configuration before it runs.

use serde_json::{Value, json};
use testfleet_endpoint::CompileProblem;
use testfleet_evaluation::MetricSet;
use testfleet_judge::LANGUAGE;
use testfleet_model::configuration::reading::{
    Defaults, DocumentFormat, Positions, Problem, Problems, read_configuration,
};

use crate::grader::Graders;

/// Reads the result as `testfleet config check` does.
///
/// # Errors
/// All problems, with their places in the result.
pub(crate) fn accept(yaml: &str, file: &str) -> Result<(), Problems> {
    let name = format!("{file} (imported)");
    let reading = read_configuration(yaml, &name, DocumentFormat::Yaml, &Defaults::default())?;
    let positions: &Positions = &reading.positions;
    let configuration = &reading.configuration;
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |problems: Vec<CompileProblem>| {
        found.extend(
            problems
                .into_iter()
                .map(|CompileProblem { key, message }| (key, message)),
        );
    };
    add(testfleet_endpoint::check(
        &configuration.endpoint,
        &configuration.secrets,
    ));
    add(testfleet_judge::check(configuration));
    for (index, test) in configuration.test_set.tests.iter().enumerate() {
        let key = format!("test_set.tests[{index}]");
        add(testfleet_endpoint::check_test(
            test,
            &key,
            configuration.endpoint.response.format,
        ));
        let metrics = format!("{key}.metrics");
        add(testfleet_judge::check_metrics(
            &test.metrics,
            &metrics,
            &configuration.secrets,
        ));
        let compiled = MetricSet::compile_with(&test.metrics, LANGUAGE);
        add(compiled
            .err()
            .unwrap_or_default()
            .into_iter()
            .map(|problem| CompileProblem::new(format!("{key}.{}", problem.path()), problem.message))
            .collect());
    }
    let problems: Vec<Problem> = found
        .into_iter()
        .map(|(key, message)| positions.problem(&key, message))
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems::sorted(problems))
    }
}

/// Why this version would not take a metric, which may name the models of these graders; `None` when it does.
pub(crate) fn refused(metric: &Value, graders: &Graders) -> Option<String> {
    let secrets: Value = graders.secrets.iter().map(|name| (name.clone(), json!({}))).collect();
    let document = json!({
        "version": 1, "name": "n", "secrets": secrets, "models": graders.models,
        "endpoint": {"url": "https://endpoint.invalid/"},
        // The context is looked for where the metric is made.
        "test_set": {"tests": [{"input": "x", "context": ["x"], "metrics": [metric]}]},
    });
    let read = read_configuration(&document.to_string(), "", DocumentFormat::Json, &Defaults::default());
    let said: Vec<String> = match read {
        Err(problems) => problems
            .0
            .into_iter()
            .map(|problem| strip(&problem.key, problem.message))
            .collect(),
        Ok(reading) => {
            let configuration = reading.configuration;
            let metrics = &configuration.test_set.tests.first()?.metrics;
            let asked = testfleet_judge::check_metrics(metrics, "metrics", &configuration.secrets);
            let compiled = MetricSet::compile_with(metrics, LANGUAGE).err().unwrap_or_default();
            asked
                .into_iter()
                .map(|problem| problem.message)
                .chain(compiled.into_iter().map(|problem| problem.message))
                .collect()
        }
    };
    (!said.is_empty()).then(|| said.join("; "))
}

fn strip(key: &str, message: String) -> String {
    match key.strip_prefix("test_set.tests[0].metrics[0].") {
        Some("type") | None => message,
        Some(key) => format!("{key}: {message}"),
    }
}
