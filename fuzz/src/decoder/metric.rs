//! Metrics in the first line, as the canonical JSON list; the expected output in the second; the rest is the output.

use std::time::Duration;

use serde_json::Value;
use testfleet_evaluation::{MetricSet, Subject, assess};
use testfleet_model::Execution;
use testfleet_model::configuration::{Metric, TestCase};

use super::input::{first_line, said, text};

/// Compiles the metrics and evaluates them.
pub fn check(data: &[u8]) {
    let (metrics, rest) = first_line(data);
    let (expected, output) = first_line(rest);
    let Ok(metrics) = serde_json::from_slice::<Vec<Metric>>(metrics) else {
        return;
    };
    let set = match MetricSet::compile(&metrics) {
        Ok(set) => set,
        Err(problems) => {
            assert!(!problems.is_empty());
            for problem in &problems {
                assert!(problem.path().starts_with("metrics["), "{problem:?}");
                said(&problem.message);
            }
            return;
        }
    };
    let expected: Option<Value> = serde_json::from_slice(expected).ok();
    let output = serde_json::from_slice(output).unwrap_or_else(|_| Value::String(text(output)));
    let subject = Subject {
        output: &output,
        expected: expected.as_ref(),
        status: Some(200),
        invoke_time: Some(Duration::from_millis(120)),
    };
    let assessment = assess(&set, &TestCase::default(), &subject, || Duration::ZERO);
    assert_eq!(assessment.metrics.len(), metrics.len());
    for result in &assessment.metrics {
        said(&result.reason);
        assert!(
            result.reason.len() < 16 * 1024,
            "a reason of {} bytes",
            result.reason.len()
        );
        assert!(result.score.is_none_or(f64::is_finite), "{result:?}");
        assert!(result.error.as_ref().is_none_or(|error| !error.is_empty()));
    }
    let decision = assessment.decision;
    assert_eq!(
        decision.error.is_some(),
        decision.execution == Execution::Error,
        "{decision:?}"
    );
    serde_json::to_string(&assessment.metrics).expect("results can be stored");
}
