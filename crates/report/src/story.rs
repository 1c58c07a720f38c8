//! One result that did not go well, told as labelled lines. Text and mail show the same story.

use serde_json::Value;
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{MetricResult, TurnResult};
use testfleet_model::{Status, TestResult};

use crate::visible::{exact, one_line};

const MAX_ID: usize = 120;
const MAX_EXCERPT: usize = 160;
const MAX_REASON: usize = 300;
/// Reasons told of one test.
const MAX_REASONS: usize = 5;

/// A result told for people. All texts are on one line, bounded and safe to show on a terminal.
pub(crate) struct Story {
    pub(crate) status: Status,
    pub(crate) test_id: String,
    pub(crate) description: Option<String>,
    /// Label and text, in the order to show them; an empty label continues the one before.
    pub(crate) lines: Vec<(&'static str, String)>,
}

impl Story {
    /// The story of a result; what was expected is known only with the test itself.
    pub(crate) fn of(result: &TestResult, test: Option<&TestCase>) -> Self {
        let mut lines = Vec::new();
        if let Some(input) = input(result, test) {
            lines.push(("input", one_line(&input, MAX_EXCERPT)));
        }
        if let Some(expected) = test.and_then(|test| test.expected_output.as_ref()) {
            lines.push(("expected", exact(&written(expected), MAX_EXCERPT)));
        }
        push_turn(result, &mut lines);
        push_goal(result, &mut lines);
        if let Some(output) = &result.output {
            lines.push(("got", exact(&written(output), MAX_EXCERPT)));
        }
        push_reasons(result, &mut lines);
        push_error(result, &mut lines);
        if result.attempts > 1 {
            lines.push(("attempts", result.attempts.to_string()));
        }
        Self {
            status: result.status,
            test_id: one_line(&result.test_id, MAX_ID),
            description: result
                .description
                .as_deref()
                .or(test.and_then(|test| test.description.as_deref()))
                .map(|text| one_line(text, MAX_EXCERPT))
                .filter(|text| !text.is_empty()),
            lines,
        }
    }
}

/// Why a metric did not pass, in one sentence with its name; `None` when it passed or does not count.
pub(crate) fn reason(metric: &MetricResult) -> Option<String> {
    if !metric.counts || metric.is_successful == Some(true) {
        return None;
    }
    let why = metric.error.as_deref().unwrap_or(&metric.reason);
    Some(one_line(&format!("{}: {why}", metric.name), MAX_REASON))
}

/// In a dialogue, which turn was the first that did not pass.
fn push_turn(result: &TestResult, lines: &mut Vec<(&'static str, String)>) {
    let Some(turn) = result.failed_turn() else { return };
    let taken = result.turns.iter().filter(|turn| turn.status != Status::NotRun).count();
    let word = turn.status.word();
    let label = one_line(&turn.label(), MAX_ID);
    lines.push((
        "turn",
        format!("{label} of {}: {word}; {taken} taken", result.turns.len()),
    ));
    lines.push(("said", exact(&turn.input, MAX_EXCERPT)));
    if let Some(output) = turn
        .output
        .as_ref()
        .filter(|output| Some(*output) != result.output.as_ref())
    {
        lines.push(("heard", exact(&written(output), MAX_EXCERPT)));
    }
}

/// Of a dialogue whose user a model played, what came of its goal.
fn push_goal(result: &TestResult, lines: &mut Vec<(&'static str, String)>) {
    let Some(dialogue) = &result.dialogue else { return };
    let Some(is_reached) = dialogue.goal_reached else {
        return;
    };
    let word = if is_reached { "reached" } else { "not reached" };
    let taken = result.turns.len();
    let because = dialogue.reason.as_deref().map(|reason| format!(": {reason}"));
    let said = format!("{word} in {taken} turns{}", because.unwrap_or_default());
    lines.push(("goal", one_line(&said, MAX_REASON)));
}

/// Why the metrics of a result did not pass, those of turns first and with the turn; of a turn in error, what is in error.
pub(crate) fn reasons(result: &TestResult) -> Vec<String> {
    let of_turn = |turn: Option<&TurnResult>, why: String| match turn {
        Some(turn) => one_line(&format!("{}: {why}", turn.label()), MAX_REASON),
        None => why,
    };
    result
        .all_metrics()
        .filter_map(|(turn, metric)| Some(of_turn(turn, reason(metric)?)))
        .collect()
}

fn push_reasons(result: &TestResult, lines: &mut Vec<(&'static str, String)>) {
    let reasons = reasons(result);
    let more = reasons.len().saturating_sub(MAX_REASONS);
    for (at, reason) in reasons.into_iter().take(MAX_REASONS).enumerate() {
        lines.push((if at == 0 { "because" } else { "" }, reason));
    }
    if more > 0 {
        lines.push(("", format!("… and {more} more")));
    }
}

fn push_error(result: &TestResult, lines: &mut Vec<(&'static str, String)>) {
    let Some(error) = &result.error else { return };
    let message = format!("{}: {}", error.class.word(), error.message);
    lines.push(("error", one_line(&message, MAX_REASON)));
    if let Some(status) = error.http_status {
        lines.push(("status", format!("HTTP {status}")));
    }
    if let Some(body) = error.body.as_deref().filter(|body| !body.trim().is_empty()) {
        lines.push(("body", one_line(body, MAX_EXCERPT)));
    }
}

/// What was asked: the test's own words, else what was sent, without its wrapping when it is a single text.
fn input(result: &TestResult, test: Option<&TestCase>) -> Option<String> {
    let last_message = |test: &TestCase| test.messages.as_ref()?.last().map(|message| message.content.clone());
    test.and_then(|test| test.input.clone().or_else(|| last_message(test)))
        .or_else(|| {
            let body = result.request.as_ref()?.body.as_ref()?;
            Some(only_text(body).map_or_else(|| written(body), str::to_owned))
        })
}

/// The text in a value that holds nothing else, however deep.
fn only_text(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Array(items) if items.len() == 1 => only_text(&items[0]),
        Value::Object(fields) if fields.len() == 1 => only_text(fields.values().next()?),
        _ => None,
    }
}

/// A text as it is, anything else as JSON.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
