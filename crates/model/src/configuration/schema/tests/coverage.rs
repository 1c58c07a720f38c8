//! The examples called `everything-…` use every key of the format and every kind of metric.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::corpus::{corpus, value};
use super::walk::{keys_of, paths, place};
use crate::configuration::MetricKind;

/// Keys that no example has, as (place, key).
const WITHOUT: &[(&str, &str)] = &[
    // Only stored documents have them.
    ("#response_map", "fields"),
    ("#statuses", "first"),
    ("#statuses", "last"),
    ("#statuses[]", "first"),
    ("#statuses[]", "last"),
];

fn collect(schema: &Value, value: &Value, path: &str, used: &mut BTreeMap<String, BTreeSet<String>>) {
    match value {
        Value::Object(object) => {
            let Some(place) = place(schema, path) else { return };
            let known = keys_of(schema, &place);
            for (key, inner) in object {
                if known.contains(key) {
                    used.entry(place.clone()).or_default().insert(key.clone());
                }
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                collect(schema, inner, &path, used);
            }
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| collect(schema, item, &format!("{path}[]"), used)),
        _ => {}
    }
}

fn examples() -> Vec<Value> {
    let all = corpus();
    let everything = all.iter().filter(|document| document.name.contains("/everything-"));
    everything
        .map(|document| value(&document.text, document.format))
        .collect()
}

#[test]
fn the_examples_use_every_key() {
    let schema = super::configuration_schema();
    let mut used = BTreeMap::new();
    for example in examples() {
        collect(&schema, &example, "", &mut used);
    }
    let mut missing = Vec::new();
    for path in paths(&schema) {
        let used = used.get(&path).cloned().unwrap_or_default();
        for key in keys_of(&schema, &path).difference(&used) {
            if !WITHOUT.contains(&(path.as_str(), key.as_str())) && !path.starts_with("#response_map.fields") {
                missing.push(format!("{path}: {key}"));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "no example config/examples/everything-….yaml uses\n{}",
        missing.join("\n")
    );
}

#[test]
fn the_examples_use_every_kind_of_metric() {
    fn kinds(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => {
                if let Some(kind) = object.get("type").and_then(Value::as_str) {
                    found.insert(kind.strip_prefix("not-").unwrap_or(kind).to_owned());
                }
                object.values().for_each(|inner| kinds(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| kinds(inner, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    examples().iter().for_each(|example| kinds(example, &mut found));
    let missing: Vec<&str> = MetricKind::ALL
        .iter()
        .map(|kind| kind.word())
        .filter(|kind| !found.contains(*kind))
        .collect();
    assert!(
        missing.is_empty(),
        "no example config/examples/everything-….yaml uses {}",
        missing.join(", ")
    );
}
