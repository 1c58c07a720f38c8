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
    page_of("configuration")
}

fn page_of(name: &str) -> String {
    let path = format!("{}/../../docs/{name}.md", env!("CARGO_MANIFEST_DIR"));
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
    let (configuration, verdicts) = (page(), page_of("verdicts"));
    let mut examples = blocks(&configuration, "yaml");
    examples.extend(blocks(&verdicts, "yaml"));
    assert!(examples.len() >= 9);
    for block in examples {
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
fn the_page_of_verdicts_names_every_measure() {
    use crate::gate::{BaselineMeasure, CountMeasure, MetricMeasure, Quantile, RateMeasure};
    let page = page_of("verdicts");
    let plain = CountMeasure::ALL.iter().map(|of| of.word().to_owned());
    let rates = RateMeasure::ALL.iter().map(|of| of.word().to_owned());
    let parts = Quantile::ALL.iter().map(|of| of.word());
    let parts = parts.chain(MetricMeasure::ALL.iter().map(|of| of.word()));
    let parts = parts
        .chain(BaselineMeasure::ALL.iter().map(|of| of.word()))
        .map(|word| format!(".{word}"));
    for word in plain.chain(rates).chain(parts) {
        assert!(
            page.contains(&format!("`{word}`")) || page.contains(&format!("{word}`")),
            "{word}"
        );
    }
    // The example of a result is one.
    let [result] = blocks(&page, "json").try_into().unwrap();
    let result: crate::gate::GateResult = serde_json::from_str(result).unwrap();
    assert!(!result.holds);
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
        let head = head.replace("{input: a,", "{input: a, context: [c],");
        let models = "models: {judge: {base_url: 'https://llm.test/v1', model: m}}\n";
        let text = format!("{head}{models}metrics:\n{example}\n");
        if let Err(problems) = read(&text) {
            panic!("{problems}\n{example}");
        }
    }
}
