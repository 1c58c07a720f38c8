//! The facts of a run as labelled lines. Text and mail show the same.

use std::collections::BTreeMap;

use testfleet_model::state::StopReason;
use testfleet_model::summary::{Gate, Percentiles, elapsed_text};
use testfleet_model::{FinalStatus, Summary};

use crate::number::grouped;
use crate::verdict;
use crate::visible::one_line;

const MAX_NAME: usize = 200;
/// Names of usage that are shown.
const MAX_USAGE: usize = 6;

/// `Partial: 8/10 passed`, and behind it which gates failed.
pub(crate) fn headline(summary: &Summary) -> String {
    format!("{}: {}", summary.final_status, passed(summary))
}

/// `8/10 passed`, or `10/10 passed, 1 gate failed`.
pub(crate) fn passed(summary: &Summary) -> String {
    let passed = format!("{}/{} passed", summary.tests_passed, summary.total_tests);
    match verdict::failed(summary) {
        Some(failed) => format!("{passed}, {failed}"),
        None => passed,
    }
}

/// Tests that failed, are in error or inconclusive, repetitions that are tolerated among them.
pub(crate) fn not_well(summary: &Summary) -> usize {
    (summary.failed_tests + summary.tests_inconclusive) as usize
}

/// Whether there is nothing to look at: everything executed and passed or skipped, and no gate failed.
pub(crate) fn is_well(summary: &Summary) -> bool {
    let counts = summary.decisive_counts();
    summary.final_status == FinalStatus::Completed
        && counts.failed + counts.errors + counts.inconclusive == 0
        && summary.gate != Gate::Failed
}

/// Label and value, in the order to show them; all values on one line and safe to show. What a run does not
/// have is left out.
pub(crate) fn of(summary: &Summary) -> Vec<(&'static str, String)> {
    let name = |text: &str| one_line(text, MAX_NAME);
    let mut facts = vec![
        ("mode", summary.execution_mode.to_string()),
        ("duration", summary.execution_time.clone()),
        ("endpoint", name(&summary.endpoint_name)),
    ];
    facts.extend(summary.test_set_name.as_deref().map(|set| ("test set", name(set))));
    facts.extend(
        summary
            .project_name
            .as_deref()
            .map(|project| ("project", name(project))),
    );
    facts.extend(summary.latency_ms.map(|latency| ("latency", latency_text(latency))));
    if !summary.usage.is_empty() {
        facts.push(("usage", usage_text(&summary.usage)));
    }
    facts.extend(summary.cost.map(|cost| ("cost", grouped(cost, 6))));
    if !summary.judge_usage.is_empty() {
        facts.push(("judges", usage_text(&summary.judge_usage)));
    }
    facts.extend(summary.judge_cost.map(|cost| ("judge cost", grouped(cost, 6))));
    if summary.retries > 0 {
        facts.push(("retries", summary.retries.to_string()));
    }
    facts.extend(recovered(summary).map(|text| ("recovered", text)));
    if summary.discarded_results > 0 {
        let count = summary.discarded_results;
        facts.push((
            "discarded",
            format!("{count} late {}", if count == 1 { "result" } else { "results" }),
        ));
    }
    facts.extend(verdict::lines(summary));
    facts.extend(
        summary
            .stop_reason
            .map(|reason| ("stopped", stop_text(reason).to_owned())),
    );
    facts.push(("run", summary.test_run_id.to_string()));
    facts
}

/// How many tests recovered, in how many rounds; `None` where none was begun.
#[must_use]
pub fn recovered(summary: &Summary) -> Option<String> {
    let rounds = match summary.recovery_rounds {
        0 => return None,
        1 => "1 recovery round".to_owned(),
        rounds => format!("{rounds} recovery rounds"),
    };
    Some(match summary.tests_recovered {
        0 => format!("no test, in {rounds}"),
        1 => format!("1 test, in {rounds}"),
        tests => format!("{tests} tests, in {rounds}"),
    })
}

fn latency_text(latency: Percentiles) -> String {
    let all = [
        ("p50", latency.p50),
        ("p90", latency.p90),
        ("p95", latency.p95),
        ("p99", latency.p99),
        ("max", latency.max),
    ];
    all.map(|(name, milliseconds)| format!("{name} {}", elapsed_text(milliseconds)))
        .join(" · ")
}

pub(crate) fn usage_text(usage: &BTreeMap<String, f64>) -> String {
    let mut parts: Vec<String> = usage
        .iter()
        .take(MAX_USAGE)
        .map(|(name, sum)| format!("{} {}", one_line(name, 40), grouped(*sum, 2)))
        .collect();
    if usage.len() > MAX_USAGE {
        parts.push(format!("… and {} more", usage.len() - MAX_USAGE));
    }
    parts.join(" · ")
}

fn stop_text(reason: StopReason) -> &'static str {
    match reason {
        StopReason::Cancelled => "cancelled by request",
        StopReason::Deadline => "not done by its deadline",
        StopReason::Abandoned => "its submission was never finished",
        StopReason::Damaged => "its data was damaged",
        StopReason::FailFast => "as many tests failed as it may have",
        StopReason::StopOnFailure => "a test did not pass",
        StopReason::Budget => "its budget was used up",
    }
}
