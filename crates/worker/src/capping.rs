//! Keeping results under their size cap: first what the answer says, then what was sent, then reasons, then everything else.

mod turn;

use std::collections::BTreeSet;

use serde_json::Value;
use testfleet_model::TestResult;

pub(crate) use self::turn::cap as cap_turn;

/// The longest text of a reason or message that is kept, in bytes.
const MAX_REASON_BYTES: usize = 2_000;

/// Cuts the output to `max_output` bytes and the whole to `max_result`; says so in `truncated`, and what in `cut`. Answers the
/// JSON.
pub(crate) fn to_bytes(mut result: TestResult, max_output: usize, max_result: usize) -> Vec<u8> {
    let mut cut = std::mem::take(&mut result.cut);
    for (name, kept) in [
        ("output", &mut result.output),
        ("tool_calls", &mut result.tool_calls),
        ("context", &mut result.context),
        ("metadata", &mut result.metadata),
    ] {
        if let Some(value) = kept.take() {
            let (value, was_cut) = cap_value(value, max_output);
            *kept = Some(value);
            note(&mut cut, name, was_cut);
        }
    }
    if let Some(reason) = &mut result.finish_reason {
        note(&mut cut, "finish_reason", cap_text(reason, MAX_REASON_BYTES));
    }
    for turn in &mut result.turns {
        turn::cap(turn, max_output);
        note(&mut cut, "turns", !turn.cut.is_empty());
    }
    for text in result.conversation_id.iter_mut().chain(
        result
            .dialogue
            .iter_mut()
            .filter_map(|dialogue| dialogue.reason.as_mut()),
    ) {
        note(&mut cut, "reasons", cap_text(text, MAX_REASON_BYTES));
    }
    for reason in result
        .metrics
        .iter_mut()
        .flat_map(|metric| std::iter::once(&mut metric.reason).chain(&mut metric.error))
    {
        note(&mut cut, "reasons", cap_text(reason, MAX_REASON_BYTES));
    }
    if let Some(error) = &mut result.error {
        note(&mut cut, "reasons", cap_text(&mut error.message, MAX_REASON_BYTES));
    }
    result.truncated |= !cut.is_empty();
    result.cut = cut;
    let bytes = serde_json::to_vec(&result).unwrap_or_default();
    if bytes.len() <= max_result {
        return bytes;
    }
    result.truncated = true;
    result.cut.insert("request".to_owned());
    if let Some(request) = &mut result.request {
        request.body = None;
        request.headers.clear();
        cap_text(&mut request.url, MAX_REASON_BYTES);
    }
    let bytes = serde_json::to_vec(&result).unwrap_or_default();
    if bytes.len() <= max_result {
        return bytes;
    }
    let (output, was_cut) = result
        .output
        .take()
        .map_or((Value::Null, false), |output| cap_value(output, max_result / 4));
    result.output = Some(output);
    result.request = None;
    let mut cut = std::mem::take(&mut result.cut);
    note(&mut cut, "output", was_cut);
    note(&mut cut, "reasons", true);
    for (name, kept) in [
        ("tool_calls", &mut result.tool_calls),
        ("context", &mut result.context),
        ("metadata", &mut result.metadata),
    ] {
        note(&mut cut, name, kept.take().is_some());
    }
    note(&mut cut, "captured", !result.captured.is_empty());
    note(&mut cut, "turns", !result.turns.is_empty());
    result.cut = cut;
    result.captured.clear();
    result.headers.clear();
    turn::shrink(&mut result.turns, max_result / 2);
    for metric in &mut result.metrics {
        cap_text(&mut metric.reason, 200);
    }
    let bytes = serde_json::to_vec(&result).unwrap_or_default();
    if bytes.len() <= max_result {
        return bytes;
    }
    // Some hundreds of metrics: what failed is worth more than what passed.
    result.metrics.retain(|metric| metric.is_successful != Some(true));
    result.metrics.truncate(20);
    result.cut.extend(["output", "metrics"].map(str::to_owned));
    result.output = None;
    turn::strip(&mut result.turns);
    serde_json::to_vec(&result).unwrap_or_default()
}

/// Notes that a part was cut, or left out.
fn note(cut: &mut BTreeSet<String>, part: &str, was_cut: bool) {
    if was_cut {
        cut.insert(part.to_owned());
    }
}

/// A value of at most `max` bytes of text: texts are cut, anything else becomes the beginning of its JSON.
fn cap_value(value: Value, max: usize) -> (Value, bool) {
    match value {
        Value::String(mut text) => {
            let cut = cap_text(&mut text, max);
            (Value::String(text), cut)
        }
        other => {
            let mut text = other.to_string();
            if text.len() <= max {
                return (other, false);
            }
            cap_text(&mut text, max);
            (Value::String(text), true)
        }
    }
}

/// Cuts at a character boundary; answers whether it did.
fn cap_text(text: &mut String, max: usize) -> bool {
    if text.len() <= max {
        return false;
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.truncate(end);
    text.push('…');
    true
}

#[cfg(test)]
mod tests {
    use testfleet_model::Status;
    use testfleet_model::result::TurnResult;

    use super::*;

    fn result(output: Value) -> TestResult {
        let mut result = TestResult::without_execution("t", 0, Status::Pass, None);
        result.output = Some(output);
        result
    }

    #[test]
    fn a_small_result_stays_as_it_is() {
        let bytes = to_bytes(result(Value::String("fine".to_owned())), 100, 10_000);
        let back: TestResult = serde_json::from_slice(&bytes).unwrap();
        assert!(!back.truncated);
        assert_eq!(back.output, Some(Value::String("fine".to_owned())));
    }

    #[test]
    fn a_long_output_is_cut_at_a_character_and_says_so() {
        let bytes = to_bytes(result(Value::String("ä".repeat(100))), 11, 10_000);
        let back: TestResult = serde_json::from_slice(&bytes).unwrap();
        assert!(back.truncated);
        assert_eq!(back.cut, ["output".to_owned()].into());
        assert_eq!(back.output, Some(Value::String(format!("{}…", "ä".repeat(5)))));
    }

    #[test]
    fn a_dialogue_keeps_what_each_turn_came_to_whatever_was_said() {
        let mut large = result(Value::from("o".repeat(50_000)));
        let mut failed: Vec<testfleet_model::result::MetricResult> = Vec::new();
        for number in 0..200 {
            let metric = serde_json::json!({
                "name": format!("metric {number}"), "type": "equals", "score": 0.0, "is_successful": false,
                "threshold": null, "reason": "r".repeat(5_000), "duration_ms": 0.1, "error": null,
            });
            failed.push(serde_json::from_value(metric).unwrap());
        }
        for number in 1..=200 {
            let status = if number % 2 == 0 { Status::Fail } else { Status::Pass };
            let mut turn = TurnResult::new(number, Some("n".repeat(500)), "i".repeat(5_000), status);
            turn.output = Some(Value::from("o".repeat(5_000)));
            turn.tool_calls = Some(Value::Array(vec![Value::from("call"); 500]));
            turn.metrics.clone_from(&failed);
            large.turns.push(turn);
        }
        let bytes = to_bytes(large, 64_000, 128_000);
        assert!(bytes.len() <= 128_000, "{} bytes", bytes.len());
        let back: TestResult = serde_json::from_slice(&bytes).unwrap();
        assert!(back.truncated);
        assert!(back.cut.contains("turns") && back.turns.iter().all(|turn| turn.cut.contains("output")));
        assert_eq!(back.turns.len(), 200);
        assert_eq!(back.failed_turn().unwrap().number, 2);
        assert_eq!(back.all_metrics().count(), 20);
    }

    #[test]
    fn no_result_is_larger_than_its_cap_whatever_is_in_it() {
        let mut large = result(Value::Array(vec![Value::from(1); 50_000]));
        large.request = Some(testfleet_model::result::RequestRecord {
            method: "POST".to_owned(),
            url: "http://h/".to_owned() + &"x".repeat(50_000),
            headers: std::collections::BTreeMap::default(),
            body: Some(Value::String("b".repeat(50_000))),
            input: None,
        });
        large.tool_calls = Some(Value::Array(vec![Value::from("call"); 50_000]));
        large.finish_reason = Some("r".repeat(50_000));
        let bytes = to_bytes(large, 64_000, 8_000);
        assert!(bytes.len() <= 8_000, "{} bytes", bytes.len());
        let back: TestResult = serde_json::from_slice(&bytes).unwrap();
        assert!(back.truncated);
        for part in ["output", "tool_calls", "finish_reason", "request"] {
            assert!(back.cut.contains(part), "{part}: {:?}", back.cut);
        }
    }
}
