//! Tests: variables and their combinations, defaults, scenarios, tables.

use serde_json::{Map, Value, json};
use testfleet_model::configuration::reading::{DocumentFormat, Entry, Node, NodeValue, Position, located};

use crate::Files;
use crate::assertion::{Around, OUTPUT, metric};
use crate::note::{Notes, join};
use crate::prompt::{Prompt, Said};
use crate::script;
use crate::template::{fill, is_template};

/// The most tests that the lists of one test's variables become.
const MOST: usize = 10_000;
const KNOWN: [&str; 6] = ["vars", "assert", "description", "threshold", "metadata", "options"];

/// What all tests are made with.
pub(crate) struct Making<'a> {
    pub(crate) root: &'a Node,
    pub(crate) prompts: &'a [Prompt],
    /// `defaultTest`.
    pub(crate) default: Option<&'a Node>,
}

/// A test as it stands there, and where.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) path: String,
    pub(crate) node: Node,
    /// What a scenario adds under it.
    pub(crate) under: Option<Node>,
}

/// The tests of a key: written there, or in files it names.
pub(crate) fn written(entry: &Entry, path: &str, files: &mut Files<'_>, notes: &mut Notes) -> Vec<Written> {
    let mut tests = Vec::new();
    let items: Vec<&Node> = match &entry.node.value {
        NodeValue::List(items) => items.iter().collect(),
        _ => vec![&entry.node],
    };
    for (index, item) in items.into_iter().enumerate() {
        let path = format!("{path}[{index}]");
        match item.as_text() {
            None => tests.push(Written {
                path,
                node: item.clone(),
                under: None,
            }),
            Some(name) => match of_file(name, files) {
                Ok(read) => tests.extend(read.into_iter().enumerate().map(|(row, node)| Written {
                    path: format!("{path} {name} [{row}]"),
                    node,
                    under: None,
                })),
                Err(why) => notes.left_out(item.position, &path, why),
            },
        }
    }
    tests
}

/// The tests of a file. They are placed where the file is named: its own lines are in the path.
fn of_file(name: &str, files: &mut Files<'_>) -> Result<Vec<Node>, String> {
    let file = name.strip_prefix("file://").unwrap_or(name);
    if file.contains('*') {
        return Err(format!("{file:?} names several files; name them one by one"));
    }
    let extension = file
        .rsplit_once('.')
        .map_or("", |(_, extension)| extension)
        .to_ascii_lowercase();
    let list = |text: String, format| {
        let node = located(&text, file, format).map_err(|problems| problems.to_string())?;
        match node.value {
            NodeValue::List(items) => Ok(items),
            _ => Err(format!("{file}: expected a list of tests, found {}", node.describe())),
        }
    };
    match extension.as_str() {
        "csv" => crate::table::tests(&files.text(file)?, file),
        "yaml" | "yml" => list(files.text(file)?, DocumentFormat::Yaml),
        "json" => list(files.text(file)?, DocumentFormat::Json),
        "jsonl" => {
            let text = files.text(file)?;
            let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
            lines
                .map(|(number, line)| {
                    located(line, file, DocumentFormat::Json)
                        .map_err(|problems| format!("line {}: {problems}", number + 1))
                })
                .collect()
        }
        _ => Err(format!(
            "{file:?} is no file of tests that can be carried over: .csv, .yaml, .json or .jsonl"
        )),
    }
}

/// Everything that one written test becomes: one for each combination of its variables and each prompt.
pub(crate) fn tests(written: &Written, making: &Making<'_>, files: &mut Files<'_>, notes: &mut Notes) -> Vec<Value> {
    let Written { path, node, under } = written;
    let layers: Vec<&Node> = making.default.into_iter().chain(under.as_ref()).chain([node]).collect();
    if !matches!(node.value, NodeValue::Map(_)) {
        notes.left_out(
            node.position,
            path,
            format!("expected a test, found {}", node.describe()),
        );
        return Vec::new();
    }
    for (layer, path) in [
        (Some(node), path.as_str()),
        (under.as_ref(), "scenarios"),
        (making.default, "defaultTest"),
    ] {
        if let Some(layer) = layer {
            notes.leave_out_rest(layer, path, &KNOWN, "tests of testfleet have no such key");
        }
    }
    let mut vars: Vec<(String, Vec<Value>)> = Vec::new();
    for layer in &layers {
        let Some(entry) = layer.get("vars") else { continue };
        if entry.node.as_text().is_some() {
            notes.left_out(entry.position, &join(path, "vars"), "its variables are in another file");
            return Vec::new();
        }
        for var in entry.node.entries() {
            match values(var, files) {
                Ok(values) => {
                    vars.retain(|(name, _)| *name != var.key);
                    vars.push((var.key.clone(), values));
                }
                Err(why) => {
                    notes.left_out(node.position, path, format!("the variable `{}`: {why}", var.key));
                    return Vec::new();
                }
            }
        }
    }
    let transform = match transform(&layers) {
        Ok(transform) => transform,
        Err((position, why)) => {
            notes.left_out(position, path, why);
            return Vec::new();
        }
    };
    let combinations = vars
        .iter()
        .try_fold(1usize, |count, (_, values)| count.checked_mul(values.len()));
    if combinations.is_none_or(|count| count > MOST) {
        notes.left_out(
            node.position,
            path,
            format!("its variables have more than {MOST} combinations"),
        );
        return Vec::new();
    }
    let mut made = Vec::new();
    for vars in combine(&vars) {
        let (vars, unresolved) = nested(vars);
        for name in unresolved {
            let how = format!(
                "the variable `{name}` is a template there; here variables are data, and its text stays as it is"
            );
            notes.changed(node.position, path, how);
        }
        let around = Around {
            vars: &vars,
            transform: transform.as_deref(),
            root: making.root,
        };
        let metrics = metrics(&layers, path, &around, notes);
        for prompt in making.prompts {
            made.push(test(
                &layers,
                prompt,
                making.prompts.len() > 1,
                &vars,
                &metrics,
                path,
                notes,
            ));
        }
    }
    made
}

/// What a variable can be: each item of a list, one after the other.
fn values(var: &Entry, files: &mut Files<'_>) -> Result<Vec<Value>, String> {
    let items = match &var.node.value {
        NodeValue::List(items) if items.iter().all(|item| item.as_text().is_some()) => items.clone(),
        _ => vec![var.node.clone()],
    };
    let mut values = Vec::new();
    for item in items {
        let Some(file) = item.as_text().and_then(|text| text.strip_prefix("file://")) else {
            values.push(item.into_json());
            continue;
        };
        let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
        if file.contains('*') || !["txt", "md", "json", "yaml", "yml", "csv", "html", "xml"].contains(&extension) {
            return Err(format!(
                "{file:?} cannot be carried over; only single files of text can"
            ));
        }
        values.push(files.text(file)?.trim_end().into());
    }
    Ok(values)
}

/// Every combination, the last variable fastest.
fn combine(vars: &[(String, Vec<Value>)]) -> Vec<Map<String, Value>> {
    let mut all = vec![Map::new()];
    for (name, values) in vars {
        all = all
            .iter()
            .flat_map(|known| {
                values.iter().map(move |value| {
                    let mut next = known.clone();
                    next.insert(name.clone(), value.clone());
                    next
                })
            })
            .collect();
    }
    all
}

/// Variables in variables, filled in as they are there; and the names of those where that is not possible.
fn nested(vars: Map<String, Value>) -> (Map<String, Value>, Vec<String>) {
    let known = vars.clone();
    let mut unresolved = Vec::new();
    let vars = vars.into_iter().map(|(name, value)| match value {
        Value::String(text) if is_template(&text) => match fill(&text, &known) {
            Ok(text) => (name, text.into()),
            Err(_) => {
                unresolved.push(name.clone());
                (name, text.into())
            }
        },
        other => (name, other),
    });
    let vars = vars.collect();
    (vars, unresolved)
}

/// The JSONPath of `options.transform`, the nearest one.
fn transform(layers: &[&Node]) -> Result<Option<String>, (Position, String)> {
    for layer in layers.iter().rev() {
        let Some(entry) = layer.get("options").and_then(|entry| entry.node.get("transform")) else {
            continue;
        };
        let script = entry.node.as_text().unwrap_or_default();
        return match script::path(script, &OUTPUT) {
            Some(path) => Ok(Some(path)),
            None => Err((
                entry.position,
                format!("its transform runs code ({script:?}), so its assertions would look at something else"),
            )),
        };
    }
    Ok(None)
}

fn metrics(layers: &[&Node], path: &str, around: &Around<'_>, notes: &mut Notes) -> Vec<Value> {
    let mut metrics = Vec::new();
    for (depth, layer) in layers.iter().enumerate() {
        let own = depth + 1 == layers.len();
        let Some(assert) = layer.get("assert") else { continue };
        let key = if own {
            join(path, "assert")
        } else {
            "defaultTest.assert".to_owned()
        };
        for (index, item) in assert.node.items().iter().enumerate() {
            metrics.extend(metric(item, &format!("{key}[{index}]"), around, notes));
        }
        if assert.node.items().is_empty() && !assert.node.is_null() && !matches!(assert.node.value, NodeValue::List(_))
        {
            notes.left_out(
                assert.position,
                &key,
                format!("expected a list, found {}", assert.node.describe()),
            );
        }
    }
    metrics
}

fn test(
    layers: &[&Node],
    prompt: &Prompt,
    several: bool,
    vars: &Map<String, Value>,
    metrics: &[Value],
    path: &str,
    notes: &mut Notes,
) -> Value {
    let mut test = Map::new();
    let last = |key: &str| layers.iter().rev().find_map(|layer| layer.get(key));
    if let Some(description) = layers
        .last()
        .and_then(|own| own.get("description"))
        .and_then(|entry| entry.node.as_text())
    {
        let description = fill(description, vars).unwrap_or_else(|_| description.to_owned());
        test.insert("description".to_owned(), description.into());
    }
    match &prompt.said {
        Said::Input(input) => test.insert("input".to_owned(), input.clone().into()),
        Said::Messages(messages) => test.insert("messages".to_owned(), messages.clone()),
    };
    if !vars.is_empty() {
        test.insert("vars".to_owned(), vars.clone().into());
    }
    let mut metadata = Map::new();
    for entry in layers.iter().filter_map(|layer| layer.get("metadata")) {
        if let Value::Object(more) = entry.node.clone().into_json() {
            metadata.extend(more);
        }
    }
    if !metadata.is_empty() {
        test.insert("metadata".to_owned(), metadata.into());
    }
    if several {
        test.insert("tags".to_owned(), json!({"prompt": prompt.label}));
    }
    if let Some(entry) = last("threshold") {
        match entry.node.clone().into_json() {
            Value::Number(share) if share.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)) => {
                test.insert("threshold".to_owned(), share.into());
            }
            other => notes.left_out(
                entry.position,
                &join(path, "threshold"),
                format!("{other} does not lie between 0 and 1"),
            ),
        }
    }
    for options in layers.iter().filter_map(|layer| layer.get("options")) {
        let why = "tests of testfleet have no such option";
        notes.leave_out_rest(&options.node, &join(path, "options"), &["transform"], why);
    }
    if metrics.is_empty() {
        let position = layers.last().map_or(Position::START, |node| node.position);
        // Without a metric it would end in error; that a call succeeds at all is what remains to be checked.
        test.insert("metrics".to_owned(), json!([{"type": "status-code", "value": 200}]));
        notes.changed(
            position,
            path,
            "it has no assertion (left), so only the status of the call is checked",
        );
    } else {
        test.insert("metrics".to_owned(), metrics.to_vec().into());
    }
    Value::Object(test)
}
