//! What an assertion compares with.

use serde_json::{Map, Value};
use testfleet_model::configuration::reading::{DocumentFormat, plain_value};

use crate::template::{fill, is_template, rewrite};
use crate::work::Work;

/// Kinds whose value is a list, or a text with commas.
const LISTS: [&str; 5] = [
    "contains-any",
    "contains-all",
    "icontains-any",
    "icontains-all",
    "tool-call-f1",
];
/// Kinds whose value is a text there, whatever it looks like.
const TEXTS: [&str; 6] = [
    "contains",
    "icontains",
    "starts-with",
    "ends-with",
    "regex",
    "factuality",
];
/// Kinds whose value a judge reads.
const READ: [&str; 2] = ["llm-rubric", "g-eval"];

/// Puts the value of an assertion into a metric of this kind.
///
/// # Errors
/// Why it cannot be carried over.
pub(crate) fn put_value(
    metric: &mut Map<String, Value>,
    kind: &str,
    value: Value,
    vars: &Map<String, Value>,
    work: &mut Work<'_, '_>,
) -> Result<(), String> {
    if kind == "webhook" {
        metric.insert("url".to_owned(), address(value, vars, work)?.into());
        return Ok(());
    }
    let value = filled(of_file(value, work)?, vars)?;
    let (key, value) = match (kind, value) {
        ("is-json" | "contains-json", Value::String(text)) => {
            let schema = serde_json::from_str(&text).map_err(|_| format!("expected a JSON Schema, found {text:?}"))?;
            ("schema", schema)
        }
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
        (kind, value @ (Value::Number(_) | Value::Bool(_))) if TEXTS.contains(&kind) => {
            ("value", value.to_string().into())
        }
        (kind, value) if READ.contains(&kind) && !is_readable(&value) => ("value", value.to_string().into()),
        (_, value) => ("value", value),
    };
    metric.insert(key.to_owned(), value);
    Ok(())
}

/// A text, or texts.
fn is_readable(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().all(Value::is_string),
        other => other.is_string(),
    }
}

/// The content of a file that a value names.
fn of_file(value: Value, work: &mut Work<'_, '_>) -> Result<Value, String> {
    let Some(file) = value.as_str().and_then(|text| text.strip_prefix("file://")) else {
        return Ok(value);
    };
    match file.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "json" => {
            plain_value(&work.files.text(file)?, file, DocumentFormat::Json).map_err(|problems| problems.to_string())
        }
        "yaml" | "yml" => {
            plain_value(&work.files.text(file)?, file, DocumentFormat::Yaml).map_err(|problems| problems.to_string())
        }
        "txt" | "md" | "html" | "xml" => Ok(work.files.text(file)?.trim_end().into()),
        _ => Err(format!(
            "its value is in another file ({file}), and only files of text, JSON and YAML can be carried over"
        )),
    }
}

/// The address of a webhook: variables of the environment become secrets.
fn address(value: Value, vars: &Map<String, Value>, work: &mut Work<'_, '_>) -> Result<String, String> {
    let Value::String(text) = value else {
        return Err("the value of a webhook is its address".to_owned());
    };
    let rewritten = rewrite(&text)?;
    if rewritten.secrets.is_empty() {
        return fill(&text, vars);
    }
    if rewritten.text.contains("vars.") || rewritten.prompt {
        return Err(
            "the address of a webhook can have variables of the test or of the environment, not both".to_owned(),
        );
    }
    work.graders.secrets.extend(rewritten.secrets);
    Ok(rewritten.text)
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
