//! `test_set`: sources, defaults, and tests.

use serde_json::{Value, json};

use crate::configuration::reading::foreign::{MAPPINGS, OWN};
use crate::configuration::reading::{DELIMITERS, TOOL_KEYS};
use crate::configuration::{DEFAULT_TURNS, MAX_REPEAT, MAX_SIMULATED_TURNS, MAX_TURNS};

use super::document::texts;
use super::shape::{
    Key, Mapping, anything_by_name, by_name, count_to, defined, filled, flag, list, one_or_list, share, text, word,
};

pub(super) fn test_set() -> Value {
    Mapping::of(vec![
        Key::new("id", filled(), "The backend's id of the set; for reports."),
        Key::new("name", filled(), "What people call the set; for reports."),
        Key::new("defaults", defaults(), "What every test has unless it says otherwise."),
        Key::new("sources", list(source()), "Files with tests; they come first."),
        Key::new("tests", list(defined("test")), "Tests written here."),
    ])
    .with_one_of(&["sources", "tests"])
    .schema()
}

fn defaults() -> Value {
    Mapping::of(vec![
        Key::new("vars", anything_by_name(), "Under each test's own, name by name."),
        Key::new("tags", by_name(text()), "Under each test's own, name by name."),
        Key::new("timeout", defined("duration"), "For tests without their own."),
    ])
    .schema()
}

fn source() -> Value {
    Mapping::of(vec![
        Key::new("file", filled(), "Its path, relative to the configuration.").required(),
        Key::new(
            "format",
            word(&["jsonl", "json", "csv", "yaml"]),
            "Its format; else by the extension.",
        ),
        Key::new(
            "delimiter",
            json!({"enum": DELIMITERS}),
            "What stands between two cells of a CSV file; a tab where the file is called `.tsv`.",
        ),
        Key::new(
            "columns",
            columns(),
            "Our name → the name in the file, for example `input: question`.",
        ),
        Key::new(
            "render",
            flag(),
            "Whether `input` and `messages` of the file are templates; else they are data.",
        )
        .default(false),
    ])
    .schema()
}

fn columns() -> Value {
    let mappings = MAPPINGS.join("|");
    json!({
        "type": "object",
        "propertyNames": {"anyOf": [{"enum": OWN}, {"pattern": format!("^({mappings})\\.[\\s\\S]+$")}]},
        "additionalProperties": filled(),
    })
}

pub(super) fn message() -> Value {
    Mapping::of(vec![
        Key::new("role", word(&["system", "user", "assistant", "tool"]), "Who said it.").required(),
        Key::new("content", text(), "What was said.").required(),
    ])
    .schema()
}

pub(super) fn test() -> Value {
    let messages = json!({"type": "array", "items": defined("message"), "minItems": 1});
    Mapping::of(vec![
        Key::new(
            "id",
            filled(),
            "Unique in the whole set; else a hash of input, messages and vars.",
        ),
        Key::new("description", text(), "What it is about."),
        Key::new("input", text(), "What is sent."),
        Key::new(
            "messages",
            messages,
            "A conversation, instead of one message of the user with `input`.",
        ),
        Key::new("vars", anything_by_name(), "Values for templates."),
        Key::new(
            "expected_output",
            json!({}),
            "What a good answer looks like; metrics without a `value` compare with it.",
        ),
        Key::new(
            "context",
            texts(),
            "Documents that belong to the question, one or a list.",
        ),
        Key::new("metadata", anything_by_name(), "Anything you want to find again."),
        Key::new("tags", by_name(text()), "Names with texts."),
        Key::new("metrics", list(defined("metric")), "Metrics of this test."),
        Key::new(
            "metrics_mode",
            word(&["merge", "replace"]),
            "Together with the common metrics, or instead of them.",
        )
        .default("merge"),
        Key::new(
            "threshold",
            share(),
            "The weighted mean of the scores decides: it has to reach this.",
        ),
        Key::new(
            "timeout",
            defined("duration"),
            "For this test, all its attempts and waits; at most `attributes.per_test_timeout`.",
        ),
        Key::new("skip", flag(), "Leave it out; it is reported as skipped.").default(false),
        Key::new(
            "capture",
            capture(),
            "Sequential: names with JSONPaths or templates; later tests read `{{ captured.NAME }}`.",
        ),
        Key::new("render", flag(), "Whether `input` and `messages` are templates.").default(true),
        Key::new(
            "depends_on",
            texts_filled(),
            "Ids of tests whose results it waits for, one or a list.",
        ),
        Key::new("always", flag(), "Run it whatever came of those it depends on.").default(false),
        Key::new(
            "group",
            filled(),
            "The group of `attributes.groups` whose limit it shares.",
        ),
        Key::new(
            "repeat",
            count_to(MAX_REPEAT),
            "How often it is executed; else `attributes.repeat`.",
        ),
        Key::new(
            "turns",
            turns(),
            "What the user says, turn by turn, instead of `input`.",
        ),
        Key::new(
            "simulated_user",
            simulated_user(),
            "A user that a model plays, instead of `input` and `turns`.",
        ),
        Key::new(
            "stop_on_failure",
            flag(),
            "Leave out the turns after one that did not pass.",
        )
        .default(false),
        Key::new("expected_tools", expected_tools(), "The tools that are to be called."),
    ])
    .with_one_of(&["input", "messages", "turns", "simulated_user", "vars"])
    .schema()
}

fn simulated_user() -> Value {
    Mapping::of(vec![
        Key::new(
            "model",
            filled(),
            "The name of a model under `models`; else the only one there is.",
        ),
        Key::new("goal", filled(), "What the user wants of the conversation.").required(),
        Key::new("instructions", filled(), "Who the user is and how it behaves."),
        Key::new(
            "max_turns",
            count_to(MAX_SIMULATED_TURNS),
            "How often the user speaks at most.",
        )
        .default(DEFAULT_TURNS),
        Key::new(
            "first_message",
            filled(),
            "What the user says first; else the model thinks of something.",
        ),
        Key::new(
            "stop_when",
            filled(),
            "A template over `output`, `turn`, `vars` and `captured`; when it holds after an answer, the dialogue ends.",
        ),
    ])
    .schema()
}

fn turns() -> Value {
    let turn = Mapping::of(vec![
        Key::new("input", text(), "What the user says.").required(),
        Key::new("name", filled(), "What reports call it; else its number."),
        Key::new(
            "expected_output",
            json!({}),
            "What the turn's metrics without a `value` compare with.",
        ),
        Key::new(
            "expected_tools",
            expected_tools(),
            "The tools that the answer is to call.",
        ),
        Key::new(
            "metrics",
            list(defined("metric")),
            "Metrics of the answer to this turn.",
        ),
        Key::new(
            "metrics_mode",
            word(&["merge", "replace"]),
            "Together with those of the test and the common ones, or instead of them.",
        )
        .default("replace"),
        Key::new(
            "capture",
            capture(),
            "Names with JSONPaths or templates; later turns read `{{ captured.NAME }}`.",
        ),
    ]);
    json!({"type": "array", "items": {"anyOf": [text(), turn.schema()]}, "minItems": 1, "maxItems": MAX_TURNS})
}

/// Names of tools, or names with arguments.
fn expected_tools() -> Value {
    let tool = json!({"type": "object", "required": ["name"], "propertyNames": {"enum": TOOL_KEYS}});
    one_or_list(json!({"anyOf": [filled(), tool]}))
}

fn texts_filled() -> Value {
    one_or_list(filled())
}

fn capture() -> Value {
    json!({
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": defined("mapping"),
    })
}
