//! Names of other tools: which field of a record becomes which field of a test.
//!
//! Our own names are taken as they are, and so are those of promptfoo, DeepEval, ragas, inspect_ai and rhesis.
//! `columns` of the source overrules that, field by field. Every other field of a record becomes one of its
//! `vars`, so that nothing of a file is lost.

use crate::configuration::Columns;

use super::conversation_record;
use super::expected::{ColumnThreshold, Expectations, expectation};
use super::node::{Entry, Node, NodeValue};
use super::problem::Position;
use super::section::{Findings, Section};
use super::test::LATER;

/// Fields of a test that a source may have. `vars.NAME`, `metadata.NAME` and `tags.NAME` come on top.
pub(in crate::configuration) const OWN: [&str; 23] = [
    "id",
    "description",
    "input",
    "messages",
    "vars",
    "expected_output",
    "context",
    "metadata",
    "tags",
    "metrics",
    "metrics_mode",
    "threshold",
    "timeout",
    "skip",
    "capture",
    "depends_on",
    "always",
    "group",
    "repeat",
    "turns",
    "simulated_user",
    "stop_on_failure",
    "expected_tools",
];

/// Fields of tests that are mappings, and can therefore be filled name by name.
pub(in crate::configuration) const MAPPINGS: [&str; 3] = ["vars", "metadata", "tags"];

/// Name elsewhere → name here.
const FOREIGN: [(&str, &str); 11] = [
    // ragas
    ("user_input", "input"),
    ("reference", "expected_output"),
    ("retrieved_contexts", "context"),
    ("reference_tool_calls", "expected_tools"),
    // inspect_ai
    ("target", "expected_output"),
    // rhesis
    ("prompt_content", "input"),
    ("expected_response", "expected_output"),
    // DeepEval
    ("additional_metadata", "metadata"),
    // promptfoo
    ("assert", "metrics"),
    ("__description", "description"),
    ("__threshold", "threshold"),
];

/// Name elsewhere → name here, where nothing else of the record fills that field; the first one does.
const FALLBACKS: [(&str, &str); 2] = [
    // DeepEval
    ("retrieval_context", "context"),
    // ragas
    ("reference_contexts", "context"),
];

/// Fields of rhesis that become tags, in records with a field of that tool only: their names are common.
const TAGS: [&str; 3] = ["behavior", "category", "topic"];
/// The field by which a record of rhesis is known.
const OF_RHESIS: &str = "prompt_content";

/// Whether `columns` may name this field.
pub(super) fn is_own_name(name: &str) -> bool {
    OWN.contains(&name)
        || name
            .split_once('.')
            .is_some_and(|(field, rest)| MAPPINGS.contains(&field) && !rest.is_empty())
}

/// Turns the records of one source into sections that read as tests.
pub(super) struct Translation<'s> {
    /// (our name, their name, whether any record had it)
    columns: Vec<(&'s str, &'s str, bool)>,
    /// Whether values are cells of a table: always texts, empty where there is nothing.
    cells: bool,
}

impl<'s> Translation<'s> {
    pub(super) fn new(columns: &'s Columns, cells: bool) -> Self {
        let columns = columns.0.iter();
        Self {
            columns: columns
                .map(|(ours, theirs)| (ours.as_str(), theirs.as_str(), false))
                .collect(),
            cells,
        }
    }

    /// Columns that no record had: (our name, their name).
    pub(super) fn unseen(&self) -> Vec<(&'s str, &'s str)> {
        let unseen = self.columns.iter().filter(|(.., seen)| !seen);
        unseen.map(|(ours, theirs, _)| (*ours, *theirs)).collect()
    }

    pub(super) fn translate(&mut self, position: Position, entries: Vec<Entry>, findings: &mut Findings) -> Section {
        let mut test = Draft::default();
        let claimed: Vec<&str> = self.columns.iter().map(|(_, theirs, _)| *theirs).collect();
        let (entries, record) = conversation_record::translate(entries, |name| claimed.contains(&name), findings);
        if let Some(record) = record {
            let name = format!("vars.{}", record.key);
            test.put(&name, record, false, findings);
        }
        let optional = self.optional_names(&entries);
        for mut entry in entries {
            let mut mapped = false;
            for (ours, theirs, seen) in &mut self.columns {
                if *theirs == entry.key {
                    *seen = true;
                    mapped = true;
                    if entry.node.is_null() {
                        continue;
                    }
                    test.put(ours, entry.clone(), self.cells, findings);
                }
            }
            if mapped || entry.node.is_null() {
                continue;
            }
            if let Some(rest) = entry.key.strip_prefix("__")
                && !FOREIGN.iter().any(|(theirs, _)| *theirs == entry.key)
            {
                let rest = rest.to_owned();
                test.put_promptfoo(&rest, entry, self.cells, findings);
                continue;
            }
            if entry.key == "assert" {
                in_our_words(&mut entry.node);
            }
            let optional = optional
                .iter()
                .find(|(theirs, _)| *theirs == entry.key)
                .map(|(_, ours)| *ours);
            match self.own_name(&entry.key).or(optional) {
                Some(ours) => test.put(ours, entry, self.cells, findings),
                None => {
                    let name = format!("vars.{}", entry.key);
                    test.put(&name, entry, self.cells, findings);
                }
            }
        }
        test.into_section(position, findings)
    }

    /// Names whose meaning depends on the rest of the record, with what they mean in this one.
    fn optional_names(&self, entries: &[Entry]) -> Vec<(&'static str, &'static str)> {
        let has = |name: &str| entries.iter().any(|entry| entry.key == name && !is_blank(&entry.node));
        let mut names: Vec<(&'static str, &'static str)> = Vec::new();
        for (theirs, ours) in FALLBACKS {
            let is_filled = entries
                .iter()
                .any(|entry| !is_blank(&entry.node) && self.own_name(&entry.key) == Some(ours))
                || names.iter().any(|(_, known)| *known == ours)
                || self.columns.iter().any(|(known, ..)| *known == ours);
            if has(theirs) && !is_filled {
                names.push((theirs, ours));
            }
        }
        if has(OF_RHESIS) {
            names.extend(
                TAGS.iter()
                    .zip(["tags.behavior", "tags.category", "tags.topic"])
                    .map(|(theirs, ours)| (*theirs, ours)),
            );
        }
        names
    }

    /// The field a name stands for without `columns`, unless `columns` fills that field from elsewhere.
    fn own_name(&self, key: &str) -> Option<&'static str> {
        let own = OWN.iter().chain(&LATER).find(|own| **own == key).copied();
        let name = own.or_else(|| FOREIGN.iter().find(|(theirs, _)| *theirs == key).map(|(_, ours)| *ours))?;
        let claimed = self.columns.iter().any(|(ours, ..)| *ours == name);
        (!claimed).then_some(name)
    }
}

/// A test under construction: entries under our names.
#[derive(Default)]
struct Draft {
    entries: Vec<Entry>,
    expectations: Expectations,
}

impl Draft {
    fn put(&mut self, ours: &str, mut entry: Entry, cells: bool, findings: &mut Findings) {
        let (field, name) = match ours.split_once('.') {
            Some((field, name)) if MAPPINGS.contains(&field) => (field, Some(name)),
            _ => (ours, None),
        };
        if cells {
            let is_value = name.is_some_and(|_| field == "vars");
            match read_cell(if is_value { "" } else { ours }, entry.node) {
                Ok(Some(node)) => entry.node = node,
                Ok(None) => return,
                Err(message) => return findings.problem(entry.position, &entry.key, message),
            }
        }
        if LATER.contains(&ours) {
            let message = format!(
                "{}; if this is data of yours, say so with `columns: {{ vars.{ours}: {ours} }}`",
                super::section::unsupported(ours)
            );
            return findings.problem(entry.position, &entry.key, message);
        }
        match name {
            Some(name) => {
                let inner = Entry {
                    key: name.to_owned(),
                    ..entry
                };
                self.put_into(field, vec![inner], findings);
            }
            None if MAPPINGS.contains(&field) => match entry.node.value {
                NodeValue::Map(inner) => self.put_into(field, inner, findings),
                _ => {
                    let message = format!("expected a mapping, found {}", entry.node.describe());
                    findings.problem(entry.position, &entry.key, message);
                }
            },
            None => {
                if self.entries.iter().any(|known| known.key == field) {
                    let message =
                        format!("`{field}` is given by another field of this record already; choose with `columns`");
                    return findings.problem(entry.position, &entry.key, message);
                }
                field.clone_into(&mut entry.key);
                self.entries.push(entry);
            }
        }
    }

    fn put_into(&mut self, field: &str, inner: Vec<Entry>, findings: &mut Findings) {
        let known = match self.entries.iter_mut().position(|entry| entry.key == field) {
            Some(index) => index,
            None => {
                let position = inner.first().map_or(Position::START, |entry| entry.position);
                self.entries.push(Entry {
                    key: field.to_owned(),
                    position,
                    node: Node::new(position, NodeValue::Map(Vec::new())),
                });
                self.entries.len() - 1
            }
        };
        let NodeValue::Map(values) = &mut self.entries[known].node.value else {
            return;
        };
        for entry in inner {
            if values.iter().any(|value| value.key == entry.key) {
                let message = "this record gives it twice";
                findings.problem(entry.position, &format!("{field}.{}", entry.key), message);
                continue;
            }
            values.push(entry);
        }
    }

    /// Special columns of promptfoo, their two underscores removed.
    fn put_promptfoo(&mut self, column: &str, entry: Entry, cells: bool, findings: &mut Findings) {
        if let Some(name) = column.strip_prefix("metadata:") {
            return match name.strip_suffix("[]") {
                Some(name) => {
                    let ours = format!("metadata.{name}");
                    let list = split_escaped(&entry.node);
                    self.put(&ours, Entry { node: list, ..entry }, false, findings);
                }
                None => self.put(&format!("metadata.{name}"), entry, cells, findings),
            };
        }
        let text = match &entry.node.value {
            NodeValue::Text(text) if text.trim().is_empty() => return,
            NodeValue::Text(text) => text.clone(),
            NodeValue::Number(number) => number.to_string(),
            _ => return findings.problem(entry.position, &entry.key, "expected a text"),
        };
        let number = |suffix: &str| match suffix {
            "" => Some(1),
            digits => digits.parse::<u32>().ok(),
        };
        let outcome = if let Some(index) = column.strip_prefix("expected").and_then(number) {
            match expectation(&text, entry.node.position) {
                Ok(metric) => {
                    self.expectations.metrics.push((index, metric));
                    Ok(())
                }
                Err(message) => {
                    self.expectations.refused.push(index);
                    Err(message)
                }
            }
        } else if column == "metric" {
            self.expectations.name = Some(text);
            Ok(())
        } else if let Some(index) = column
            .strip_prefix("config:__expected")
            .and_then(|rest| rest.strip_suffix(":threshold"))
            .and_then(number)
        {
            match text.trim().parse() {
                Ok(threshold) => {
                    self.expectations.thresholds.push(ColumnThreshold {
                        column: entry.key.clone(),
                        index,
                        threshold,
                    });
                    Ok(())
                }
                Err(_) => Err(format!("expected a number, found {text:?}")),
            }
        } else {
            Err(
                "this column of promptfoo is not supported; remove it, or rename it to make it one of the `vars`"
                    .to_owned(),
            )
        };
        if let Err(message) = outcome {
            findings.problem(entry.position, &entry.key, message);
        }
    }

    fn into_section(mut self, position: Position, findings: &mut Findings) -> Section {
        let mut metrics = self.expectations.into_metrics(position, findings);
        if !metrics.is_empty() {
            match self.entries.iter_mut().find(|entry| entry.key == "metrics") {
                Some(entry) => {
                    if let NodeValue::List(given) = &mut entry.node.value {
                        given.append(&mut metrics);
                    }
                }
                None => self.entries.push(Entry {
                    key: "metrics".to_owned(),
                    position,
                    node: Node::new(position, NodeValue::List(metrics)),
                }),
            }
        }
        Section::of_entries(position, self.entries)
    }
}

/// Whether a field says nothing: null, or an empty cell.
fn is_blank(node: &Node) -> bool {
    match &node.value {
        NodeValue::Null => true,
        NodeValue::Text(text) => text.trim().is_empty(),
        _ => false,
    }
}

/// Options of promptfoo's assertions under the names they have here.
fn in_our_words(node: &mut Node) {
    let NodeValue::List(items) = &mut node.value else {
        return;
    };
    for item in items {
        let NodeValue::Map(entries) = &mut item.value else {
            continue;
        };
        let is = |entries: &[Entry], kinds: &[&str]| {
            let kind = entries
                .iter()
                .find(|entry| entry.key == "type")
                .and_then(|entry| entry.node.as_text());
            kind.is_some_and(|kind| kinds.contains(&kind.strip_prefix("not-").unwrap_or(kind)))
        };
        let (takes_schema, is_set) = (is(entries, &["is-json", "contains-json"]), is(entries, &["assert-set"]));
        for entry in entries {
            match entry.key.as_str() {
                "metric" => "name".clone_into(&mut entry.key),
                "value" if takes_schema => "schema".clone_into(&mut entry.key),
                "assert" if is_set => {
                    in_our_words(&mut entry.node);
                    "metrics".clone_into(&mut entry.key);
                }
                "type" => {
                    if let NodeValue::Text(kind) = &mut entry.node.value {
                        *kind = super::expected::own_kind(kind);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Commas separate, `\,` is a comma.
fn split_escaped(node: &Node) -> Node {
    let NodeValue::Text(text) = &node.value else {
        return node.clone();
    };
    let mut parts = vec![String::new()];
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\\' if rest.peek() == Some(&',') => {
                rest.next();
                if let Some(part) = parts.last_mut() {
                    part.push(',');
                }
            }
            ',' => parts.push(String::new()),
            c => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    let items = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    let items = items.map(|part| Node::text(node.position, part)).collect();
    Node::new(node.position, NodeValue::List(items))
}

/// A cell of a table as the field it fills wants it; `None` when it is empty. Vars keep even empty texts.
fn read_cell(ours: &str, node: Node) -> Result<Option<Node>, String> {
    let NodeValue::Text(text) = &node.value else {
        return Ok(Some(node));
    };
    let trimmed = text.trim();
    if ours.is_empty() {
        return Ok(Some(node));
    }
    if trimmed.is_empty() {
        return Ok(None);
    }
    let looks_structured = trimmed.starts_with(['[', '{']);
    let value = match ours {
        "vars" | "metadata" | "tags" | "messages" | "metrics" | "capture" | "turns" => {
            super::json::parse(trimmed, "")
                .map_err(|_| format!("expected JSON in this column, found {}", super::node::quote(trimmed)))?
                .value
        }
        "context" if looks_structured => match super::json::parse(trimmed, "") {
            Ok(parsed) => parsed.value,
            Err(_) => return Ok(Some(node)),
        },
        "threshold" => match trimmed.parse().ok().and_then(serde_json::Number::from_f64) {
            Some(number) => NodeValue::Number(number),
            None => return Ok(Some(node)),
        },
        "depends_on" | "expected_tools" if looks_structured => match super::json::parse(trimmed, "") {
            Ok(parsed) => parsed.value,
            Err(_) => return Ok(Some(node)),
        },
        "depends_on" | "expected_tools" => split_escaped(&node).value,
        "repeat" => match trimmed.parse::<u32>() {
            Ok(times) => NodeValue::Number(times.into()),
            Err(_) => return Ok(Some(node)),
        },
        "skip" | "always" | "stop_on_failure" => match trimmed.to_ascii_lowercase().as_str() {
            "true" => NodeValue::Bool(true),
            "false" => NodeValue::Bool(false),
            _ => return Ok(Some(node)),
        },
        _ => return Ok(Some(node)),
    };
    Ok(Some(Node::new(node.position, value)))
}
