//! Stored results, one a line: folded into a summary, and shown in every format.

use testfleet_model::summary::{Added, Gate, ResultDigest, SummaryBuilder, SummaryContext};
use testfleet_model::{ExecutionMode, RunId, Summary, TestResult};
use testfleet_report::text::TextOptions;
use testfleet_report::visible::steers;
use testfleet_report::{json, jsonl, junit, mail};

use super::input::{said, text};

/// Tests of the run whose results these are.
const TOTAL: u32 = 8;

/// Reads the lines.
pub fn check(data: &[u8]) {
    let mut fold = SummaryBuilder::new(TOTAL);
    let mut results = Vec::new();
    let mut counted = 0;
    for line in data.split(|byte| *byte == b'\n') {
        let digest = serde_json::from_slice::<ResultDigest>(line);
        if let Ok(digest) = &digest
            && fold.add(digest) == Added::Counted
        {
            counted += 1;
        }
        match serde_json::from_slice::<TestResult>(line) {
            Ok(result) => {
                let written = serde_json::to_vec(&result).expect("a result can be written");
                let again: TestResult = serde_json::from_slice(&written).expect("what was written reads");
                assert_eq!(again, result);
                assert_eq!(
                    digest.expect("a digest reads from every result"),
                    ResultDigest::from(&result)
                );
                results.push(result);
            }
            Err(error) => said(&error.to_string()),
        }
    }
    let summary = fold.finish(context());
    assert_eq!(summary.completed_tests, counted);
    let of_all = summary.tests_passed
        + summary.tests_failed
        + summary.tests_inconclusive
        + summary.execution_errors
        + summary.tests_cancelled
        + summary.tests_not_run
        + summary.tests_skipped;
    assert_eq!(of_all, TOTAL);
    let written = serde_json::to_string(&summary).expect("a summary can be written");
    let again: Summary = serde_json::from_str(&written).expect("a stored summary reads");
    assert_eq!(again, summary);
    shown(&summary, &results);
}

fn shown(summary: &Summary, results: &[TestResult]) {
    let plain = testfleet_report::text::render(summary, results, TextOptions::default());
    assert!(plain.chars().all(|c| c == '\n' || !steers(c)), "{plain:?}");
    let mail = mail::mail(summary, results, Some("https://fleet.example.org"));
    assert!(!mail.subject.chars().any(steers), "{:?}", mail.subject);
    for part in [&mail.text, &mail.html] {
        assert!(part.chars().all(|c| c == '\n' || !steers(c)), "{part:?}");
    }
    assert!(!mail.html.contains("<script"));
    let mut document = Vec::new();
    json::write(&mut document, summary, results).expect("memory takes everything");
    serde_json::from_slice::<serde_json::Value>(&document).expect("the report is JSON");
    let mut lines = Vec::new();
    jsonl::write(&mut lines, results).expect("memory takes everything");
    assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), results.len());
    let mut xml = Vec::new();
    junit::write(&mut xml, summary, results).expect("memory takes everything");
    assert!(text(&xml).chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
}

fn context() -> SummaryContext {
    SummaryContext {
        test_run_id: RunId::new(uuid::Uuid::nil()),
        test_configuration_id: None,
        test_set_id: None,
        execution_mode: ExecutionMode::Parallel,
        started_at: None,
        completed_at: None,
        stop_reason: None,
        discarded_results: 0,
        gate: Gate::NotEvaluated,
        test_configuration_name: "fuzz".to_owned(),
        test_set_name: None,
        endpoint_name: "fuzz".to_owned(),
        project_name: None,
    }
}
