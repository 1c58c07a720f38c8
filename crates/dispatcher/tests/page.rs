//! What `docs/backends.md` shows is what compiles.
#![allow(clippy::unwrap_used)]

use testfleet_model::ExecutionMode;
use testfleet_model::configuration::reading::{Defaults, DocumentFormat, read_configuration};
use testfleet_model::mode::{get_mode_description, get_mode_recommendations};

const PAGE: &str = include_str!("../../../docs/backends.md");
const EXAMPLE: &str = include_str!("../examples/backend.rs");

/// The code blocks of the page in a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    PAGE.split(&opening)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

#[test]
fn every_rust_block_of_the_page_is_in_the_example() {
    let blocks = blocks("rust");
    assert!(!blocks.is_empty());
    for block in blocks {
        assert!(EXAMPLE.contains(block), "not in examples/backend.rs:\n{block}");
    }
}

#[test]
fn the_page_says_of_each_mode_what_the_model_says() {
    for mode in ExecutionMode::ALL {
        assert!(PAGE.contains(get_mode_description(mode)), "{mode}");
        for situation in get_mode_recommendations(mode).use_when {
            assert!(PAGE.contains(situation), "{mode}: {situation}");
        }
    }
}

#[test]
fn the_configuration_of_the_example_is_one() {
    let text = EXAMPLE.split("r#\"").nth(1).unwrap().split("\"#").next().unwrap();
    let reading = read_configuration(text, "support.yaml", DocumentFormat::Yaml, &Defaults::default()).unwrap();
    assert!(reading.warnings.is_empty(), "{:?}", reading.warnings);
}
