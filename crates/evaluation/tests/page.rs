//! The page of metrics says what the code does: every kind has a heading, every example compiles.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use serde_json::Value;
use testfleet_evaluation::MetricSet;
use testfleet_model::configuration::{Metric, MetricKind};

fn page() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md")).unwrap()
}

/// An example line of the page as JSON. The page writes flow mappings on one line with texts in quotes; what is
/// left is to put its bare words in quotes.
fn parse(line: &str) -> Value {
    let mut json = String::new();
    let mut quoted = false;
    let mut word = String::new();
    for letter in line.chars() {
        if !quoted && (letter.is_ascii_lowercase() || (!word.is_empty() && "-_0123456789".contains(letter))) {
            word.push(letter);
            continue;
        }
        if !word.is_empty() {
            let bare = matches!(word.as_str(), "true" | "false" | "null");
            json.push_str(&if bare { word.clone() } else { format!("\"{word}\"") });
            word.clear();
        }
        quoted ^= letter == '"';
        json.push(letter);
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// The heading of the section and the metric, for every example line.
fn examples() -> Vec<(String, Metric)> {
    let mut heading = String::new();
    let mut examples = Vec::new();
    for line in page().lines() {
        if let Some(title) = line.strip_prefix("### ") {
            heading = title.to_owned();
        }
        if let Some(example) = line.strip_prefix("- { ") {
            let metric = serde_json::from_value(parse(&format!("{{ {example}"))).unwrap();
            examples.push((heading.clone(), metric));
        }
    }
    examples
}

#[test]
fn every_kind_has_a_heading_and_every_heading_is_a_kind() {
    let page = page();
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let kinds: Vec<_> = MetricKind::ALL.iter().map(|kind| kind.word()).collect();
    for kind in &kinds {
        assert!(headings.contains(kind), "{kind} has no heading");
    }
    for heading in headings {
        assert!(kinds.contains(&heading), "{heading} is no kind");
    }
}

#[test]
fn every_kind_has_an_example_and_every_example_compiles() {
    let examples = examples();
    for (heading, metric) in &examples {
        assert_eq!(metric.kind.word(), heading);
        MetricSet::compile(std::slice::from_ref(metric)).unwrap();
    }
    for kind in MetricKind::ALL {
        assert!(
            examples.iter().any(|(_, metric)| metric.kind == *kind),
            "{} has no example",
            kind.word()
        );
    }
}
