//! `__expected` columns of promptfoo: a metric in one cell, such as `icontains: refund` or `levenshtein(3):yes`.
//!
//! A cell without such a prefix is a plain text that the output must equal. A cell that looks like an assertion
//! and is none we know is an error, since comparing with its text would silently test something else; write
//! `equals:` before a text that only looks like one.

use serde_json::Number;

use crate::configuration::MetricKind;

use super::metric;
use super::node::{Entry, Node, NodeValue, quote};
use super::problem::Position;
use super::section::{Findings, nearest};

/// Prefixes of promptfoo that run code or read files.
const CODE: [&str; 6] = ["javascript", "fn", "eval", "python", "ruby", "file"];

/// Kinds of promptfoo that have another name here.
const NAMES: [(&str, &str); 7] = [
    ("grade", "llm-rubric"),
    ("model-graded-closedqa", "llm-rubric"),
    ("model-graded-factuality", "factuality"),
    ("answer-relevance", "answer-relevancy"),
    ("context-recall", "contextual-recall"),
    ("context-relevance", "contextual-relevancy"),
    ("context-faithfulness", "faithfulness"),
];

/// The name that a kind of assertion of promptfoo has here, its prefix `not-` kept; the same one where it has none of its
/// own.
#[must_use]
pub fn own_kind(theirs: &str) -> String {
    let (not, bare) = theirs.strip_prefix("not-").map_or(("", theirs), |bare| ("not-", bare));
    let known = MetricKind::from_word(bare).is_some();
    let ours = NAMES.iter().find(|(theirs, _)| *theirs == bare && !known);
    format!("{not}{}", ours.map_or(bare, |(_, ours)| ours))
}

/// What a column says about the threshold of another.
pub(super) struct ColumnThreshold {
    /// Its own name, with which problems begin.
    pub(super) column: String,
    /// The number of the column that it is about.
    pub(super) index: u32,
    pub(super) threshold: f64,
}

/// What the special columns of one record say.
#[derive(Default)]
pub(super) struct Expectations {
    /// (number of the column, metric)
    pub(super) metrics: Vec<(u32, Node)>,
    /// Numbers of columns that were reported already.
    pub(super) refused: Vec<u32>,
    pub(super) thresholds: Vec<ColumnThreshold>,
    /// The name of all of them.
    pub(super) name: Option<String>,
}

impl Expectations {
    pub(super) fn into_metrics(mut self, position: Position, findings: &mut Findings) -> Vec<Node> {
        self.metrics.sort_by_key(|(index, _)| *index);
        for ColumnThreshold {
            column,
            index,
            threshold,
        } in self.thresholds
        {
            if self.refused.contains(&index) {
                continue;
            }
            let metric = self.metrics.iter_mut().find(|(number, _)| *number == index);
            match (metric.map(|(_, node)| &mut node.value), Number::from_f64(threshold)) {
                (Some(NodeValue::Map(entries)), Some(_)) if has_no_threshold(entries) => findings.problem(
                    position,
                    &column,
                    "does nothing for the metric of this column; leave the cell empty",
                ),
                (Some(NodeValue::Map(entries)), Some(number)) => {
                    entries.retain(|entry| entry.key != "threshold");
                    entries.push(entry("threshold", Node::new(position, NodeValue::Number(number))));
                }
                _ => findings.problem(position, &column, "this record has no assertion that it could be about"),
            }
        }
        if let Some(name) = self.name {
            for (_, node) in &mut self.metrics {
                if let NodeValue::Map(entries) = &mut node.value {
                    entries.push(entry("name", Node::text(position, name.clone())));
                }
            }
        }
        self.metrics.into_iter().map(|(_, node)| node).collect()
    }
}

/// The metric of one cell, as it would be written in a configuration.
///
/// # Errors
/// Why it is none.
pub fn expectation(cell: &str, position: Position) -> Result<Node, String> {
    let plain = || {
        Ok(metric_node(
            "equals",
            position,
            vec![entry("value", Node::text(position, cell))],
        ))
    };
    let Some(Prefix { word, threshold, rest }) = split_prefix(cell.trim()) else {
        return plain();
    };
    let own = own_kind(word);
    let bare = own.strip_prefix("not-").unwrap_or(&own);
    let kind = MetricKind::from_word(bare);
    let Some(value) = rest.map(str::trim) else {
        // Without a colon only a few words can be assertions; the others are texts.
        let stands_alone = kind.is_some_and(|kind| threshold.is_some() || needs_nothing(kind));
        return match kind {
            Some(_) if stands_alone => Ok(metric_node(&own, position, threshold_entry(threshold, position))),
            _ => plain(),
        };
    };
    let Some(kind) = kind else {
        return Err(refusal(word, bare, cell));
    };
    let mut entries = threshold_entry(threshold, position);
    match kind {
        MetricKind::IsJson | MetricKind::ContainsJson => {
            let schema = super::json::parse(value, "").map_err(|_| format!("expected a JSON Schema behind {word}:"))?;
            entries.push(entry("schema", Node::new(position, schema.value)));
        }
        MetricKind::ContainsAny
        | MetricKind::ContainsAll
        | MetricKind::IcontainsAny
        | MetricKind::IcontainsAll
        | MetricKind::FinishReason
        | MetricKind::ToolCallF1
        | MetricKind::OneOf => {
            let items = split_list(value)?.into_iter().map(|item| Node::text(position, item));
            entries.push(entry("value", Node::new(position, NodeValue::List(items.collect()))));
        }
        MetricKind::StatusCode => {
            let code = value
                .parse::<u16>()
                .map_err(|_| format!("expected a status such as 200, found {value:?}"))?;
            entries.push(entry("value", Node::new(position, NodeValue::Number(code.into()))));
        }
        _ => entries.push(entry("value", Node::text(position, value))),
    }
    Ok(metric_node(&own, position, entries))
}

/// Whether these are the entries of a metric that compares and measures nothing, so that a threshold would be refused.
fn has_no_threshold(entries: &[Entry]) -> bool {
    let word = entries.iter().find(|entry| entry.key == "type");
    let kind = word.and_then(|entry| match &entry.node.value {
        NodeValue::Text(word) => MetricKind::from_word(word.strip_prefix("not-").unwrap_or(word)),
        _ => None,
    });
    kind.is_some_and(|kind| metric::measured(kind).is_none())
}

/// Kinds that are whole without a value and a threshold.
fn needs_nothing(kind: MetricKind) -> bool {
    matches!(
        kind,
        MetricKind::IsJson
            | MetricKind::ContainsJson
            | MetricKind::IsXml
            | MetricKind::IsRefusal
            | MetricKind::GoalReached
            | MetricKind::AnswerRelevancy
            | MetricKind::Faithfulness
            | MetricKind::ContextualPrecision
            | MetricKind::ContextualRecall
            | MetricKind::ContextualRelevancy
    )
}

struct Prefix<'c> {
    word: &'c str,
    threshold: Option<f64>,
    /// Behind the colon; `None` when the cell ends with the word.
    rest: Option<&'c str>,
}

/// `word`, `word:rest`, `word(N)` or `word(N):rest`, with a word of lower-case letters, digits and dashes.
fn split_prefix(cell: &str) -> Option<Prefix<'_>> {
    let end = cell
        .find(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        .unwrap_or(cell.len());
    let (word, mut rest) = cell.split_at(end);
    if !word.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let mut threshold = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let (number, behind) = inner.split_once(')')?;
        threshold = Some(number.trim().parse::<f64>().ok().filter(|number| number.is_finite())?);
        rest = behind;
    }
    if rest.is_empty() {
        return Some(Prefix {
            word,
            threshold,
            rest: None,
        });
    }
    let rest = rest.strip_prefix(':')?;
    // A URL is a text; `file://…` is promptfoo's way of running a script.
    if rest.starts_with("//") && word != "file" {
        return None;
    }
    Some(Prefix {
        word,
        threshold,
        rest: Some(rest),
    })
}

fn refusal(word: &str, bare: &str, cell: &str) -> String {
    if CODE.contains(&bare) {
        return format!("`{word}:` runs code, which tests of testfleet cannot do");
    }
    let hint = match nearest(bare, MetricKind::ALL.iter().map(|kind| kind.word())) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!(
            "write {} if the output should equal this text",
            quote(&format!("equals:{cell}"))
        ),
    };
    format!("unknown assertion `{word}`; {hint}")
}

/// A list as in one line of CSV: commas separate, double quotes keep them.
fn split_list(text: &str) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut items = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|_| format!("expected values with commas between them, found {}", quote(text)))?;
        items.extend(record.iter().filter(|item| !item.is_empty()).map(str::to_owned));
    }
    Ok(items)
}

fn threshold_entry(threshold: Option<f64>, position: Position) -> Vec<Entry> {
    let number = threshold.and_then(Number::from_f64);
    number
        .map(|number| entry("threshold", Node::new(position, NodeValue::Number(number))))
        .into_iter()
        .collect()
}

fn metric_node(kind: &str, position: Position, mut entries: Vec<Entry>) -> Node {
    entries.insert(0, entry("type", Node::text(position, kind)));
    Node::new(position, NodeValue::Map(entries))
}

fn entry(key: &str, node: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        position: node.position,
        node,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(cell: &str) -> Value {
        expectation(cell, Position::START).unwrap().into_json()
    }

    #[test]
    fn a_cell_becomes_the_metric_it_names() {
        let cases = [
            ("Paris", json!({"type": "equals", "value": "Paris"})),
            (
                "https://example.com/x",
                json!({"type": "equals", "value": "https://example.com/x"}),
            ),
            ("12:30", json!({"type": "equals", "value": "12:30"})),
            ("Answer: 42", json!({"type": "equals", "value": "Answer: 42"})),
            ("contains", json!({"type": "equals", "value": "contains"})),
            ("f(x): y", json!({"type": "equals", "value": "f(x): y"})),
            ("equals:note: x", json!({"type": "equals", "value": "note: x"})),
            ("contains: a: b", json!({"type": "contains", "value": "a: b"})),
            ("not-icontains:x", json!({"type": "not-icontains", "value": "x"})),
            ("is-json", json!({"type": "is-json"})),
            ("not-is-refusal", json!({"type": "not-is-refusal"})),
            ("is-xml", json!({"type": "is-xml"})),
            (
                "contains-json:{\"type\":\"array\"}",
                json!({"type": "contains-json", "schema": {"type": "array"}}),
            ),
            ("length", json!({"type": "equals", "value": "length"})),
            ("llm-rubric: is kind", json!({"type": "llm-rubric", "value": "is kind"})),
            (
                "similar(0.8):x",
                json!({"type": "similar", "threshold": 0.8, "value": "x"}),
            ),
            ("answer-relevancy", json!({"type": "answer-relevancy"})),
            ("attempts(1)", json!({"type": "attempts", "threshold": 1.0})),
            (
                "finish-reason:stop, tool_calls",
                json!({"type": "finish-reason", "value": ["stop", "tool_calls"]}),
            ),
            (
                "rouge-n(0.5):thirty days",
                json!({"type": "rouge-n", "threshold": 0.5, "value": "thirty days"}),
            ),
            (
                "is-json:{\"type\":\"array\"}",
                json!({"type": "is-json", "schema": {"type": "array"}}),
            ),
            (
                "contains-any:\"a, b\", c",
                json!({"type": "contains-any", "value": ["a, b", "c"]}),
            ),
            (
                "levenshtein(3):yes",
                json!({"type": "levenshtein", "threshold": 3.0, "value": "yes"}),
            ),
            ("latency(500)", json!({"type": "latency", "threshold": 500.0})),
            ("status-code:201", json!({"type": "status-code", "value": 201})),
        ];
        for (cell, metric) in cases {
            assert_eq!(read(cell), metric, "{cell}");
        }
    }

    #[test]
    fn what_looks_like_an_assertion_is_never_compared_as_a_text() {
        let cases = [
            ("fn:output == 1", "`fn:` runs code, which tests of testfleet cannot do"),
            (
                "file://check.py",
                "`file:` runs code, which tests of testfleet cannot do",
            ),
            ("contain:x", "unknown assertion `contain`; did you mean \"contains\"?"),
            (
                "marks:x",
                "unknown assertion `marks`; write \"equals:marks:x\" if the output should equal this text",
            ),
        ];
        for (cell, message) in cases {
            assert_eq!(expectation(cell, Position::START).unwrap_err(), message, "{cell}");
        }
    }
}
