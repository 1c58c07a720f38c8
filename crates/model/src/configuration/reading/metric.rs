//! Reads metrics: which options each kind takes, and what it cannot do without.

use serde_json::Value;

use crate::configuration::{Metric, MetricKind, OnError, Operator, Severity};

use super::endpoint::status;
use super::field::Field;
use super::node::NodeValue;
use super::section::{Findings, Section, nearest, unsupported};

/// Kinds that the format knows and this version does not.
pub(super) const LATER: [&str; 35] = [
    "word-count",
    "length",
    "is-refusal",
    "contains-json",
    "json-subset",
    "header",
    "finish-reason",
    "is-xml",
    "tool-call-f1",
    "normalized-levenshtein",
    "jaro-winkler",
    "rouge-n",
    "rouge-l",
    "bleu",
    "ttft",
    "total-time",
    "cost",
    "tokens",
    "attempts",
    "similar",
    "llm-rubric",
    "g-eval",
    "judge",
    "factuality",
    "answer-relevancy",
    "faithfulness",
    "contextual-precision",
    "contextual-recall",
    "webhook",
    "assert-set",
    "contextual-relevancy",
    "context-recall",
    "context-relevance",
    "context-faithfulness",
    "model-graded-closedqa",
];

/// Options that belong to kinds of [`LATER`].
const LATER_OPTIONS: [&str; 6] = ["model", "n", "metrics", "passing_categories", "categories", "url"];

/// What a kind compares with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// Nothing.
    No,
    /// Anything; else the test's `expected_output`.
    Any,
    /// A text; else the test's `expected_output`.
    Text,
    /// A list of texts; else the test's `expected_output`.
    Texts,
    /// A list; else the test's `expected_output`.
    List,
    /// Status codes, which no test expects otherwise.
    Status,
    /// Anything, or nothing at all.
    Optional,
}

fn compared(kind: MetricKind) -> Compared {
    match kind {
        MetricKind::Equals => Compared::Any,
        MetricKind::Contains
        | MetricKind::Icontains
        | MetricKind::StartsWith
        | MetricKind::EndsWith
        | MetricKind::Regex
        | MetricKind::Levenshtein
        | MetricKind::F1 => Compared::Text,
        MetricKind::ContainsAny | MetricKind::ContainsAll | MetricKind::IcontainsAny | MetricKind::IcontainsAll => {
            Compared::Texts
        }
        MetricKind::OneOf => Compared::List,
        MetricKind::StatusCode => Compared::Status,
        MetricKind::Jsonpath => Compared::Optional,
        MetricKind::IsJson | MetricKind::Latency => Compared::No,
    }
}

/// Whether the metric compares with the `expected_output` of its test.
pub(super) fn needs_expected_output(metric: &Metric) -> bool {
    let compares = matches!(
        compared(metric.kind),
        Compared::Any | Compared::Text | Compared::Texts | Compared::List
    );
    compares && metric.value.is_none()
}

/// Reads a list of metrics.
pub(super) fn read_metrics(field: Field, findings: &mut Findings) -> Vec<Metric> {
    field
        .items(findings)
        .into_iter()
        .filter_map(|item| read_metric(item, findings))
        .collect()
}

fn read_metric(field: Field, findings: &mut Findings) -> Option<Metric> {
    let mut section = Section::open(field, findings)?;
    let Some(kind_field) = section.take("type") else {
        section.missing(
            "type",
            "write what to check, for example contains or status-code",
            findings,
        );
        return None;
    };
    let (kind, prefixed) = read_kind(kind_field, findings)?;
    let mut metric = Metric::new(kind);
    metric.negate = prefixed;
    if let Some(negate) = section.take("negate") {
        if prefixed {
            let message = "give either the prefix not- or `negate`, not both";
            findings.problem(negate.key_position, &negate.path, message);
        } else {
            metric.negate = negate.flag(findings).unwrap_or_default();
        }
    }
    metric.name = section.take("name").and_then(|field| field.filled_text(findings));
    metric.transform = section.take("transform").and_then(|field| field.mapping(findings));
    read_weight(&mut section, &mut metric, findings);
    if let Some(field) = section.take("on_error") {
        let words = [
            ("error", OnError::Error),
            ("fail", OnError::Fail),
            ("skip", OnError::Skip),
        ];
        metric.on_error = field.word(&words, &[], findings).unwrap_or_default();
    }
    read_value(&mut section, &mut metric, findings);
    read_threshold(&mut section, &mut metric, findings);
    read_json_options(&mut section, &mut metric, findings);
    section.unsupported(&LATER_OPTIONS, findings);
    section.finish(findings);
    Some(metric)
}

fn read_kind(field: Field, findings: &mut Findings) -> Option<(MetricKind, bool)> {
    let at = field.clone_place();
    let word = field.text(findings)?;
    let (bare, prefixed) = match word.strip_prefix("not-") {
        Some(bare) => (bare, true),
        None => (word.as_str(), false),
    };
    if let Some(kind) = MetricKind::from_word(bare) {
        return Some((kind, prefixed));
    }
    let message = if LATER.contains(&bare) {
        unsupported(bare)
    } else {
        match nearest(bare, MetricKind::ALL.iter().map(|kind| kind.word())) {
            Some(near) => format!("unknown metric {word:?}; did you mean {near:?}?"),
            None => {
                let all: Vec<&str> = MetricKind::ALL.iter().map(|kind| kind.word()).collect();
                format!("unknown metric {word:?}; this version has {}", all.join(", "))
            }
        }
    };
    at.problem(message, findings);
    None
}

fn read_weight(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    if let Some(field) = section.take("weight") {
        let at = field.clone_place();
        match field.number(findings) {
            Some(weight) if weight > 0.0 => metric.weight = weight,
            Some(_) => at.problem(
                "must be more than 0; leave the metric out if it should not count",
                findings,
            ),
            None => {}
        }
    }
    if let Some(field) = section.take("severity") {
        let words = [("error", Severity::Error), ("warn", Severity::Warn)];
        metric.severity = field.word(&words, &[], findings).unwrap_or_default();
    }
    if let Some(field) = section.take("required") {
        let at = field.clone_place();
        metric.required = field.flag(findings).unwrap_or_default();
        if metric.required && metric.severity == Severity::Warn {
            at.problem(
                "a metric with `severity: warn` counts for nothing, so it cannot be required",
                findings,
            );
        }
    }
}

/// Refuses an option that the kind does not use.
fn refuse(section: &mut Section, key: &'static str, kind: MetricKind, hint: &str, findings: &mut Findings) {
    if let Some(field) = section.take(key) {
        let message = format!("does nothing for `{}`{hint}", kind.word());
        findings.problem(field.key_position, &field.path, message);
    }
}

fn read_value(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let shape = compared(metric.kind);
    if shape == Compared::No {
        let hint = match metric.kind {
            MetricKind::IsJson => "; write a JSON Schema under `schema`",
            _ => "; write the limit under `threshold`",
        };
        return refuse(section, "value", metric.kind, hint, findings);
    }
    // Null is a value only where anything is: everywhere else it says nothing.
    let taken = if matches!(shape, Compared::Any | Compared::Optional) {
        section.take_any("value")
    } else {
        section.take("value")
    };
    let Some(field) = taken else {
        if shape == Compared::Status {
            section.missing("value", "write a status such as 200, or a list of them", findings);
        }
        return;
    };
    metric.value = match shape {
        Compared::Text => field.text(findings).map(Value::String),
        Compared::Texts | Compared::List => {
            let values = field
                .filled_items("value", findings)
                .into_iter()
                .filter_map(|item| match shape {
                    Compared::Texts => item.text(findings).map(Value::String),
                    _ => Some(item.json()),
                });
            Some(Value::Array(values.collect()))
        }
        Compared::Status => read_statuses(field, findings),
        _ => Some(field.json()),
    };
}

fn read_statuses(field: Field, findings: &mut Findings) -> Option<Value> {
    let is_list = matches!(field.node.value, NodeValue::List(_));
    let mut codes = Vec::new();
    let items = if is_list {
        field.filled_items("status", findings)
    } else {
        vec![field]
    };
    for item in items {
        match &item.node.value {
            NodeValue::Number(number) if number.as_u64().and_then(status).is_some() => codes.push(item.json()),
            _ => item.expected("a status such as 200", findings),
        }
    }
    if is_list {
        Some(Value::Array(codes))
    } else {
        codes.pop()
    }
}

fn read_threshold(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    let (most, meaning) = match kind {
        MetricKind::Levenshtein => (f64::MAX, "write how many characters may differ"),
        MetricKind::F1 => (1.0, "write the score to reach, from 0 to 1"),
        MetricKind::Latency => (f64::MAX, "write the most milliseconds the call may take"),
        _ => {
            refuse(section, "threshold", kind, "", findings);
            if kind != MetricKind::Jsonpath {
                refuse(section, "operator", kind, "", findings);
            }
            return;
        }
    };
    match section.take("threshold") {
        None => section.missing("threshold", meaning, findings),
        Some(field) => {
            let at = field.clone_place();
            match field.number(findings) {
                Some(number) if (0.0..=most).contains(&number) => metric.threshold = Some(number),
                Some(_) if most > 1.0 => at.problem("must not be less than 0", findings),
                Some(_) => at.problem("must lie between 0 and 1", findings),
                None => {}
            }
        }
    }
    if let Some(field) = section.take("operator") {
        let at = field.clone_place();
        metric.operator = read_operator(field, findings);
        if metric.operator == Some(Operator::Contains) {
            at.problem("`contains` is an operator of `jsonpath` only", findings);
        }
    }
}

fn read_operator(field: Field, findings: &mut Findings) -> Option<Operator> {
    let words = Operator::ALL.map(|operator| (operator.word(), operator));
    field.word(&words, &[], findings)
}

fn read_json_options(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    if kind == MetricKind::IsJson {
        if let Some(field) = section.take("schema") {
            match field.node.value {
                NodeValue::Map(_) | NodeValue::Bool(_) => metric.schema = Some(field.json()),
                _ => field.expected("a JSON Schema (a mapping)", findings),
            }
        }
    } else {
        refuse(section, "schema", kind, "", findings);
    }
    if kind != MetricKind::Jsonpath {
        return refuse(section, "path", kind, "", findings);
    }
    match section.take("path") {
        None => section.missing("path", "write a JSONPath such as $.answer", findings),
        Some(field) => {
            let at = field.clone_place();
            metric.path = field.text(findings).filter(|path| {
                if !path.starts_with('$') {
                    at.problem("expected a JSONPath that starts with $", findings);
                }
                path.starts_with('$')
            });
        }
    }
    if let Some(field) = section.take("operator") {
        let at = field.clone_place();
        metric.operator = read_operator(field, findings);
        if metric.value.is_none() {
            at.problem("an operator needs a `value` to compare with", findings);
        }
    }
}
