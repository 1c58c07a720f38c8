//! The examples of the user's page are documents that this version reads.

use super::*;
use crate::configuration::MetricKind;

const BASE: [(&str, &str); 4] = [
    ("version:", "version: 1\n"),
    ("name:", "name: n\n"),
    ("endpoint:", "endpoint: {url: 'https://x.test/'}\n"),
    ("test_set:", "test_set: {tests: [{input: a, expected_output: b}]}\n"),
];

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    std::fs::read_to_string(path).unwrap()
}

/// Fenced blocks of a language.
fn blocks<'p>(page: &'p str, language: &str) -> Vec<&'p str> {
    page.split(&format!("\n```{language}\n"))
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
        .collect()
}

#[test]
fn every_yaml_example_is_read_without_a_problem_or_a_warning() {
    let page = page();
    let blocks = blocks(&page, "yaml");
    assert!(blocks.len() >= 5);
    for block in blocks {
        // An excerpt is completed by the sections it leaves out.
        let mut text = block.to_owned() + "\n";
        for (key, rest) in BASE {
            if !text.lines().any(|line| line.starts_with(key)) {
                text += rest;
            }
        }
        match read(&text) {
            Ok(reading) => {
                let about_metrics = reading
                    .warnings
                    .iter()
                    .all(|warning| warning.message.contains("no metric"));
                let whole = block.starts_with("version:");
                assert!(
                    if whole {
                        reading.warnings.is_empty()
                    } else {
                        about_metrics
                    },
                    "{:?}",
                    reading.warnings
                );
            }
            Err(problems) => panic!("{problems}\n{text}"),
        }
    }
}

#[test]
fn the_page_names_every_metric_kind() {
    let page = page();
    for kind in MetricKind::ALL {
        assert!(page.contains(&format!("`{}`", kind.word())), "{}", kind.word());
    }
}

/// The page of metrics describes more than is read here; what it shows has to be readable all the same.
#[test]
fn every_example_of_the_page_of_metrics_is_read() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let page = std::fs::read_to_string(path).unwrap();
    let examples: Vec<_> = blocks(&page, "yaml");
    assert!(examples.len() >= MetricKind::ALL.len());
    for example in examples {
        let head: String = BASE.map(|(_, rest)| rest).concat();
        let text = format!("{head}metrics:\n{example}\n");
        if let Err(problems) = read(&text) {
            panic!("{problems}\n{example}");
        }
    }
}
