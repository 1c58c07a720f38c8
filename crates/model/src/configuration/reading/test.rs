//! Reads one test, whether written in the document or made of a record of a source.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::configuration::{Message, MetricsMode, TestCase, TestDefaults};

use super::dialogue::{read_dialogue, read_expected_tools};
use super::field::Field;
use super::metric::read_metrics;
use super::node::NodeValue;
use super::section::{Findings, Section};

/// The longest id of a test, in bytes; ids become keys and file names of others.
const MAX_ID: usize = 256;

/// Keys of tests that the format knows and this version does not.
pub(super) const LATER: [&str; 1] = ["weight"];

/// Where a test was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// In the configuration: `input` and `messages` are templates unless the test says otherwise.
    Document,
    /// In a source, with that source's `render`: ids and inputs may be numbers.
    Source { render: bool },
}

/// Reads a test. Its id stays empty when it has none; [`super::identity`] makes one.
pub(super) fn read_test(
    mut section: Section,
    origin: Origin,
    defaults: &TestDefaults,
    findings: &mut Findings,
) -> TestCase {
    let from_source = origin != Origin::Document;
    let mut test = TestCase {
        description: section.take("description").and_then(|field| field.text(findings)),
        render: match origin {
            Origin::Document => section
                .take("render")
                .and_then(|field| field.flag(findings))
                .unwrap_or(true),
            Origin::Source { render } => render,
        },
        ..TestCase::default()
    };
    if let Some(field) = section.take("id") {
        let at = field.clone_place();
        let id = if from_source {
            field.loose_text(findings)
        } else {
            field.filled_text(findings)
        };
        test.id = id.unwrap_or_default();
        if test.id.len() > MAX_ID || test.id.contains(char::is_control) {
            at.problem(format!("an id is one line of at most {MAX_ID} bytes"), findings);
        }
    }
    let (messages, input, vars) = (section.take("messages"), section.take("input"), section.take("vars"));
    if read_dialogue(&mut section, from_source, &mut test, findings) {
        if let Some(input) = &input {
            let message = "in a dialogue its `turns` or its `simulated_user` say what the user says; give either `input` or one of them";
            findings.problem(input.key_position, &input.path, message);
        }
    } else if messages.is_none() && input.is_none() && vars.as_ref().is_none_or(|vars| vars.node.value_len() == 0) {
        let message = "a test needs an `input`, `messages`, `turns`, a `simulated_user` or `vars`";
        findings.problem(section.position, &section.path, message);
    }
    test.expected_tools = read_expected_tools(&mut section, findings);
    if let Some(field) = messages {
        test.messages = Some(read_messages(field, findings));
    }
    if let Some(field) = input {
        read_input(field, from_source, &mut test, findings);
    }
    if let Some(field) = vars {
        test.vars = field.object(findings).unwrap_or_default();
    }
    test.expected_output = section.take("expected_output").map(Field::json);
    if let Some(field) = section.take("context") {
        test.context = field.texts(findings);
    }
    if let Some(field) = section.take("metadata") {
        test.metadata = field.object(findings).unwrap_or_default();
    }
    if let Some(field) = section.take("tags") {
        test.tags = read_tags(field, from_source, findings);
    }
    if let Some(field) = section.take("metrics") {
        test.metrics = read_metrics(field, findings);
    }
    if let Some(field) = section.take("metrics_mode") {
        let words = [("merge", MetricsMode::Merge), ("replace", MetricsMode::Replace)];
        test.metrics_mode = field.word(&words, &[], findings).unwrap_or_default();
    }
    if let Some(field) = section.take("threshold") {
        let at = field.clone_place();
        test.threshold = field.number(findings);
        if test
            .threshold
            .is_some_and(|threshold| !(0.0..=1.0).contains(&threshold))
        {
            at.problem("must lie between 0 and 1, as the mean of the scores does", findings);
        }
    }
    test.timeout = section.take("timeout").and_then(|field| field.duration(findings));
    if let Some(field) = section.take("skip") {
        test.skip = field.flag(findings).unwrap_or_default();
    }
    if let Some(field) = section.take("capture") {
        test.capture = read_capture(field, findings);
    }
    read_place(&mut section, from_source, &mut test, findings);
    section.unsupported(&LATER, findings);
    section.finish(findings);
    merge_defaults(&mut test, defaults);
    test
}

/// Its place among the other tests. Whether there are such tests and groups, only the whole set can tell.
fn read_place(section: &mut Section, from_source: bool, test: &mut TestCase, findings: &mut Findings) {
    if let Some(field) = section.take("depends_on") {
        for item in field.items_or_one(findings) {
            let at = item.clone_place();
            let id = if from_source {
                item.loose_text(findings)
            } else {
                item.filled_text(findings)
            };
            match id {
                Some(id) if test.depends_on.contains(&id) => at.problem("this test is named twice", findings),
                Some(id) => test.depends_on.push(id),
                None => {}
            }
        }
    }
    if let Some(field) = section.take("always") {
        let at = field.clone_place();
        test.always = field.flag(findings).unwrap_or_default();
        if test.always && test.depends_on.is_empty() {
            let message = "says that a test runs whatever came of those in its `depends_on`, and it has none";
            at.problem(message, findings);
        }
    }
    test.group = section.take("group").and_then(|field| {
        if from_source {
            field.loose_text(findings)
        } else {
            field.filled_text(findings)
        }
    });
    test.repeat = section.take("repeat").and_then(|field| field.repeat(findings));
}

/// `input` is a text. In sources it may be a list of messages, as inspect_ai writes it: that fills `messages`,
/// and `input` is then what the user said last.
fn read_input(field: Field, from_source: bool, test: &mut TestCase, findings: &mut Findings) {
    let is_list = matches!(field.node.value, NodeValue::List(_));
    if !(from_source && is_list) {
        test.input = if from_source {
            field.loose_text(findings)
        } else {
            field.text(findings)
        };
        return;
    }
    if test.messages.is_some() {
        return field.problem("this list of messages and `messages` are both given", findings);
    }
    let messages = read_messages(field, findings);
    test.input = messages
        .iter()
        .rev()
        .find(|message| message.role == "user")
        .map(|message| message.content.clone());
    test.messages = Some(messages);
}

fn read_messages(field: Field, findings: &mut Findings) -> Vec<Message> {
    field
        .filled_items("message", findings)
        .into_iter()
        .filter_map(|item| read_message(item, &ROLES, findings))
        .collect()
}

/// Who speaks in the messages of a test.
const ROLES: [(&str, &str); 4] = [
    ("system", "system"),
    ("user", "user"),
    ("assistant", "assistant"),
    ("tool", "tool"),
];

/// A message by one of these roles.
pub(super) fn read_message(
    field: Field,
    roles: &[(&'static str, &'static str)],
    findings: &mut Findings,
) -> Option<Message> {
    let mut section = Section::open(field, findings)?;
    let mut needed = |key: &'static str, findings: &mut Findings| {
        let field = section.take(key);
        if field.is_none() {
            section.missing(key, "a message has a `role` and a `content`", findings);
        }
        field
    };
    let role = needed("role", findings).and_then(|field| field.word(roles, &[], findings));
    let content = needed("content", findings).and_then(|field| field.text(findings));
    section.finish(findings);
    Some(Message {
        role: role?.to_owned(),
        content: content?,
    })
}

pub(super) fn read_tags(field: Field, loose: bool, findings: &mut Findings) -> BTreeMap<String, String> {
    if !loose {
        return field.texts_by_name(findings);
    }
    field
        .entries(findings)
        .into_iter()
        .filter_map(|(name, field)| Some((name, field.loose_text(findings)?)))
        .collect()
}

pub(super) fn read_capture(field: Field, findings: &mut Findings) -> BTreeMap<String, String> {
    let mut capture = BTreeMap::new();
    for (name, field) in field.entries(findings) {
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !plain {
            let message = "a captured name has letters, digits and _ only, so that templates can use it";
            findings.problem(field.key_position, &field.path, message);
        }
        if let Some(mapping) = field.mapping(findings) {
            capture.insert(name, mapping);
        }
    }
    capture
}

/// The test's own values win, name by name.
fn merge_defaults(test: &mut TestCase, defaults: &TestDefaults) {
    if !defaults.vars.is_empty() {
        let own = std::mem::replace(&mut test.vars, defaults.vars.clone());
        merge_object(&mut test.vars, own);
    }
    for (name, value) in &defaults.tags {
        test.tags.entry(name.clone()).or_insert_with(|| value.clone());
    }
    test.timeout = test.timeout.or(defaults.timeout);
}

fn merge_object(under: &mut Map<String, Value>, own: Map<String, Value>) {
    for (name, value) in own {
        under.insert(name, value);
    }
}
