//! Configurations of promptfoo become ours.
//!
//! [`import`] reads a `promptfooconfig.yaml` (or its JSON) and gives a configuration that `testfleet config check` accepts, and
//! a [`Note`] for everything that is not in it as it was, with its place. Nothing is dropped in silence: a key that is not
//! understood is a note as well.
//!
//! * `provider`: providers become the endpoint; one at a time, since a configuration has one.
//! * `prompt`, `test`, `table`: prompts and tests, multiplied out, become tests.
//! * `assertion`, `value`, `absent`: assertions become metrics, if the readers and compilers of metrics take them.
//! * `asked`, `grader`, `rubric_prompt`: what model-graded assertions need beside that: models, their words, the context.
//! * `server`: which ids of providers are models of servers that speak OpenAI's API.
//! * `template`, `script`, `condition`: templates are rewritten; of JavaScript only what says where something is, and plain
//!   conditions, are understood.
//! * `yaml`: the result as text.
//!
//! Deliberately absent: running code, and reading files; the caller gives a function for that.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod absent;
mod acceptance;
mod asked;
mod assertion;
mod condition;
mod grader;
mod note;
mod prompt;
mod provider;
mod rubric_prompt;
mod script;
mod server;
mod table;
mod template;
mod test;
mod value;
mod work;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use testfleet_model::configuration::reading::{DocumentFormat, Node, NodeValue, Problem, Problems, located};

use grader::Graders;
pub use note::{Fate, Note};
use note::{Notes, join};
use prompt::prompts;
use provider::{Endpoint, endpoint, name_of};
use test::{Making, Written, tests, written};
use work::{Target, Work};

/// Keys of the document that are carried over.
const KNOWN: [&str; 14] = [
    "env",
    "$schema",
    "description",
    "prompts",
    "providers",
    "targets",
    "tests",
    "defaultTest",
    "scenarios",
    "evaluateOptions",
    "outputPath",
    "tags",
    "assertionTemplates",
    "metadata",
];

/// The most tests of a result, which is one document. Larger sets are files of their own.
const MOST_TESTS: usize = 20_000;

/// Gives the files that a pattern names, or says why it could not.
type List<'f> = &'f mut dyn FnMut(&str) -> Result<Vec<String>, String>;

/// Texts of files that a configuration refers to.
pub struct Files<'f> {
    read: &'f mut dyn FnMut(&str) -> Result<String, String>,
    list: Option<List<'f>>,
}

impl<'f> Files<'f> {
    /// `read` gives the text of a file by its path as written, relative to the configuration, or says why it could not.
    pub fn new(read: &'f mut dyn FnMut(&str) -> Result<String, String>) -> Self {
        Self { read, list: None }
    }

    /// The same; `list` gives the files that a pattern with `*` names, in the order of their names, or says why it could not.
    #[must_use]
    pub fn listed_by(self, list: List<'f>) -> Self {
        Self {
            list: Some(list),
            ..self
        }
    }

    /// The files that a name stands for: itself, or all that fit a pattern.
    pub(crate) fn named(&mut self, file: &str) -> Result<Vec<String>, String> {
        if !file.contains('*') {
            return Ok(vec![file.to_owned()]);
        }
        let Some(list) = &mut self.list else {
            return Err(format!("{file:?} names several files; name them one by one"));
        };
        match list(file) {
            Ok(files) if files.is_empty() => Err(format!("{file:?}: there is no such file")),
            Ok(files) => Ok(files),
            Err(why) => Err(format!("{file:?}: {why}")),
        }
    }

    pub(crate) fn text(&mut self, file: &str) -> Result<String, String> {
        let text = (self.read)(file).map_err(|why| format!("{file}: {why}"))?;
        Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }
}

/// What an import gave.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The configuration, as people write it.
    pub document: Value,
    /// The same as YAML, with comments where somebody has to look.
    pub yaml: String,
    /// What is not in it as it was, in the order of the text.
    pub notes: Vec<Note>,
}

/// Imports a configuration. `file` names it in notes; `provider` chooses one of its providers by id, label or number (from 1),
/// else the first that can be carried over is taken.
///
/// # Errors
/// When the text is no such configuration, no provider of that name is there, no test is left, or what came of it would not be
/// accepted (a URL that is none, for example).
pub fn import(text: &str, file: &str, provider: Option<&str>, files: &mut Files<'_>) -> Result<Imported, Problems> {
    let format = DocumentFormat::of_file(file).unwrap_or(DocumentFormat::Yaml);
    let root = located(text, file, format)?;
    let refuse =
        |node: &Node, key: &str, message: &str| Problems::from(Problem::new(file, node.position, key, message));
    let is_ours = |key: &str| root.get(key).is_some();
    if !matches!(root.value, NodeValue::Map(_)) {
        let message = "expected a configuration with `prompts`, `providers` and `tests`; a file of tests needs no import: name it under `test_set.sources`";
        return Err(refuse(&root, "", message));
    }
    if is_ours("endpoint") && is_ours("test_set") {
        return Err(refuse(&root, "", "this is a configuration of testfleet already"));
    }
    if !["prompts", "tests", "scenarios"].iter().any(|key| is_ours(key)) {
        return Err(refuse(
            &root,
            "",
            "there are no `prompts` and no `tests`, so this is no configuration of promptfoo",
        ));
    }
    let mut notes = Notes::new(file);
    notes.leave_out_rest(&root, "", &KNOWN, "configurations of testfleet have no such key");
    if let Some(entry) = root.get("env") {
        let names: Vec<&str> = entry.node.entries().iter().map(|entry| entry.key.as_str()).collect();
        let how = format!(
            "values are not repeated; put them into the environment of testfleet: {}",
            names.join(", ")
        );
        notes.changed(entry.position, "env", how);
    }
    let endpoint = choose(&root, provider, &mut notes).map_err(|message| refuse(&root, "providers", &message))?;
    let mut work = Work {
        files,
        notes,
        graders: Graders::default(),
        target: Target::of(&endpoint),
    };
    let tests = all_tests(&root, &mut work);
    if tests.is_empty() {
        let mut problems = refuse(&root, "tests", "no test is left that can be carried over").0;
        problems.extend(work.notes.all.into_iter().map(|note| note.problem));
        return Err(Problems::sorted(problems));
    }
    let (document, comments) = assemble(&root, file, endpoint, tests, &mut work);
    let mut notes = work.notes.all;
    notes.sort_by_key(|note| note.problem.position());
    let yaml = yaml::write(&document, &comments);
    acceptance::accept(&yaml, file)?;
    Ok(Imported { document, yaml, notes })
}

/// The endpoint of the chosen provider.
fn choose(root: &Node, wanted: Option<&str>, notes: &mut Notes) -> Result<Endpoint, String> {
    let entry = root.get("providers").or_else(|| root.get("targets"));
    let (key, all): (&str, Vec<&Node>) = match entry {
        None => ("providers", Vec::new()),
        Some(entry) => match &entry.node.value {
            NodeValue::List(items) => (&entry.key, items.iter().collect()),
            _ => (&entry.key, vec![&entry.node]),
        },
    };
    let mut chosen = None;
    for (index, node) in all.iter().enumerate() {
        let path = format!("{key}[{index}]");
        let Some((id, options)) = name_of(node) else {
            notes.left_out(node.position, &path, "expected the id of a provider");
            continue;
        };
        let label = options
            .and_then(|options| options.get("label"))
            .and_then(|entry| entry.node.as_text());
        let is_wanted =
            wanted.is_none_or(|wanted| id == wanted || label == Some(wanted) || (index + 1).to_string() == wanted);
        if !is_wanted || chosen.is_some() {
            let why = format!(
                "a configuration has one endpoint; import {id:?} by itself with `--provider {}`",
                index + 1
            );
            notes.left_out(node.position, &path, why);
            continue;
        }
        match endpoint(&id, node, options, &path, notes) {
            Ok(endpoint) => chosen = Some(endpoint),
            Err(why) if wanted.is_some() => return Err(format!("the provider {id:?} cannot be carried over: {why}")),
            Err(why) => notes.left_out(node.position, &path, why),
        }
    }
    if let Some(endpoint) = chosen {
        return Ok(endpoint);
    }
    if let Some(wanted) = wanted {
        return Err(format!(
            "there is no provider {wanted:?}; name one by its id, its label or its number from 1 to {}",
            all.len()
        ));
    }
    let position = entry.map_or(root.position, |entry| entry.position);
    notes.changed(
        position,
        key,
        "there is no provider that can be carried over; write what to call under `endpoint`",
    );
    let mut endpoint = Endpoint::default();
    endpoint.put("url", "https://endpoint.invalid/");
    endpoint.put("body", json!({"prompt": "{{ input }}"}));
    endpoint
        .comments
        .push("LOOK: no provider could be carried over. Write what to call.".to_owned());
    Ok(endpoint)
}

fn all_tests(root: &Node, work: &mut Work<'_, '_>) -> Vec<Value> {
    let prompts = match root.get("prompts") {
        Some(entry) => prompts(&entry.node, "prompts", work.files, &mut work.notes),
        None => Vec::new(),
    };
    if prompts.is_empty() {
        let position = root.get("prompts").map_or(root.position, |entry| entry.position);
        work.notes.left_out(
            position,
            "prompts",
            "no prompt is left that can be carried over, and without one there is nothing to send",
        );
        return Vec::new();
    }
    let default = root.get("defaultTest").map(|entry| &entry.node);
    let default = match default.and_then(Node::as_text) {
        Some(file) => {
            let position = default.map_or(root.position, |node| node.position);
            work.notes.left_out(
                position,
                "defaultTest",
                format!("it is in another file ({file}); write it here"),
            );
            None
        }
        None => default,
    };
    let making = Making {
        root,
        prompts: &prompts,
        default,
    };
    let mut all: Vec<Written> = Vec::new();
    if let Some(entry) = root.get("tests") {
        all.extend(written(entry, "tests", work));
    }
    if let Some(entry) = root.get("scenarios") {
        all.extend(scenarios(&entry.node, work));
    }
    if all.is_empty() && root.get("tests").is_none() && root.get("scenarios").is_none() {
        // The prompts alone are what is sent.
        let node = Node::new(root.position, NodeValue::Map(Vec::new()));
        all.push(Written {
            path: "tests".to_owned(),
            node,
            under: None,
        });
    }
    let mut made = Vec::new();
    for written in &all {
        made.extend(tests(written, &making, work));
        if made.len() > MOST_TESTS {
            let why = format!("there are more than {MOST_TESTS} tests; those beyond are not in the result");
            work.notes.left_out(written.node.position, &written.path, why);
            made.truncate(MOST_TESTS);
            break;
        }
    }
    made
}

/// Each configuration of a scenario with each of its tests.
fn scenarios(node: &Node, work: &mut Work<'_, '_>) -> Vec<Written> {
    let mut all = Vec::new();
    for (index, scenario) in node.items().iter().enumerate() {
        let path = format!("scenarios[{index}]");
        let (Some(config), Some(entry)) = (scenario.get("config"), scenario.get("tests")) else {
            work.notes.left_out(
                scenario.position,
                &path,
                "a scenario has `config` and `tests`, both written here",
            );
            continue;
        };
        work.notes.leave_out_rest(
            scenario,
            &path,
            &["config", "tests", "description"],
            "nothing here is like it",
        );
        let tests = written(entry, &join(&path, "tests"), work);
        for (number, under) in config.node.items().iter().enumerate() {
            for test in &tests {
                all.push(Written {
                    path: format!("{} with config[{number}]", test.path),
                    node: test.node.clone(),
                    under: Some(under.clone()),
                });
            }
        }
    }
    all
}

fn assemble(
    root: &Node,
    file: &str,
    endpoint: Endpoint,
    tests: Vec<Value>,
    work: &mut Work<'_, '_>,
) -> (Value, BTreeMap<String, Vec<String>>) {
    let mut document = Map::new();
    document.insert("version".to_owned(), 1.into());
    let stem = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let stem = stem.rsplit_once('.').map_or(stem, |(stem, _)| stem);
    let description = root
        .get("description")
        .and_then(|entry| entry.node.as_text())
        .filter(|text| !text.trim().is_empty());
    document.insert("name".to_owned(), description.unwrap_or(stem).into());
    if let Some(entry) = root.get("tags") {
        let mut tags = Map::new();
        for tag in entry.node.entries() {
            match tag.node.as_text() {
                Some(text) => drop(tags.insert(tag.key.clone(), text.into())),
                None => work
                    .notes
                    .left_out(tag.position, &join("tags", &tag.key), "a tag is a text"),
            }
        }
        document.insert("tags".to_owned(), tags.into());
    }
    if let Some(Value::Object(metadata)) = root.get("metadata").map(|entry| entry.node.clone().into_json()) {
        document.insert("metadata".to_owned(), metadata.into());
    }
    let mut endpoint = endpoint;
    let mut attributes = Map::new();
    if let Some(entry) = root.get("evaluateOptions") {
        options(&entry.node, &mut attributes, &mut endpoint, &mut work.notes);
    }
    if let Some(context) = &work.target.context {
        endpoint.put_context(context);
    }
    let mut secrets: BTreeSet<String> = std::mem::take(&mut endpoint.secrets);
    secrets.append(&mut work.graders.secrets);
    if !secrets.is_empty() {
        let secrets = secrets.into_iter().map(|name| (name, json!({"required": true})));
        document.insert("secrets".to_owned(), Value::Object(secrets.collect()));
    }
    if !work.graders.models.is_empty() {
        document.insert("models".to_owned(), std::mem::take(&mut work.graders.models).into());
    }
    document.insert("endpoint".to_owned(), endpoint.value.into());
    document.insert("test_set".to_owned(), json!({"tests": tests}));
    if !attributes.is_empty() {
        document.insert("attributes".to_owned(), attributes.into());
    }
    let reports = root
        .get("outputPath")
        .map(|entry| reports(&entry.node, &mut work.notes))
        .unwrap_or_default();
    if !reports.is_empty() {
        document.insert("reports".to_owned(), reports.into());
    }
    let mut comments = std::mem::take(&mut work.graders.comments);
    let mut top = vec![format!("Imported from {file}.")];
    if !work.notes.all.is_empty() {
        top.push("Not in it as it was there:".to_owned());
        let mut listed: Vec<&Note> = work.notes.all.iter().collect();
        listed.sort_by_key(|note| note.problem.position());
        top.extend(
            listed
                .into_iter()
                .map(|note| format!("- {}", one_line(&note.to_string()))),
        );
    }
    comments.insert(String::new(), top);
    if !endpoint.comments.is_empty() {
        comments.insert("/endpoint".to_owned(), endpoint.comments);
    }
    (Value::Object(document), comments)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn options(node: &Node, attributes: &mut Map<String, Value>, endpoint: &mut Endpoint, notes: &mut Notes) {
    for entry in node.entries() {
        let number = match &entry.node.value {
            NodeValue::Number(number) => number.as_u64().filter(|number| *number >= 1),
            _ => None,
        };
        match (entry.key.as_str(), number) {
            ("maxConcurrency", Some(number)) => {
                attributes.insert("batch_concurrency".to_owned(), number.into());
            }
            ("repeat", Some(number)) => {
                attributes.insert("repeat".to_owned(), number.into());
            }
            ("timeoutMs", Some(number)) => endpoint.put("timeouts", json!({"attempt": format!("{number}ms")})),
            ("delay", Some(number)) => endpoint.put(
                "limits",
                json!({"rate": {"count": 1, "per": format!("{number}ms"), "burst": 1}}),
            ),
            // It says what a terminal shows, or that nothing is limited.
            ("showProgressBar", _) | ("delay" | "timeoutMs", None) => {}
            (name, _) => {
                let why = "runs of testfleet have no such option";
                notes.left_out(entry.position, &join("evaluateOptions", name), why);
            }
        }
    }
}

fn reports(node: &Node, notes: &mut Notes) -> Vec<Value> {
    let paths: Vec<&Node> = match &node.value {
        NodeValue::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    let mut reports = Vec::new();
    for path in paths {
        let Some(text) = path.as_text() else { continue };
        let extension = text.rsplit_once('.').map_or("", |(_, extension)| extension);
        let format = match extension {
            "json" | "jsonl" => extension,
            "xml" => "junit",
            "txt" => "text",
            _ => {
                notes.left_out(
                    path.position,
                    "outputPath",
                    format!("there is no report like {text:?}: json, jsonl, junit (.xml) or text"),
                );
                continue;
            }
        };
        reports.push(json!({"format": format, "path": text}));
    }
    reports
}
