//! Where each key of a document stands, for problems that other crates find later.

use std::collections::HashMap;

use super::node::{Node, NodeValue, join, join_index};
use super::problem::{Position, Problem};

/// Dotted key path → place in the file. Keys written under another name (`request_mapping`) are found under
/// both names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    file: String,
    places: HashMap<String, Position>,
}

impl Positions {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            places: HashMap::new(),
        }
    }

    pub(super) fn record(&mut self, node: &Node, path: &str) {
        self.places.insert(path.to_owned(), node.position);
        match &node.value {
            NodeValue::Map(entries) => {
                for entry in entries {
                    self.record(&entry.node, &join(path, &entry.key));
                }
            }
            NodeValue::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.record(item, &join_index(path, index));
                }
            }
            _ => {}
        }
    }

    /// The file the document was read from.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where the value of a key stands. A key that was not written (a default) gives the place of the nearest
    /// key around it, in the end the start of the document.
    #[must_use]
    pub fn get(&self, path: &str) -> Position {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.places.get("").copied().unwrap_or(Position::START),
            }
        }
    }

    /// A problem with a key, at its place.
    #[must_use]
    pub fn problem(&self, path: &str, message: impl Into<String>) -> Problem {
        Problem::new(&self.file, self.get(path), path, message)
    }
}
