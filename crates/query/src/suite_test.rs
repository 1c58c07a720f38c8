//! Queries are what the JSONPath Compliance Test Suite says.
//!
//! The suite is not part of this repository: the variable `SUITES` names a directory with its `cts.json`. Without it nothing is
//! tested, and a line says so.

#![allow(clippy::print_stderr)]

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Suite {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    selector: String,
    #[serde(default)]
    document: Value,
    /// What is selected, in this order.
    result: Option<Vec<Value>>,
    /// What is selected, where several orders are right.
    results: Option<Vec<Vec<Value>>>,
    #[serde(default)]
    invalid_selector: bool,
}

/// Why the case does not hold; `None`: it does.
fn broken(case: &Case) -> Option<String> {
    let path = match Path::compile(&case.selector) {
        Ok(_) if case.invalid_selector => return Some("was accepted".to_owned()),
        Ok(path) => path,
        Err(_) if case.invalid_selector => return None,
        Err(refusal) => return Some(refusal),
    };
    let selected = match path.select(&case.document, &mut Budget::new(usize::MAX)) {
        Ok(selected) => selected,
        Err(refusal) => return Some(refusal),
    };
    let right: Vec<Option<Value>> = case
        .result
        .iter()
        .chain(case.results.iter().flatten())
        .map(|nodes| match nodes.as_slice() {
            [] => None,
            [one] if path.shape.singular => Some(one.clone()),
            nodes => Some(nodes.iter().cloned().collect()),
        })
        .collect();
    (!right.contains(&selected)).then(|| format!("selects {selected:?}"))
}

#[test]
fn queries_are_what_the_compliance_suite_says() {
    let Some(directory) = std::env::var_os("SUITES") else {
        eprintln!("skipped: SUITES names no directory with cts.json");
        return;
    };
    let text = std::fs::read_to_string(std::path::Path::new(&directory).join("cts.json")).unwrap();
    let suite: Suite = serde_json::from_str(&text).unwrap();
    let broken: Vec<String> = suite
        .tests
        .iter()
        .filter_map(|case| Some(format!("{}: {}: {}", case.name, case.selector, broken(case)?)))
        .collect();
    eprintln!(
        "cts.json: {} of {} cases hold",
        suite.tests.len() - broken.len(),
        suite.tests.len()
    );
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(suite.tests.len() > 600);
}
