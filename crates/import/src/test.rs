//! Tests: variables and their combinations, defaults, scenarios, tables.

use std::cell::RefCell;

use serde_json::{Map, Value, json};
use testfleet_model::configuration::reading::{DocumentFormat, Entry, Node, NodeValue, Position, located};

use crate::Files;
use crate::asked::{Grading, Wants};
use crate::assertion::{Around, OUTPUT, metric};
use crate::note::join;
use crate::prompt::{Prompt, Said};
use crate::script;
use crate::template::{fill, is_template};
use crate::work::Work;

/// The most tests that the lists of one test's variables become.
const MOST: usize = 10_000;
const KNOWN: [&str; 6] = ["vars", "assert", "description", "threshold", "metadata", "options"];
/// Options that are carried over.
const OPTIONS: [&str; 8] = [
    "transform",
    "postprocess",
    "provider",
    "rubricPrompt",
    "factuality",
    "prefix",
    "suffix",
    "disableVarExpansion",
];

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
pub(crate) fn written(entry: &Entry, path: &str, work: &mut Work<'_, '_>) -> Vec<Written> {
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
            Some(name) => match of_file(name, work.files) {
                Ok(read) => tests.extend(read.into_iter().enumerate().map(|(row, node)| Written {
                    path: format!("{path} {name} [{row}]"),
                    node,
                    under: None,
                })),
                Err(why) => work.notes.left_out(item.position, &path, why),
            },
        }
    }
    tests
}

/// The tests of a file. They are placed where the file is named: its own lines are in the path.
fn of_file(name: &str, files: &mut Files<'_>) -> Result<Vec<Node>, String> {
    let file = name.strip_prefix("file://").unwrap_or(name);
    if file.contains('*') {
        let mut all = Vec::new();
        for file in files.named(file)? {
            all.extend(of_file(&file, files)?);
        }
        return Ok(all);
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
pub(crate) fn tests(written: &Written, making: &Making<'_>, work: &mut Work<'_, '_>) -> Vec<Value> {
    let Written { path, node, under } = written;
    let layers: Vec<&Node> = making.default.into_iter().chain(under.as_ref()).chain([node]).collect();
    if !matches!(node.value, NodeValue::Map(_)) {
        work.notes.left_out(
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
            work.notes
                .leave_out_rest(layer, path, &KNOWN, "tests of testfleet have no such key");
            if let Some(options) = layer.get("options") {
                let why = "tests of testfleet have no such option";
                work.notes
                    .leave_out_rest(&options.node, &join(path, "options"), &OPTIONS, why);
            }
        }
    }
    let is_expanded = option(&layers, "disableVarExpansion")
        .is_none_or(|(entry, _)| entry.node.clone().into_json() != Value::Bool(true));
    let mut vars: Vec<(String, Vec<Value>)> = Vec::new();
    for layer in &layers {
        let Some(entry) = layer.get("vars") else { continue };
        if entry.node.as_text().is_some() {
            let why = "its variables are in another file";
            work.notes.left_out(entry.position, &join(path, "vars"), why);
            return Vec::new();
        }
        for var in entry.node.entries() {
            match values(var, is_expanded, work.files) {
                Ok(values) => {
                    vars.retain(|(name, _)| *name != var.key);
                    vars.push((var.key.clone(), values));
                }
                Err(why) => {
                    let why = format!("the variable `{}`: {why}", var.key);
                    work.notes.left_out(node.position, path, why);
                    return Vec::new();
                }
            }
        }
    }
    let transform = match transform(&layers) {
        Ok(transform) => transform,
        Err((position, why)) => {
            work.notes.left_out(position, path, why);
            return Vec::new();
        }
    };
    let combinations = vars
        .iter()
        .try_fold(1usize, |count, (_, values)| count.checked_mul(values.len()));
    if combinations.is_none_or(|count| count > MOST) {
        work.notes.left_out(
            node.position,
            path,
            format!("its variables have more than {MOST} combinations"),
        );
        return Vec::new();
    }
    let options = join(path, "options");
    let grading = Grading {
        provider: option(&layers, "provider").map(|(entry, _)| entry),
        rubric_prompt: option(&layers, "rubricPrompt").map(|(entry, _)| entry),
        factuality: option(&layers, "factuality").map(|(entry, _)| entry),
        path: match option(&layers, "provider").or(option(&layers, "rubricPrompt")) {
            Some((_, false)) => "defaultTest.options",
            _ => &options,
        },
    };
    let mut made = Vec::new();
    for vars in combine(&vars) {
        let (vars, unresolved) = nested(vars);
        for name in unresolved {
            let how = format!(
                "the variable `{name}` is a template there; here variables are data, and its text stays as it is"
            );
            work.notes.changed(node.position, path, how);
        }
        let wants = RefCell::default();
        let around = Around {
            vars: &vars,
            transform: transform.as_deref(),
            grading,
            wants: &wants,
            root: making.root,
        };
        let metrics = metrics(&layers, path, &around, work);
        let one = One {
            layers: &layers,
            vars: &vars,
            metrics: &metrics,
            wants: &wants.into_inner(),
            path,
        };
        for prompt in making.prompts {
            made.push(one.with(prompt, making.prompts.len() > 1, work));
        }
    }
    made
}

/// The nearest option of a name, and whether it is the test's own.
fn option<'l>(layers: &[&'l Node], name: &str) -> Option<(&'l Entry, bool)> {
    let mut nearest = layers.iter().rev().enumerate();
    nearest.find_map(|(distance, layer)| {
        let entry = layer.get("options")?.node.get(name)?;
        Some((entry, distance == 0))
    })
}

/// What a variable can be: each item of a list, one after the other, unless lists are values.
fn values(var: &Entry, is_expanded: bool, files: &mut Files<'_>) -> Result<Vec<Value>, String> {
    let items = match &var.node.value {
        NodeValue::List(items) if is_expanded && items.iter().all(|item| item.as_text().is_some()) => items.clone(),
        _ => vec![var.node.clone()],
    };
    let mut values = Vec::new();
    for item in items {
        let Some(file) = item.as_text().and_then(|text| text.strip_prefix("file://")) else {
            values.push(item.into_json());
            continue;
        };
        for file in files.named(file)? {
            let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
            if !["txt", "md", "json", "yaml", "yml", "csv", "html", "xml"].contains(&extension) {
                return Err(format!("{file:?} cannot be carried over; only files of text can"));
            }
            values.push(files.text(&file)?.trim_end().into());
        }
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
    // `postprocess` is its name in older versions.
    let Some((entry, _)) = option(layers, "transform").or(option(layers, "postprocess")) else {
        return Ok(None);
    };
    let script = entry.node.as_text().unwrap_or_default();
    match script::path(script, &OUTPUT) {
        Some(path) => Ok(Some(path)),
        None => Err((
            entry.position,
            format!("its transform runs code ({script:?}), so its assertions would look at something else"),
        )),
    }
}

fn metrics(layers: &[&Node], path: &str, around: &Around<'_>, work: &mut Work<'_, '_>) -> Vec<Value> {
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
            metrics.extend(metric(item, &format!("{key}[{index}]"), around, work));
        }
        if assert.node.items().is_empty() && !assert.node.is_null() && !matches!(assert.node.value, NodeValue::List(_))
        {
            work.notes.left_out(
                assert.position,
                &key,
                format!("expected a list, found {}", assert.node.describe()),
            );
        }
    }
    metrics
}

/// One test, but for the prompt.
struct One<'a> {
    layers: &'a [&'a Node],
    vars: &'a Map<String, Value>,
    metrics: &'a [Value],
    wants: &'a Wants,
    path: &'a str,
}

impl One<'_> {
    /// The test with this prompt; `several`: whether there are others.
    fn with(&self, prompt: &Prompt, several: bool, work: &mut Work<'_, '_>) -> Value {
        let mut test = Map::new();
        let own = self.layers.last();
        if let Some(description) = own
            .and_then(|own| own.get("description"))
            .and_then(|entry| entry.node.as_text())
        {
            let description = fill(description, self.vars).unwrap_or_else(|_| description.to_owned());
            test.insert("description".to_owned(), description.into());
        }
        self.put_said(&mut test, prompt, work);
        if !self.vars.is_empty() {
            test.insert("vars".to_owned(), self.vars.clone().into());
        }
        if let Some(context) = &self.wants.context {
            test.insert("context".to_owned(), json!([context]));
        }
        let mut metadata = Map::new();
        for entry in self.layers.iter().filter_map(|layer| layer.get("metadata")) {
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
        self.put_threshold(&mut test, work);
        if self.metrics.is_empty() {
            let position = own.map_or(Position::START, |node| node.position);
            // Without a metric it would end in error; that a call succeeds at all is what remains to be checked.
            test.insert("metrics".to_owned(), json!([{"type": "status-code", "value": 200}]));
            let how = "it has no assertion (left), so only the status of the call is checked";
            work.notes.changed_once(position, self.path, how);
        } else {
            test.insert("metrics".to_owned(), self.metrics.to_vec().into());
        }
        Value::Object(test)
    }

    /// What is sent. Where metrics want the query as what was asked, it is the input, and the prompt stands in a message.
    fn put_said(&self, test: &mut Map<String, Value>, prompt: &Prompt, work: &mut Work<'_, '_>) {
        let around = |name: &str| {
            let (entry, _) = option(self.layers, name)?;
            let text = entry.node.as_text()?;
            Some((entry, fill(text, self.vars).unwrap_or_else(|_| text.to_owned())))
        };
        let (prefix, suffix) = (around("prefix"), around("suffix"));
        let said = match &prompt.said {
            Said::Input(input) => {
                let text =
                    |part: &Option<(&Entry, String)>| part.as_ref().map(|(_, text)| text.clone()).unwrap_or_default();
                Said::Input(format!("{}{input}{}", text(&prefix), text(&suffix)))
            }
            Said::Messages(messages) => {
                for (entry, _) in [&prefix, &suffix].into_iter().flatten() {
                    let why = "it stands around a text, and this prompt is a chat";
                    work.notes
                        .left_out(entry.position, &join(self.path, &join("options", &entry.key)), why);
                }
                Said::Messages(messages.clone())
            }
        };
        let is_query = |text: &str| text.replace(' ', "") == "{{vars.query}}";
        let said = match said {
            Said::Input(input) if self.wants.query && !is_query(&input) && work.target.is_chat => {
                Said::Messages(json!([{"role": "user", "content": input}]))
            }
            said => said,
        };
        match said {
            Said::Input(input) => {
                if self.wants.query && !is_query(&input) {
                    let position = self.layers.last().map_or(Position::START, |node| node.position);
                    let how = "what the output was given to is the whole prompt for its metrics, and the variable `query` there";
                    work.notes.changed_once(position, self.path, how);
                }
                test.insert("input".to_owned(), input.into());
            }
            Said::Messages(messages) => {
                if self.wants.query {
                    test.insert("input".to_owned(), "{{ vars.query }}".into());
                }
                test.insert("messages".to_owned(), messages);
            }
        }
    }

    fn put_threshold(&self, test: &mut Map<String, Value>, work: &mut Work<'_, '_>) {
        let Some(entry) = self.layers.iter().rev().find_map(|layer| layer.get("threshold")) else {
            return;
        };
        match entry.node.clone().into_json() {
            Value::Number(share) if share.as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)) => {
                test.insert("threshold".to_owned(), share.into());
            }
            other => work.notes.left_out(
                entry.position,
                &join(self.path, "threshold"),
                format!("{other} does not lie between 0 and 1"),
            ),
        }
    }
}
