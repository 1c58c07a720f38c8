//! The document as a whole: names, secrets, reports and notifications.

use serde_json::{Value, json};

use crate::configuration::FORMAT_VERSION;

use super::shape::{
    Case, Key, Mapping, anything_by_name, by_name, defined, filled, flag, list, one_or_list, or_nothing, text, word,
};
use super::{attribute, endpoint, gate, model_server, test_set};

pub(super) fn document() -> Value {
    let mut schema = Mapping::of(vec![
        Key::new(
            "$schema",
            text(),
            "Where this schema is, for editors; nothing else reads it.",
        ),
        Key::new(
            "version",
            json!({"type": "integer", "const": FORMAT_VERSION}),
            "The version of the format.",
        )
        .required(),
        Key::new(
            "name",
            filled(),
            "What people call this configuration; in reports and mail.",
        )
        .required(),
        Key::new("description", text(), "More words about it."),
        Key::new("project", filled(), "The project it belongs to."),
        Key::new("owner", address(), "The e-mail address of whoever gets the summary."),
        Key::new("tags", by_name(text()), "Names with texts."),
        Key::new(
            "metadata",
            anything_by_name(),
            "Anything you want to find again in the document.",
        ),
        Key::new(
            "secrets",
            secrets(),
            "The secrets that templates may use as `{{ secrets.NAME }}`. Only names are written, never values.",
        ),
        Key::new(
            "models",
            model_server::models(),
            "Models that judge answers, compare meanings or play a user, by name.",
        ),
        Key::new(
            "endpoint",
            endpoint::endpoint(),
            "What is called; may be left out where stored outputs are evaluated again.",
        ),
        Key::new("test_set", test_set::test_set(), "The tests.").required(),
        Key::new(
            "metrics",
            list(defined("metric")),
            "Metrics for every test, in addition to its own.",
        ),
        Key::new("attributes", attribute::attributes(), "How to run."),
        Key::new("gates", gate::gates(), "What has to hold of the run as a whole."),
        Key::new(
            "baseline",
            gate::baseline(),
            "What the run is compared with: the name of a stored baseline, or a mapping.",
        ),
        Key::new("reports", list(report()), "Files written when the run has ended."),
        Key::new(
            "notifications",
            list(notification()),
            "Who is told when the run has ended, in addition to the owner.",
        ),
    ])
    .schema();
    // Said once more, since a mapping that is null is as good as none.
    let reference = json!({"type": "string", "description": "The run whose stored outputs are evaluated."});
    let evaluates = json!({
        "type": "object", "description": "How to run.",
        "required": ["reference_test_run_id"], "properties": {"reference_test_run_id": reference},
    });
    let endpoint = json!({"type": "object", "description": "What is called."});
    schema["anyOf"] = json!([
        {"required": ["endpoint"], "properties": {"endpoint": endpoint}},
        {"required": ["attributes"], "properties": {"attributes": evaluates}},
    ]);
    schema
}

fn address() -> Value {
    json!({"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$"})
}

fn secrets() -> Value {
    let spec = Mapping::of(vec![
        Key::new(
            "required",
            flag(),
            "Whether a test that uses it is in error when it has no value.",
        )
        .default(true),
        Key::new(
            "from",
            json!({"type": "string", "pattern": "^(env|file):[\\s\\S]"}),
            "Where the value is: `env:OTHER_NAME` or `file:/path`. Else the variable of its own name, or the file that `NAME_FILE` points to.",
        ),
    ]);
    json!({
        "type": "object",
        "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "additionalProperties": or_nothing(spec.schema()),
    })
}

fn report() -> Value {
    Mapping::of(vec![
        Key::new("format", word(&["json", "jsonl", "junit", "text"]), "The format.").required(),
        Key::new("path", filled(), "The file, relative to the working directory.").required(),
    ])
    .schema()
}

fn notification() -> Value {
    let email = Case {
        words: vec!["email".to_owned()],
        keys: vec![
            Key::new(
                "to",
                json!({"anyOf": [address(), {"type": "array", "items": address(), "minItems": 1}]}),
                "One address, or a list of them.",
            )
            .required(),
        ],
        also: None,
    };
    let kind = Key::new("type", word(&["email"]), "How.").required();
    Mapping::by_type(vec![kind], None, vec![email]).schema()
}

/// A text, or a list of them.
pub(super) fn texts() -> Value {
    one_or_list(text())
}
