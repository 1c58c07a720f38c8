//! Documents with one thing wrong: what the reader refuses, the schema refuses, and the other way round.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Value, json};

use super::corpus::{corpus, value};
use super::validator;
use crate::configuration::reading::{Defaults, DocumentFormat, Problem, read_configuration};

/// What only the whole document can tell, or no schema could say well, as parts of what the reader says.
const OF_THE_WHOLE: &[&str] = &[
    "the endpoint holds no conversations",
    "and the test has no written `turns`",
    "an operator needs a",
    "and it has none",
    "counts for nothing, so it cannot be required",
    "a test needs an `input`",
    "cannot tell the format from the name",
    "attributes.execution_mode: Parallel",
    "attributes.execution_mode: Sequential",
    "compares every test with it",
    "compares with a baseline, and there is none",
    "does not name the group",
    "has nothing to compare with",
    "is less than `min`",
    "must not be less than `min`",
    "no test has",
    "not with both",
    "or `min` and `max`",
    "or the `run` to compare with",
    "over all tests; leave `where` out",
    "there is no `done` that could be required",
    "there is no test",
    "where the pieces of the text are in the events",
    "there is nothing to run",
    // Metrics that ask.
    "asks a model",
    "does nothing for `judge` with `categories`",
    "is none of the categories",
    "leaves nothing to decide",
    "looks at it; give the test one",
    "must be more than the lowest",
    "must lie between the lowest score",
    "needs `categories`, of which these pass",
    "one sample is what it is",
    "there is no model",
    "needs a `simulated_user`",
    "is about the goal of a `simulated_user`",
    "this category is there twice",
    "write the criteria, or how to evaluate",
    "write what the answer has to be like",
    "write the score to reach, or `categories`",
    "write which of the categories pass",
];

fn read(document: &Value) -> Result<(), Vec<Problem>> {
    let text = document.to_string();
    match read_configuration(&text, "document.json", DocumentFormat::Json, &Defaults::default()) {
        Ok(_) => Ok(()),
        Err(problems) => Err(problems.0),
    }
}

/// Places of a document.
fn pointers(document: &Value, path: String, into: &mut Vec<String>) {
    match document {
        Value::Object(object) => {
            for (key, inner) in object {
                pointers(
                    inner,
                    format!("{path}/{}", key.replace('~', "~0").replace('/', "~1")),
                    into,
                );
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                pointers(inner, format!("{path}/{index}"), into);
            }
        }
        _ => {}
    }
    into.push(path);
}

/// The document with one thing changed, and what was changed.
fn mutations(document: &Value) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    pointers(document, String::new(), &mut places);
    let values = [
        Value::Null,
        json!(true),
        json!(7),
        json!(-1),
        json!(0.5),
        json!("text"),
        json!(""),
        json!([]),
        json!({}),
        json!(["text"]),
        json!({"zzz": 1}),
    ];
    let mut mutations = Vec::new();
    for place in places {
        if document.pointer(&place).is_some_and(Value::is_object) {
            let mut changed = document.clone();
            if let Some(object) = changed.pointer_mut(&place).and_then(Value::as_object_mut) {
                object.insert("zzz".to_owned(), json!("x"));
            }
            mutations.push((format!("{place}/zzz added"), changed));
        }
        for value in &values {
            let mut changed = document.clone();
            if let Some(at) = changed.pointer_mut(&place).filter(|at| *at != value) {
                *at = value.clone();
                mutations.push((format!("{place} = {value}"), changed));
            }
        }
    }
    mutations
}

#[test]
fn reader_and_schema_agree_on_documents_with_one_thing_wrong() {
    let validator = validator();
    let mut wrong = BTreeSet::new();
    let mut tried = 0;
    for document in corpus() {
        let document_value = value(&document.text, document.format);
        // A large example says the same things again and again.
        if document.text.len() > 6_000 {
            continue;
        }
        for (what, mutated) in mutations(&document_value) {
            tried += 1;
            compare(&validator, &mutated, &format!("{}: {what}", document.name), &mut wrong);
        }
    }
    assert!(tried > 1_000);
    show(&wrong);
}

/// An option that belongs to one kind of metric is refused at another.
#[test]
fn reader_and_schema_agree_on_every_option_of_every_kind() {
    let validator = validator();
    let options = json!({
        "value": "x", "threshold": 0.5, "operator": ">=", "schema": {}, "path": "$.a", "header": "h", "n": 1, "min": 0,
        "prompt": "x", "max": 9, "metrics": [{"type": "is-json"}], "weight": 2, "required": true, "severity": "warn", "negate": true,
        "on_error": "skip", "model": "judge", "samples": 2, "aggregate": "mean", "steps": ["a"], "categories": ["a", "b"],
        "passing_categories": ["same"], "url": "https://x.test/", "headers": {"a": "b"}, "timeouts": {"attempt": "5s"},
        "retry": {"max_attempts": 1}, "name": "n", "transform": "$.a", "type": "is-json",
    });
    let described = super::keys_of(&super::configuration_schema(), "#metric");
    let tried: BTreeSet<String> = options.as_object().unwrap().keys().cloned().collect();
    assert_eq!(described, tried, "an option is not tried");
    let mut wrong = BTreeSet::new();
    for document in corpus()
        .iter()
        .filter(|document| document.name.starts_with("metrics.md"))
    {
        let base = value(&document.text, document.format);
        for (option, example) in options.as_object().unwrap() {
            let mut changed = base.clone();
            let metric = changed
                .pointer_mut("/metrics/0")
                .and_then(Value::as_object_mut)
                .unwrap();
            if metric.contains_key(option) {
                continue;
            }
            metric.insert(option.clone(), example.clone());
            compare(
                &validator,
                &changed,
                &format!("{} with {option}", base["metrics"][0]["type"]),
                &mut wrong,
            );
        }
    }
    show(&wrong);
}

fn show(wrong: &BTreeSet<String>) {
    let shown: Vec<&str> = wrong.iter().map(String::as_str).take(60).collect();
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), shown.join("\n"));
}

/// Notes where one of them takes a document and the other does not.
fn compare(validator: &Validator, document: &Value, what: &str, wrong: &mut BTreeSet<String>) {
    let fits = validator.is_valid(document);
    match read(document) {
        Ok(()) if !fits => {
            let errors: Vec<String> = validator
                .iter_errors(document)
                .map(|error| error.to_string())
                .take(2)
                .collect();
            wrong.insert(format!("{what}: is read, and does not fit: {}", errors.join("; ")));
        }
        Err(problems) if fits => {
            let whole = |problem: &&Problem| OF_THE_WHOLE.iter().any(|part| problem.message.contains(part));
            if let Some(problem) = problems.iter().find(|problem| !whole(problem)) {
                wrong.insert(format!("{what}: fits, and is refused: {problem}"));
            }
        }
        _ => {}
    }
}
