//! What an import leaves out or changes, each with its place.

use std::fmt;

use serde::Serialize;
use testfleet_model::configuration::reading::{Node, Position, Problem};

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is not in the result.
    LeftOut,
    /// It is there, and says something else than it did; somebody should look.
    Changed,
}

/// One thing that is not in the result as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What became of it.
    pub fate: Fate,
    /// Where it stands, and why.
    pub problem: Problem,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem {
            file,
            line,
            column,
            key,
            message,
        } = &self.problem;
        let fate = match self.fate {
            Fate::LeftOut => "left out",
            Fate::Changed => "changed",
        };
        write!(f, "{file}:{line}:{column}: {key}: {fate}: {message}")
    }
}

/// The notes of one import.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) file: String,
    pub(crate) all: Vec<Note>,
}

impl Notes {
    pub(crate) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            all: Vec::new(),
        }
    }

    pub(crate) fn left_out(&mut self, position: Position, key: &str, why: impl Into<String>) {
        self.add(Fate::LeftOut, position, key, why.into());
    }

    pub(crate) fn changed(&mut self, position: Position, key: &str, how: impl Into<String>) {
        self.add(Fate::Changed, position, key, how.into());
    }

    /// What holds wherever something of a kind is used is said where it is used first.
    pub(crate) fn changed_once(&mut self, position: Position, key: &str, how: impl Into<String>) {
        let how = how.into();
        if !self.says(&how) {
            self.changed(position, key, how);
        }
    }

    /// The same of something that is left out each time.
    pub(crate) fn left_out_once(&mut self, position: Position, key: &str, why: impl Into<String>) {
        let why = why.into();
        if !self.says(&why) {
            self.left_out(position, key, why);
        }
    }

    fn says(&self, message: &str) -> bool {
        self.all.iter().any(|note| note.problem.message == message)
    }

    /// The same thing is said once, however often it is used (a default of all tests, a shared template).
    fn add(&mut self, fate: Fate, position: Position, key: &str, message: String) {
        let note = Note {
            fate,
            problem: Problem::new(&self.file, position, key, message),
        };
        if !self.all.contains(&note) {
            self.all.push(note);
        }
    }

    /// Keys of a mapping that nobody asked for.
    pub(crate) fn leave_out_rest(&mut self, node: &Node, path: &str, known: &[&str], why: &str) {
        for entry in node.entries() {
            if !known.contains(&entry.key.as_str()) {
                self.left_out(entry.position, &join(path, &entry.key), why);
            }
        }
    }
}

/// The path of a key in a mapping.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}
