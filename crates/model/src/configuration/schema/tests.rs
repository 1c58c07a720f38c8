//! The schema and the readers agree: on keys, on words, and on what fits.

mod corpus;
mod coverage;
mod mutation;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;

use super::configuration_schema;
use crate::configuration::reading::trace::{Trace, trace};
use crate::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use corpus::{Document, corpus};
use walk::{keys_of, paths, place};

fn validator() -> Validator {
    jsonschema::options().offline().build(&configuration_schema()).unwrap()
}

/// What the readers noted over the whole corpus, with names that are free to choose as `*`.
fn traced() -> Trace {
    let schema = configuration_schema();
    let mut all = Trace::default();
    for document in corpus() {
        all.merge(trace(&document.text, document.format));
    }
    let known = |path: &String| place(&schema, path).unwrap_or_else(|| path.clone());
    let mut general = Trace::default();
    for (path, keys) in &all.keys {
        general.keys.entry(known(path)).or_default().extend(keys);
    }
    for (path, words) in &all.words {
        general.words.entry(known(path)).or_default().extend(words);
    }
    general
}

#[test]
fn it_is_a_schema_of_its_draft() {
    assert!(jsonschema::meta::is_valid(&configuration_schema()));
}

#[test]
fn the_schema_has_the_keys_that_are_read_and_no_other() {
    let schema = configuration_schema();
    let mut wrong = Vec::new();
    for (path, read) in traced().keys {
        let described: BTreeSet<String> = keys_of(&schema, &path);
        let read: BTreeSet<String> = read.iter().map(|key| (*key).to_owned()).collect();
        for key in read.difference(&described) {
            wrong.push(format!(
                "`{path}`: `{key}` is read, but `configuration/schema` does not describe it"
            ));
        }
        for key in described.difference(&read) {
            wrong.push(format!("`{path}`: `{key}` is in the schema, but nothing reads it"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_mapping_of_the_schema_is_in_a_document_of_the_corpus() {
    let traced: BTreeMap<String, _> = traced().keys;
    // Read as a whole, not key by key.
    let whole = |path: &str| path.starts_with("#statuses");
    let missing: Vec<String> = paths(&configuration_schema())
        .into_iter()
        .filter(|path| !traced.contains_key(path) && !whole(path))
        .collect();
    assert!(
        missing.is_empty(),
        "no document of the corpus has {}",
        missing.join(", ")
    );
}

#[test]
fn the_schema_has_the_words_that_are_understood_and_no_other() {
    let schema = configuration_schema();
    for (path, understood) in traced().words {
        let described = walk::words_of(&schema, &path);
        let understood: BTreeSet<String> = understood.iter().map(|word| (*word).to_owned()).collect();
        // A metric's operators depend on its kind; the schema has the union of them.
        assert_eq!(described, understood, "words of {path}");
    }
}

#[test]
fn every_document_of_the_corpus_fits() {
    let validator = validator();
    for Document { name, text, format } in corpus() {
        let read = read_configuration(&text, &name, format, &Defaults::default());
        assert!(read.is_ok(), "{}", read.unwrap_err());
        let value = corpus::value(&text, format);
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
    }
}

#[test]
fn a_stored_document_fits() {
    let validator = validator();
    for Document { name, text, format } in corpus() {
        let reading = read_configuration(&text, &name, format, &Defaults::default()).unwrap();
        let stored = serde_json::to_value(&reading.configuration).unwrap();
        let again = read_configuration(&stored.to_string(), &name, DocumentFormat::Json, &Defaults::default());
        if again.is_ok() {
            let errors: Vec<String> = validator
                .iter_errors(&stored)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{name}: {}", errors.join("\n"));
        }
    }
}

#[test]
fn every_key_says_what_it_is() {
    fn check(value: &serde_json::Value, path: &str) {
        if let Some(properties) = value.get("properties").and_then(|properties| properties.as_object()) {
            for (key, schema) in properties {
                let says = schema
                    .get("description")
                    .and_then(|says| says.as_str())
                    .unwrap_or_default();
                let in_condition = path.ends_with("/if") || path.ends_with("/else");
                assert!(
                    in_condition || (says.ends_with(['.', ')', '…'])),
                    "{path}/{key}: {says:?}"
                );
            }
        }
        if let Some(object) = value.as_object() {
            for (key, inner) in object.iter().filter(|(key, _)| *key != "default" && *key != "examples") {
                check(inner, &format!("{path}/{key}"));
            }
        }
        for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
            check(inner, &format!("{path}/{index}"));
        }
    }
    check(&configuration_schema(), "");
}

/// `UPDATE_SCHEMA=1` writes the file, as `testfleet config schema > config/testfleet.schema.json` does.
#[test]
fn the_file_in_config_is_this_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/testfleet.schema.json");
    let text = serde_json::to_string_pretty(&configuration_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some_and(|update| !update.is_empty()) {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    let at = kept.lines().zip(text.lines()).position(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "config/testfleet.schema.json is not what the code says (line {:?}); write it anew with \
         `UPDATE_SCHEMA=1 cargo test -p testfleet-model schema`",
        at.map(|line| line + 1)
    );
}
