//! Reads what makes a test a dialogue: `turns`, `simulated_user` and `stop_on_failure`; and the tools that tests expect.

use serde_json::Value;

use crate::configuration::{
    DEFAULT_TURNS, MAX_SIMULATED_TURNS, MAX_TURNS, Metric, MetricKind, MetricsMode, SimulatedUser, TestCase,
    TestConfiguration, Turn,
};

use super::check::nothing_to_compare;
use super::field::Field;
use super::metric::{needs_expected_output, needs_expected_tools, read_metrics};
use super::model_server::check_model;
use super::node::{Node, NodeValue, join_index};
use super::section::{Findings, Section};
use super::test::read_capture;

/// What may be said of a tool: ours first, then what ragas and DeepEval say.
pub(in crate::configuration) const TOOL_KEYS: [&str; 7] = [
    "name",
    "arguments",
    "args",
    "input_parameters",
    "description",
    "output",
    "reasoning",
];

/// Takes the keys of a dialogue. Answers whether there are any that say what the user says.
pub(super) fn read_dialogue(
    section: &mut Section,
    from_source: bool,
    test: &mut TestCase,
    findings: &mut Findings,
) -> bool {
    let (turns, stop) = (section.take("turns"), section.take("stop_on_failure"));
    let user = section.take("simulated_user");
    let is_there = turns.is_some() || user.is_some();
    if let Some(field) = user {
        if turns.is_some() {
            let message = "a dialogue has written `turns` or a `simulated_user`; give one of them";
            findings.problem(field.key_position, &field.path, message);
        }
        test.simulated_user = read_user(field, findings);
    }
    if let Some(field) = turns {
        test.turns = read_turns(field, from_source, findings);
    }
    if let Some(field) = stop {
        let at = field.clone_place();
        test.stop_on_failure = field.flag(findings).unwrap_or_default();
        if test.stop_on_failure && test.turns.is_empty() {
            let message = "says that the turns after a failed one are left out, and the test has no written `turns`; for the run there is \
                 attributes.stop_on_failure";
            at.problem(message, findings);
        }
    }
    is_there
}

fn read_user(field: Field, findings: &mut Findings) -> Option<SimulatedUser> {
    let mut section = Section::open(field, findings)?;
    let mut text =
        |key: &'static str, findings: &mut Findings| section.take(key).and_then(|field| field.filled_text(findings));
    let model = text("model", findings);
    let instructions = text("instructions", findings);
    let first_message = text("first_message", findings);
    let stop_when = text("stop_when", findings);
    let goal = match section.take("goal") {
        Some(field) => field.filled_text(findings),
        None => {
            section.missing("goal", "write what the user wants of the conversation", findings);
            None
        }
    };
    let max_turns = match section.take("max_turns") {
        Some(field) => {
            let at = field.clone_place();
            let turns = field.count(findings);
            if turns.is_some_and(|turns| turns > MAX_SIMULATED_TURNS) {
                at.problem(
                    format!("a simulated user may have {MAX_SIMULATED_TURNS} turns"),
                    findings,
                );
            }
            turns
        }
        None => Some(DEFAULT_TURNS),
    };
    section.finish(findings);
    Some(SimulatedUser {
        model,
        goal: goal?,
        instructions,
        max_turns: max_turns?,
        first_message,
        stop_when,
    })
}

fn read_turns(field: Field, from_source: bool, findings: &mut Findings) -> Vec<Turn> {
    let at = field.clone_place();
    let items = field.filled_items("turn", findings);
    if items.len() > MAX_TURNS as usize {
        at.problem(format!("a test may have {MAX_TURNS} turns"), findings);
    }
    items
        .into_iter()
        .filter_map(|item| read_turn(item, from_source, findings))
        .collect()
}

/// A turn is what the user says, or a mapping with it.
fn read_turn(field: Field, from_source: bool, findings: &mut Findings) -> Option<Turn> {
    let mut turn = Turn {
        name: None,
        input: String::new(),
        expected_output: None,
        expected_tools: None,
        metrics: Vec::new(),
        metrics_mode: MetricsMode::Replace,
        capture: std::collections::BTreeMap::new(),
    };
    if matches!(field.node.value, NodeValue::Text(_)) {
        turn.input = field.text(findings)?;
        return Some(turn);
    }
    let mut section = Section::open(field, findings)?;
    turn.name = section.take("name").and_then(|field| field.filled_text(findings));
    let input = match section.take("input") {
        Some(field) if from_source => field.loose_text(findings),
        Some(field) => field.text(findings),
        None => {
            section.missing("input", "write what the user says in this turn", findings);
            None
        }
    };
    turn.expected_output = section.take("expected_output").map(Field::json);
    turn.expected_tools = read_expected_tools(&mut section, findings);
    if let Some(field) = section.take("metrics") {
        turn.metrics = read_metrics(field, findings);
    }
    if let Some(field) = section.take("metrics_mode") {
        let words = [("merge", MetricsMode::Merge), ("replace", MetricsMode::Replace)];
        turn.metrics_mode = field.word(&words, &[], findings).unwrap_or(MetricsMode::Replace);
    }
    if let Some(field) = section.take("capture") {
        turn.capture = read_capture(field, findings);
    }
    section.finish(findings);
    turn.input = input?;
    Some(turn)
}

/// Names of tools, or mappings of a name and the arguments it is to be called with. None at all means that no tool is to be
/// called.
pub(super) fn read_expected_tools(section: &mut Section, findings: &mut Findings) -> Option<Vec<Value>> {
    let items = section.take("expected_tools")?.items_or_one(findings);
    Some(items.into_iter().filter_map(|item| read_tool(item, findings)).collect())
}

/// ragas calls the arguments of a tool `args`, DeepEval `input_parameters`; it has more to say about it.
fn read_tool(field: Field, findings: &mut Findings) -> Option<Value> {
    let named = |node: &Node| matches!(&node.value, NodeValue::Text(name) if !name.trim().is_empty());
    let fits = match &field.node.value {
        NodeValue::Map(entries) => {
            entries.iter().any(|entry| entry.key == "name" && named(&entry.node))
                && entries.iter().all(|entry| TOOL_KEYS.contains(&entry.key.as_str()))
        }
        _ => named(&field.node),
    };
    if !fits {
        field.expected("the name of a tool, or a mapping with `name` and `arguments`", findings);
        return None;
    }
    let tool = field.json();
    let Value::Object(mut said) = tool else {
        return Some(tool);
    };
    let name = said.remove("name");
    let arguments = ["arguments", "args", "input_parameters"]
        .iter()
        .find_map(|key| said.remove(*key));
    let kept = name.map(|name| ("name", name)).into_iter();
    let kept = kept.chain(
        arguments
            .filter(|given| !given.is_null())
            .map(|given| ("arguments", given)),
    );
    Some(Value::Object(
        kept.map(|(key, value)| (key.to_owned(), value)).collect(),
    ))
}

/// What is wrong with metrics that look at a simulated user where there is none, as (key of the test, sentence). The common
/// metrics are for tests that have one as well; in others they are in error.
pub(super) fn check_goals(test: &TestCase, wrong: &mut Vec<(String, String)>) {
    let mut check = |path: &str, metrics: &[Metric], message: &str| {
        for (index, metric) in metrics.iter().enumerate().filter(|(_, metric)| asks_for_goal(metric)) {
            let key = format!("{path}{}", join_index("metrics", index));
            wrong.push((key, format!("`{}` {message}", metric.type_name())));
        }
    };
    if test.simulated_user.is_none() {
        check("", &test.metrics, "needs a `simulated_user`, whose goal it is about");
    }
    for (index, turn) in test.turns.iter().enumerate() {
        let message = "is about the goal of a `simulated_user`, and belongs to the test as a whole";
        check(&format!("{}.", join_index("turns", index)), &turn.metrics, message);
    }
}

fn asks_for_goal(metric: &Metric) -> bool {
    metric.kind == MetricKind::GoalReached || metric.metrics.iter().any(asks_for_goal)
}

/// What is wrong with a dialogue inside its configuration, as (key of the test, sentence).
pub(super) fn check(test: &TestCase, configuration: &TestConfiguration, wrong: &mut Vec<(String, String)>) {
    if !test.is_dialogue() {
        return;
    }
    if configuration.endpoint.conversation.is_none() {
        let message = "the endpoint holds no conversations; say how it does with endpoint.conversation.mode: `stateless` when \
                       each call carries all `messages`, `stateful` when it remembers under an id";
        let key = if test.simulated_user.is_some() {
            "simulated_user"
        } else {
            "turns"
        };
        wrong.push((key.to_owned(), message.to_owned()));
    }
    if let Some(user) = &test.simulated_user {
        wrong.extend(check_model(
            user.model.as_deref(),
            "simulated_user",
            "simulated_user",
            &configuration.models,
        ));
    }
    for (index, turn) in test.turns.iter().enumerate() {
        let at = join_index("turns", index);
        for (needs, is_there, key) in [
            (
                needs_expected_output as fn(&Metric) -> bool,
                turn.expected_output.is_some(),
                "expected_output",
            ),
            (needs_expected_tools, turn.expected_tools.is_some(), "expected_tools"),
        ] {
            if is_there {
                continue;
            }
            for (number, metric) in turn.metrics.iter().enumerate() {
                if needs(metric) {
                    let place = format!("{at}.{}", join_index("metrics", number));
                    wrong.push((place, nothing_to_compare(metric, "turn", key)));
                }
            }
            let shared = configuration
                .metrics
                .iter()
                .filter(|_| test.metrics_mode == MetricsMode::Merge);
            let mut taken = shared
                .chain(&test.metrics)
                .filter(|_| turn.metrics_mode == MetricsMode::Merge);
            if let Some(metric) = taken.find(|metric| needs(metric)) {
                let message = format!(
                    "missing; with `metrics_mode: merge` the metric `{}` compares this turn with it",
                    metric.type_name()
                );
                wrong.push((format!("{at}.{key}"), message));
            }
        }
    }
}
