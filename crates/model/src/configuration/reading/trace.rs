//! What readers noted while tests read documents: which keys they asked for where, and which words they knew. The
//! JSON Schema is compared with it.

use std::collections::{BTreeMap, BTreeSet};

use super::section::Findings;
use super::{Defaults, DocumentFormat, json, yaml};

/// Path of a mapping or key, without the numbers of items → what was looked for.
#[derive(Clone, Debug, Default)]
pub(in crate::configuration) struct Trace {
    /// Keys that are read.
    pub(in crate::configuration) keys: BTreeMap<String, BTreeSet<&'static str>>,
    /// Words that are understood.
    pub(in crate::configuration) words: BTreeMap<String, BTreeSet<&'static str>>,
}

impl Trace {
    /// Notes a mapping; keys that are only looked for to be refused are none of its keys.
    pub(super) fn section(&mut self, path: &str, known: &[&'static str], unused: &[&'static str]) {
        let keys = self.keys.entry(general(path)).or_default();
        keys.extend(known.iter().filter(|key| !unused.contains(key)));
    }

    /// Notes a key with one of some words.
    pub(super) fn words(&mut self, path: &str, words: impl Iterator<Item = &'static str>) {
        self.words.entry(general(path)).or_default().extend(words);
    }

    /// Adds what another document showed.
    pub(in crate::configuration) fn merge(&mut self, other: Self) {
        for (path, keys) in other.keys {
            self.keys.entry(path).or_default().extend(keys);
        }
        for (path, words) in other.words {
            self.words.entry(path).or_default().extend(words);
        }
    }
}

/// `tests[3].metrics[0]` → `tests[].metrics[]`.
fn general(path: &str) -> String {
    let mut parts = path.split('[');
    let mut general = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        general.push('[');
        general.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    general
}

/// Reads a document, whatever comes of it, and gives back what the readers noted.
pub(in crate::configuration) fn trace(text: &str, format: DocumentFormat) -> Trace {
    let root = match format {
        DocumentFormat::Json => json::parse(text, "document"),
        _ => yaml::parse(text, "document"),
    };
    let mut findings = Findings::new("document");
    if let Ok(root) = root {
        super::document::read_document(root, Defaults::default(), &mut findings);
    }
    findings.trace
}
