//! Mappings read key by key: what is not asked for is an unknown key, so no key is silently ignored.

use super::field::Field;
use super::node::{Entry, Node, NodeValue, join, quote};
use super::position::Positions;
use super::problem::{Position, Problem};

/// What reading has found so far, besides the values.
pub(super) struct Findings {
    pub(super) file: String,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    pub(super) positions: Positions,
    #[cfg(test)]
    pub(super) trace: super::trace::Trace,
}

impl Findings {
    pub(super) fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            problems: Vec::new(),
            warnings: Vec::new(),
            positions: Positions::new(file),
            #[cfg(test)]
            trace: super::trace::Trace::default(),
        }
    }

    pub(super) fn problem(&mut self, position: Position, key: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(&self.file, position, key, message));
    }

    pub(super) fn warning(&mut self, position: Position, key: &str, message: impl Into<String>) {
        self.warnings.push(Problem::new(&self.file, position, key, message));
    }
}

/// A mapping whose keys are taken one by one.
pub(super) struct Section {
    pub(super) path: String,
    pub(super) position: Position,
    entries: Vec<Option<Entry>>,
    known: Vec<&'static str>,
    /// Keys that are only looked for to be refused.
    #[cfg(test)]
    unused: Vec<&'static str>,
}

impl Section {
    /// `None`, with a problem, when the value is no mapping. Nothing (`key:`) is an empty mapping.
    pub(super) fn open(field: Field, findings: &mut Findings) -> Option<Self> {
        let entries = match field.node.value {
            NodeValue::Map(entries) => entries,
            NodeValue::Null => Vec::new(),
            _ => {
                field.expected("a mapping", findings);
                return None;
            }
        };
        Some(Self {
            path: field.path,
            position: field.node.position,
            entries: entries.into_iter().map(Some).collect(),
            known: Vec::new(),
            #[cfg(test)]
            unused: Vec::new(),
        })
    }

    pub(super) fn path_of(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The value of a key; `None` when the key is not there or says nothing (null).
    pub(super) fn take(&mut self, key: &'static str) -> Option<Field> {
        self.take_any(key).filter(|field| !field.node.is_null())
    }

    /// The same, null included.
    pub(super) fn take_any(&mut self, key: &'static str) -> Option<Field> {
        self.known.push(key);
        let slot = self
            .entries
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(|entry| entry.key == key))?;
        let entry = slot.take()?;
        Some(Field {
            path: join(&self.path, &entry.key),
            key_position: entry.position,
            node: entry.node,
        })
    }

    /// Whether a key is there that has not been taken, and says something.
    pub(super) fn has(&self, key: &str) -> bool {
        let entry = self.entries.iter().flatten().find(|entry| entry.key == key);
        entry.is_some_and(|entry| !entry.node.is_null())
    }

    /// The value of a key that must not be there, null included; refusing it is the caller's part.
    pub(super) fn take_unused_any(&mut self, key: &'static str) -> Option<Field> {
        #[cfg(test)]
        self.unused.push(key);
        self.take_any(key)
    }

    /// The same; nothing (null) is as good as no key.
    pub(super) fn take_unused(&mut self, key: &'static str) -> Option<Field> {
        self.take_unused_any(key).filter(|field| !field.node.is_null())
    }

    /// The value of a key that has a second name. Both may be given when they say the same.
    pub(super) fn take_alias(
        &mut self,
        key: &'static str,
        alias: &'static str,
        findings: &mut Findings,
    ) -> Option<Field> {
        let field = self.take(key);
        let other = self.take(alias);
        let path = self.path_of(key);
        if let Some(other) = &other {
            if field.is_none() {
                findings.positions.record(&other.node, &path);
            }
            check_same(field.as_ref(), Some(other), findings);
        }
        field.or(other)
    }

    /// A problem for a key that must be there.
    pub(super) fn missing(&self, key: &str, message: &str, findings: &mut Findings) {
        findings.problem(self.position, &self.path_of(key), format!("missing; {message}"));
    }

    /// Refuses keys that the format knows and this version does not.
    pub(super) fn unsupported(&mut self, keys: &[&'static str], findings: &mut Findings) {
        for key in keys {
            if let Some(field) = self.take_unused_any(key) {
                findings.problem(field.key_position, &field.path, unsupported(key));
            }
        }
    }

    /// Refuses whatever was not asked for.
    pub(super) fn finish(self, findings: &mut Findings) {
        #[cfg(test)]
        findings.trace.section(&self.path, &self.known, &self.unused);
        for entry in self.entries.iter().flatten() {
            let mut message = "unknown key".to_owned();
            if let Some(near) = nearest(&entry.key, self.known.iter().copied()) {
                message += &format!("; did you mean {near:?}?");
            }
            findings.problem(entry.position, &join(&self.path, &entry.key), message);
        }
    }

    /// Reports keys that may be meant for one that is known, where the others cannot be judged.
    pub(super) fn finish_unclear(self, findings: &mut Findings) {
        for entry in self.entries.iter().flatten() {
            if let Some(near) = nearest(&entry.key, self.known.iter().copied()) {
                let message = format!("unknown key; did you mean {near:?}?");
                findings.problem(entry.position, &join(&self.path, &entry.key), message);
            }
        }
    }

    /// A mapping made of fields instead of read from a text.
    pub(super) fn of_entries(position: Position, entries: Vec<Entry>) -> Self {
        Self {
            path: String::new(),
            position,
            entries: entries.into_iter().map(Some).collect(),
            known: Vec::new(),
            #[cfg(test)]
            unused: Vec::new(),
        }
    }
}

/// Reports two names of one thing that say different things.
pub(super) fn check_same(one: Option<&Field>, other: Option<&Field>, findings: &mut Findings) {
    let (Some(one), Some(other)) = (one, other) else {
        return;
    };
    if !same(&one.node, &other.node) {
        let message = format!(
            "says something else than {}, which is the same setting; give one of them",
            one.path
        );
        findings.problem(other.key_position, &other.path, message);
    }
}

fn same(one: &Node, other: &Node) -> bool {
    one.clone().into_json() == other.clone().into_json()
}

/// The sentence for what the format knows and this version does not.
pub(super) fn unsupported(what: &str) -> String {
    format!("`{what}` is part of the format but not supported by this version")
}

/// The word that was probably meant.
pub(crate) fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    let word = word.to_lowercase().replace(['-', ' '], "_");
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).clamp(1, 4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The sentence for a word that is none of those expected.
pub(super) fn unknown_word(word: &str, known: &[&'static str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("unknown value {}; did you mean {near:?}?", quote(word)),
        None => format!("unknown value {}; expected {}", quote(word), one_of(known)),
    }
}

fn one_of(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
