//! Metrics: which options each kind takes, made of the tables of its reader.

use serde_json::{Value, json};

use crate::configuration::reading::asked::{FACTUALITY, ROLES};
use crate::configuration::reading::metric::{Compared, Measured, compared, measured, takes_a_comparison, takes_limits};
use crate::configuration::{Metric, MetricKind, Operator};

use super::shape::{
    Case, Key, Mapping, amount, count_to, defined, filled, filled_list, flag, list, positive, text, word,
};

/// A metric of any kind.
pub(super) fn metric() -> Value {
    let words: Vec<String> = MetricKind::ALL.iter().flat_map(|kind| names(*kind)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let common = vec![
        Key::new(
            "type",
            word(&words),
            "What is checked; with the prefix `not-` pass becomes fail and the other way round.",
        )
        .required(),
        Key::new("name", filled(), "What people are shown; else the type."),
        Key::new(
            "transform",
            defined("mapping"),
            "A JSONPath or template applied to the output first.",
        ),
        Key::new(
            "weight",
            positive(),
            "Its share in the mean, for tests with a `threshold`.",
        )
        .default(1),
        Key::new("required", flag(), "It must pass even where the mean decides.").default(false),
        Key::new(
            "severity",
            word(&["error", "warn"]),
            "`warn`: reported, counts for nothing.",
        )
        .default("error"),
        Key::new("negate", flag(), "The same as the prefix `not-`; not both.").default(false),
        Key::new(
            "on_error",
            word(&["error", "fail", "skip"]),
            "What becomes of a metric that cannot be computed.",
        )
        .default("error"),
    ];
    let cases = MetricKind::ALL.iter().map(|kind| case(*kind)).collect();
    Mapping::by_type(common, None, cases).schema()
}

/// As people write a kind.
fn names(kind: MetricKind) -> [String; 2] {
    [kind.word().to_owned(), format!("not-{}", kind.word())]
}

fn case(kind: MetricKind) -> Case {
    let mut keys = Vec::new();
    keys.extend(value(kind));
    keys.extend(threshold(kind));
    if takes_limits(kind) {
        keys.push(Key::new("min", amount(), "At least so many."));
        keys.push(Key::new("max", amount(), "At most so many."));
    }
    let without = matches!(
        kind,
        MetricKind::AssertSet | MetricKind::LlmRubric | MetricKind::Webhook
    );
    if takes_a_comparison(kind) || kind == MetricKind::Judge || measured(kind).is_some() && !without {
        keys.push(operator(takes_a_comparison(kind)));
    }
    keys.extend(own(kind));
    keys.extend(asked(kind));
    let one_of = |ways: &[&[&str]]| {
        let ways: Vec<Value> = ways.iter().map(|keys| json!({"required": keys})).collect();
        Some(json!({"anyOf": ways}))
    };
    let also = match kind {
        MetricKind::Judge => one_of(&[
            &["threshold", "value"],
            &["threshold", "prompt"],
            &["categories", "passing_categories", "value"],
            &["categories", "passing_categories", "prompt"],
        ]),
        MetricKind::GEval => one_of(&[&["value"], &["steps"], &["prompt"]]),
        MetricKind::LlmRubric => one_of(&[&["value"], &["prompt"]]),
        _ if takes_limits(kind) => one_of(&[&["threshold"], &["min"], &["max"]]),
        _ => None,
    };
    Case {
        words: names(kind).to_vec(),
        keys,
        also,
    }
}

fn value(kind: MetricKind) -> Option<Key> {
    let status = json!({"anyOf": [
        {"type": "integer", "minimum": 100, "maximum": 599},
        {"type": "string", "pattern": "^[0-9]"},
    ]});
    let one_or_filled = |item: Value| json!({"anyOf": [item.clone(), filled_list(item)]});
    let (shape, required) = match compared(kind) {
        Compared::No => return None,
        Compared::Any | Compared::Optional => (json!({}), false),
        Compared::Text => (text(), false),
        Compared::Texts => (one_or_filled(text()), false),
        Compared::List => (json!({"not": {"type": "array", "maxItems": 0}}), false),
        Compared::Status => (one_or_filled(status), true),
        Compared::Words => (one_or_filled(text()), true),
        // A prompt may say it all.
        Compared::Criteria => (one_or_filled(text()), false),
        Compared::Tools => (json!({"anyOf": [text(), list(json!({}))]}), false),
    };
    let key = Key::new(
        "value",
        shape,
        "What to compare with; else the test's `expected_output` or `expected_tools`, where the kind compares with them.",
    );
    Some(if required { key.required() } else { key })
}

fn threshold(kind: MetricKind) -> Option<Key> {
    let Measured { most, optional, .. } = measured(kind)?;
    let shape = if most > 1.0 { amount() } else { super::shape::share() };
    let key = Key::new("threshold", shape, "What the number is held against.");
    Some(if optional { key } else { key.required() })
}

fn operator(with_contains: bool) -> Key {
    let words: Vec<&str> = Operator::ALL
        .iter()
        .filter(|operator| with_contains || **operator != Operator::Contains)
        .map(|operator| operator.word())
        .collect();
    Key::new("operator", word(&words), "How it is compared.")
}

/// Options of single kinds.
fn own(kind: MetricKind) -> Vec<Key> {
    match kind {
        MetricKind::IsJson | MetricKind::ContainsJson => {
            vec![Key::new(
                "schema",
                json!({"type": ["object", "boolean"]}),
                "A JSON Schema that the JSON has to fit.",
            )]
        }
        MetricKind::Jsonpath => vec![
            Key::new(
                "path",
                json!({"type": "string", "pattern": "^\\$"}),
                "A JSONPath into the output.",
            )
            .required(),
        ],
        MetricKind::Header => vec![Key::new("header", filled(), "The name of a header.").required()],
        MetricKind::RougeN => vec![Key::new("n", count_to(Metric::MAX_N), "Words of an n-gram.").default(1)],
        MetricKind::AssertSet => vec![
            Key::new(
                "metrics",
                filled_list(defined("metric")),
                "The metrics that belong to the set.",
            )
            .required(),
        ],
        _ => Vec::new(),
    }
}

/// Options of kinds that ask a model, or a program.
fn asked(kind: MetricKind) -> Vec<Key> {
    let mut keys = Vec::new();
    if kind.asks_model() {
        let says = "The name of a model under `models`; else the only one there is.";
        keys.push(Key::new("model", filled(), says));
    }
    if kind.is_judged() {
        let samples = count_to(Metric::MAX_SAMPLES);
        keys.push(Key::new("samples", samples, "How often the model is asked.").default(1));
        let words = word(&["mean", "median", "min", "max", "majority"]);
        keys.push(Key::new(
            "aggregate",
            words,
            "What the scores of several samples come to.",
        ));
    }
    if kind.takes_prompt() {
        let says = "What the model is told to do, instead of our own words; templates over what it judges.";
        keys.push(Key::new("prompt", prompt(), says));
    }
    match kind {
        MetricKind::GEval => keys.push(Key::new(
            "steps",
            filled_list(filled()),
            "How to evaluate, step by step; else the model writes the steps.",
        )),
        MetricKind::Judge => keys.extend([
            Key::new("min", number(), "The lowest score.").default(0),
            Key::new("max", number(), "The highest score.").default(1),
            Key::new("threshold", number(), "The score to reach."),
            Key::new(
                "categories",
                filled_list(filled()),
                "The categories that an answer is put into, instead of a score.",
            ),
            Key::new("passing_categories", filled_list(filled()), "The categories that pass."),
        ]),
        MetricKind::Factuality => keys.push(Key::new(
            "passing_categories",
            filled_list(word(&FACTUALITY)),
            "How the facts may relate; else anything but a disagreement.",
        )),
        MetricKind::Webhook => keys.extend([
            Key::new(
                "url",
                super::shape::url(),
                "The address that is asked; a template over `secrets`.",
            )
            .required(),
            Key::new(
                "headers",
                super::endpoint::headers(),
                "Headers to send; templates over `secrets`.",
            ),
            Key::new("timeouts", super::endpoint::timeouts(), "Time limits of one call."),
            Key::new("retry", super::endpoint::retry(), "When it is called again."),
        ]),
        _ => {}
    }
    keys
}

/// A text, or messages.
fn prompt() -> Value {
    let roles = ROLES.map(|(role, _)| role);
    let message = Mapping::of(vec![
        Key::new("role", word(&roles), "Who says it.").required(),
        Key::new("content", text(), "What is said; a template.").required(),
    ]);
    json!({"anyOf": [filled(), filled_list(message.schema())]})
}

fn number() -> Value {
    json!({"type": "number"})
}
