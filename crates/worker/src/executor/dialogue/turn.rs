//! A turn of a dialogue as what it is to everything else: a test of one call.

use serde_json::Value;
use testfleet_model::configuration::{Message, MetricsMode, TestCase, Turn};

/// The test of a turn in which the user says this. `told` is what the endpoint is to be told, as `messages`.
pub(in crate::executor) fn test_of(test: &TestCase, turn: Option<&Turn>, said: &str, told: &[Message]) -> TestCase {
    let mut one = TestCase {
        id: test.id.clone(),
        description: test.description.clone(),
        input: Some(said.to_owned()),
        messages: Some(told.to_vec()),
        vars: test.vars.clone(),
        context: test.context.clone(),
        metadata: test.metadata.clone(),
        tags: test.tags.clone(),
        metrics_mode: MetricsMode::Replace,
        ..TestCase::default()
    };
    let Some(turn) = turn else { return one };
    one.expected_output.clone_from(&turn.expected_output);
    one.expected_tools.clone_from(&turn.expected_tools);
    one.capture.clone_from(&turn.capture);
    if turn.metrics_mode == MetricsMode::Merge {
        one.metrics_mode = test.metrics_mode;
        one.metrics.clone_from(&test.metrics);
    }
    one.metrics.extend_from_slice(&turn.metrics);
    one
}

/// The test as a whole, as its metrics see it when the last turn was taken: they compare with what the test expects, else with
/// what the last turn does, and with the tools of all turns.
pub(in crate::executor) fn whole(test: &TestCase, said: &str, transcript: &[Message]) -> TestCase {
    let mut whole = test.clone();
    whole.turns.clear();
    whole.simulated_user = None;
    whole.input = Some(said.to_owned());
    whole.messages = Some(transcript.to_vec());
    whole.render = false;
    if whole.expected_output.is_none() {
        whole.expected_output = test.turns.last().and_then(|turn| turn.expected_output.clone());
    }
    if whole.expected_tools.is_none() {
        let named: Vec<&Vec<Value>> = test
            .turns
            .iter()
            .filter_map(|turn| turn.expected_tools.as_ref())
            .collect();
        whole.expected_tools = (!named.is_empty()).then(|| named.into_iter().flatten().cloned().collect());
    }
    whole
}

/// What the endpoint said, as a message.
pub(in crate::executor) fn answered(output: &Value) -> Message {
    Message {
        role: "assistant".to_owned(),
        content: match output {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
    }
}

/// What the user said, as a message.
pub(in crate::executor) fn said_by_user(text: &str) -> Message {
    Message {
        role: "user".to_owned(),
        content: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testfleet_evaluation::effective;
    use testfleet_model::configuration::Metric;

    use super::*;

    fn test() -> TestCase {
        serde_json::from_value(json!({
            "id": "t", "vars": {"a": 1}, "render": true, "threshold": 0.5, "capture": {"x": "$.x"},
            "metrics": [{"type": "is-json"}],
            "turns": [
                {"input": "one", "expected_tools": ["a"], "metrics": [{"type": "is-xml"}]},
                {"input": "two", "expected_tools": ["b"], "expected_output": "2", "metrics_mode": "merge", "capture": {"y": "$.y"}},
            ],
        }))
        .unwrap()
    }

    fn kinds(configuration: &[Metric], test: &TestCase) -> Vec<String> {
        effective(configuration, test)
            .into_iter()
            .map(Metric::type_name)
            .collect()
    }

    #[test]
    fn a_turn_is_held_to_its_own_metrics_unless_it_takes_the_others_as_well() {
        let configuration: Vec<Metric> = serde_json::from_value(json!([{"type": "is-refusal"}])).unwrap();
        let test = test();
        let first = test_of(&test, Some(&test.turns[0]), "1", &[]);
        assert_eq!(kinds(&configuration, &first), ["is-xml"]);
        assert_eq!((first.input.as_deref(), first.render), (Some("1"), false));
        assert!(first.capture.is_empty() && first.turns.is_empty() && first.threshold.is_none());
        let second = test_of(&test, Some(&test.turns[1]), "2", &[]);
        assert_eq!(kinds(&configuration, &second), ["is-refusal", "is-json"]);
        assert_eq!(second.capture.len(), 1);
        let simulated = test_of(&test, None, "3", &[]);
        assert!(kinds(&configuration, &simulated).is_empty());
    }

    #[test]
    fn the_whole_compares_with_what_the_last_turn_expects_and_with_the_tools_of_all() {
        let whole = whole(&test(), "2", &[said_by_user("1")]);
        assert_eq!(whole.expected_output, Some(json!("2")));
        assert_eq!(whole.expected_tools, Some(vec![json!("a"), json!("b")]));
        assert_eq!(whole.threshold, Some(0.5));
        let mut own = test();
        own.expected_output = Some(json!("own"));
        own.expected_tools = Some(vec![]);
        let whole = super::whole(&own, "2", &[]);
        assert_eq!(
            (whole.expected_output, whole.expected_tools),
            (Some(json!("own")), Some(vec![]))
        );
    }
}
