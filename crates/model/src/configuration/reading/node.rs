//! The located tree that every format is parsed into: values that know their place.

use serde_json::{Map, Number, Value};

use super::problem::Position;

/// How deep documents may nest. Deeper ones are refused, so that reading never exhausts the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) position: Position,
    pub(super) value: NodeValue,
}

/// The JSON data model.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NodeValue {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One key of a mapping, in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn new(position: Position, value: NodeValue) -> Self {
        Self { position, value }
    }

    pub(super) fn text(position: Position, text: impl Into<String>) -> Self {
        Self::new(position, NodeValue::Text(text.into()))
    }

    pub(super) fn is_null(&self) -> bool {
        self.value == NodeValue::Null
    }

    /// Items of a list or keys of a mapping; 0 for everything else.
    pub(super) fn value_len(&self) -> usize {
        match &self.value {
            NodeValue::List(items) => items.len(),
            NodeValue::Map(entries) => entries.len(),
            _ => 0,
        }
    }

    /// The value without its places.
    pub(super) fn into_json(self) -> Value {
        match self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(flag) => Value::Bool(flag),
            NodeValue::Number(number) => Value::Number(number),
            NodeValue::Text(text) => Value::String(text),
            NodeValue::List(items) => Value::Array(items.into_iter().map(Self::into_json).collect()),
            NodeValue::Map(entries) => Value::Object(into_object(entries)),
        }
    }

    /// What was found, for messages: `the number 42`, `a list`.
    pub(super) fn describe(&self) -> String {
        match &self.value {
            NodeValue::Null => "nothing".to_owned(),
            NodeValue::Bool(flag) => flag.to_string(),
            NodeValue::Number(number) => format!("the number {number}"),
            NodeValue::Text(text) => format!("the text {}", quote(text)),
            NodeValue::List(_) => "a list".to_owned(),
            NodeValue::Map(_) => "a mapping".to_owned(),
        }
    }
}

pub(super) fn into_object(entries: Vec<Entry>) -> Map<String, Value> {
    entries
        .into_iter()
        .map(|entry| (entry.key, entry.node.into_json()))
        .collect()
}

/// A text in quotes, cut where it is too long for a message.
pub(super) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The path of a key in a mapping.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The path of an item in a list.
pub(super) fn join_index(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}
