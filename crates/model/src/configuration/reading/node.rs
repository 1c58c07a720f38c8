//! The located tree that every format is parsed into: values that know their place.

use serde_json::{Map, Number, Value};

use super::problem::Position;

/// How deep documents may nest. Deeper ones are refused, so that reading never exhausts the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it starts.
    pub position: Position,
    /// What it is.
    pub value: NodeValue,
}

/// The JSON data model.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, each key once.
    Map(Vec<Entry>),
}

/// One key of a mapping, in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub position: Position,
    /// The value.
    pub node: Node,
}

impl Node {
    /// A value at a place.
    #[must_use]
    pub fn new(position: Position, value: NodeValue) -> Self {
        Self { position, value }
    }

    /// A text at a place.
    #[must_use]
    pub fn text(position: Position, text: impl Into<String>) -> Self {
        Self::new(position, NodeValue::Text(text.into()))
    }

    /// The keys of a mapping; none for everything else.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            NodeValue::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The items of a list; none for everything else.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            NodeValue::List(items) => items,
            _ => &[],
        }
    }

    /// A key of a mapping that says something.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key && !entry.node.is_null())
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            NodeValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
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
    #[must_use]
    pub fn into_json(self) -> Value {
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
    #[must_use]
    pub fn describe(&self) -> String {
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
