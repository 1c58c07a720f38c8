//! One value with its key path, read as the type it should have.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::configuration::MAX_REPEAT;

use super::node::{Node, NodeValue, into_object, join, join_index};
use super::problem::Position;
use super::section::{Findings, unknown_word, unsupported};

/// Whether a text is 1 to 64 letters, digits, `.`, `_` and `-`.
pub(super) fn is_plain_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The sentence for a text that is none.
pub(super) fn not_plain(name: &str) -> String {
    format!(
        "expected a name of 1 to 64 letters, digits, `.`, `_` and `-`, found {}",
        super::node::quote(name)
    )
}

/// A value and where it was written. The readers report what does not fit and then give `None`, so that one
/// pass finds every problem of a document.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) key_position: Position,
    pub(super) node: Node,
}

impl Field {
    /// The whole document.
    pub(super) fn root(node: Node) -> Self {
        Self {
            path: String::new(),
            key_position: node.position,
            node,
        }
    }

    /// A problem with the value.
    pub(super) fn problem(&self, message: impl Into<String>, findings: &mut Findings) {
        findings.problem(self.node.position, &self.path, message);
    }

    /// A problem with its type.
    pub(super) fn expected(&self, what: &str, findings: &mut Findings) {
        self.problem(format!("expected {what}, found {}", self.node.describe()), findings);
    }

    pub(super) fn text(self, findings: &mut Findings) -> Option<String> {
        match self.node.value {
            NodeValue::Text(text) => Some(text),
            NodeValue::Number(_) | NodeValue::Bool(_) => {
                let found = self.node.describe();
                self.problem(
                    format!("expected a text, found {found}; put quotes around it"),
                    findings,
                );
                None
            }
            _ => {
                self.expected("a text", findings);
                None
            }
        }
    }

    /// A text with something other than white space in it.
    pub(super) fn filled_text(self, findings: &mut Findings) -> Option<String> {
        let at = self.clone_place();
        let text = self.text(findings)?;
        if text.trim().is_empty() {
            at.problem("must not be empty", findings);
            return None;
        }
        Some(text)
    }

    /// A text that messages must not repeat, since it may be a secret.
    pub(super) fn private_text(self, findings: &mut Findings) -> Option<String> {
        if !matches!(self.node.value, NodeValue::Text(_)) {
            self.problem("expected a text; put quotes around it", findings);
            return None;
        }
        self.filled_text(findings)
    }

    /// A text; numbers and booleans become theirs. For sources, where ids are often numbers.
    pub(super) fn loose_text(self, findings: &mut Findings) -> Option<String> {
        match self.node.value {
            NodeValue::Number(number) => Some(number.to_string()),
            NodeValue::Bool(flag) => Some(flag.to_string()),
            _ => self.text(findings),
        }
    }

    pub(super) fn flag(self, findings: &mut Findings) -> Option<bool> {
        if let NodeValue::Bool(flag) = self.node.value {
            return Some(flag);
        }
        self.expected("true or false", findings);
        None
    }

    /// A whole number from 1.
    pub(super) fn count(self, findings: &mut Findings) -> Option<u32> {
        if let NodeValue::Number(number) = &self.node.value
            && let Some(count) = number.as_u64().and_then(|count| u32::try_from(count).ok())
            && count >= 1
        {
            return Some(count);
        }
        self.expected("a whole number of at least 1", findings);
        None
    }

    /// A whole number from 0.
    pub(super) fn up_to(self, most: u32, findings: &mut Findings) -> Option<u32> {
        if let NodeValue::Number(number) = &self.node.value
            && let Some(count) = number.as_u64().and_then(|count| u32::try_from(count).ok())
            && count <= most
        {
            return Some(count);
        }
        self.expected(&format!("a whole number from 0 to {most}"), findings);
        None
    }

    /// A whole number from 1, of any size that a number of JSON has.
    pub(super) fn large_count(self, findings: &mut Findings) -> Option<u64> {
        if let NodeValue::Number(number) = &self.node.value
            && let Some(count) = number.as_u64().filter(|count| *count >= 1)
        {
            return Some(count);
        }
        self.expected("a whole number of at least 1", findings);
        None
    }

    /// How often a test is executed.
    pub(super) fn repeat(self, findings: &mut Findings) -> Option<u32> {
        let at = self.clone_place();
        let times = self.count(findings)?;
        if times > MAX_REPEAT {
            at.problem(format!("at most {MAX_REPEAT} repetitions are possible"), findings);
            return None;
        }
        Some(times)
    }

    /// A name that becomes part of a key: 1 to 64 letters, digits, `.`, `_` and `-`.
    pub(super) fn plain_name(self, findings: &mut Findings) -> Option<String> {
        let at = self.clone_place();
        let name = self.text(findings)?;
        if !is_plain_name(&name) {
            at.problem(not_plain(&name), findings);
            return None;
        }
        Some(name)
    }

    /// A finite number.
    pub(super) fn number(self, findings: &mut Findings) -> Option<f64> {
        if let NodeValue::Number(number) = &self.node.value
            && let Some(number) = number.as_f64().filter(|number| number.is_finite())
        {
            return Some(number);
        }
        self.expected("a number", findings);
        None
    }

    /// A duration with a unit, more than nothing.
    pub(super) fn duration(self, findings: &mut Findings) -> Option<Duration> {
        let NodeValue::Text(text) = &self.node.value else {
            self.expected("a duration with a unit such as 250ms, 30s or 5m", findings);
            return None;
        };
        match crate::duration::parse(text) {
            Ok(duration) if duration.is_zero() => self.problem("must be longer than 0s", findings),
            Ok(duration) => return Some(duration),
            Err(message) => self.problem(message, findings),
        }
        None
    }

    /// One of the words; words of the format that this version does not know get their own message.
    pub(super) fn word<T: Copy>(
        self,
        words: &[(&'static str, T)],
        later: &[&str],
        findings: &mut Findings,
    ) -> Option<T> {
        #[cfg(test)]
        findings.trace.words(&self.path, words.iter().map(|(word, _)| *word));
        let at = self.clone_place();
        let text = self.text(findings)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if later.contains(&text.as_str()) {
            at.problem(unsupported(&text), findings);
        } else {
            let known: Vec<&'static str> = words.iter().map(|(word, _)| *word).collect();
            at.problem(unknown_word(&text, &known), findings);
        }
        None
    }

    pub(super) fn json(self) -> Value {
        self.node.into_json()
    }

    /// A mapping of anything.
    pub(super) fn object(self, findings: &mut Findings) -> Option<Map<String, Value>> {
        match self.node.value {
            NodeValue::Map(entries) => Some(into_object(entries)),
            _ => {
                self.expected("a mapping", findings);
                None
            }
        }
    }

    /// The entries of a mapping, each as a field.
    pub(super) fn entries(self, findings: &mut Findings) -> Vec<(String, Self)> {
        match self.node.value {
            NodeValue::Map(entries) => entries
                .into_iter()
                .map(|entry| {
                    let field = Self {
                        path: join(&self.path, &entry.key),
                        key_position: entry.position,
                        node: entry.node,
                    };
                    (entry.key, field)
                })
                .collect(),
            _ => {
                self.expected("a mapping", findings);
                Vec::new()
            }
        }
    }

    /// A mapping of texts.
    pub(super) fn texts_by_name(self, findings: &mut Findings) -> BTreeMap<String, String> {
        self.entries(findings)
            .into_iter()
            .filter_map(|(key, field)| Some((key, field.text(findings)?)))
            .collect()
    }

    /// The items of a list.
    pub(super) fn items(self, findings: &mut Findings) -> Vec<Self> {
        match self.node.value {
            NodeValue::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, node)| Self {
                    path: join_index(&self.path, index),
                    key_position: node.position,
                    node,
                })
                .collect(),
            _ => {
                self.expected("a list", findings);
                Vec::new()
            }
        }
    }

    /// The items of a list that must not be empty.
    pub(super) fn filled_items(self, what: &str, findings: &mut Findings) -> Vec<Self> {
        if matches!(&self.node.value, NodeValue::List(items) if items.is_empty()) {
            self.problem(format!("must be a list with at least one {what}"), findings);
        }
        self.items(findings)
    }

    /// The items of a list; anything else is a list of one.
    pub(super) fn items_or_one(self, findings: &mut Findings) -> Vec<Self> {
        match self.node.value {
            NodeValue::List(_) => self.items(findings),
            _ => vec![self],
        }
    }

    /// A list of texts, or one text.
    pub(super) fn texts(self, findings: &mut Findings) -> Vec<String> {
        self.items_or_one(findings)
            .into_iter()
            .filter_map(|field| field.text(findings))
            .collect()
    }

    /// A JSONPath or template, the two ways of saying where something is.
    pub(super) fn mapping(self, findings: &mut Findings) -> Option<String> {
        let at = self.clone_place();
        let text = self.filled_text(findings)?;
        if text.starts_with('$') || text.contains("{{") {
            return Some(text);
        }
        at.problem(
            "expected a JSONPath that starts with $, or a template with {{ … }}",
            findings,
        );
        None
    }

    /// The same place without the value, for problems found after the value has been taken.
    pub(super) fn clone_place(&self) -> Self {
        Self {
            path: self.path.clone(),
            key_position: self.key_position,
            node: Node::new(self.node.position, NodeValue::Null),
        }
    }
}
