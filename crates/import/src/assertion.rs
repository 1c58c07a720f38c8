//! Assertions become metrics.

use std::cell::RefCell;

use serde_json::{Map, Value, json};
use testfleet_model::configuration::reading::{Node, NodeValue, own_kind};

use crate::absent::absent;
use crate::acceptance::refused;
use crate::asked::{Grading, Wants, put_asked};
use crate::condition;
use crate::note::join;
use crate::script;
use crate::table::written_out;
use crate::template::fill;
use crate::value::put_value;
use crate::work::Work;

/// The thresholds that hold there where an assertion has none; those of other kinds are the same here.
const THRESHOLDS: [(&str, f64); 6] = [
    ("levenshtein", 5.0),
    ("rouge-n", 0.75),
    ("bleu", 0.5),
    ("similar", 0.75),
    ("g-eval", 0.7),
    ("answer-relevancy", 0.7),
];
/// Kinds that do not look at the output, so that nothing has to be done with it.
const WITHOUT_OUTPUT: [&str; 5] = [
    "contextual-recall",
    "contextual-relevancy",
    "latency",
    "cost",
    "finish-reason",
];
/// Keys that are carried over.
const KNOWN: [&str; 12] = [
    "type",
    "value",
    "threshold",
    "weight",
    "metric",
    "transform",
    "assert",
    "$ref",
    "provider",
    "rubricPrompt",
    "contextTransform",
    "options",
];
/// What a test's own transform starts with.
pub(crate) const OUTPUT: [&str; 3] = ["JSON.parse(output)", "output", "json"];

/// What all assertions of a test share.
pub(crate) struct Around<'a> {
    /// The test's variables, for values that are templates there.
    pub(crate) vars: &'a Map<String, Value>,
    /// The JSONPath of the test's own transform.
    pub(crate) transform: Option<&'a str>,
    /// What it says to those who grade.
    pub(crate) grading: Grading<'a>,
    /// What its metrics want of it.
    pub(crate) wants: &'a RefCell<Wants>,
    /// The whole document, for `$ref`.
    pub(crate) root: &'a Node,
}

/// The metric of an assertion; `None`, with a note, when there is nothing like it here.
pub(crate) fn metric(node: &Node, path: &str, around: &Around<'_>, work: &mut Work<'_, '_>) -> Option<Value> {
    let position = node.position;
    // What is left out as a whole leaves nothing behind.
    let (graders, target, wants) = (work.graders.clone(), work.target.clone(), around.wants.borrow().clone());
    let noted = work.notes.all.len();
    let read = resolve(node, around.root).and_then(|node| {
        let metric = match &node.value {
            NodeValue::Text(text) => of_line(text, &node, path, around, work),
            NodeValue::Map(_) => of_mapping(&node, path, around, work),
            _ => Err(format!("expected an assertion, found {}", node.describe())),
        }?;
        taken(metric, &node, path, work)
    });
    match read {
        Ok(metric) => Some(metric),
        Err(why) => {
            work.notes.all.truncate(noted);
            (work.graders, work.target) = (graders, target);
            *around.wants.borrow_mut() = wants;
            work.notes.left_out(position, path, why);
            None
        }
    }
}

/// The metric as the readers of metrics take it.
fn taken(metric: Value, node: &Node, path: &str, work: &mut Work<'_, '_>) -> Result<Value, String> {
    let Some(why) = refused(&metric, &work.graders) else {
        return Ok(metric);
    };
    // A threshold that does nothing does nothing there either.
    let mut without = metric;
    let removed = without
        .as_object_mut()
        .and_then(|metric| metric.shift_remove("threshold"));
    if removed.is_some() && refused(&without, &work.graders).is_none() {
        let position = node.get("threshold").map_or(node.position, |entry| entry.position);
        let kind = without["type"].as_str().unwrap_or_default();
        let says = format!("does nothing for `{kind}`, there as well");
        work.notes.left_out_once(position, &join(path, "threshold"), says);
        return Ok(without);
    }
    Err(why)
}

/// A line of text, as in a table.
fn of_line(text: &str, node: &Node, path: &str, around: &Around<'_>, work: &mut Work<'_, '_>) -> Result<Value, String> {
    let code = ["fn:", "javascript:"]
        .iter()
        .find_map(|prefix| text.trim().strip_prefix(prefix));
    if let Some(metrics) = code.and_then(|code| condition::metrics(code, around.transform)) {
        return Ok(of_condition(node, metrics, around));
    }
    of_mapping(&written_out(node)?, path, around, work)
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

fn of_mapping(node: &Node, path: &str, around: &Around<'_>, work: &mut Work<'_, '_>) -> Result<Value, String> {
    let word = node
        .get("type")
        .and_then(|entry| entry.node.as_text())
        .ok_or("an assertion has a `type`")?;
    let why = "assertions of testfleet have no such option";
    work.notes.leave_out_rest(node, path, &KNOWN, why);
    let own = own_kind(word.strip_suffix(":cosine").unwrap_or(word));
    let ours = own.strip_prefix("not-").unwrap_or(&own);
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
    if let Some(why) = absent(word) {
        return Err(why);
    }
    if ours == "g-eval" && node.get("value").is_some_and(|entry| entry.node.items().len() > 1) {
        return each(node, &own, path, around, work);
    }
    let mut metric = Map::new();
    metric.insert("type".to_owned(), own.clone().into());
    put_name(&mut metric, node, around);
    if let Some(value) = node.get("value") {
        put_value(&mut metric, ours, value.node.clone().into_json(), around.vars, work)?;
    }
    let given = node.get("threshold").map(|entry| entry.node.clone().into_json());
    let default = THRESHOLDS
        .iter()
        .find(|(kind, _)| *kind == ours)
        .map(|(_, threshold)| json!(threshold));
    // `Number` keeps whole numbers whole.
    if let Some(threshold) = given.or(default) {
        metric.insert("threshold".to_owned(), threshold);
    }
    put_weight(&mut metric, node);
    if !WITHOUT_OUTPUT.contains(&ours) {
        put_transform(&mut metric, node, around)?;
    }
    put_asked(&mut metric, ours, node, path, around, work)?;
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
            .filter_map(|(index, item)| self::metric(item, &format!("{inner}[{index}]"), around, work))
            .collect();
        if read.is_empty() {
            return Err("none of its members can be carried over".to_owned());
        }
        metric.insert("metrics".to_owned(), read.into());
    }
    Ok(Value::Object(metric))
}

/// Several criteria that are scored one by one: a set of which the mean of the scores counts.
fn each(node: &Node, own: &str, path: &str, around: &Around<'_>, work: &mut Work<'_, '_>) -> Result<Value, String> {
    let mut set = Map::new();
    let (not, kind) = own.strip_prefix("not-").map_or(("", own), |kind| ("not-", kind));
    set.insert("type".to_owned(), format!("{not}assert-set").into());
    put_name(&mut set, node, around);
    set.entry("name").or_insert_with(|| own.into());
    let threshold = node.get("threshold").map(|entry| entry.node.clone().into_json());
    set.insert("threshold".to_owned(), threshold.unwrap_or_else(|| json!(0.7)));
    put_weight(&mut set, node);
    put_transform(&mut set, node, around)?;
    let mut members = Vec::new();
    for value in node.get("value").map(|entry| entry.node.items()).unwrap_or_default() {
        let mut member = Map::new();
        member.insert("type".to_owned(), kind.into());
        put_value(&mut member, kind, value.clone().into_json(), around.vars, work)?;
        put_asked(&mut member, kind, node, path, around, work)?;
        members.push(Value::Object(member));
    }
    set.insert("metrics".to_owned(), members.into());
    Ok(Value::Object(set))
}

fn put_name(metric: &mut Map<String, Value>, node: &Node, around: &Around<'_>) {
    if let Some(name) = node.get("metric").and_then(|entry| entry.node.as_text()) {
        let name = fill(name, around.vars).unwrap_or_else(|_| name.to_owned());
        metric.insert("name".to_owned(), name.into());
    }
}

/// One metric, or a set of those that all have to hold.
fn of_condition(node: &Node, mut metrics: Vec<Value>, around: &Around<'_>) -> Value {
    let mut metric = match metrics.len() {
        1 => metrics.remove(0),
        _ => json!({"type": "assert-set", "metrics": metrics}),
    };
    if let Some(metric) = metric.as_object_mut() {
        put_name(metric, node, around);
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

#[cfg(test)]
mod tests {
    use testfleet_model::configuration::reading::DocumentFormat;

    use super::*;
    use crate::Files;
    use crate::grader::Graders;
    use crate::note::Notes;
    use crate::work::Target;

    fn one(assertion: Value, vars: Value) -> Result<Value, String> {
        let text = assertion.to_string();
        let node = testfleet_model::configuration::reading::located(&text, "a.json", DocumentFormat::Json).unwrap();
        let wants = RefCell::default();
        let around = Around {
            vars: vars.as_object().unwrap(),
            transform: None,
            grading: Grading::default(),
            wants: &wants,
            root: &node,
        };
        let mut read = |name: &str| match name {
            "a.txt" => Ok("of {{who}}\n".to_owned()),
            "a.json" => Ok("{\"type\": \"object\"}".to_owned()),
            _ => Err("there is no such file".to_owned()),
        };
        let mut files = Files::new(&mut read);
        let mut work = Work {
            files: &mut files,
            notes: Notes::new("a.json"),
            graders: Graders::default(),
            target: Target::default(),
        };
        let metric = metric(&node, "assert[0]", &around, &mut work);
        metric.ok_or_else(|| work.notes.all.iter().map(|note| note.problem.message.clone()).collect())
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
            (
                json!({"type": "contains", "value": "a", "threshold": 0.9}),
                json!({"type": "contains", "value": "a"}),
            ),
            (
                json!({"type": "contains", "value": "file://a.txt"}),
                json!({"type": "contains", "value": "of Ada"}),
            ),
            (
                json!({"type": "is-json", "value": "file://a.json"}),
                json!({"type": "is-json", "schema": {"type": "object"}}),
            ),
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
            (json!({"type": "contains", "value": "file://x.js"}), "in another file"),
            (json!({"type": "contains", "value": "file://x.txt"}), "no such file"),
            (json!({"type": "is-sql"}), "a parser of SQL"),
            (
                json!({"type": "not-select-best", "value": "x"}),
                "each test stands by itself",
            ),
            (json!({"type": "trajectory:tool-used", "value": "x"}), "traces"),
            (json!({"type": "context-recall", "value": "x"}), "there is no context"),
            (json!({"type": "contains"}), "expected_output"),
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
