//! Metrics: which options each kind takes, made of the tables of its reader.

use serde_json::{Value, json};

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
    if takes_a_comparison(kind) || measured(kind).is_some() && kind != MetricKind::AssertSet {
        keys.push(operator(takes_a_comparison(kind)));
    }
    keys.extend(own(kind));
    let also = takes_limits(kind)
        .then(|| json!({"anyOf": [{"required": ["threshold"]}, {"required": ["min"]}, {"required": ["max"]}]}));
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
