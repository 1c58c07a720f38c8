//! One result with everything that is stored of it, for people: what was sent, what came back, and what each metric says.

use std::fmt::Write as _;

use serde_json::Value;
use testfleet_model::result::{ErrorDetail, MetricResult, RequestRecord, TurnResult};
use testfleet_model::summary::elapsed_text;
use testfleet_model::{Status, TestResult};

use crate::facts::usage_text;
use crate::number::{decimals, grouped};
use crate::story::{is_told_by_reasons, recovery};
use crate::style::Style;
use crate::visible::{lines, one_line};

/// Characters of one text that are shown; a result that is stored is smaller, unless a deployment raised its bound.
const MAX_TEXT: usize = 1_000_000;
const MAX_LINE: usize = 1_000;

/// The whole of a result. With `ansi` it is coloured, for terminals.
#[must_use]
pub fn render(result: &TestResult, ansi: bool) -> String {
    let style = Style { ansi };
    let mut text = format!(
        "{}  {}\n",
        coloured(result.status, style),
        style.bold(&one_line(&result.test_id, MAX_LINE))
    );
    if let Some(description) = &result.description {
        let _ = writeln!(text, "  {}", one_line(description, MAX_LINE));
    }
    text.push('\n');
    for (label, value) in facts(result) {
        let _ = writeln!(text, "  {}{value}", style.faint(&format!("{label:<11}")));
    }
    if let Some(error) = result.error.as_ref().filter(|_| !is_told_by_reasons(result)) {
        push_error(&mut text, error, style);
    }
    for turn in &result.turns {
        push_turn(&mut text, turn, style);
    }
    if let Some(request) = &result.request {
        let title = if result.turns.is_empty() {
            "Request"
        } else {
            "Last request"
        };
        push_section(&mut text, title, &written_request(request), style);
    }
    if let Some(output) = result.output.as_ref().filter(|_| result.turns.is_empty()) {
        push_section(&mut text, "Answer", &written(output), style);
    }
    for (title, value) in [
        ("Tool calls", &result.tool_calls),
        ("Context", &result.context),
        ("Metadata", &result.metadata),
    ] {
        if let Some(value) = value {
            push_section(&mut text, title, &written(value), style);
        }
    }
    push_metrics(&mut text, "Metrics", &result.metrics, style);
    if result.truncated {
        text.push_str("\nSome of it was cut when it was stored: it was larger than limits.max_result_bytes.\n");
    }
    text
}

fn coloured(status: Status, style: Style) -> String {
    match status {
        Status::Pass => style.green(status.word()),
        Status::Fail | Status::Error => style.red(status.word()),
        _ => style.yellow(status.word()),
    }
}

/// Label and value of what fits on one line.
fn facts(result: &TestResult) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("index", result.index.to_string()),
        ("attempts", result.attempts.to_string()),
    ];
    let call = result.invoke_time_ms.map(|took| {
        let status = result
            .http_status
            .map_or_else(String::new, |status| format!("HTTP {status} in "));
        format!("{status}{}", elapsed_text(took))
    });
    let optional = [
        ("call", call),
        ("first token", result.ttft_ms.map(elapsed_text)),
        ("usage", (!result.usage.is_empty()).then(|| usage_text(&result.usage))),
        ("cost", result.cost.map(|cost| grouped(cost, 6))),
        (
            "judges",
            (!result.judge_usage.is_empty()).then(|| usage_text(&result.judge_usage)),
        ),
        ("judge cost", result.judge_cost.map(|cost| grouped(cost, 6))),
        ("ended with", result.finish_reason.clone()),
        (
            "dialogue",
            result
                .conversation_id
                .as_ref()
                .map(|id| format!("the endpoint knows it as {id}")),
        ),
        ("worker", result.worker.clone()),
        (
            "evaluated",
            result.reevaluated_from.map(|run| format!("the output of run {run}")),
        ),
        ("recovery", recovery(result)),
        (
            "completed",
            result
                .completed_at
                .map(|at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
        ),
    ];
    let known = optional.into_iter().filter_map(|(label, value)| Some((label, value?)));
    facts.extend(known.map(|(label, value)| (label, one_line(&value, MAX_LINE))));
    let mut label = "tags";
    for (name, value) in &result.tags {
        facts.push((label, one_line(&format!("{name}={value}"), MAX_LINE)));
        label = "";
    }
    let mut label = "captured";
    for (name, value) in &result.captured {
        facts.push((label, one_line(&format!("{name}: {value}"), MAX_LINE)));
        label = "";
    }
    facts
}

fn push_error(text: &mut String, error: &ErrorDetail, style: Style) {
    let message = format!("{}: {}", error.class.word(), error.message);
    push_section(text, "Error", &message, style);
    if let Some(body) = error.body.as_deref().filter(|body| !body.trim().is_empty()) {
        let status = error
            .http_status
            .map_or_else(String::new, |status| format!(" (HTTP {status})"));
        push_section(text, &format!("What came back{status}"), body, style);
    }
}

fn push_turn(text: &mut String, turn: &TurnResult, style: Style) {
    let took = turn
        .invoke_time_ms
        .map_or_else(String::new, |took| format!(", {}", elapsed_text(took)));
    let title = format!("{}: {}{took}", one_line(&turn.label(), MAX_LINE), turn.status.word());
    let _ = writeln!(text, "\n{}", style.bold(&capitalised(&title)));
    let answer = turn.output.as_ref().map(written);
    for (who, said) in [("user", Some(turn.input.clone())), ("answer", answer)] {
        if let Some(said) = said {
            let _ = writeln!(text, "  {}", style.faint(who));
            push_indented(text, &said, "    ");
        }
    }
    if let Some(error) = &turn.error {
        let _ = writeln!(text, "  {}: {}", error.class.word(), one_line(&error.message, MAX_LINE));
    }
    for metric in &turn.metrics {
        push_metric(text, metric, style);
    }
}

fn push_metrics(text: &mut String, title: &str, metrics: &[MetricResult], style: Style) {
    if metrics.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{}", style.bold(title));
    for metric in metrics {
        push_metric(text, metric, style);
    }
}

/// `✗ close to the FAQ (f1): 0.5, >= 0.7: the token F1 0.500 is not >= 0.7`.
fn push_metric(text: &mut String, metric: &MetricResult, style: Style) {
    let mark = match metric.is_successful {
        Some(true) => style.green("✓"),
        Some(false) if metric.counts => style.red("✗"),
        _ => style.yellow("!"),
    };
    let kind = if metric.kind == metric.name {
        String::new()
    } else {
        format!(" ({})", metric.kind)
    };
    let says_more = |score: &f64| *score != 0.0 && (*score - 1.0).abs() > f64::EPSILON;
    let score = metric.score.filter(says_more);
    let score = score.map_or_else(String::new, |score| format!(" {}", grouped(score, decimals(score))));
    let why = metric.error.as_ref().map_or_else(
        || metric.reason.clone(),
        |error| format!("could not be computed: {error}"),
    );
    let line = one_line(&format!("{}{kind}{score}: {why}", metric.name), MAX_LINE);
    let _ = writeln!(text, "  {mark} {line}");
    if !metric.samples.is_empty() {
        let samples: Vec<String> = metric.samples.iter().map(|score| grouped(*score, 3)).collect();
        let _ = writeln!(text, "    samples {}", samples.join(", "));
    }
}

fn written_request(request: &RequestRecord) -> String {
    let mut text = format!("{} {}", request.method, request.url);
    for (name, value) in &request.headers {
        let _ = write!(text, "\n{name}: {value}");
    }
    if let Some(body) = &request.body {
        let _ = write!(text, "\n\n{}", written(body));
    }
    text
}

/// A text as it is, anything else as JSON with its lines.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => format!("{other:#}"),
    }
}

fn push_section(text: &mut String, title: &str, content: &str, style: Style) {
    let _ = writeln!(text, "\n{}", style.bold(title));
    push_indented(text, content, "  ");
}

fn push_indented(text: &mut String, content: &str, indent: &str) {
    for line in lines(content, MAX_TEXT).lines() {
        let _ = writeln!(text, "{}", format!("{indent}{line}").trim_end());
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase);
    first.into_iter().flatten().chain(chars).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;

    fn rendered(results: &[TestResult], id: &str) -> String {
        let result = results.iter().find(|result| result.test_id == id).unwrap();
        render(result, false)
    }

    #[test]
    fn a_result_is_told_in_full() {
        let (_, results) = example::partial();
        insta::assert_snapshot!("detail_failed", rendered(&results, "refund-policy"));
        insta::assert_snapshot!("detail_in_error", rendered(&results, "opening-hours"));
        let (_, results) = example::troubled();
        insta::assert_snapshot!("detail_dialogue", rendered(&results, "dialogue"));
        insta::assert_snapshot!("detail_unjudged", rendered(&results, "unjudged"));
        let (_, results) = example::recovered();
        insta::assert_snapshot!("detail_recovered", rendered(&results, "tone"));
    }

    #[test]
    fn hostile_data_steers_no_terminal() {
        let (_, results) = example::hostile();
        for result in &results {
            let text = render(result, false);
            let is_safe = |c: char| matches!(c, '\n' | '\t') || !crate::visible::steers(c);
            assert!(text.chars().all(is_safe), "{text:?}");
        }
    }
}
