//! One result that did not go well, told as labelled lines. Text and mail show the same story.

use serde_json::Value;
use testfleet_model::configuration::TestCase;
use testfleet_model::result::{ErrorClass, ErrorDetail, MetricResult, RequestRecord, TurnResult};
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
        let is_earlier_turn = push_turn(result, &mut lines);
        push_goal(result, &mut lines);
        if let Some(output) = &result.output {
            // What stands above it is then the answer to another turn.
            let label = if is_earlier_turn { "ended with" } else { "got" };
            lines.push((label, exact(&written(output), MAX_EXCERPT)));
        }
        push_reasons(result, &mut lines);
        push_error(result, &mut lines);
        if result.attempts > 1 {
            lines.push(("attempts", result.attempts.to_string()));
        }
        lines.extend(recovery(result).map(|text| ("recovery", one_line(&text, MAX_REASON))));
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
    let told = match &metric.error {
        Some(error) => format!("{} could not be computed: {error}", metric.name),
        None => format!("{}: {}", metric.name, metric.reason),
    };
    Some(one_line(&told, MAX_REASON))
}

/// Whether the error of a result says no more than the [`reasons`]: that metrics could not be computed, and why.
pub(crate) fn is_told_by_reasons(result: &TestResult) -> bool {
    let is_of_metrics = |error: &ErrorDetail| error.class == ErrorClass::Metric;
    result.error.as_ref().is_some_and(is_of_metrics)
        && result
            .all_metrics()
            .any(|(_, metric)| metric.counts && metric.error.is_some())
}

/// Of a test that was tried in a recovery round, what was done in which, and what it was in error for before.
pub(crate) fn recovery(result: &TestResult) -> Option<String> {
    let recovery = result.recovery.as_ref()?;
    let tried = if recovery.evaluated_again {
        "evaluated again"
    } else {
        "tried again"
    };
    let error = recovery.error.as_ref();
    let before = error.map(|error| format!("; before: {}: {}", error.class.word(), error.message));
    Some(format!(
        "round {}, {tried}{}",
        recovery.round,
        before.unwrap_or_default()
    ))
}

/// Of a dialogue, which turn was the first that did not pass, else what the user said last. Says whether what was heard then is
/// shown, and is not what the dialogue ended with.
fn push_turn(result: &TestResult, lines: &mut Vec<(&'static str, String)>) -> bool {
    let Some(turn) = result.failed_turn() else {
        if let Some(last) = result.turns.iter().rfind(|turn| turn.status != Status::NotRun) {
            lines.push(("said", exact(&last.input, MAX_EXCERPT)));
        }
        return false;
    };
    let taken = result.turns.iter().filter(|turn| turn.status != Status::NotRun).count();
    let word = turn.status.word();
    let label = one_line(&turn.label(), MAX_ID);
    lines.push((
        "turn",
        format!("{label} of {}: {word}; {taken} taken", result.turns.len()),
    ));
    lines.push(("said", exact(&turn.input, MAX_EXCERPT)));
    let is_another = |output: &&Value| Some(*output) != result.output.as_ref();
    let heard = turn.output.as_ref().filter(is_another);
    lines.extend(heard.map(|output| ("heard", exact(&written(output), MAX_EXCERPT))));
    heard.is_some()
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
    let noun = if taken == 1 { "turn" } else { "turns" };
    let said = format!("{word} in {taken} {noun}{}", because.unwrap_or_default());
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
    let Some(error) = result.error.as_ref().filter(|_| !is_told_by_reasons(result)) else {
        return;
    };
    let message = format!("{}: {}", error.class.word(), error.message);
    lines.push(("error", one_line(&message, MAX_REASON)));
    // Another worker may have what this one lacks.
    let is_of_worker = matches!(error.class, ErrorClass::Secret | ErrorClass::Egress);
    if let Some(worker) = result.worker.as_deref().filter(|_| is_of_worker) {
        lines.push(("worker", one_line(worker, MAX_ID)));
    }
    if let Some(status) = error.http_status {
        lines.push(("status", format!("HTTP {status}")));
    }
    if let Some(body) = error.body.as_deref().filter(|body| !body.trim().is_empty()) {
        lines.push(("body", one_line(body, MAX_EXCERPT)));
    }
}

/// What was asked, as it was sent; of a call that was not made, the test's own words, and of a dialogue nothing, as its turns say
/// it. What was sent is shown without its wrapping when it is a single text.
fn input(result: &TestResult, test: Option<&TestCase>) -> Option<String> {
    if !result.turns.is_empty() {
        return None;
    }
    let last_message = |test: &TestCase| test.messages.as_ref()?.last().map(|message| message.content.clone());
    let asked = result.request.as_ref().and_then(RequestRecord::asked);
    asked
        .map(str::to_owned)
        .or_else(|| test.and_then(|test| test.input.clone().or_else(|| last_message(test))))
        .or_else(|| result.request.as_ref()?.body.as_ref().map(written))
}

/// A text as it is, anything else as JSON.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
