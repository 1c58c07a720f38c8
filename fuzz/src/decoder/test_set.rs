//! A file with tests. The first line says how it is read: `jsonl`, `json`, `csv` or `yaml`, then `render`, and columns
//! as `input=question`.

use std::collections::BTreeSet;

use testfleet_model::configuration::reading::{DuplicateCheck, read_source};
use testfleet_model::configuration::{Source, SourceFormat, TestCase, TestDefaults};

use super::input::{first_line, said, text};

const FILE: &str = "tests.data";

/// Reads all tests of the file.
pub fn check(data: &[u8]) {
    let (how, content) = first_line(data);
    let mut source = Source {
        file: FILE.to_owned(),
        format: None,
        delimiter: None,
        columns: Default::default(),
        render: false,
    };
    for word in text(how).split(' ') {
        match (word, word.split_once('=')) {
            ("jsonl", _) => source.format = Some(SourceFormat::Jsonl),
            ("json", _) => source.format = Some(SourceFormat::Json),
            ("csv", _) => source.format = Some(SourceFormat::Csv),
            ("yaml", _) => source.format = Some(SourceFormat::Yaml),
            ("render", _) => source.render = true,
            (_, Some((ours, theirs))) => drop(source.columns.0.insert(ours.to_owned(), theirs.to_owned())),
            _ => {}
        }
    }
    let mut defaults = TestDefaults::default();
    defaults.tags.insert("suite".to_owned(), "fuzz".to_owned());
    let tests = match read_source(content, FILE, &source, &defaults) {
        Ok(tests) => tests,
        Err(problems) => return problems.0.iter().for_each(located),
    };
    let (mut ids, mut seen) = (DuplicateCheck::new(), BTreeSet::new());
    for (count, read) in tests.enumerate() {
        assert!(count <= content.len() + 1, "the file has no end");
        match read {
            Err(problems) => {
                assert!(!problems.0.is_empty());
                problems.0.iter().for_each(located);
            }
            Ok(mut read) => {
                assert!(!read.test.id.is_empty());
                assert!(read.test.tags.contains_key("suite"));
                if ids.admit(&mut read.test, FILE, read.position).is_ok() {
                    assert!(seen.insert(read.test.id.clone()), "the id {:?} twice", read.test.id);
                }
                let stored = serde_json::to_vec(&read.test).expect("a test can be written");
                assert_eq!(
                    TestCase::from_stored(&stored).expect("what was written reads"),
                    read.test
                );
            }
        }
    }
}

fn located(problem: &testfleet_model::configuration::reading::Problem) {
    assert_eq!(problem.file, FILE);
    assert!(problem.line >= 1 && problem.column >= 1);
    said(&problem.message);
}
