//! JSON Schemas are what their published test suite says, for the drafts 2020-12 and 7.
//!
//! The suite is not part of this repository: the variable `SUITES` names a directory with `jsonschema-draft2020-12.json` and
//! `jsonschema-draft7.json`, each a mapping of the files of `tests/draft…` of JSON-Schema-Test-Suite to their texts. Without it
//! nothing is tested, and a line says so.
//!
//! ```sh
//! SUITES=/path/to/suites cargo test -p testfleet-evaluation suite -- --nocapture
//! ```

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use testfleet_evaluation::{MetricSet, Subject};
use testfleet_model::configuration::{Metric, MetricKind};

/// Where the suite's own server would be; nothing is fetched from there or anywhere else.
const REMOTE: &str = "http://localhost:1234";

struct Tally {
    agreed: usize,
    /// Tests of formats that the draft only asks to be noted, or that are not asserted here.
    unasserted: usize,
    /// Groups whose schema refers to what would have to be fetched.
    remote: usize,
    wrong: Vec<String>,
}

/// `unasserted`: how the names of files begin whose formats are not asserted.
fn run(file: &str, draft: &str, unasserted: &str) -> Option<Tally> {
    let Some(directory) = std::env::var_os("SUITES") else {
        eprintln!("skipped: SUITES names no directory with {file}");
        return None;
    };
    let text = std::fs::read_to_string(Path::new(&directory).join(file)).unwrap();
    let files: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    let mut tally = Tally {
        agreed: 0,
        unasserted: 0,
        remote: 0,
        wrong: Vec::new(),
    };
    for (name, text) in files {
        let groups: Vec<Value> = serde_json::from_str(&text).unwrap();
        if name.starts_with(unasserted) {
            let tests = groups.iter().map(|group| group["tests"].as_array().unwrap().len());
            tally.unasserted += tests.sum::<usize>();
            continue;
        }
        for group in groups {
            check(&name, &group, draft, &mut tally);
        }
    }
    eprintln!(
        "{file}: {} tests agree, {} do not; {} schemas refer to what is never fetched, {} tests are of formats that are not \
         asserted",
        tally.agreed,
        tally.wrong.len(),
        tally.remote,
        tally.unasserted
    );
    Some(tally)
}

/// One schema and the values it is tried on, each as the text of an answer.
fn check(file: &str, group: &Value, draft: &str, tally: &mut Tally) {
    let mut schema = group["schema"].clone();
    if let Some(schema) = schema.as_object_mut()
        && !schema.contains_key("$schema")
    {
        schema.insert("$schema".to_owned(), json!(draft));
    }
    let mut metric = Metric::new(MetricKind::IsJson);
    metric.schema = Some(schema.clone());
    let place = format!("{file}: {}", group["description"]);
    let set = match MetricSet::compile(&[metric]) {
        Ok(set) => set,
        Err(problems) if schema.to_string().contains(REMOTE) => {
            assert!(problems[0].message.contains("not a usable JSON Schema"), "{problems:?}");
            tally.remote += 1;
            return;
        }
        Err(problems) => return tally.wrong.push(format!("{place}: refused: {}", problems[0])),
    };
    for test in group["tests"].as_array().unwrap() {
        let output = json!(test["data"].to_string());
        let result = set.evaluate(&Subject::of(&output), || Duration::ZERO).remove(0);
        if result.is_successful == test["valid"].as_bool() {
            tally.agreed += 1;
        } else {
            tally
                .wrong
                .push(format!("{place}: {}: {}", test["description"], result.reason));
        }
    }
}

#[test]
fn schemas_of_draft_2020_12_are_what_the_suite_says() {
    // The draft notes formats and asserts none of them.
    let draft = "https://json-schema.org/draft/2020-12/schema";
    let Some(tally) = run("jsonschema-draft2020-12.json", draft, "optional/format/") else {
        return;
    };
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.agreed > 1_300, "{}", tally.agreed);
}

#[test]
fn schemas_of_draft_7_are_what_the_suite_says() {
    // Formats are asserted, but those of names in other scripts.
    let draft = "http://json-schema.org/draft-07/schema#";
    let Some(tally) = run("jsonschema-draft7.json", draft, "optional/format/idn-") else {
        return;
    };
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.agreed > 1_500, "{}", tally.agreed);
}
