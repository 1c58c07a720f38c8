//! What is refused before anything runs.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};
use testfleet_evaluation::MetricSet;
use testfleet_model::configuration::Metric;

fn problems(metrics: Value) -> Vec<String> {
    let metrics: Vec<Metric> = serde_json::from_value(metrics).unwrap();
    MetricSet::compile(&metrics)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn each_mistake_is_named_with_its_key() {
    for (metric, said) in [
        (
            json!({"type": "contains", "value": ""}),
            "metrics[0].value: an empty text",
        ),
        (
            json!({"type": "contains", "value": ["a"]}),
            "metrics[0].value: must be one text, not a list",
        ),
        (
            json!({"type": "contains", "value": {"a": 1}}),
            "metrics[0].value: must be a text, not an object",
        ),
        (
            json!({"type": "contains-any", "value": []}),
            "metrics[0].value: the list is empty",
        ),
        (
            json!({"type": "contains-all", "value": ["a", null]}),
            "metrics[0].value: must be a text, not null",
        ),
        (
            json!({"type": "one-of", "value": []}),
            "metrics[0].value: the list is empty",
        ),
        (
            json!({"type": "regex", "value": "("}),
            "metrics[0].value: not a regular expression",
        ),
        (
            json!({"type": "regex", "value": "(?=a)"}),
            "metrics[0].value: not a regular expression",
        ),
        (
            json!({"type": "regex", "value": 3}),
            "metrics[0].value: must be a regular expression as a text",
        ),
        (
            json!({"type": "regex", "value": r"(\w{1000}){1000}"}),
            "metrics[0].value: the regular expression takes more",
        ),
        (
            json!({"type": "is-json", "schema": 3}),
            "metrics[0].schema: not a usable JSON Schema",
        ),
        (
            json!({"type": "is-json", "schema": {"type": "strin"}}),
            "metrics[0].schema: not a usable JSON Schema",
        ),
        (
            json!({"type": "is-json", "schema": {"$ref": "http://127.0.0.1:1/x"}}),
            "metrics[0].schema: not a usable",
        ),
        (
            json!({"type": "is-json", "schema": {"$ref": "file:///etc/hostname"}}),
            "metrics[0].schema: not a usable",
        ),
        (
            json!({"type": "is-json", "schema": {"pattern": "(?=a)"}}),
            "metrics[0].schema: not a usable JSON Schema",
        ),
        (
            json!({"type": "is-json", "schema": {"$schema": "urn:unknown"}}),
            "metrics[0].schema: not a usable",
        ),
        (
            json!({"type": "is-json", "value": "{}"}),
            "metrics[0].value: is-json takes no value",
        ),
        (json!({"type": "jsonpath"}), "metrics[0].path: jsonpath needs one"),
        (
            json!({"type": "jsonpath", "path": "a.b"}),
            "metrics[0].path: \"a.b\" is not a JSONPath",
        ),
        (
            json!({"type": "jsonpath", "path": "$.a", "operator": "<"}),
            "metrics[0].operator: < needs a value",
        ),
        (
            json!({"type": "jsonpath", "path": "$.a", "operator": "<", "value": "x"}),
            "metrics[0].value: < compares numbers; the value is a text",
        ),
        (
            json!({"type": "status-code"}),
            "metrics[0].value: status-code needs one",
        ),
        (
            json!({"type": "status-code", "value": 20}),
            "metrics[0].value: 20 is not a status",
        ),
        (
            json!({"type": "status-code", "value": "9xx"}),
            "metrics[0].value: \"9xx\" is not a status",
        ),
        (
            json!({"type": "status-code", "value": "65535xx"}),
            "metrics[0].value: \"65535xx\" is not a status",
        ),
        (
            json!({"type": "status-code", "value": "299-200"}),
            "metrics[0].value: \"299-200\" is not a status",
        ),
        (
            json!({"type": "status-code", "value": []}),
            "metrics[0].value: the list is empty",
        ),
        (
            json!({"type": "status-code", "value": 200, "transform": "$.a"}),
            "metrics[0].transform: status-code takes no",
        ),
        (json!({"type": "latency"}), "metrics[0].threshold: latency needs one"),
        (
            json!({"type": "latency", "threshold": -1}),
            "metrics[0].threshold: must be at least 0",
        ),
        (
            json!({"type": "latency", "threshold": 1, "operator": "contains"}),
            "metrics[0].operator: contains is for",
        ),
        (
            json!({"type": "levenshtein", "value": "a"}),
            "metrics[0].threshold: levenshtein needs one",
        ),
        (
            json!({"type": "levenshtein", "value": ["a"], "threshold": 1}),
            "metrics[0].value: levenshtein compares with",
        ),
        (
            json!({"type": "f1", "value": "a", "threshold": 1.5}),
            "metrics[0].threshold: must be at least 0 and at most 1",
        ),
        (
            json!({"type": "f1", "value": []}),
            "metrics[0].value: the list is empty",
        ),
        (
            json!({"type": "equals", "value": "a", "threshold": 1}),
            "metrics[0].threshold: equals takes no threshold",
        ),
        (
            json!({"type": "equals", "value": "a", "operator": "=="}),
            "metrics[0].operator: equals takes no operator",
        ),
        (
            json!({"type": "equals", "value": "a", "path": "$"}),
            "metrics[0].path: equals takes no path",
        ),
        (
            json!({"type": "equals", "value": "a", "schema": {}}),
            "metrics[0].schema: equals takes no schema",
        ),
        (
            json!({"type": "equals", "value": "a", "transform": "{{ output }}"}),
            "metrics[0].transform: templates are not offered",
        ),
        (
            json!({"type": "equals", "value": "a", "transform": "answer"}),
            "metrics[0].transform: \"answer\" is not a JSONPath",
        ),
        (
            json!({"type": "equals", "value": "a", "weight": 0}),
            "metrics[0].weight: must be more than 0",
        ),
        (
            json!({"type": "equals", "value": "a", "severity": "warn", "required": true}),
            "metrics[0].required: a metric with severity warn",
        ),
    ] {
        let problems = problems(json!([metric]));
        assert_eq!(problems.len(), 1, "{metric}: {problems:?}");
        assert!(problems[0].starts_with(said), "{metric}: {}", problems[0]);
    }
}

#[test]
fn all_problems_of_all_metrics_are_reported_at_once() {
    let problems = problems(json!([
        {"type": "equals", "value": "fine"},
        {"type": "levenshtein", "value": {"a": 1}, "weight": -1, "path": "$"},
        {"type": "regex", "value": "("},
    ]));
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.split(':').next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "metrics[1].path",
            "metrics[1].weight",
            "metrics[1].value",
            "metrics[1].threshold",
            "metrics[2].value"
        ]
    );
}

#[test]
fn a_threshold_that_is_no_number_is_refused() {
    let mut metric: Metric = serde_json::from_value(json!({"type": "latency", "threshold": 1})).unwrap();
    for threshold in [f64::NAN, f64::INFINITY] {
        metric.threshold = Some(threshold);
        assert!(MetricSet::compile(std::slice::from_ref(&metric)).is_err());
    }
}

#[test]
fn each_mistake_of_the_later_kinds_is_named_with_its_key() {
    for (metric, said) in [
        (json!({"type": "length"}), "metrics[0].threshold: length needs one"),
        (
            json!({"type": "length", "min": -1}),
            "metrics[0].min: must be at least 0",
        ),
        (
            json!({"type": "length", "min": 3, "max": 2}),
            "metrics[0].max: 2 is less than min (3)",
        ),
        (
            json!({"type": "length", "min": 3, "threshold": 2}),
            "metrics[0].threshold: give either",
        ),
        (
            json!({"type": "word-count", "max": 3, "operator": "<"}),
            "metrics[0].operator: an operator needs",
        ),
        (
            json!({"type": "latency", "threshold": 3, "max": 2}),
            "metrics[0].max: latency takes no max",
        ),
        (
            json!({"type": "is-refusal", "value": "no"}),
            "metrics[0].value: is-refusal takes no value",
        ),
        (
            json!({"type": "is-xml", "schema": {}}),
            "metrics[0].schema: is-xml takes no schema",
        ),
        (
            json!({"type": "contains-json", "schema": {"$ref": "https://example.com/schema"}}),
            "metrics[0].schema: not a usable JSON Schema",
        ),
        (json!({"type": "header"}), "metrics[0].header: header needs the name"),
        (
            json!({"type": "header", "header": " "}),
            "metrics[0].header: header needs the name",
        ),
        (
            json!({"type": "header", "header": "a", "operator": "<"}),
            "metrics[0].operator: < needs a value",
        ),
        (
            json!({"type": "header", "header": "a", "operator": "<", "value": "b"}),
            "metrics[0].value: < compares numbers",
        ),
        (
            json!({"type": "header", "header": "a", "value": []}),
            "metrics[0].value: must be a text or a number",
        ),
        (
            json!({"type": "is-json", "header": "a"}),
            "metrics[0].header: is-json takes no header",
        ),
        (
            json!({"type": "finish-reason"}),
            "metrics[0].value: finish-reason needs one",
        ),
        (
            json!({"type": "finish-reason", "value": []}),
            "metrics[0].value: the list is empty",
        ),
        (
            json!({"type": "finish-reason", "value": [1]}),
            "metrics[0].value: must be a text such as stop",
        ),
        (
            json!({"type": "tool-call-f1", "value": [1]}),
            "metrics[0].value: must be names of tools, not a number",
        ),
        (
            json!({"type": "tool-call-f1", "value": [{"name": "a", "args": 1}]}),
            "metrics[0].value: must be names of tools, or mappings",
        ),
        (json!({"type": "cost"}), "metrics[0].threshold: cost needs one"),
        (
            json!({"type": "tokens", "threshold": 1, "transform": "$"}),
            "metrics[0].transform: tokens takes no",
        ),
        (
            json!({"type": "bleu", "value": "a"}),
            "metrics[0].threshold: bleu needs one",
        ),
        (
            json!({"type": "bleu", "value": "a", "threshold": 2}),
            "metrics[0].threshold: must be at least 0 and",
        ),
        (
            json!({"type": "rouge-l", "value": [{}], "threshold": 0.5}),
            "metrics[0].value: rouge-l compares with texts",
        ),
        (
            json!({"type": "rouge-n", "value": "a", "threshold": 0.5, "n": 0}),
            "metrics[0].n: must be from 1 to 9",
        ),
        (
            json!({"type": "rouge-l", "value": "a", "threshold": 0.5, "n": 1}),
            "metrics[0].n: rouge-l takes no n",
        ),
        (
            json!({"type": "assert-set"}),
            "metrics[0].metrics: assert-set needs at least one",
        ),
        (
            json!({"type": "assert-set", "threshold": 1.5, "metrics": [{"type": "is-json"}]}),
            "metrics[0].threshold: must be at least 0 and at most 1",
        ),
        (
            json!({"type": "is-json", "metrics": [{"type": "is-json"}]}),
            "metrics[0].metrics: is-json takes no metrics",
        ),
    ] {
        let problems = problems(json!([metric]));
        assert_eq!(problems.len(), 1, "{metric}: {problems:?}");
        assert!(problems[0].starts_with(said), "{metric}: {}", problems[0]);
    }
}
