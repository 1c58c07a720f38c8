//! What a summary says of the run as a whole (metrics, repeated tests, gates, baseline) as labelled lines. Text, mail and
//! `run show` show the same.

use testfleet_model::Summary;
use testfleet_model::comparison::BaselineResult;
use testfleet_model::configuration::Severity;
use testfleet_model::gate::GateResult;
use testfleet_model::summary::{Gate, MetricSummary, Repeats};

use crate::comparison::{change_line, headline, unlisted};
use crate::number::{decimals, grouped};
use crate::visible::one_line;

/// Flaky tests that are named.
const MAX_FLAKY: usize = 10;
/// Metrics that are told, those that pass least first.
const MAX_METRICS: usize = 8;
/// Gates that are told, those that do not hold first.
const MAX_GATES: usize = 20;
/// Tests that changed and are told.
const MAX_CHANGES: usize = 5;
const MAX_NAME: usize = 120;
const MAX_REASON: usize = 300;

/// Label and value; an empty label continues the one before. All values are on one line and safe to show.
pub type Lines = Vec<(&'static str, String)>;

/// All of it; empty for a run that has nothing of the kind.
#[must_use]
pub fn lines(summary: &Summary) -> Lines {
    let mut lines = Lines::new();
    push_metrics(summary, &mut lines);
    if let Some(repeats) = &summary.repeats {
        lines.push(("repeated", repeated_text(repeats)));
        push_flaky(repeats, &mut lines);
    }
    push_gates(summary, &mut lines);
    if let Some(baseline) = &summary.baseline {
        push_baseline(baseline, &mut lines);
    }
    lines
}

/// `1 gate failed`, `2 gates and the baseline failed`; `None` when none did.
#[must_use]
pub fn failed(summary: &Summary) -> Option<String> {
    let gates = summary.gates.iter().filter(|gate| gate.fails()).count();
    let baseline = summary.baseline.as_ref().is_some_and(|baseline| !baseline.holds);
    let gates = match gates {
        0 => None,
        1 => Some("1 gate".to_owned()),
        several => Some(format!("{several} gates")),
    };
    match (gates, baseline) {
        (Some(gates), true) => Some(format!("{gates} and the baseline failed")),
        (Some(gates), false) => Some(format!("{gates} failed")),
        (None, true) => Some("the baseline failed".to_owned()),
        (None, false) => (summary.gate == Gate::Failed).then(|| "a gate failed".to_owned()),
    }
}

/// What a gate is called and what came of it: `pass_rate >= 0.95: 0.97`, `cheap (cost <= 5): 7.25`.
pub(crate) fn gate_line(gate: &GateResult) -> String {
    let title = match &gate.name {
        Some(name) => format!(
            "{} ({})",
            one_line(name, MAX_NAME),
            one_line(&gate.condition(), MAX_NAME)
        ),
        None => one_line(&gate.title(), MAX_NAME),
    };
    match (&gate.reason, gate.actual) {
        (Some(reason), None) => format!("{title}: {}", one_line(reason, MAX_REASON)),
        (_, Some(actual)) => format!("{title}: {}", measured(gate, actual)),
        (None, None) => title,
    }
}

/// What was measured, as the bound is written: `94.2 %` beside `95%`. What rounds to the bound and is not it is written out.
fn measured(gate: &GateResult, actual: f64) -> String {
    let (number, decimals, unit) = if gate.gate.contains('%') {
        (actual * 100.0, 2, " %")
    } else {
        (actual, 6, "")
    };
    let short = grouped(number, decimals);
    let bound = gate.gate.rsplit([' ', '=', '<', '>']).next().unwrap_or_default();
    if !gate.holds && bound.trim_end_matches('%') == short {
        return format!("{number}{unit}");
    }
    format!("{short}{unit}")
}

/// `main, run 0197…` or the run alone.
fn baseline_name(baseline: &BaselineResult) -> String {
    let run = baseline.run.map(|run| format!("run {run}"));
    let name = baseline.name.as_deref().map(|name| one_line(name, MAX_NAME));
    [name, run].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn push_metrics(summary: &Summary, lines: &mut Lines) {
    let mut metrics: Vec<(&String, &MetricSummary)> = summary.metrics.iter().collect();
    let rate = |metric: &MetricSummary| metric.pass_rate().unwrap_or(1.0);
    metrics.sort_by(|(_, one), (_, other)| rate(one).total_cmp(&rate(other)));
    let mut label = "metrics";
    for (name, metric) in metrics.iter().take(MAX_METRICS) {
        lines.push((label, metric_line(name, metric)));
        label = "";
    }
    if metrics.len() > MAX_METRICS {
        lines.push(("", format!("… and {} more", metrics.len() - MAX_METRICS)));
    }
}

/// `tone: 7 of 8 passed, 1 in error, mean 0.82, from 0.4 to 1`. Scores that say no more than passed or not are left out.
fn metric_line(name: &str, metric: &MetricSummary) -> String {
    let mut line = format!(
        "{}: {} of {} passed",
        one_line(name, MAX_NAME),
        metric.passed,
        metric.count
    );
    if metric.errors > 0 {
        line.push_str(&format!(", {} in error", metric.errors));
    }
    if metric.inconclusive > 0 {
        line.push_str(&format!(", {} undecided", metric.inconclusive));
    }
    if let Some(score) = metric.score {
        let is_only_passed = |number: f64| number == 0.0 || (number - 1.0).abs() < f64::EPSILON;
        let says_more = !is_only_passed(score.min)
            || !is_only_passed(score.max)
            || (score.mean * f64::from(metric.count) - f64::from(metric.passed)).abs() > 1e-6;
        if says_more && metric.count > metric.errors {
            let number = |number: f64| grouped(number, decimals(number));
            line.push_str(&format!(", mean {}", number(score.mean)));
            if score.min < score.max {
                line.push_str(&format!(", from {} to {}", number(score.min), number(score.max)));
            }
        }
    }
    line
}

/// `4 of 5 tests passed, 2 flaky; 80 % of the repetitions have to pass`.
fn repeated_text(repeats: &Repeats) -> String {
    let noun = if repeats.tests == 1 { "test" } else { "tests" };
    let mut text = format!("{} of {} {noun} passed", repeats.passed, repeats.tests);
    if repeats.flaky > 0 {
        text.push_str(&format!(", {} flaky", repeats.flaky));
    }
    if repeats.min_pass_rate < 1.0 {
        let percent = grouped(repeats.min_pass_rate * 100.0, 1);
        text.push_str(&format!("; {percent} % of the repetitions have to pass"));
    }
    text
}

/// A line for each flaky test, those that did not pass first.
fn push_flaky(repeats: &Repeats, lines: &mut Lines) {
    let flaky = repeats.list.iter().filter(|test| test.flaky).take(MAX_FLAKY);
    let mut label = "flaky";
    let mut told = 0;
    for test in flaky {
        let id = one_line(&test.test_id, MAX_NAME);
        lines.push((label, format!("{id}: {} of {} passed", test.passed, test.of)));
        label = "";
        told += 1;
    }
    if repeats.flaky > told && told > 0 {
        lines.push(("", format!("… and {} more", repeats.flaky - told)));
    }
}

fn push_gates(summary: &Summary, lines: &mut Lines) {
    if summary.gates.is_empty() {
        // Those of a summary of an earlier version.
        match summary.gate {
            Gate::Failed if summary.baseline.is_none() => lines.push(("gate", "failed".to_owned())),
            Gate::Passed if summary.baseline.is_none() => lines.push(("gate", "passed".to_owned())),
            _ => {}
        }
        return;
    }
    let holding = summary.gates.iter().filter(|gate| gate.holds).count();
    lines.push(("gates", format!("{holding} of {} hold", summary.gates.len())));
    let rank = |gate: &&GateResult| (gate.holds, gate.severity == Severity::Warn);
    let mut gates: Vec<&GateResult> = summary.gates.iter().collect();
    gates.sort_by_key(rank);
    for gate in gates.iter().take(MAX_GATES) {
        let mark = match (gate.holds, gate.severity) {
            (true, _) => "✓",
            (false, Severity::Error) => "✗",
            (false, Severity::Warn) => "!",
        };
        lines.push(("", format!("{mark} {}", gate_line(gate))));
    }
    if gates.len() > MAX_GATES {
        lines.push(("", format!("… and {} more", gates.len() - MAX_GATES)));
    }
}

fn push_baseline(baseline: &BaselineResult, lines: &mut Lines) {
    let name = baseline_name(baseline);
    match &baseline.comparison {
        Some(comparison) => {
            lines.push(("baseline", name));
            lines.push(("", headline(comparison)));
            if let Some(reason) = &baseline.reason {
                lines.push(("", format!("✗ {}", one_line(reason, MAX_REASON))));
            }
            for change in comparison.listed.iter().take(MAX_CHANGES) {
                lines.push(("", change_line(change)));
            }
            let more = unlisted(comparison, MAX_CHANGES);
            if more > 0 {
                lines.push(("", format!("… and {more} more changes")));
            }
        }
        None => {
            let reason = baseline.reason.as_deref().unwrap_or("it was not compared");
            let name = if name.is_empty() {
                String::new()
            } else {
                format!("{name}: ")
            };
            lines.push(("baseline", format!("✗ {name}{}", one_line(reason, MAX_REASON))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_told_with_its_condition_and_in_its_unit() {
        let gate = |gate: &str, name: Option<&str>, holds, actual| GateResult {
            gate: gate.to_owned(),
            name: name.map(str::to_owned),
            filters: vec!["tag:area=refunds".to_owned()],
            severity: Severity::Error,
            holds,
            actual: Some(actual),
            reason: (!holds).then(|| "it is too low".to_owned()),
        };
        let table = [
            (
                gate("pass_rate == 1", Some("refunds are right"), false, 1.0 / 3.0),
                "refunds are right (pass_rate == 1 where tag:area=refunds): 0.333333",
            ),
            (
                gate("pass_rate >= 95%", None, false, 6.0 / 11.0),
                "pass_rate >= 95% where tag:area=refunds: 54.55 %",
            ),
            (
                gate("pass_rate >= 95%", None, false, 0.949_999_9),
                "pass_rate >= 95% where tag:area=refunds: 94.99999 %",
            ),
            (
                gate("pass_rate>=0.95", None, false, 0.949_999_99),
                "pass_rate>=0.95 where tag:area=refunds: 0.94999999",
            ),
            (
                gate("error_rate <= 2%", None, true, 0.02),
                "error_rate <= 2% where tag:area=refunds: 2 %",
            ),
        ];
        for (gate, line) in table {
            assert_eq!(gate_line(&gate), line);
        }
    }
}
