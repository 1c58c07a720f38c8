//! Walks a schema by the paths that readers use.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Schemas that hold at one place, references and alternatives resolved.
fn flat<'s>(root: &'s Value, schema: &'s Value, into: &mut Vec<&'s Map<String, Value>>) {
    let Some(object) = schema.as_object() else { return };
    into.push(object);
    if let Some(name) = object.get("$ref").and_then(Value::as_str) {
        flat(root, root.pointer(&name[1..]).unwrap(), into);
    }
    for word in ["anyOf", "allOf"] {
        for inner in object.get(word).and_then(Value::as_array).into_iter().flatten() {
            flat(root, inner, into);
        }
    }
    if let Some(then) = object.get("then") {
        flat(root, then, into);
    }
}

fn steps(path: &str) -> Vec<String> {
    let path = path.replace("[]", ".[]");
    path.split('.')
        .filter(|step| !step.is_empty())
        .map(str::to_owned)
        .collect()
}

/// What a step leads to, and how the step is called when names are free.
fn child<'s>(root: &'s Value, at: &[&'s Value], step: &str) -> (Vec<&'s Value>, String) {
    let mut schemas = Vec::new();
    for schema in at {
        flat(root, schema, &mut schemas);
    }
    if step == "[]" {
        return (
            schemas.iter().filter_map(|schema| schema.get("items")).collect(),
            step.to_owned(),
        );
    }
    let named: Vec<&Value> = schemas
        .iter()
        .filter_map(|schema| schema.get("properties")?.get(step))
        .collect();
    if !named.is_empty() {
        return (named, step.to_owned());
    }
    let free = schemas.iter().filter_map(|schema| schema.get("additionalProperties"));
    (free.filter(|schema| schema.is_object()).collect(), "*".to_owned())
}

/// The definition that all of these are, as `#name`.
fn definition(at: &[&Value]) -> Option<String> {
    let name = |schema: &Value| {
        let alternatives = schema.get("anyOf").and_then(Value::as_array);
        let named = |schema: &Value| Some(schema.get("$ref")?.as_str()?.replace("#/$defs/", "#"));
        named(schema).or_else(|| alternatives.into_iter().flatten().find_map(named))
    };
    at.iter().find_map(|schema| name(schema))
}

fn find<'s>(root: &'s Value, path: &str) -> (Vec<&'s Value>, String) {
    let mut at = vec![root];
    let mut general = String::new();
    for step in steps(path) {
        if let Some(name) = step.strip_prefix('#') {
            at = vec![&root["$defs"][name]];
            general = step;
            continue;
        }
        let (next, name) = child(root, &at, if step == "*" { "\u{0}" } else { &step });
        at = next;
        if name != "[]" && !general.is_empty() {
            general.push('.');
        }
        general.push_str(&name);
        general = definition(&at).unwrap_or(general);
    }
    (at, general)
}

/// The path with `*` for names that are free to choose, from the nearest definition on; `None` when the schema has no such
/// place.
pub(super) fn place(root: &Value, path: &str) -> Option<String> {
    let (at, general) = find(root, path);
    (!at.is_empty()).then_some(general)
}

/// The keys that a mapping may have.
pub(super) fn keys_of(root: &Value, path: &str) -> BTreeSet<String> {
    let mut schemas = Vec::new();
    for schema in find(root, path).0 {
        flat(root, schema, &mut schemas);
    }
    schemas
        .iter()
        .filter_map(|schema| schema.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().cloned())
        .collect()
}

/// The words that a text may be.
pub(super) fn words_of(root: &Value, path: &str) -> BTreeSet<String> {
    let mut schemas = Vec::new();
    for schema in find(root, path).0 {
        flat(root, schema, &mut schemas);
    }
    let listed = schemas
        .iter()
        .filter_map(|schema| schema.get("enum")?.as_array())
        .flatten();
    let only = schemas.iter().filter_map(|schema| schema.get("const"));
    listed
        .chain(only)
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

/// The paths of all mappings that have known keys.
pub(super) fn paths(root: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    visit(root, String::new(), &mut found);
    for (name, definition) in root["$defs"].as_object().unwrap() {
        visit(definition, format!("#{name}"), &mut found);
    }
    found
}

fn visit(schema: &Value, path: String, found: &mut BTreeSet<String>) {
    let Some(object) = schema.as_object() else { return };
    let join = |step: &str| {
        if path.is_empty() {
            step.to_owned()
        } else {
            format!("{path}.{step}")
        }
    };
    for word in ["anyOf", "allOf"] {
        for inner in object.get(word).and_then(Value::as_array).into_iter().flatten() {
            visit(inner, path.clone(), found);
        }
    }
    if let Some(then) = object.get("then") {
        visit(then, path.clone(), found);
    }
    if let Some(properties) = object.get("properties").and_then(Value::as_object) {
        found.insert(path.clone());
        for (key, inner) in properties {
            visit(inner, join(key), found);
        }
    }
    if let Some(items) = object.get("items") {
        visit(items, format!("{path}[]"), found);
    }
    if let Some(free) = object.get("additionalProperties") {
        visit(free, join("*"), found);
    }
}
