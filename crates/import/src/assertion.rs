//! Assertions become metrics.

use serde_json::{Map, Value, json};
use testfleet_evaluation::MetricSet;
use testfleet_model::configuration::reading::{
    Defaults, DocumentFormat, Node, NodeValue, expectation, own_kind, read_configuration,
};

use crate::condition;
use crate::note::{Notes, join};
use crate::script;
use crate::template::{fill, is_template};

/// The thresholds that hold there where an assertion has none.
const THRESHOLDS: [(&str, f64); 5] = [
    ("levenshtein", 5.0),
    ("rouge-n", 0.75),
    ("bleu", 0.5),
    ("similar", 0.75),
    ("g-eval", 0.7),
];
/// Kinds whose value is a list, or a text with commas.
const LISTS: [&str; 4] = ["contains-any", "contains-all", "icontains-any", "icontains-all"];
/// Keys that are carried over.
const KNOWN: [&str; 8] = [
    "type",
    "value",
    "threshold",
    "weight",
    "metric",
    "transform",
    "assert",
    "$ref",
];
/// What a test's own transform starts with.
pub(crate) const OUTPUT: [&str; 3] = ["JSON.parse(output)", "output", "json"];

/// What all assertions of a test share.
pub(crate) struct Around<'a> {
    /// The test's variables, for values that are templates there.
    pub(crate) vars: &'a Map<String, Value>,
    /// The JSONPath of the test's own transform.
    pub(crate) transform: Option<&'a str>,
    /// The whole document, for `$ref`.
    pub(crate) root: &'a Node,
}

/// The metric of an assertion; `None`, with a note, when there is nothing like it here.
pub(crate) fn metric(node: &Node, path: &str, around: &Around<'_>, notes: &mut Notes) -> Option<Value> {
    let position = node.position;
    let node = &match resolve(node, around.root) {
        Ok(node) => node,
        Err(why) => {
            notes.left_out(position, path, why);
            return None;
        }
    };
    let read = match &node.value {
        NodeValue::Text(text) => of_line(text, node, around),
        NodeValue::Map(_) => of_mapping(node, path, around, notes),
        _ => Err(format!("expected an assertion, found {}", node.describe())),
    };
    let metric = match read {
        Ok(metric) => metric,
        Err(why) => {
            notes.left_out(position, path, why);
            return None;
        }
    };
    if let Some(why) = refused(&metric) {
        notes.left_out(position, path, why);
        return None;
    }
    Some(metric)
}

/// A line of text, as in a table.
fn of_line(text: &str, node: &Node, around: &Around<'_>) -> Result<Value, String> {
    let code = ["fn:", "javascript:"]
        .iter()
        .find_map(|prefix| text.trim().strip_prefix(prefix));
    if let Some(metrics) = code.and_then(|code| condition::metrics(code, around.transform)) {
        return Ok(of_condition(node, metrics, around));
    }
    Ok(expectation(text, node.position)?.into_json())
}

/// What `$ref: '#/assertionTemplates/name'` refers to.
fn resolve(node: &Node, root: &Node) -> Result<Node, String> {
    let Some(reference) = node.get("$ref") else {
        return Ok(node.clone());
    };
    let name = reference.node.as_text().unwrap_or_default();
    let mut at = root;
    for step in name.strip_prefix("#/").unwrap_or_default().split('/') {
        at = &at
            .get(step)
            .ok_or_else(|| format!("there is nothing at {name:?}"))?
            .node;
    }
    if at.get("$ref").is_some() {
        return Err(format!("{name:?} refers to another template"));
    }
    Ok(at.clone())
}

fn of_mapping(node: &Node, path: &str, around: &Around<'_>, notes: &mut Notes) -> Result<Value, String> {
    let word = node
        .get("type")
        .and_then(|entry| entry.node.as_text())
        .ok_or("an assertion has a `type`")?;
    notes.leave_out_rest(node, path, &KNOWN, "assertions of testfleet have no such option");
    let own = own_kind(word);
    let (bare, ours) = (
        word.strip_prefix("not-").unwrap_or(word),
        own.strip_prefix("not-").unwrap_or(&own),
    );
    let code = node
        .get("value")
        .and_then(|entry| entry.node.as_text())
        .unwrap_or_default();
    let condition = (word == "javascript" && node.get("transform").is_none() && node.get("threshold").is_none())
        .then(|| condition::metrics(code, around.transform))
        .flatten();
    if let Some(metrics) = condition {
        return Ok(of_condition(node, metrics, around));
    }
    if ["javascript", "python", "ruby"].contains(&bare) {
        return Err(format!("`{word}` runs code, which tests of testfleet cannot do"));
    }
    let mut metric = Map::new();
    metric.insert("type".to_owned(), own.clone().into());
    if let Some(name) = node.get("metric").and_then(|entry| entry.node.as_text()) {
        let name = fill(name, around.vars).unwrap_or_else(|_| name.to_owned());
        metric.insert("name".to_owned(), name.into());
    }
    if let Some(value) = node.get("value") {
        put_value(&mut metric, ours, value.node.clone().into_json(), around)?;
    }
    let own = node.get("threshold").map(|entry| entry.node.clone().into_json());
    let default = THRESHOLDS
        .iter()
        .find(|(kind, _)| *kind == ours)
        .map(|(_, threshold)| json!(threshold));
    // `Number` keeps whole numbers whole.
    if let Some(threshold) = own.or(default) {
        metric.insert("threshold".to_owned(), threshold);
    }
    put_weight(&mut metric, node);
    put_transform(&mut metric, node, around)?;
    if ours == "assert-set" {
        let members = node
            .get("assert")
            .ok_or("a set of assertions has members under `assert`")?;
        let inner = join(path, "assert");
        let read: Vec<Value> = members
            .node
            .items()
            .iter()
            .enumerate()
            .filter_map(|(index, item)| self::metric(item, &format!("{inner}[{index}]"), around, notes))
            .collect();
        if read.is_empty() {
            return Err("none of its members can be carried over".to_owned());
        }
        metric.insert("metrics".to_owned(), read.into());
    }
    Ok(Value::Object(metric))
}

/// One metric, or a set of those that all have to hold.
fn of_condition(node: &Node, mut metrics: Vec<Value>, around: &Around<'_>) -> Value {
    let mut metric = match metrics.len() {
        1 => metrics.remove(0),
        _ => json!({"type": "assert-set", "metrics": metrics}),
    };
    let name = node.get("metric").and_then(|entry| entry.node.as_text());
    if let Some(metric) = metric.as_object_mut() {
        if let Some(name) = name {
            let name = fill(name, around.vars).unwrap_or_else(|_| name.to_owned());
            metric.insert("name".to_owned(), name.into());
        }
        put_weight(metric, node);
    }
    metric
}

fn put_weight(metric: &mut Map<String, Value>, node: &Node) {
    let Some(entry) = node.get("weight") else { return };
    match entry.node.clone().into_json() {
        // It counts for nothing, and is reported.
        Value::Number(zero) if zero.as_f64() == Some(0.0) => metric.insert("severity".to_owned(), "warn".into()),
        weight => metric.insert("weight".to_owned(), weight),
    };
}

fn put_value(metric: &mut Map<String, Value>, kind: &str, value: Value, around: &Around<'_>) -> Result<(), String> {
    let value = filled(value, around.vars)?;
    if let Value::String(text) = &value
        && text.starts_with("file://")
    {
        return Err(format!("its value is in another file ({text})"));
    }
    let (key, value) = match (kind, value) {
        ("is-json" | "contains-json", value) => ("schema", value),
        (kind, Value::String(text)) if LISTS.contains(&kind) => ("value", split(&text)?.into()),
        ("word-count", Value::Number(number)) => {
            metric.insert("min".to_owned(), number.clone().into());
            ("max", number.into())
        }
        ("word-count", Value::Object(limits)) => {
            metric.extend(limits);
            return Ok(());
        }
        // A text there, whatever it looks like.
        (
            "contains" | "icontains" | "starts-with" | "ends-with" | "regex",
            value @ (Value::Number(_) | Value::Bool(_)),
        ) => ("value", value.to_string().into()),
        (_, value) => ("value", value),
    };
    metric.insert(key.to_owned(), value);
    Ok(())
}

/// Texts of a value with the test's variables in them.
fn filled(value: Value, vars: &Map<String, Value>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) if is_template(&text) => fill(&text, vars)?.into(),
        Value::Array(items) => items
            .into_iter()
            .map(|item| filled(item, vars))
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        other => other,
    })
}

fn put_transform(metric: &mut Map<String, Value>, node: &Node, around: &Around<'_>) -> Result<(), String> {
    let own = match node
        .get("transform")
        .map(|entry| entry.node.as_text().unwrap_or_default())
    {
        Some(script) => Some(script::path(script, &OUTPUT).ok_or_else(|| {
            format!("its transform runs code ({script:?}); a JSONPath such as `$.answer` can take its place")
        })?),
        None => None,
    };
    let whole = match (around.transform, own) {
        (None, own) => own,
        (Some(outer), None) => Some(outer.to_owned()),
        (Some(outer), Some(own)) => Some(outer.to_owned() + &own[1..]),
    };
    // The whole output, parsed: metrics of JSON do that themselves.
    if let Some(path) = whole.filter(|path| path != "$") {
        metric.insert("transform".to_owned(), path.into());
    }
    Ok(())
}

/// A list as there: commas separate, double quotes keep them.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut items = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|_| format!("expected values with commas between them, found {text:?}"))?;
        items.extend(record.iter().filter(|item| !item.is_empty()).map(str::to_owned));
    }
    Ok(items)
}

/// Why this version would not take a metric; `None` when it does.
fn refused(metric: &Value) -> Option<String> {
    let document = json!({
        "version": 1, "name": "n", "endpoint": {"url": "https://endpoint.invalid/"},
        "test_set": {"tests": [{"input": "x", "expected_output": "x"}]},
        "metrics": [metric],
    });
    let read = read_configuration(&document.to_string(), "", DocumentFormat::Json, &Defaults::default());
    match read {
        Err(problems) => {
            let said: Vec<String> = problems
                .0
                .into_iter()
                .map(|problem| strip(&problem.key, problem.message))
                .collect();
            Some(said.join("; "))
        }
        Ok(reading) => {
            let problems = MetricSet::compile(&reading.configuration.metrics).err()?;
            Some(
                problems
                    .into_iter()
                    .map(|problem| problem.message)
                    .collect::<Vec<_>>()
                    .join("; "),
            )
        }
    }
}

fn strip(key: &str, message: String) -> String {
    match key.strip_prefix("metrics[0].") {
        Some("type") | None => message,
        Some(key) => format!("{key}: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(assertion: Value, vars: Value) -> Result<Value, String> {
        let text = assertion.to_string();
        let node = testfleet_model::configuration::reading::located(&text, "a.json", DocumentFormat::Json).unwrap();
        let mut notes = Notes::new("a.json");
        let around = Around {
            vars: vars.as_object().unwrap(),
            transform: None,
            root: &node,
        };
        metric(&node, "assert[0]", &around, &mut notes)
            .ok_or_else(|| notes.all.iter().map(|note| note.problem.message.clone()).collect())
    }

    #[test]
    fn assertions_become_the_metrics_they_are() {
        let cases = [
            (
                json!({"type": "contains-any", "value": "\"a, b\",c"}),
                json!({"type": "contains-any", "value": ["a, b", "c"]}),
            ),
            (
                json!({"type": "is-json", "value": {"type": "object"}}),
                json!({"type": "is-json", "schema": {"type": "object"}}),
            ),
            (
                json!({"type": "levenshtein", "value": "a"}),
                json!({"type": "levenshtein", "value": "a", "threshold": 5.0}),
            ),
            (
                json!({"type": "levenshtein", "value": "a", "threshold": 3}),
                json!({"type": "levenshtein", "value": "a", "threshold": 3}),
            ),
            (
                json!({"type": "not-starts-with", "value": "{{who}}!"}),
                json!({"type": "not-starts-with", "value": "Ada!"}),
            ),
            (
                json!({"type": "contains-any", "transform": "output.list", "value": ["x"]}),
                json!({"type": "contains-any", "value": ["x"], "transform": "$.list"}),
            ),
            (
                json!({"type": "icontains", "value": "a", "weight": 0, "metric": "tone"}),
                json!({"type": "icontains", "name": "tone", "value": "a", "severity": "warn"}),
            ),
            (
                json!({"type": "word-count", "value": {"min": 1, "max": 3}}),
                json!({"type": "word-count", "min": 1, "max": 3}),
            ),
            (json!("icontains: x"), json!({"type": "icontains", "value": "x"})),
        ];
        for (theirs, ours) in cases {
            assert_eq!(
                one(theirs.clone(), json!({"who": "Ada"})).as_ref(),
                Ok(&ours),
                "{theirs}"
            );
        }
    }

    #[test]
    fn what_has_no_counterpart_says_why() {
        let cases = [
            (json!({"type": "javascript", "value": "output.length > x"}), "runs code"),
            (json!({"type": "regex", "value": "(?=a)b"}), "look"),
            (
                json!({"type": "contains", "value": "{{ a | upper }}"}),
                "none of the test's variables",
            ),
            (json!({"type": "contains", "value": "file://x.txt"}), "in another file"),
            (json!({"type": "is-sql"}), "unknown metric"),
            (
                json!({"type": "equals", "value": "x", "transform": "output.trim()"}),
                "runs code",
            ),
            (json!({"type": "latency"}), "threshold: missing"),
            (json!({"value": "x"}), "has a `type`"),
            (json!({"$ref": "#/nowhere"}), "there is nothing"),
        ];
        for (theirs, why) in cases {
            let said = one(theirs.clone(), json!({})).unwrap_err();
            assert!(said.contains(why), "{theirs}: {said}");
        }
    }
}
