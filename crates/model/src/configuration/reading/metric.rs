//! Reads metrics: which options each kind takes, and what it cannot do without.

use serde_json::Value;

use crate::configuration::{Metric, MetricKind, OnError, Operator, Severity};

use super::asked::read_asked_options;
use super::endpoint::status;
use super::expected::own_kind;
use super::field::Field;
use super::node::NodeValue;
use super::section::{Findings, Section, nearest};

/// What a kind compares with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::configuration) enum Compared {
    /// Nothing.
    No,
    /// Anything; else the test's `expected_output`.
    Any,
    /// A text; else the test's `expected_output`.
    Text,
    /// A text, or a list of texts; else the test's `expected_output`.
    Texts,
    /// A value, or a list of them; else the test's `expected_output`.
    List,
    /// Status codes, which no test expects otherwise.
    Status,
    /// A word, or a list of them, which no test expects otherwise.
    Words,
    /// A text or a list of texts that say what is asked for, which no test expects otherwise.
    Criteria,
    /// A list of tools, which no test expects otherwise.
    Tools,
    /// Anything, or nothing at all.
    Optional,
}

pub(in crate::configuration) fn compared(kind: MetricKind) -> Compared {
    match kind {
        MetricKind::Equals | MetricKind::JsonSubset => Compared::Any,
        MetricKind::Contains
        | MetricKind::Icontains
        | MetricKind::StartsWith
        | MetricKind::EndsWith
        | MetricKind::Regex
        | MetricKind::Levenshtein
        | MetricKind::Factuality
        | MetricKind::ContextualPrecision
        | MetricKind::ContextualRecall => Compared::Text,
        MetricKind::LlmRubric | MetricKind::GEval | MetricKind::Judge => Compared::Criteria,
        MetricKind::ContainsAny
        | MetricKind::ContainsAll
        | MetricKind::IcontainsAny
        | MetricKind::IcontainsAll
        | MetricKind::NormalizedLevenshtein
        | MetricKind::JaroWinkler
        | MetricKind::RougeN
        | MetricKind::RougeL
        | MetricKind::Bleu
        | MetricKind::F1
        | MetricKind::Similar => Compared::Texts,
        MetricKind::OneOf => Compared::List,
        MetricKind::StatusCode => Compared::Status,
        MetricKind::FinishReason => Compared::Words,
        MetricKind::ToolCallF1 => Compared::Tools,
        MetricKind::Jsonpath | MetricKind::Header | MetricKind::Webhook => Compared::Optional,
        MetricKind::WordCount
        | MetricKind::Length
        | MetricKind::IsRefusal
        | MetricKind::IsJson
        | MetricKind::ContainsJson
        | MetricKind::IsXml
        | MetricKind::Latency
        | MetricKind::Ttft
        | MetricKind::TotalTime
        | MetricKind::Cost
        | MetricKind::Tokens
        | MetricKind::Attempts
        | MetricKind::GoalReached
        | MetricKind::AnswerRelevancy
        | MetricKind::Faithfulness
        | MetricKind::ContextualRelevancy
        | MetricKind::AssertSet => Compared::No,
    }
}

/// What a kind that measures a number says about its threshold.
pub(in crate::configuration) struct Measured {
    /// The largest threshold that makes sense.
    pub(in crate::configuration) most: f64,
    /// Whether the kind does without one.
    pub(in crate::configuration) optional: bool,
    /// What to write.
    meaning: &'static str,
}

/// `None` for kinds that do not measure.
pub(in crate::configuration) fn measured(kind: MetricKind) -> Option<Measured> {
    let (most, optional, meaning) = match kind {
        MetricKind::Levenshtein => (f64::MAX, false, "write how many characters may differ"),
        MetricKind::NormalizedLevenshtein
        | MetricKind::JaroWinkler
        | MetricKind::RougeN
        | MetricKind::RougeL
        | MetricKind::Bleu => (1.0, false, "write the score to reach, from 0 to 1"),
        MetricKind::F1
        | MetricKind::ToolCallF1
        | MetricKind::AssertSet
        | MetricKind::Similar
        | MetricKind::LlmRubric
        | MetricKind::GEval
        | MetricKind::AnswerRelevancy
        | MetricKind::Faithfulness
        | MetricKind::ContextualPrecision
        | MetricKind::ContextualRecall
        | MetricKind::ContextualRelevancy
        | MetricKind::Webhook => (1.0, true, ""),
        MetricKind::WordCount => (f64::MAX, true, "write how many words there may be, or `min` and `max`"),
        MetricKind::Length => (
            f64::MAX,
            true,
            "write how many characters there may be, or `min` and `max`",
        ),
        MetricKind::Latency => (f64::MAX, false, "write the most milliseconds the call may take"),
        MetricKind::Ttft => (f64::MAX, false, "write the most milliseconds until the answer begins"),
        MetricKind::TotalTime => (f64::MAX, false, "write the most milliseconds the test may take"),
        MetricKind::Cost => (f64::MAX, false, "write the most the call may cost"),
        MetricKind::Tokens => (f64::MAX, false, "write the most tokens the call may use"),
        MetricKind::Attempts => (f64::MAX, false, "write the most attempts the test may take"),
        _ => return None,
    };
    Some(Measured {
        most,
        optional,
        meaning,
    })
}

/// Whether the metric compares with the `expected_output` of its test.
pub(super) fn needs_expected_output(metric: &Metric) -> bool {
    let compares = matches!(
        compared(metric.kind),
        Compared::Any | Compared::Text | Compared::Texts | Compared::List
    );
    compares && metric.value.is_none() || metric.metrics.iter().any(needs_expected_output)
}

/// Whether the metric compares with the `expected_tools` of its test.
pub(super) fn needs_expected_tools(metric: &Metric) -> bool {
    let compares = compared(metric.kind) == Compared::Tools && metric.value.is_none();
    compares || metric.metrics.iter().any(needs_expected_tools)
}

/// Reads a list of metrics.
pub(super) fn read_metrics(field: Field, findings: &mut Findings) -> Vec<Metric> {
    let items = field.items(findings);
    read_items(items, 0, findings)
}

/// `depth`: how many sets the metrics are in.
fn read_items(items: Vec<Field>, depth: usize, findings: &mut Findings) -> Vec<Metric> {
    items
        .into_iter()
        .filter_map(|item| read_metric(item, depth, findings))
        .collect()
}

fn read_metric(field: Field, depth: usize, findings: &mut Findings) -> Option<Metric> {
    let mut section = Section::open(field, findings)?;
    let Some(kind_field) = section.take("type") else {
        section.missing(
            "type",
            "write what to check, for example contains or status-code",
            findings,
        );
        section.finish_unclear(findings);
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
    read_own_options(&mut section, &mut metric, findings);
    read_asked_options(&mut section, &mut metric, findings);
    read_members(&mut section, &mut metric, depth, findings);
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
    let own = own_kind(bare);
    let message = if own == bare {
        match nearest(bare, MetricKind::ALL.iter().map(|kind| kind.word())) {
            Some(near) => format!("unknown metric {word:?}; did you mean {near:?}?"),
            None => {
                let all: Vec<&str> = MetricKind::ALL.iter().map(|kind| kind.word()).collect();
                format!("unknown metric {word:?}; this version has {}", all.join(", "))
            }
        }
    } else {
        format!("unknown metric {word:?}; its name is {own:?} here")
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
pub(super) fn refuse(section: &mut Section, key: &'static str, kind: MetricKind, hint: &str, findings: &mut Findings) {
    if let Some(field) = section.take_unused(key) {
        let message = format!("does nothing for `{}`{hint}", kind.word());
        findings.problem(field.key_position, &field.path, message);
    }
}

fn read_value(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let shape = compared(metric.kind);
    if shape == Compared::No {
        let hint = match metric.kind {
            MetricKind::IsJson | MetricKind::ContainsJson => "; write a JSON Schema under `schema`",
            MetricKind::IsXml
            | MetricKind::IsRefusal
            | MetricKind::GoalReached
            | MetricKind::AnswerRelevancy
            | MetricKind::Faithfulness
            | MetricKind::ContextualRelevancy => "",
            MetricKind::AssertSet => "; write its members under `metrics`",
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
        match shape {
            Compared::Status => section.missing("value", "write a status such as 200, or a list of them", findings),
            Compared::Words => section.missing("value", "write a word such as stop, or a list of them", findings),
            // The steps, or a prompt, may say it all.
            Compared::Criteria if metric.kind != MetricKind::GEval && !section.has("prompt") => {
                section.missing("value", "write what the answer has to be like", findings);
            }
            _ => {}
        }
        return;
    };
    metric.value = match shape {
        Compared::Text => field.text(findings).map(Value::String),
        Compared::Texts | Compared::Words | Compared::Criteria => {
            read_one_or_list(field, findings, |item, findings| item.text(findings).map(Value::String))
        }
        Compared::List => read_one_or_list(field, findings, |item, _| Some(item.json())),
        Compared::Status => read_one_or_list(field, findings, read_status),
        Compared::Tools => match field.node.value {
            NodeValue::List(_) | NodeValue::Text(_) => Some(field.json()),
            _ => {
                field.expected("a list of tools", findings);
                // In its place, so that nothing else is said to be missing.
                Some(Value::Array(Vec::new()))
            }
        },
        _ => Some(field.json()),
    };
}

/// A list that must not be empty, or one value, which stays one.
fn read_one_or_list(
    field: Field,
    findings: &mut Findings,
    read: impl Fn(Field, &mut Findings) -> Option<Value>,
) -> Option<Value> {
    if !matches!(field.node.value, NodeValue::List(_)) {
        return read(field, findings);
    }
    let items = field.filled_items("value", findings);
    let values = items.into_iter().filter_map(|item| read(item, findings));
    Some(Value::Array(values.collect()))
}

/// A status, or a class or range of them as a text, which is compiled later.
fn read_status(field: Field, findings: &mut Findings) -> Option<Value> {
    let is_status = match &field.node.value {
        NodeValue::Number(number) => number.as_u64().and_then(status).is_some(),
        NodeValue::Text(text) => text.starts_with(|first: char| first.is_ascii_digit()),
        _ => false,
    };
    if is_status {
        return Some(field.json());
    }
    field.expected("a status such as 200, \"2xx\" or \"200-299\"", findings);
    None
}

fn read_threshold(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    // Its scale decides what its threshold may be.
    if kind == MetricKind::Judge {
        return;
    }
    let limits = read_limits(section, metric, findings);
    let Some(Measured {
        most,
        optional,
        meaning,
    }) = measured(kind)
    else {
        refuse(section, "threshold", kind, "", findings);
        if !takes_a_comparison(kind) {
            refuse(section, "operator", kind, "", findings);
        }
        return;
    };
    let mut has_threshold = false;
    match section.take("threshold") {
        None if optional && (meaning.is_empty() || limits) => {}
        None => section.missing("threshold", meaning, findings),
        Some(field) => {
            has_threshold = true;
            let at = field.clone_place();
            if limits {
                at.problem("give either a threshold, or `min` and `max`", findings);
            }
            match field.number(findings) {
                Some(number) if (0.0..=most).contains(&number) => metric.threshold = Some(number),
                Some(_) if most > 1.0 => at.problem("must not be less than 0", findings),
                Some(_) => at.problem("must lie between 0 and 1", findings),
                None => {}
            }
        }
    }
    if matches!(
        kind,
        MetricKind::AssertSet | MetricKind::LlmRubric | MetricKind::Webhook
    ) {
        return refuse(section, "operator", kind, "", findings);
    }
    if let Some(field) = section.take("operator") {
        let at = field.clone_place();
        metric.operator = read_operator(field, findings);
        if metric.operator == Some(Operator::Contains) {
            at.problem("`contains` is an operator of `jsonpath` and `header` only", findings);
        } else if limits && !has_threshold {
            at.problem("an operator needs a `threshold`; `min` and `max` have theirs", findings);
        }
    }
}

/// Whether there may be `min` and `max`.
pub(in crate::configuration) fn takes_limits(kind: MetricKind) -> bool {
    matches!(kind, MetricKind::WordCount | MetricKind::Length)
}

/// `min` and `max`; whether there is one of them.
fn read_limits(section: &mut Section, metric: &mut Metric, findings: &mut Findings) -> bool {
    let kind = metric.kind;
    if !takes_limits(kind) {
        refuse(section, "min", kind, "", findings);
        refuse(section, "max", kind, "", findings);
        return false;
    }
    let mut read = |key| {
        let field = section.take(key)?;
        let at = field.clone_place();
        let number = field.number(findings).unwrap_or_default();
        if number < 0.0 {
            at.problem("must not be less than 0", findings);
        }
        Some((at, number))
    };
    let (min, max) = (read("min"), read("max"));
    if let (Some((_, min)), Some((at, max))) = (&min, &max)
        && min > max
    {
        at.problem("must not be less than `min`", findings);
    }
    metric.min = min.map(|(_, number)| number);
    metric.max = max.map(|(_, number)| number);
    metric.min.is_some() || metric.max.is_some()
}

/// Whether `operator` says how something found is compared with `value`.
pub(in crate::configuration) fn takes_a_comparison(kind: MetricKind) -> bool {
    matches!(kind, MetricKind::Jsonpath | MetricKind::Header)
}

/// What single kinds take: the name of a header, the n of n-grams.
fn read_own_options(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    if kind == MetricKind::Header {
        match section.take("header") {
            None => section.missing(
                "header",
                "write the name of a header, for example content-type",
                findings,
            ),
            Some(field) => metric.header = field.filled_text(findings),
        }
    } else {
        refuse(section, "header", kind, "", findings);
    }
    if kind != MetricKind::RougeN {
        return refuse(section, "n", kind, "", findings);
    }
    if let Some(field) = section.take("n") {
        let at = field.clone_place();
        metric.n = field.count(findings);
        if metric.n.is_some_and(|n| n > Metric::MAX_N) {
            at.problem(format!("an n-gram may have {} words", Metric::MAX_N), findings);
        }
    }
}

fn read_members(section: &mut Section, metric: &mut Metric, depth: usize, findings: &mut Findings) {
    let kind = metric.kind;
    if kind != MetricKind::AssertSet {
        return refuse(section, "metrics", kind, "", findings);
    }
    let Some(field) = section.take("metrics") else {
        return section.missing("metrics", "write the metrics that belong to the set", findings);
    };
    if depth >= Metric::MAX_SET_DEPTH {
        let message = format!("sets of metrics may be nested {} deep", Metric::MAX_SET_DEPTH);
        return field.problem(message, findings);
    }
    let items = field.filled_items("metric", findings);
    metric.metrics = read_items(items, depth + 1, findings);
}

pub(super) fn read_operator(field: Field, findings: &mut Findings) -> Option<Operator> {
    let words = Operator::ALL.map(|operator| (operator.word(), operator));
    field.word(&words, &[], findings)
}

fn read_json_options(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
    let kind = metric.kind;
    if matches!(kind, MetricKind::IsJson | MetricKind::ContainsJson) {
        if let Some(field) = section.take("schema") {
            match field.node.value {
                NodeValue::Map(_) | NodeValue::Bool(_) => metric.schema = Some(field.json()),
                _ => field.expected("a JSON Schema (a mapping)", findings),
            }
        }
    } else {
        refuse(section, "schema", kind, "", findings);
    }
    if kind == MetricKind::Jsonpath {
        read_path(section, metric, findings);
    } else {
        refuse(section, "path", kind, "", findings);
    }
    if takes_a_comparison(kind)
        && let Some(field) = section.take("operator")
    {
        let at = field.clone_place();
        metric.operator = read_operator(field, findings);
        if metric.value.is_none() {
            at.problem("an operator needs a `value` to compare with", findings);
        }
    }
}

fn read_path(section: &mut Section, metric: &mut Metric, findings: &mut Findings) {
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
}
